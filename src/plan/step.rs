//! What a plan consists of: the next step, and what it waits for.
//!
//! The sentences here are what `rsctl status`, the log and the tests read.

use super::Finding;
use crate::model::{Change, DnsTrouble, Host, Lock, MemberId, NewRole, NodeState, ProbeError, ReplConfig};
use std::fmt;
use std::time::Duration;

/// The outcome of one decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which rule spoke.
    pub rule: &'static str,
    /// The one thing to do now.
    pub next: Step,
    /// Why, in one sentence.
    pub because: String,
    /// What would have to happen for there to be more to do.
    pub waiting: Vec<WaitingOn>,
    /// What an operator should know or do.
    pub findings: Vec<Finding>,
    /// The primary's address in the config.
    pub primary: Option<Host>,
    /// The config that counts.
    pub config: Option<ReplConfig>,
}

/// One action, small enough to be one admin command.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing to do now.
    Wait,
    /// Claim the right to initiate on one task.
    TakeLock {
        /// The task.
        on: Host,
        /// The claim.
        lock: Lock,
    },
    /// Replace the claim of a controller that is gone.
    TakeOverLock {
        /// The task.
        on: Host,
        /// The claim that stands there.
        stale: Lock,
        /// Ours.
        lock: Lock,
    },
    /// Begin the set with one member.
    Initiate {
        /// The seed.
        on: Host,
        /// The config of one member.
        config: ReplConfig,
    },
    /// The set has begun: the claims go.
    ReleaseLock {
        /// The task.
        on: Host,
    },
    /// Change the config, not by force, guarded by the version that was read.
    Reconfig {
        /// The primary that the config was read from.
        on: Host,
        /// The config as read.
        base: ReplConfig,
        /// What changes; nothing means that only version and term are renewed.
        changes: Vec<Change>,
    },
    /// Have a member write its config and votes to disk.
    Fsync {
        /// The member.
        on: Host,
    },
    /// Ask a secondary to stand for election.
    StepUp {
        /// The secondary.
        on: Host,
    },
}

impl Step {
    /// What a refusal of this step is remembered under: one subject for each thing that it would do.
    pub fn subjects(&self) -> Vec<String> {
        match self {
            Self::Reconfig { changes, .. } if changes.is_empty() => vec!["renew the term".to_owned()],
            Self::Reconfig { changes, .. } => changes.iter().map(subject_of).collect(),
            Self::StepUp { .. } => vec!["step up".to_owned()],
            Self::TakeLock { on, .. } | Self::TakeOverLock { on, .. } => vec![format!("lock {on}")],
            Self::Initiate { on, .. } => vec![format!("initiate {on}")],
            Self::ReleaseLock { on } => vec![format!("unlock {on}")],
            Self::Fsync { on } => vec![format!("fsync {on}")],
            Self::Wait => Vec::new(),
        }
    }
}

/// A change's part of a refusal's name.
pub(crate) fn subject_of(change: &Change) -> String {
    match change {
        Change::Add { host, .. } => format!("add {host}"),
        Change::Readdress { id, to } => format!("move {id} to {to}"),
        Change::Remove { id } => format!("remove {id}"),
        Change::TakeVote { id } => format!("take vote {id}"),
        Change::GiveVote { id, .. } => format!("give vote {id}"),
        Change::Promote { id } => format!("promote {id}"),
        Change::Tag { id, .. } => format!("tag {id}"),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => f.write_str("nothing"),
            Self::TakeLock { on, .. } => write!(f, "lock {on} for the first initiate"),
            Self::TakeOverLock { on, stale, .. } => write!(f, "take over the lock of {} on {on}", stale.token),
            Self::Initiate { on, config } => write!(f, "initiate {} on {on}", config.set_name()),
            Self::ReleaseLock { on } => write!(f, "remove the lock on {on}"),
            Self::Fsync { on } => write!(f, "fsync {on}"),
            Self::StepUp { on } => write!(f, "step up {on}"),
            Self::Reconfig { base, changes, .. } => {
                let version = base.version();
                let words: Vec<_> = changes.iter().map(|change| describe(change, base)).collect();
                let words = if words.is_empty() { "renew the config's term".to_owned() } else { words.join(", ") };
                write!(f, "{words} (v{version} -> v{})", version + 1)
            }
        }
    }
}

