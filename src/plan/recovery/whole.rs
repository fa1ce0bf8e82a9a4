//! Members without a tag that moved, when every member's directory is found.
//!
//! Without a tag nothing says which directory is which member's. If all of them are there, that decides nothing: the voters
//! are the same directories as before, whichever member has which of the addresses.
//!
//! The danger is a directory that was removed from the set and stands in for a member that is away. It cannot be told
//! apart. A member that is alive when it is removed stores the very config that removes it, and goes on to copy every
//! write for as long as it runs (seen on 4.4.2 and 6.0.27). But its copies never counted for a majority. So its vote must
//! not help to elect a member without a write that a majority acknowledged.
//!
//! Why none is lost all the same: a majority of the members acknowledged each such write. If no more than half of the
//! directories stand in for others, one that holds the write is among those that are found. The one with the newest write
//! holds it too, because of two histories the newer one has what the older one has committed. So it is enough that nobody
//! without the newest write can be elected. That is so if every majority of the voters has one with the newest write: a
//! voter refuses a candidate that lacks what it has itself. Else the force leaves the votes only to those with the newest
//! write, and *restore-vote* returns the others as soon as they have copied it.
//!
//! That no more than half stand in for others follows from all of this together:
//!
//! - There are exactly as many directories as members with data. None is left over, whatever config it stores.
//! - Each stores the newest config.
//! - Their newest writes lie close together. A directory that was away is further behind: the others get a write at least
//!   every 10 s, because an idle primary writes a no-op (`periodicNoopIntervalSecs`).
//! - Every task that DNS lists answers. One that does not may hold what is missing.
//! - A single directory has no other beside it. It counts only if its config is the first one of the set, so that there
//!   never was another member.
//!
//! And the members that exchange their directories have equal rights. Otherwise a vote could go to the directory of a
//! member without one. If only their priorities differ, no write is at stake, but which of them is preferred. Then the
//! operator decides.

use super::super::situation::Situation;
use crate::model::{Change, Host, Member, NodeState, OpTime, Process, ReplConfig};

/// The newest writes of members that stopped together are no further apart: 10 s for a no-op of an idle set, and the rest
/// for tasks that do not all stop in the same moment.
const TOGETHER_SECS: u32 = 30;

/// The version of a config that has never been changed.
const FIRST_VERSION: i64 = 1;

/// A member without a tag, and a directory that moved. Which directory it gets is arbitrary.
#[derive(Clone, Debug)]
pub(super) struct Assigned<'s, 'a> {
    pub(super) member: &'a Member,
    pub(super) process: &'s Process<'a>,
    /// The directory's address, unless its name does not resolve to it yet.
    to: Option<Host>,
}

impl Assigned<'_, '_> {
    /// Gives the member the directory's address, and names the directory in its tag.
    pub(super) fn changes(&self) -> Vec<Change> {
        let id = self.member.id;
        let moved = self.to.clone().map(|to| Change::Readdress { id, to });
        let tag = self.process.probe.data.map(|data| Change::Tag { id, data });
        moved.into_iter().chain(tag).collect()
    }
}

/// The tasks whose name must resolve before [`assigned`] finds all directories.
pub(super) fn unnamed(now: &Situation<'_>, config: &ReplConfig) -> Vec<Host> {
    let assigned = whole(now, config).unwrap_or_default();
    assigned.iter().filter(|a| a.to.is_none()).map(|a| a.process.hosts[0].clone()).collect()
}

/// A directory for each member without a tag that moved. It is none if anything is missing, or left over.
pub(super) fn assigned<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<Assigned<'s, 'a>> {
    let assigned = whole(now, config).unwrap_or_default();
    if assigned.iter().all(|a| a.to.is_some()) { assigned } else { Vec::new() }
}

/// Whether as many directories answer as the config has members with data.
pub(in super::super) fn is_complete(now: &Situation<'_>, config: &ReplConfig) -> bool {
    let members = config.members().iter().filter(|m| !m.arbiter);
    directories(now).count() == members.count()
}

/// Revokes the votes of voters without the newest write, if they alone could elect one that lacks it. It is empty if no
/// directory is assigned.
pub(super) fn held_back(now: &Situation<'_>, config: &ReplConfig, found: &[(&Member, &Process<'_>)]) -> Vec<Change> {
    if assigned(now, config).is_empty() || newest_decides(now, config, found) {
        return Vec::new();
    }
    let behind = found.iter().filter(|(m, p)| !m.arbiter && p.probe.newest() < newest(now));
    behind.map(|(m, _)| Change::RevokeVote { id: m.id }).collect()
}

