//! Swarm's name service as one controller sees it: right, late, partial, or out of order.

use super::world::{PORT, World};
use rsctl::model::{DnsTrouble, DnsTroubleKind, Host, NameAnswer, TaskList};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

#[derive(Clone, Debug, Default)]
pub enum DnsView {
    #[default]
    Good,
    /// An old list of tasks.
    Stale(Vec<(String, Ipv4Addr)>),
    /// Some tasks are missing.
    Partial(BTreeSet<usize>),
    /// The list has an address that belongs to no task.
    Foreign(Ipv4Addr),
    NoSuchService,
    ServFail,
    Silent,
}

/// An answer, or silence until the question times out.
pub enum DnsReply<T> {
    Answer(T),
    Silence,
}

impl World {
    /// The tasks that Swarm's DNS lists now, if it answers right.
    pub fn listing(&self) -> Vec<(String, Ipv4Addr)> {
        let listed = self.machines.iter().filter(|p| p.listed && !p.retired);
        listed.map(|p| (p.name.clone(), p.addr)).collect()
    }

    pub fn listing_for(&self, controller: usize) -> Vec<(String, Ipv4Addr)> {
        match &self.dns[controller] {
            DnsView::Stale(then) => then.clone(),
            DnsView::Partial(hidden) => {
                let hidden: BTreeSet<_> =
                    hidden.iter().filter_map(|i| self.machines.get(*i)).map(|p| &p.name).collect();
                self.listing().into_iter().filter(|(name, _)| !hidden.contains(name)).collect()
            }
            DnsView::Foreign(address) => {
                let mut listing = self.listing();
                listing.push(("foreign".to_owned(), *address));
                listing
            }
            _ => self.listing(),
        }
    }

    /// The answer about a name that does not exist.
    fn no_such_name(&self) -> DnsTroubleKind {
        if self.fails_for_unknown { DnsTroubleKind::ServFail } else { DnsTroubleKind::NoSuchService }
    }

    fn trouble(&self, controller: usize) -> Option<DnsTroubleKind> {
        match self.dns[controller] {
            DnsView::NoSuchService => Some(self.no_such_name()),
            DnsView::ServFail => Some(DnsTroubleKind::ServFail),
            _ => None,
        }
    }

    pub fn dns_tasks(&mut self, controller: usize) -> DnsReply<TaskList> {
        if matches!(self.dns[controller], DnsView::Silent) {
            return DnsReply::Silence;
        }
        let none =
            |kind| TaskList { hosts: BTreeSet::new(), trouble: vec![DnsTrouble { name: "mongo".to_owned(), kind }] };
        if let Some(kind) = self.trouble(controller) {
            return DnsReply::Answer(none(kind));
        }
        let listing = self.listing_for(controller);
        if listing.is_empty() {
            return DnsReply::Answer(none(self.no_such_name()));
        }
        let now = self.now;
        self.checker.were_listed(controller, listing.iter().map(|(_, address)| *address).collect(), now);
        let hosts = listing.into_iter().map(|(_, ip)| Host::ip(IpAddr::V4(ip), PORT)).collect();
        DnsReply::Answer(TaskList { hosts, trouble: Vec::new() })
    }

    pub fn dns_name(&mut self, controller: usize, name: &str) -> DnsReply<NameAnswer> {
        if matches!(self.dns[controller], DnsView::Silent) {
            return DnsReply::Silence;
        }
        let failure = || NameAnswer::Trouble(DnsTrouble { name: name.to_owned(), kind: DnsTroubleKind::ServFail });
        if matches!(self.dns[controller], DnsView::ServFail) {
            return DnsReply::Answer(failure());
        }
        let found = self.listing_for(controller).into_iter().find(|(listed, _)| listed == name);
        DnsReply::Answer(match found {
            Some((_, ip)) => NameAnswer::Addresses(BTreeSet::from([IpAddr::V4(ip)])),
            None if self.fails_for_unknown => failure(),
            None => NameAnswer::NoSuchName,
        })
    }
}
