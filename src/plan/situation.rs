//! An observation, put in order for the rules: which set is managed, which mongod is its primary, and which mongod
//! answers for which member.
//!
//! These are the filters. They leave out what does not belong to the set, and the rest goes on. Only when it is unclear
//! which of two sets or primaries counts, nothing may be written.

use super::Finding;
use crate::model::{
    DataId, Host, Member, MemberId, Naming, NodeState, Observed, Peer, Policy, Probe, ProbeError, Process, ProcessId,
    RemovalTarget, ReplConfig,
};
use bson::oid::ObjectId;
use std::collections::{BTreeMap, BTreeSet};

/// What the rules decide from.
pub(super) struct Situation<'a> {
    pub(super) observed: &'a Observed,
    pub(super) policy: &'a Policy,
    /// Blank mongods and those of the one set that counts, each once.
    pub(super) ours: Vec<Process<'a>>,
    /// The primary's config; without a primary the newest of all.
    pub(super) config: Option<&'a ReplConfig>,
    /// The process that takes writes.
    primary: Option<ProcessId>,
    /// It is unclear which set or primary counts, so nothing may be written.
    pub(super) blocked: bool,
    /// What the filters noticed.
    pub(super) findings: Vec<Finding>,
    /// Which of `ours` answers at each member's address.
    answering: BTreeMap<MemberId, usize>,
}

impl<'a> Situation<'a> {
    pub(super) fn new(observed: &'a Observed, policy: &'a Policy) -> Self {
        let mut findings = Vec::new();
        let mut ours = observed.processes();
        ours.retain(|process| is_of_the_set(process, policy, &mut findings));
        let blocked_by_sets = keep_one_set(&mut ours, policy, observed.known_set, &mut findings);
        let mut primaries: Vec<_> = ours.iter().filter(|p| p.state() == NodeState::Primary).collect();
        primaries.sort_by_key(|p| p.probe.view.as_ref().map_or(0, |view| view.term));
        if primaries.len() > 1 {
            let hosts = primaries.iter().map(|p| p.hosts[0].clone()).collect();
            findings.push(Finding::TwoPrimaries { hosts });
        }
        let blocked = blocked_by_sets || primaries.len() > 1;
        let primary = primaries.last().map(|p| (p.id, p.probe));
        let config = match primary {
            Some((_, probe)) => probe.config.as_ref(),
            None => newest_config(&ours),
        };
        find_unusable(observed, &mut findings);
        find_copies(&ours, &mut findings);
        find_rewound(observed, &ours, &mut findings);
        let answering = config.map(|c| answering(observed, &ours, c)).unwrap_or_default();
        let primary = primary.map(|(id, _)| id);
        Self { observed, policy, config, primary, ours, blocked, findings, answering }
    }

