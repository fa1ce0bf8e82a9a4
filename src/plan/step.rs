//! A plan and its next step, with the sentences that `rsctl status`, the log and the tests read.

use super::{Finding, LintedConfig, Margin, Reason, Rule, WaitingOn};
use crate::model::{Change, Difference, Host, Lock, Member, MemberId, NewRole, ReplConfig, Subject};
use std::fmt;

/// The outcome of one decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The rule that proposed the step.
    pub rule: Rule,
    /// The one thing to do now.
    pub next: Step,
    /// Why it is done.
    pub because: Reason,
    /// What must happen before there is more to do.
    pub waiting: Vec<WaitingOn>,
    /// What an operator should know or do.
    pub findings: Vec<Finding>,
    /// The primary's address in the config.
    pub primary: Option<Host>,
    /// The set's config: the primary's, or without a primary the newest one seen.
    pub config: Option<ReplConfig>,
    /// How much the set can lose now; none while there is no primary.
    pub margin: Option<Margin>,
}

/// One action, small enough to be one admin command.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing to do now.
    Wait,
    /// Take the bootstrap lock on one task.
    TakeLock {
        /// The task.
        on: Host,
        /// The lock.
        lock: Lock,
    },
    /// Replace the bootstrap lock of a controller that no longer runs.
    TakeOverLock {
        /// The task.
        on: Host,
        /// The lock that is there.
        stale: Lock,
        /// This controller's lock.
        lock: Lock,
    },
    /// Initiate the set with one member.
    Initiate {
        /// The task that becomes the first member.
        on: Host,
        /// The config of one member.
        config: ReplConfig,
    },
    /// Remove the bootstrap lock, because the set exists.
    ReleaseLock {
        /// The task.
        on: Host,
    },
    /// Change the config without force. The server refuses it when another config came in between.
    Reconfig {
        /// The primary that the config was read from.
        on: Host,
        /// The config to send.
        next: LintedConfig,
    },
    /// Change the members' addresses by force, in a set that has no majority at the addresses in its config.
    Recover {
        /// The mongod that gets the config.
        on: Host,
        /// The config to send, at a version above every version seen.
        next: LintedConfig,
    },
    /// Give up the votes of lost directories by force. An operator has accepted the loss of the writes that only they
    /// hold.
    AcceptLoss {
        /// The mongod that gets the config: the one with the newest write, which is to lead.
        on: Host,
        /// The config to send, at a version above every version seen.
        next: LintedConfig,
    },
    /// Have a member write its config and votes to disk.
    Fsync {
        /// The member.
        on: Host,
    },
    /// Mark a process as removed, so that no controller adds it again while it runs.
    MarkRemoved {
        /// The process.
        on: Host,
    },
    /// Have a secondary copy from another member: the one that would lead next, or the primary.
    SetSyncSource {
        /// The secondary.
        on: Host,
        /// The member that it copies from.
        source: Host,
        /// The primary.
        primary: Host,
    },
    /// Have a secondary stand for election.
    StepUp {
        /// The secondary.
        on: Host,
    },
    /// Have an elected member take writes now, without waiting for members that do not answer.
    AbortCatchUp {
        /// The elected member.
        on: Host,
    },
}

impl Step {
    /// The keys under which a refusal of this step is remembered: one for each thing that it would do.
    pub fn subjects(&self) -> Vec<Subject> {
        match self {
            Self::Reconfig { next, .. } if next.changes().is_empty() => vec![Subject::RenewTerm],
            Self::Reconfig { next, .. } => next.changes().iter().map(Subject::of).collect(),
            Self::SetSyncSource { on, source, .. } => {
                vec![Subject::SetSyncSource { on: on.clone(), source: source.clone() }]
            }
            Self::StepUp { .. } => vec![Subject::StepUp],
            Self::AbortCatchUp { on } => vec![Subject::AbortCatchUp(on.clone())],
            Self::Recover { .. } | Self::AcceptLoss { .. } => vec![Subject::Force],
            Self::TakeLock { on, .. } | Self::TakeOverLock { on, .. } => vec![Subject::Lock(on.clone())],
            Self::Initiate { on, .. } => vec![Subject::Initiate(on.clone())],
            Self::ReleaseLock { on } => vec![Subject::ReleaseLock(on.clone())],
            Self::Fsync { on } => vec![Subject::Fsync(on.clone())],
            Self::MarkRemoved { on } => vec![Subject::MarkRemoved(on.clone())],
            Self::Wait => Vec::new(),
        }
    }

