//! Checks every config that is about to be sent, against MongoDB's rules and rsctl's own.
//!
//! The server refuses most of these faults too, but not all: 6.0.5 accepts an eighth voter and then fails to promote it
//! at every heartbeat.
//!
//! **Invariant:** only this module makes a [`LintedConfig`], and a step that changes the config carries one. So nothing
//! is sent that has not passed.

use crate::model::{Change, ConfigError, Host, MEMBERS_MAX, Member, MemberId, ReplConfig, VOTERS_MAX};
use std::collections::BTreeSet;

/// A config that has passed the checks for the way in which it is to be installed.
#[derive(Clone, Debug, PartialEq)]
pub struct LintedConfig {
    base: ReplConfig,
    changes: Vec<Change>,
    config: ReplConfig,
}

impl LintedConfig {
    /// The config after these changes, for a reconfig that is not forced.
    pub fn reconfig(base: &ReplConfig, changes: Vec<Change>) -> Result<Self, LintFault> {
        let config = base.with(&changes)?;
        check(base, &config)?;
        Ok(Self { base: base.clone(), changes, config })
    }

    /// The config after these changes, above the newest version seen, for a force that keeps every vote.
    pub fn forced(base: &ReplConfig, changes: Vec<Change>, newest: i64) -> Result<Self, LintFault> {
        let config = base.forced(&changes, newest)?;
        check_forced(base, &config)?;
        Ok(Self { base: base.clone(), changes, config })
    }

    /// The config after these changes, above the newest version seen, for a force that gives up votes.
    pub fn accepting_loss(base: &ReplConfig, changes: Vec<Change>, newest: i64) -> Result<Self, LintFault> {
        let config = base.forced(&changes, newest)?;
        check_loss(base, &config)?;
        Ok(Self { base: base.clone(), changes, config })
    }

    /// The config that was read, and that this one replaces.
    pub fn base(&self) -> &ReplConfig {
        &self.base
    }

    /// What is changed; nothing means that only the version and the term are renewed.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The config to send.
    pub fn config(&self) -> &ReplConfig {
        &self.config
    }
}

/// What is wrong with a config. Each of these is a bug in a rule, except [`ConfigError::NoNextVersion`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LintFault {
    /// The changes do not fit the config.
    #[error(transparent)]
    Changes(#[from] ConfigError),
    /// Two members with one `_id`.
    #[error("two members would have _id {0}")]
    SameId(MemberId),
    /// Two members at one address.
    #[error("two members would have the address {0}")]
    SameHost(Host),
    /// More members than a set can have.
    #[error("there would be {0} members, and a set has at most {MEMBERS_MAX}")]
    Members(usize),
    /// More voters than a set can have.
    #[error("there would be {0} voters, and a set has at most {VOTERS_MAX}")]
    Voters(usize),
    /// No voter with a priority above zero.
    #[error("no member would be electable")]
    NobodyElectable,
    /// A priority above zero without a vote.
    #[error("{0} would have a priority without a vote")]
    PriorityWithoutVote(Host),
    /// The votes of more members would change than one step may change.
    #[error("the votes of {0} members would change at once")]
    ManyVotes(usize),
    /// A member would get an address that another member has.
    #[error("{0} would belong to another member")]
    Permutation(Host),
    /// Another set name or `replicaSetId`.
    #[error("the name or the replicaSetId of the set would change")]
    Identity,
}

/// Whether `next` may follow `base` by a reconfig that is not forced.
fn check(base: &ReplConfig, next: &ReplConfig) -> Result<(), LintFault> {
    unique(next)?;
    let voters = next.members().iter().filter(|m| m.votes).count();
    if next.members().len() > MEMBERS_MAX {
        return Err(LintFault::Members(next.members().len()));
    }
    if voters > VOTERS_MAX {
        return Err(LintFault::Voters(voters));
    }
    electable(next)?;
    same_set(base, next)?;
    no_permutation(base, next)?;
    // New members do not count: the server keeps them from voting until they hold data.
    let votes_of = |config: &ReplConfig, id| config.member(id).map(|m| m.votes);
    let changed = base.members().iter().filter(|m| m.votes != votes_of(next, m.id).unwrap_or(false)).count();
    if changed > 1 { Err(LintFault::ManyVotes(changed)) } else { Ok(()) }
}

/// Whether `next` may follow `base` by force: the same members, other addresses, and no vote that was not there. Some
/// votes may be held back.
fn check_forced(base: &ReplConfig, next: &ReplConfig) -> Result<(), LintFault> {
    unique(next)?;
    same_set(base, next)?;
    let ids = |config: &ReplConfig| config.members().iter().map(|m| m.id).collect::<Vec<_>>();
    let gained = next.members().iter().filter(|m| m.votes && !base.member(m.id).is_some_and(Member::votes_now)).count();
    if ids(base) != ids(next) || gained > 0 {
        return Err(LintFault::ManyVotes(gained));
    }
    no_permutation(base, next)
}

/// Whether `next` may follow `base` by a force that accepts loss: votes go, at most one vote comes, and only arbiters
/// are removed.
fn check_loss(base: &ReplConfig, next: &ReplConfig) -> Result<(), LintFault> {
    unique(next)?;
    same_set(base, next)?;
    electable(next)?;
    let gained = next.voters().filter(|m| !base.member(m.id).is_some_and(Member::votes_now)).count();
    let removed = base.members().iter().filter(|m| next.member(m.id).is_none());
    let (arbiters, others): (Vec<_>, Vec<_>) = removed.partition(|m| m.arbiter);
    let added = next.members().len() + arbiters.len() + others.len() - base.members().len();
    if gained > 1 || !others.is_empty() || added > 0 {
        return Err(LintFault::ManyVotes(gained + others.len() + added));
    }
    if next.voters().count() > VOTERS_MAX {
        return Err(LintFault::Voters(next.voters().count()));
    }
    no_permutation(base, next)
}

fn no_permutation(base: &ReplConfig, next: &ReplConfig) -> Result<(), LintFault> {
    let taken = |m: &&Member| base.member_at(&m.host).is_some_and(|old| old.id != m.id);
    match next.members().iter().find(taken) {
        Some(member) => Err(LintFault::Permutation(member.host.clone())),
        None => Ok(()),
    }
}

fn same_set(base: &ReplConfig, next: &ReplConfig) -> Result<(), LintFault> {
    let same = base.set_name() == next.set_name() && base.replica_set_id() == next.replica_set_id();
    if same { Ok(()) } else { Err(LintFault::Identity) }
}

fn electable(next: &ReplConfig) -> Result<(), LintFault> {
    if !next.members().iter().any(|m| m.votes && m.priority > 0.0) {
        return Err(LintFault::NobodyElectable);
    }
    match next.members().iter().find(|m| !m.votes && m.priority > 0.0) {
        Some(member) => Err(LintFault::PriorityWithoutVote(member.host.clone())),
        None => Ok(()),
    }
}

fn unique(config: &ReplConfig) -> Result<(), LintFault> {
    let (mut ids, mut hosts) = (BTreeSet::new(), BTreeSet::new());
    for member in config.members() {
        if !ids.insert(member.id) {
            return Err(LintFault::SameId(member.id));
        }
        if !hosts.insert(&member.host) {
            return Err(LintFault::SameHost(member.host.clone()));
        }
    }
    Ok(())
}