    /// The process that takes writes.
    pub(super) fn primary(&self) -> Option<&Process<'a>> {
        self.ours.iter().find(|p| Some(p.id) == self.primary)
    }

    /// The primary and its config, where both are known: every write is based on them.
    pub(super) fn writable(&self) -> Option<(&Process<'a>, &'a ReplConfig)> {
        Some((self.primary()?, self.config?))
    }

    /// The primary's address as its own config has it: where commands go, and what `hello` names.
    pub(super) fn primary_host(&self) -> Option<&'a Host> {
        let process = self.primary()?;
        let member = self.config?.members().iter().find(|m| self.process_at(m).is_some_and(|p| p.id == process.id));
        Some(member.map_or(process.hosts[0], |member| &member.host))
    }

    /// The mongod that answers at a member's address. One that answers at several members' addresses counts only for
    /// the member with its tag: the other names lead to the wrong mongod.
    pub(super) fn process_at(&self, member: &Member) -> Option<&Process<'a>> {
        let found = self.answering.get(&member.id)?;
        let process = &self.ours[*found];
        let tagged = member.data.is_some() && member.data == process.probe.data;
        let only = || self.answering.values().filter(|p| *p == found).count() == 1;
        (tagged || only()).then_some(process)
    }

    /// The mongod with this directory, unless copies of it run twice, or it lacks what the directory held before.
    pub(super) fn process_with_data(&self, data: DataId) -> Option<&Process<'a>> {
        self.process_with_any_state_of(data).filter(|p| !self.is_rewound(p))
    }

    /// The mongod with this directory in any state, unless copies of it run twice.
    pub(super) fn process_with_any_state_of(&self, data: DataId) -> Option<&Process<'a>> {
        let mut processes_with_data = self.ours.iter().filter(|p| p.probe.data == Some(data));
        let first = processes_with_data.next();
        if processes_with_data.next().is_some() { None } else { first }
    }

    /// The process's directory lacks writes that it was seen to hold for good, so that it has earned no vote. This is not
    /// asked of the primary, whose directory is the set's data by definition.
    pub(super) fn is_rewound(&self, process: &Process<'_>) -> bool {
        Some(process.id) != self.primary && self.observed.is_rewound(process.probe)
    }

    /// The member answers the primary's heartbeats.
    pub(super) fn healthy_at_primary(&self, member: &Member) -> bool {
        self.seen_by_primary(member).is_some_and(|peer| peer.healthy)
    }

    /// The primary asked the member for a heartbeat, and got none.
    pub(super) fn unheard_by_primary(&self, member: &Member) -> bool {
        self.seen_by_primary(member).is_some_and(|peer| peer.asked && !peer.healthy)
    }

    /// The member answers the primary's heartbeats, in a state in which it has its data.
    fn serves_at_primary(&self, member: &Member) -> bool {
        let serves = |peer: &Peer| is_serving(peer.state) || peer.state == NodeState::Arbiter;
        self.seen_by_primary(member).is_some_and(|peer| peer.healthy && serves(peer))
    }

    fn seen_by_primary(&self, member: &Member) -> Option<&Peer> {
        self.primary()?.probe.view.as_ref()?.peers.get(&member.id)
    }

    /// The servers refuse a config that would change the implicit default write concern.
    pub(super) fn checks_default(&self) -> bool {
        self.ours.iter().any(|p| p.probe.wire.guards_default_write_concern())
    }

    /// An operator wants this member out of the set. A mongod with another member's data at its address is not meant.
    pub(super) fn is_removal_target(&self, member: &Member) -> bool {
        let is_its_own = |p: &&Process<'_>| [member.data, p.probe.data].contains(&None) || member.data == p.probe.data;
        self.is_removal_address(&member.host)
            || self.is_removal_data(member.data) && self.process_at(member).as_ref().is_none_or(is_its_own)
            || self.process_at(member).filter(is_its_own).is_some_and(|p| self.left_out(p))
    }

    /// An operator wants this mongod out of the set, by any of its addresses or by its directory. The request came to
    /// this controller, or to another one, which marked the mongod.
    pub(super) fn left_out(&self, process: &Process<'_>) -> bool {
        let named = |h: &Host| matches!(self.observed.node(h).map(|n| &n.naming), Some(Naming::Stable(name)) if self.is_removal_address(name));
        process.probe.marked_removed
            || self.is_removal_data(process.probe.data)
            || process.hosts.iter().any(|h| self.is_removal_address(h) || named(h))
    }

    fn is_removal_address(&self, host: &Host) -> bool {
        self.observed
            .removals
            .iter()
            .any(|removal_target| matches!(removal_target, RemovalTarget::At(at) if *at == *host))
    }

    fn is_removal_data(&self, data: Option<DataId>) -> bool {
        data.is_some_and(|data| self.observed.removals.contains(&RemovalTarget::Holding(data)))
    }

    /// Copies of this directory run twice, so that it counts for no member.
    pub(super) fn is_copied(&self, data: DataId) -> bool {
        self.ours.iter().filter(|p| p.probe.data == Some(data)).count() > 1
    }

    /// The member holds its data and can vote: by its own answer, or by the primary's view when rsctl cannot reach it.
    pub(super) fn is_live(&self, member: &Member) -> bool {
        match self.process_at(member) {
            // A majority has elected the primary, whatever its member's tag says.
            Some(process) => {
                let leads = Some(process.id) == self.primary;
                let is_whole = || self.is_intact(member, process.probe) && !self.is_rewound(process);
                self.member_of(process) == Some(member.id) && (leads || is_whole())
            }
            None => self.observed.probe(&member.host).is_none() && self.serves_at_primary(member),
        }
    }

    /// The member that a mongod counts for. When several members' addresses lead to it, the one with its tag.
    fn member_of(&self, process: &Process<'a>) -> Option<MemberId> {
        let there = |m: &&Member| self.answering.get(&m.id).is_some_and(|p| self.ours[*p].id == process.id);
        let members = self.config?.members();
        let own = |m: &&Member| m.data.is_some() && m.data == process.probe.data;
        members.iter().filter(there).find(own).or_else(|| members.iter().find(there)).map(|m| m.id)
    }

    /// The directory that answers for the member is complete, and has a vote: it is the member's own, or another voter's
    /// after mongods swapped addresses.
    fn is_intact(&self, member: &Member, probe: &Probe) -> bool {
        if member.arbiter {
            return probe.state == NodeState::Arbiter;
        }
        let is_another_voters = |data| self.config.is_some_and(|c| c.voters().any(|voter| voter.data == Some(data)));
        let own = member.data.is_none() || member.data == probe.data;
        is_serving(probe.state)
            && probe.data.is_some_and(|data| own || is_another_voters(data) && !self.is_copied(data))
    }
}

