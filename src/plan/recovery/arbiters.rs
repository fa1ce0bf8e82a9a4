//! What becomes of the arbiters when votes are given up.
//!
//! From 5.0 on the server refuses a config, forced or not, that would change its implicit default write concern (103,
//! seen on 6.0.5), and whether there is an arbiter decides about that. An arbiter cannot be without a vote either. So
//! a missing one goes where the default stays the same without it, and else an empty mongod takes its place.

use super::super::situation::Situation;
use crate::model::{Change, Host, Member, NodeState, Process, ReplConfig, UserData};

/// The changes that leave a set of arbiters with which the server accepts the config. `next` is without them.
pub(super) fn arbiters(now: &Situation<'_>, base: &ReplConfig, next: &ReplConfig) -> Result<Vec<Change>, String> {
    let all: Vec<&Member> = next.members().iter().filter(|m| m.arbiter).collect();
    let lives = |m: &&&Member| now.process_at(m).is_some_and(|p| p.state() == NodeState::Arbiter);
    let missing: Vec<&Member> = all.iter().filter(|m| !lives(m)).copied().collect();
    let without = |gone: &[&Member]| gone.iter().map(|m| Change::Remove { id: m.id }).collect::<Vec<_>>();
    let data = next.voters().filter(|m| !m.arbiter).count();
    let fits = |left: usize| weak_default(data, left) == weak_default_of(base) || !now.checks_default();
    if fits(all.len() - missing.len()) {
        return Ok(without(&missing));
    }
    if fits(0) {
        return Ok(without(&all));
    }
    match replaced(now, next, &missing) {
        Some(changes) if fits(all.len()) => Ok(changes),
        _ => Err(needs_empty(&missing)),
    }
}

/// An empty mongod for each: the one at its address, or one that is no member.
fn replaced(now: &Situation<'_>, next: &ReplConfig, missing: &[&Member]) -> Option<Vec<Change>> {
    let empty = |p: &&Process<'_>| p.state() == NodeState::Blank && p.probe.user_data == UserData::None;
    let at = |m: &Member| now.ours.iter().filter(empty).find(|p| p.is_at(&m.host));
    let outside = |p: &&Process<'_>| !next.members().iter().any(|m| p.is_at(&m.host));
    let free = now.ours.iter().filter(empty).filter(outside).filter_map(|p| now.address_of(p, now.kind()));
    let mut free = free.filter(|host| next.member_at(host).is_none());
    let mut changes = Vec::new();
    for arbiter in missing.iter().filter(|m| at(m).is_none()) {
        changes.push(Change::Readdress { id: arbiter.id, to: free.next()? });
    }
    Some(changes)
}

/// Whether writes are acknowledged by one member by default (MongoDB manual, "Default MongoDB Read Concerns/Write
/// Concerns"): with arbiters, and no more voters with data than a majority takes.
fn weak_default(data: usize, arbiters: usize) -> bool {
    arbiters > 0 && data <= (data + arbiters) / 2 + 1
}

fn weak_default_of(config: &ReplConfig) -> bool {
    let (arbiters, data): (Vec<_>, Vec<_>) = config.voters().partition(|m| m.arbiter);
    weak_default(data.len(), arbiters.len())
}

fn needs_empty(missing: &[&Member]) -> String {
    let hosts: Vec<&Host> = missing.iter().map(|m| &m.host).collect();
    let names = hosts.iter().map(|host| host.to_string()).collect::<Vec<_>>().join(", ");
    format!("the server does not let the arbiter {names} go: start an empty mongod in its place, and it votes again")
}
