//! Which kind of address a member has, and which kind it gets.
//!
//! The kind belongs to the member. A member with an IP address is followed to its next IP address, and a member with a
//! name to its next name, whatever the other members have. Two kinds of address do not last, so their members get an
//! address as a new member does: a container id or `localhost`, and a name that DNS has not known for long.
//!
//! The kind of a new member: `rsctl readdress` decides while it runs, then `--member-address`. Where it is `auto`, it is
//! the kind that most members have, and for a set in which no address lasts the kind that all tasks can have.

use super::situation::Situation;
use crate::model::{AddressKind, Found, Host, Member, MemberAddress, Naming, Node, ProbeError, Process, ReplConfig};

/// The kind of address that a member is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Kind(AddressKind),
    /// The name that leads to the mongod. If its name is known not to lead there, its IP.
    NameOrIp,
    /// It is not known yet what all tasks can have.
    Undecided,
}

const IP: Wanted = Wanted::Kind(AddressKind::Ip);
const NAME: Wanted = Wanted::Kind(AddressKind::Name);

impl<'a> Situation<'a> {
    /// The address of this kind that leads to a process. None while its name does not resolve to it.
    pub(super) fn address_of(&self, process: &Process<'a>, kind: Wanted) -> Option<Host> {
        let listed = |h: &&&Host| self.observed.node(h).is_some_and(|node| node.listed);
        let ip = || process.hosts.iter().filter(listed).find(|h| h.name().is_none()).map(|&h| h.clone());
        match kind {
            IP => ip(),
            NAME => self.stable_name(process),
            Wanted::Undecided => None,
            Wanted::NameOrIp => {
                let mut namings = self.namings(process);
                let unknown = namings.any(|naming| *naming == Naming::Unknown);
                self.stable_name(process).or_else(|| if unknown { None } else { ip() })
            }
        }
    }

    /// Whether the address leads to the process: it answers there, or the name that it reports is this one.
    pub(super) fn leads_to(&self, host: &Host, process: &Process<'a>) -> bool {
        process.is_at(host) || self.stable_name(process).as_ref() == Some(host)
    }

    /// The kind of address that a new member gets.
    pub(super) fn kind_for_new(&self) -> Wanted {
        if let Some(kind) = self.observed.readdress {
            return Wanted::Kind(kind);
        }
        match self.policy.member_address {
            MemberAddress::Ip => IP,
            MemberAddress::Hostname => NAME,
            MemberAddress::Auto => {
                let members = self.config.map(|c| c.members()).unwrap_or_default();
                let lasting = members.iter().map(|m| &m.host).filter(|h| !h.is_local() && !h.is_container_id());
                let (names, ips): (Vec<_>, Vec<_>) = lasting.partition(|h| h.name().is_some());
                match (names.len(), ips.len()) {
                    (0, 0) => self.kind_for_all(),
                    (names, ips) if names >= ips => NAME,
                    _ => IP,
                }
            }
        }
    }

    /// The kind of address that every task can have.
    fn kind_for_all(&self) -> Wanted {
        let tasks = || self.ours.iter().filter(|p| p.listed);
        let is_unknown =
            |p: &Process<'_>| self.namings(p).any(|n| *n == Naming::Unknown) && self.stable_name(p).is_none();
        match tasks().any(is_unknown) {
            _ if self.all_stable() => NAME,
            true => Wanted::Undecided,
            false => IP,
        }
    }

    /// Whether new members get names.
    pub(super) fn gives_names(&self) -> bool {
        self.kind_for_new() == NAME
    }

    /// The kind of address that a member has and keeps.
    pub(super) fn kind_of(&self, member: &Member) -> Wanted {
        let host = &member.host;
        if host.is_local() || host.is_container_id() || self.is_forgotten(host) {
            return match (self.policy.member_address, self.kind_for_new()) {
                (MemberAddress::Auto, NAME) => Wanted::NameOrIp,
                (_, kind) => kind,
            };
        }
        if host.name().is_some() { NAME } else { IP }
    }

    /// Gives each process to one of the members, at a new address of the kind that the member has. Members with names come
    /// first: every task has an IP, and not every one has a name.
    pub(super) fn matched<'m, 's>(
        &self,
        config: &ReplConfig,
        members: impl IntoIterator<Item = &'m Member>,
        processes: impl IntoIterator<Item = &'s Process<'a>>,
    ) -> Vec<(&'m Member, &'s Process<'a>, Host)>
    where
        'a: 's,
    {
        let mut free: Vec<_> = members.into_iter().map(|m| (self.kind_of(m), m)).collect();
        free.sort_by_key(|(kind, _)| *kind != NAME);
        let mut matched = Vec::new();
        for process in processes {
            let address = |kind| self.address_of(process, kind).filter(|to| config.member_at(to).is_none());
            let fitting = free.iter().enumerate().find_map(|(at, (kind, _))| Some((at, address(*kind)?)));
            matched.extend(fitting.map(|(at, to)| (free.remove(at).1, process, to)));
        }
        matched
    }

    /// DNS has not known this name for as long as a member must be gone before it is replaced, and has known the tasks.
    pub(super) fn is_forgotten(&self, host: &Host) -> bool {
        let is_unknown =
            |node: &&Node| node.found == Found::ByItsWord || matches!(node.answer, Err(ProbeError::NoSuchName));
        let node = self.observed.node(host).filter(is_unknown);
        let for_long = node.is_some_and(|node| node.unlisted_for >= self.policy.replace_after);
        host.name().is_some() && for_long && self.observed.tasks.is_good()
    }

    /// No address leads to the member, and a mongod says that it is this member.
    pub(super) fn is_by_its_word(&self, member: &Member) -> bool {
        self.observed.node(&member.host).is_some_and(|node| node.found == Found::ByItsWord)
    }

    /// Every machine means itself by the member's address.
    pub(super) fn leads_nowhere(&self, member: &Member) -> bool {
        self.observed.tasks.leads_nowhere(&member.host)
    }

    /// Another member reaches this one at its address.
    pub(super) fn is_reached(&self, member: &Member) -> bool {
        let own = self.process_at(member).map(|p| p.id);
        let others = self.ours.iter().filter(|p| Some(p.id) != own);
        let mut views = others.filter_map(|p| p.probe.view.as_ref());
        views.any(|view| view.peers.get(&member.id).is_some_and(|peer| peer.healthy))
    }

    /// Every task has a name that leads to it.
    pub(super) fn all_stable(&self) -> bool {
        let mut tasks = self.ours.iter().filter(|p| p.listed);
        tasks.all(|p| self.stable_name(p).is_some())
    }

    fn stable_name(&self, process: &Process<'_>) -> Option<Host> {
        self.namings(process).find_map(|naming| match naming {
            Naming::Stable(name) => Some(name.clone()),
            Naming::Unknown | Naming::Unstable => None,
        })
    }

    fn namings<'s>(&'s self, process: &'s Process<'_>) -> impl Iterator<Item = &'s Naming> {
        process.hosts.iter().filter_map(|h| self.observed.node(h)).map(|node| &node.naming)
    }
}