fn answering(observed: &Observed, ours: &[Process<'_>], config: &ReplConfig) -> BTreeMap<MemberId, usize> {
    let ids: BTreeMap<ProcessId, usize> = ours.iter().enumerate().map(|(nth, p)| (p.id, nth)).collect();
    let found = |m: &Member| Some((m.id, *ids.get(&observed.probe(&m.host)?.process)?));
    config.members().iter().filter_map(found).collect()
}

fn is_serving(state: NodeState) -> bool {
    matches!(state, NodeState::Primary | NodeState::Secondary | NodeState::Recovering)
}

fn is_of_the_set(process: &Process<'_>, policy: &Policy, findings: &mut Vec<Finding>) -> bool {
    let host = process.hosts[0].clone();
    if process.state() == NodeState::Standalone {
        findings.push(Finding::Standalone { host, wanted: policy.set.clone() });
        return false;
    }
    if let Some((started_for, stored)) = process.probe.names_that_differ() {
        let is_its_data = stored == policy.set;
        findings.push(Finding::SetNamesDiffer { host, started_for, stored, wanted: policy.set.clone() });
        return is_its_data;
    }
    match &process.probe.set {
        Some(set) if *set != policy.set => {
            findings.push(Finding::OtherSetName { host, set: set.clone(), wanted: policy.set.clone() });
            false
        }
        _ => true,
    }
}

fn set_id(process: &Process<'_>) -> Option<ObjectId> {
    process.probe.config.as_ref()?.replica_set_id()
}

/// Keeps blank nodes and those of one set. Returns whether it is unclear which set to manage. Then the set that was
/// known before is still reported, so that its connection string stays, but nothing may be written.
fn keep_one_set(
    ours: &mut Vec<Process<'_>>,
    policy: &Policy,
    known: Option<ObjectId>,
    findings: &mut Vec<Finding>,
) -> bool {
    let ids: BTreeSet<ObjectId> = ours.iter().filter_map(set_id).collect();
    let qualified: Vec<_> = match policy.replica_set_id {
        Some(pinned) => vec![pinned],
        None if ids.len() <= 1 => ids.iter().copied().collect(),
        None => ids.iter().copied().filter(|id| has_primary_or_majority(ours, *id)).collect(),
    };
    let is_unclear = ids.len() > 1 && qualified.len() != 1;
    let chosen = if is_unclear { known } else { qualified.first().copied() };
    if is_unclear {
        let hosts_of = |id| ours.iter().filter(|p| set_id(p) == Some(id)).map(|p| p.hosts[0].clone()).collect();
        findings.push(Finding::TwoSets { sets: ids.iter().map(|id| (*id, hosts_of(*id))).collect() });
    }
    ours.retain(|process| {
        let Some(config) = &process.probe.config else { return true };
        let id = config.replica_set_id();
        let keep = id.is_some() && id == chosen;
        if !keep && !is_unclear {
            findings.push(Finding::ForeignSet { host: process.hosts[0].clone(), id, set: config.set_name() });
        }
        keep
    });
    // No mongod shows the chosen set. Nothing else that is found may take its place.
    let missing = chosen.filter(|id| !ids.contains(id));
    findings.extend(missing.map(|id| Finding::PinnedSetMissing { id }));
    is_unclear || missing.is_some()
}

fn has_primary_or_majority(ours: &[Process<'_>], id: ObjectId) -> bool {
    let of_the_set: Vec<_> = ours.iter().filter(|p| set_id(p) == Some(id)).collect();
    if of_the_set.iter().any(|p| p.state() == NodeState::Primary) {
        return true;
    }
    let newest = ReplConfig::newest(of_the_set.iter().filter_map(|p| p.probe.config.as_ref()));
    newest.is_some_and(|config| {
        let present = config.voters().filter(|m| of_the_set.iter().any(|p| answers_for(p, m))).count();
        present >= config.majority()
    })
}

fn answers_for(process: &Process<'_>, member: &Member) -> bool {
    match member.data {
        Some(data) => process.probe.data == Some(data),
        None => process.is_at(&member.host),
    }
}

/// The voters that are not among these members.
pub(super) fn voters_but<'c>(
    config: &'c ReplConfig,
    there: &[(&Member, &Process<'_>)],
) -> impl Iterator<Item = &'c Member> {
    config.voters().filter(|m| !there.iter().any(|(t, _)| t.id == m.id))
}

fn newest_config<'a>(ours: &[Process<'a>]) -> Option<&'a ReplConfig> {
    ReplConfig::newest(ours.iter().filter_map(|p| p.probe.config.as_ref()))
}