/// Whether every majority of the config's voters has one with the newest write.
pub(in super::super) fn newest_decides(
    now: &Situation<'_>,
    config: &ReplConfig,
    found: &[(&Member, &Process<'_>)],
) -> bool {
    let up_to_date = found.iter().filter(|(m, p)| !m.arbiter && p.probe.newest() == newest(now)).count();
    config.voters().count().saturating_sub(up_to_date) < config.majority()
}

/// The newest write in any directory of the set.
fn newest(now: &Situation<'_>) -> Option<OpTime> {
    directories(now).filter_map(|p| p.probe.newest()).max()
}

/// The processes that have, or had, a directory of the set.
fn directories<'s, 'a>(now: &'s Situation<'a>) -> impl Iterator<Item = &'s Process<'a>> {
    now.ours.iter().filter(|p| p.probe.config.is_some() && p.state() != NodeState::Arbiter)
}

fn whole<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Option<Vec<Assigned<'s, 'a>>> {
    let all_answer = now.observed.nodes.values().filter(|node| node.listed).all(|node| node.probe().is_some());
    if !all_answer || !is_complete(now, config) || !directories(now).all(|p| is_members(now, config, p)) {
        return None;
    }
    let (mut free, mut rest) = (Vec::new(), directories(now).collect::<Vec<_>>());
    for member in config.members().iter().filter(|m| !m.arbiter) {
        let own = match member.data {
            Some(data) => Some(now.process_with_data(data)?),
            None => now.process_at(member),
        };
        match own.and_then(|own| rest.iter().position(|p| p.id == own.id)) {
            Some(taken) => drop(rest.remove(taken)),
            None if member.data.is_none() => free.push(member),
            None => return None,
        }
    }
    if free.len() != rest.len() || !are_alike(&free) || !stopped_together(now, &rest) {
        return None;
    }
    let single = directories(now).count() == 1;
    if single && config.version() != FIRST_VERSION {
        return None;
    }
    let matched = now.matched(config, free.iter().copied(), rest.iter().copied());
    let mut assigned: Vec<_> =
        matched.into_iter().map(|(member, process, to)| Assigned { member, process, to: Some(to) }).collect();
    free.retain(|member| !assigned.iter().any(|a| a.member.id == member.id));
    rest.retain(|process| !assigned.iter().any(|a| a.process.id == process.id));
    assigned.extend(free.into_iter().zip(rest).map(|(member, process)| Assigned { member, process, to: None }));
    Some(assigned)
}

/// Whether the directory is complete and at rest, and stores the newest config. The config's term does not count: each
/// election renews it, and members that stop one after the other store different ones.
fn is_members(now: &Situation<'_>, config: &ReplConfig, process: &Process<'_>) -> bool {
    let probe = process.probe;
    let rests = match process.state() {
        NodeState::Removed => true,
        NodeState::Secondary => probe.sees_primary.is_none(),
        _ => false,
    };
    let is_whole = probe.data.is_some_and(|data| !now.is_copied(data)) && !now.is_rewound(process);
    let takes_config = probe.names_that_differ().is_none();
    rests && is_whole && takes_config && stores(config, process)
}

/// Whether the process stores this config, in whatever term.
pub(super) fn stores(config: &ReplConfig, process: &Process<'_>) -> bool {
    let is_same = |own: &ReplConfig| own.version() == config.version() && own.members() == config.members();
    process.probe.config.as_ref().is_some_and(is_same)
}

/// Whether the members that exchange their directories have different priorities.
pub(super) fn mixes_priorities(now: &Situation<'_>, config: &ReplConfig) -> bool {
    let assigned = assigned(now, config);
    assigned.windows(2).any(|two| two[0].member.priority != two[1].member.priority)
}

/// Whether the members have equal rights, apart from their priorities, so that each can have the other's directory.
fn are_alike(members: &[&Member]) -> bool {
    let is_plain = |m: &Member| !m.newly_added && m.saved_vote.is_none() && !m.foreign_tags;
    let rights = |m: &Member| (m.votes, m.hidden, m.delayed);
    let Some(first) = members.first() else { return true };
    members.len() == 1 || members.iter().all(|m| is_plain(m) && rights(m) == rights(first))
}

/// Whether the newest write of each of these is close to the newest one of the set.
fn stopped_together(now: &Situation<'_>, processes: &[&Process<'_>]) -> bool {
    let is_close = |at: OpTime| newest(now).is_some_and(|newest| newest.seconds.abs_diff(at.seconds) <= TOGETHER_SECS);
    processes.iter().all(|p| p.probe.newest().is_some_and(is_close))
}