    /// What this step changes in the config, field by field. Empty for a step that sends no config, and for a first one.
    pub fn differences(&self) -> Vec<Difference> {
        match self {
            Self::Reconfig { next, .. } | Self::Recover { next, .. } | Self::AcceptLoss { next, .. } => {
                next.base().difference(next.config())
            }
            Self::Wait
            | Self::TakeLock { .. }
            | Self::TakeOverLock { .. }
            | Self::Initiate { .. }
            | Self::ReleaseLock { .. }
            | Self::Fsync { .. }
            | Self::MarkRemoved { .. }
            | Self::SetSyncSource { .. }
            | Self::StepUp { .. }
            | Self::AbortCatchUp { .. } => Vec::new(),
        }
    }

    /// The config that the set has once this step has worked: a primary adds its term, a force leaves none. None for a
    /// step that changes no config. The server adds more to a first or a forced config: its `replicaSetId`, and a large
    /// random number to the version.
    pub fn resulting_config(&self) -> Option<ReplConfig> {
        match self {
            Self::Initiate { config, .. } => Some(config.in_term(Some(1))),
            Self::Reconfig { next, .. } => Some(next.config().in_term(next.base().term().or(Some(1)))),
            Self::Recover { next, .. } | Self::AcceptLoss { next, .. } => Some(next.config().in_term(None)),
            Self::Wait
            | Self::TakeLock { .. }
            | Self::TakeOverLock { .. }
            | Self::ReleaseLock { .. }
            | Self::Fsync { .. }
            | Self::MarkRemoved { .. }
            | Self::SetSyncSource { .. }
            | Self::StepUp { .. }
            | Self::AbortCatchUp { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => f.write_str("nothing"),
            Self::TakeLock { on, .. } => write!(f, "lock {on} for the bootstrap"),
            Self::TakeOverLock { on, stale, .. } => write!(f, "take over the lock of {} on {on}", stale.token),
            Self::Initiate { on, config } => write!(f, "initiate {} on {on}", config.set_name()),
            Self::ReleaseLock { on } => write!(f, "release the lock on {on}"),
            Self::Fsync { on } => write!(f, "fsync {on}"),
            Self::MarkRemoved { on } => write!(f, "mark {on} as removed"),
            Self::SetSyncSource { on, source, .. } => write!(f, "have {on} copy from {source}"),
            Self::StepUp { on } => write!(f, "step up {on}"),
            Self::AbortCatchUp { on } => write!(f, "abort the catch-up of {on}"),
            Self::Recover { next, .. } => write!(f, "force {} (from v{})", changes(next), next.base().version()),
            Self::AcceptLoss { on, next } if next.changes().is_empty() => {
                write!(f, "force on {on}, accepting loss: the config as it is (from v{})", next.base().version())
            }
            Self::AcceptLoss { on, next } => {
                write!(f, "force on {on}, accepting loss: {} (from v{})", changes(next), next.base().version())
            }
            Self::Reconfig { next, .. } => {
                let (from, to) = (next.base().version(), next.config().version());
                match next.changes().is_empty() {
                    true => write!(f, "renew the config's term (v{from} -> v{to})"),
                    false => write!(f, "{} (v{from} -> v{to})", changes(next)),
                }
            }
        }
    }
}

fn changes(next: &LintedConfig) -> String {
    let words: Vec<_> = next.changes().iter().map(|change| describe(change, next.base())).collect();
    words.join(", ")
}

fn describe(change: &Change, base: &ReplConfig) -> String {
    let host = |id: &MemberId| base.member(*id).map_or_else(|| format!("member {id}"), |m| m.host.to_string());
    match change {
        Change::Readdress { id, to } => format!("move {} to {to}", host(id)),
        Change::Respell { id, to } => format!("write {} as {to}", host(id)),
        Change::Add { host, role: NewRole::Voter, .. } => format!("add {host}"),
        Change::Add { host, role: NewRole::LateVoter, .. } => format!("add {host}, to vote when it holds the data"),
        Change::Add { host, role: NewRole::Spare, .. } => format!("add {host} without a vote"),
        Change::Remove { id } => format!("remove {}", host(id)),
        Change::RevokeVote { id } => format!("revoke the vote of {}", host(id)),
        Change::RestoreVote { id, .. } if base.member(*id).is_some_and(Member::awaits_first_vote) => {
            format!("make {} a voter", host(id))
        }
        Change::RestoreVote { id, .. } => format!("restore the vote of {}", host(id)),
        Change::RestoreVoteWithoutPriority { id, .. } => format!("restore the vote of {} without priority", host(id)),
        Change::Promote { id } => format!("make {} a voter", host(id)),
        Change::Tag { id, .. } => format!("tag {}", host(id)),
    }
}
