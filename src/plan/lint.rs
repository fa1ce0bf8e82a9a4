//! Checks the config that is about to leave, against MongoDB's rules and our own.
//!
//! The server refuses most of these too. It does not refuse all: an eighth voter is accepted by 6.0.5 and then
//! fails at every heartbeat.

use crate::model::{Host, MEMBERS_MAX, Member, MemberId, ReplConfig, VOTERS_MAX};
use std::collections::BTreeSet;

/// What is wrong with a config; each of these would be our own mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("two members would have _id {0}")]
    SameId(MemberId),
    #[error("two members would have the address {0}")]
    SameHost(Host),
    #[error("there would be {0} members, and a set has at most {MEMBERS_MAX}")]
    Members(usize),
    #[error("there would be {0} voters, and a set has at most {VOTERS_MAX}")]
    Voters(usize),
    #[error("nobody would be electable")]
    NobodyElectable,
    #[error("{0} would have a priority without a vote")]
    PriorityWithoutVote(Host),
    #[error("the votes of {0} members would change at once")]
    ManyVotes(usize),
    #[error("{0} would change places with another member")]
    Permutation(Host),
    #[error("the set's identity would change")]
    Identity,
}

/// Whether `next` may follow `base` by a reconfig that is not forced.
pub(super) fn check(base: &ReplConfig, next: &ReplConfig) -> Result<(), Fault> {
    unique(next)?;
    let voters = next.members().iter().filter(|m| m.votes).count();
    if next.members().len() > MEMBERS_MAX {
        return Err(Fault::Members(next.members().len()));
    }
    if voters > VOTERS_MAX {
        return Err(Fault::Voters(voters));
    }
    electable(next)?;
    same_set(base, next)?;
    no_permutation(base, next)?;
    // New members do not count: the server keeps them from voting until they hold data.
    let votes_of = |config: &ReplConfig, id| config.member(id).map(|m| m.votes);
    let changed = base.members().iter().filter(|m| m.votes != votes_of(next, m.id).unwrap_or(false)).count();
    if changed > 1 { Err(Fault::ManyVotes(changed)) } else { Ok(()) }
}

/// Whether `next` may follow `base` by force: the same members, the same votes, other addresses. Only newcomers, which
/// never voted, are kept from it.
pub(super) fn check_forced(base: &ReplConfig, next: &ReplConfig) -> Result<(), Fault> {
    unique(next)?;
    same_set(base, next)?;
    let ids = |config: &ReplConfig| config.members().iter().map(|m| m.id).collect::<Vec<_>>();
    let changed =
        next.members().iter().filter(|m| base.member(m.id).is_none_or(|old| old.votes_now() != m.votes)).count();
    if ids(base) != ids(next) || changed > 0 {
        return Err(Fault::ManyVotes(changed));
    }
    no_permutation(base, next)
}

/// Whether `next` may follow `base` by a force that accepts loss: votes go, at most one comes, and of the members only
/// arbiters go.
pub(super) fn check_loss(base: &ReplConfig, next: &ReplConfig) -> Result<(), Fault> {
    unique(next)?;
    same_set(base, next)?;
    electable(next)?;
    let gained = next.voters().filter(|m| !base.member(m.id).is_some_and(Member::votes_now)).count();
    let removed = base.members().iter().filter(|m| next.member(m.id).is_none());
    let (arbiters, others): (Vec<_>, Vec<_>) = removed.partition(|m| m.arbiter);
    let added = next.members().len() + arbiters.len() + others.len() - base.members().len();
    if gained > 1 || !others.is_empty() || added > 0 {
        return Err(Fault::ManyVotes(gained + others.len() + added));
    }
    if next.voters().count() > VOTERS_MAX {
        return Err(Fault::Voters(next.voters().count()));
    }
    no_permutation(base, next)
}

fn no_permutation(base: &ReplConfig, next: &ReplConfig) -> Result<(), Fault> {
    let taken = |m: &&Member| base.member_at(&m.host).is_some_and(|old| old.id != m.id);
    match next.members().iter().find(taken) {
        Some(member) => Err(Fault::Permutation(member.host.clone())),
        None => Ok(()),
    }
}

fn same_set(base: &ReplConfig, next: &ReplConfig) -> Result<(), Fault> {
    let same = base.set_name() == next.set_name() && base.replica_set_id() == next.replica_set_id();
    if same { Ok(()) } else { Err(Fault::Identity) }
}

fn electable(next: &ReplConfig) -> Result<(), Fault> {
    if !next.members().iter().any(|m| m.votes && m.priority > 0.0) {
        return Err(Fault::NobodyElectable);
    }
    match next.members().iter().find(|m| !m.votes && m.priority > 0.0) {
        Some(member) => Err(Fault::PriorityWithoutVote(member.host.clone())),
        None => Ok(()),
    }
}

fn unique(config: &ReplConfig) -> Result<(), Fault> {
    let (mut ids, mut hosts) = (BTreeSet::new(), BTreeSet::new());
    for member in config.members() {
        if !ids.insert(member.id) {
            return Err(Fault::SameId(member.id));
        }
        if !hosts.insert(&member.host) {
            return Err(Fault::SameHost(member.host.clone()));
        }
    }
    Ok(())
}