fn describe(change: &Change, base: &ReplConfig) -> String {
    let host = |id: &MemberId| base.member(*id).map_or_else(|| format!("member {id}"), |m| m.host.to_string());
    match change {
        Change::Readdress { id, to } => format!("move {} to {to}", host(id)),
        Change::Add { host, role: NewRole::Voter, .. } => format!("add {host}"),
        Change::Add { host, role: NewRole::Spare, .. } => format!("add {host} without a vote"),
        Change::Remove { id } => format!("remove {}", host(id)),
        Change::TakeVote { id } => format!("take the vote of {}", host(id)),
        Change::GiveVote { id, .. } => format!("give {} its vote back", host(id)),
        Change::Promote { id } => format!("make {} a voter", host(id)),
        Change::Tag { id, .. } => format!("tag {}", host(id)),
    }
}

/// Something that has to happen before there is more to do.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitingOn {
    /// More tasks must be listed and answer before the first initiate.
    Tasks {
        /// Distinct tasks that answer.
        seen: usize,
        /// How many it takes.
        expect: usize,
    },
    /// DNS must answer.
    Dns(DnsTrouble),
    /// A node must answer.
    Node {
        /// Where.
        host: Host,
        /// What it does instead.
        error: ProbeError,
    },
    /// The name that a node reports must resolve, before it can be a member under it.
    Name {
        /// The node.
        host: Host,
    },
    /// The same look must come twice.
    Settle {
        /// How long still.
        left: Duration,
    },
    /// Another controller is about to initiate.
    Lock {
        /// Where its claim stands.
        on: Host,
        /// Whose it is.
        holder: String,
    },
    /// The task that a claim names as seed is no task now, yet it may be alive, and initiated.
    Seed {
        /// The seed.
        host: Host,
        /// Whose claim names it.
        holder: String,
    },
    /// A member must finish what it does.
    Member {
        /// The member.
        host: Host,
        /// What it does.
        state: NodeState,
    },
    /// A member has gone, and must stay gone for a while before it is removed.
    Gone {
        /// The member.
        host: Host,
        /// For how long it has been.
        since: Duration,
        /// For how long it takes.
        limit: Duration,
    },
    /// A majority of the voters must be there.
    Majority {
        /// Voters that are.
        have: usize,
        /// How many it takes.
        need: usize,
        /// Members that are missing.
        missing: Vec<Host>,
    },
    /// A primary that some member names may be alive, though it does not answer rsctl.
    OldPrimary {
        /// The primary.
        host: Host,
    },
    /// The members elect a primary.
    Election,
    /// A step was refused; it is tried again.
    Refused {
        /// Which.
        subject: String,
        /// The server's words.
        reason: String,
        /// How long until the next try.
        retry_in: Duration,
    },
    /// A step that would be due is not safe.
    Veto {
        /// Which.
        step: String,
        /// Why not.
        reason: String,
    },
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tasks { seen, expect } => write!(f, "{seen} of {expect} expected tasks answer"),
            Self::Dns(trouble) => trouble.fmt(f),
            Self::Node { host, error } => write!(f, "{host} {error}"),
            Self::Name { host } => write!(f, "the host name that {host} reports must resolve to it"),
            Self::Settle { left } => write!(f, "the tasks must stay as they are for {} ms more", left.as_millis()),
            Self::Lock { on, holder } => write!(f, "controller {holder} holds the lock on {on}"),
            Self::Seed { host, holder } => {
                write!(f, "{host}, which controller {holder} was to initiate, must be listed again or stay silent")
            }
            Self::Member { host, state } => write!(f, "{host} is {state}"),
            Self::Gone { host, since, limit } => {
                write!(f, "{host} has been gone for {} s; it is removed after {} s", since.as_secs(), limit.as_secs())
            }
            Self::Majority { have, need, missing } => {
                let names: Vec<_> = missing.iter().map(Host::to_string).collect();
                write!(f, "{have} of {need} needed voters are there; missing: {}", names.join(", "))
            }
            Self::OldPrimary { host } => {
                write!(f, "primary {host} does not answer rsctl, but the other members may still reach it")
            }
            Self::Election => f.write_str("the members elect a primary"),
            Self::Refused { subject, reason, retry_in } => {
                write!(f, "{subject} was refused: {reason}; next try in {} ms", retry_in.as_millis())
            }
            Self::Veto { step, reason } => write!(f, "not now: {step}: {reason}"),
        }
    }
}