/// Finds tasks that answer, but not as a mongod that can be a member.
fn find_unusable(observed: &Observed, findings: &mut Vec<Finding>) {
    for (host, node) in observed.nodes.iter().filter(|(_, node)| node.listed) {
        if let Err(
            error @ (ProbeError::NotMongod(_)
            | ProbeError::TooOld(_)
            | ProbeError::Login(_)
            | ProbeError::Denied(_)
            | ProbeError::Unproven(_)
            | ProbeError::Broken(_)
            | ProbeError::Tls(_)),
        ) = &node.answer
        {
            findings.push(Finding::Unusable { host: host.clone(), error: error.clone() });
        }
    }
}

/// Finds data directories that run twice.
fn find_copies(ours: &[Process<'_>], findings: &mut Vec<Finding>) {
    let mut processes_with_data: BTreeMap<DataId, Vec<Host>> = BTreeMap::new();
    for process in ours {
        if let Some(data) = process.probe.data {
            processes_with_data.entry(data).or_default().push(process.hosts[0].clone());
        }
    }
    findings.extend(
        processes_with_data.into_values().filter(|hosts| hosts.len() > 1).map(|hosts| Finding::SameDataTwice { hosts }),
    );
}

/// Finds data directories that are in an older state than they were seen in. Copies have a finding of their own.
fn find_rewound(observed: &Observed, ours: &[Process<'_>], findings: &mut Vec<Finding>) {
    let is_copied = |p: &Process<'_>| ours.iter().any(|q| q.id != p.id && q.probe.data == p.probe.data);
    let rewound = ours.iter().filter(|p| p.state() != NodeState::Primary && observed.is_rewound(p.probe));
    findings.extend(rewound.filter(|p| !is_copied(p)).map(|p| Finding::Rewound { host: p.hosts[0].clone() }));
}
