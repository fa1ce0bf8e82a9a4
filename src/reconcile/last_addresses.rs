//! Where each member's name led when DNS last answered.
//!
//! The addresses replace no name. They are looked at while DNS fails for the name, because a mongod that answers there is
//! not gone; and when DNS has dropped the name, because Swarm drops the names of a task two seconds before it stops it.

use crate::model::{Host, NameAnswer, TaskList};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The last addresses of each name.
#[derive(Debug, Default)]
pub(super) struct LastAddresses(BTreeMap<String, BTreeSet<IpAddr>>);

impl LastAddresses {
    /// Remembers where the names lead, and forgets names that no member has.
    pub(super) fn learn(&mut self, names: &BTreeMap<String, NameAnswer>, members: &BTreeSet<Host>) {
        let answered = names.iter().filter_map(|(name, answer)| match answer {
            NameAnswer::Addresses(ips) => Some((name.clone(), ips.clone())),
            NameAnswer::NoSuchName | NameAnswer::Trouble(_) => None,
        });
        self.0.extend(answered);
        let named: BTreeSet<&str> = members.iter().filter_map(Host::name).collect();
        self.0.retain(|name, _| named.contains(name.as_str()));
    }

    /// Where to look for a member while DNS fails for its name. What DNS lists as a task is not among them: it is asked
    /// anyway, and shows by its directory whose it is.
    pub(super) fn of(
        &self,
        member: &Host,
        names: &BTreeMap<String, NameAnswer>,
        tasks: &TaskList,
    ) -> BTreeSet<SocketAddr> {
        self.when(|answer| matches!(answer, NameAnswer::Trouble(_)), member, names, tasks)
    }

    /// Where to look for a member whose name DNS has dropped.
    pub(super) fn of_dropped(
        &self,
        member: &Host,
        names: &BTreeMap<String, NameAnswer>,
        tasks: &TaskList,
    ) -> BTreeSet<SocketAddr> {
        self.when(|answer| matches!(answer, NameAnswer::NoSuchName), member, names, tasks)
    }

    fn when(
        &self,
        fits: impl Fn(&NameAnswer) -> bool,
        member: &Host,
        names: &BTreeMap<String, NameAnswer>,
        tasks: &TaskList,
    ) -> BTreeSet<SocketAddr> {
        let name = member.name().filter(|name| names.get(*name).is_some_and(&fits));
        let ips = name.and_then(|name| self.0.get(name)).into_iter().flatten();
        let sockets = ips.map(|ip| SocketAddr::new(*ip, member.port()));
        sockets.filter(|at| !tasks.hosts.contains(&Host::from(*at))).collect()
    }

    /// How many names are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
