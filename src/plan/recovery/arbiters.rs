//! Changes to the arbiters when a recovery gives up votes.
//!
//! From 5.0 on, the server refuses a config, forced or not, that would change its implicit default write concern (103,
//! seen on 6.0.5). That default depends on whether the set has an arbiter. An arbiter must have a vote. So a missing
//! arbiter is removed if the default stays the same without it. Otherwise an empty mongod replaces it.

use super::super::situation::Situation;
use super::Obstacle;
use crate::model::{Change, Member, NodeState, Process, ReplConfig, UserData};

/// The changes after which the server accepts the config with the remaining arbiters. `next` does not include these
/// changes.
pub(super) fn arbiters(now: &Situation<'_>, base: &ReplConfig, next: &ReplConfig) -> Result<Vec<Change>, Obstacle> {
    let all: Vec<&Member> = next.members().iter().filter(|m| m.arbiter).collect();
    let works = |m: &Member| now.process_at(m).is_some_and(|p| p.state() == NodeState::Arbiter);
    let missing: Vec<&Member> = all.iter().filter(|m| !works(m)).copied().collect();
    let without = |removed: &[&Member]| removed.iter().map(|m| Change::Remove { id: m.id }).collect::<Vec<_>>();
    let data = next.voters().filter(|m| !m.arbiter).count();
    let keeps_default =
        |arbiters: usize| weak_default(data, arbiters) == weak_default_of(base) || !now.checks_default();
    if keeps_default(all.len() - missing.len()) {
        return Ok(without(&missing));
    }
    if keeps_default(0) {
        return Ok(without(&all));
    }
    let replaced = replaced(now, next, &missing).filter(|_| keeps_default(all.len()));
    let hosts = || missing.iter().map(|m| m.host.clone()).collect();
    replaced.ok_or_else(|| Obstacle::ArbiterNeeded { hosts: hosts() })
}

/// An empty mongod for each missing arbiter: the mongod at the arbiter's address, or one that is no member.
fn replaced(now: &Situation<'_>, next: &ReplConfig, missing: &[&Member]) -> Option<Vec<Change>> {
    let is_empty = |p: &&Process<'_>| p.state() == NodeState::Blank && p.probe.user_data == UserData::None;
    let is_outside = |p: &&Process<'_>| !next.members().iter().any(|m| p.is_at(&m.host));
    let outside = now.ours.iter().filter(is_empty).filter(is_outside);
    let is_vacant = |m: &&Member| !now.ours.iter().filter(is_empty).any(|p| p.is_at(&m.host));
    let vacant: Vec<&Member> = missing.iter().copied().filter(is_vacant).collect();
    let moves = now.matched(next, vacant.iter().copied(), outside);
    let changes: Vec<_> = moves.into_iter().map(|(m, _, to)| Change::Readdress { id: m.id, to }).collect();
    (changes.len() == vacant.len()).then_some(changes)
}

/// Whether one member acknowledges a write by default (MongoDB manual, "Default MongoDB Read Concerns/Write Concerns").
/// That is so if the set has arbiters, and its voters with data are no more than a majority needs.
fn weak_default(data: usize, arbiters: usize) -> bool {
    arbiters > 0 && data <= (data + arbiters) / 2 + 1
}

fn weak_default_of(config: &ReplConfig) -> bool {
    let (arbiters, data): (Vec<_>, Vec<_>) = config.voters().partition(|m| m.arbiter);
    weak_default(data.len(), arbiters.len())
}
