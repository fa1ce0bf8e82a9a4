//! A plan and its next step, with the sentences that `rsctl status`, the log and the tests read.

use super::{Finding, Rule, WaitingOn};
use crate::model::{Change, Host, Lock, Member, MemberId, NewRole, ReplConfig, Subject};
use std::fmt;

/// The outcome of one decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The rule that proposed the step.
    pub rule: Rule,
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
    /// Change where members are, by force, on a set that has no majority at the addresses its config knows.
    Recover {
        /// The node that the config is forced on.
        on: Host,
        /// The newest config that is seen.
        base: ReplConfig,
        /// Hosts, and what must not vote.
        changes: Vec<Change>,
        /// Above every version that is seen.
        version: i64,
    },
    /// Go on without the votes of directories that are gone, by force, on an operator's request that accepts the loss of
    /// what only they hold.
    AcceptLoss {
        /// The directory with the newest write, which is to lead.
        on: Host,
        /// The newest config that is seen.
        base: ReplConfig,
        /// Hosts, and who must not vote.
        changes: Vec<Change>,
        /// Above every version that is seen.
        version: i64,
    },
    /// Have a member write its config and votes to disk.
    Fsync {
        /// The member.
        on: Host,
    },
    /// Note on a member that its process is to leave, so that no controller lets it join again.
    MarkRemoved {
        /// The member.
        on: Host,
    },
    /// Have a secondary copy from another member: the one that would lead next, or the primary.
    SetSyncSource {
        /// The secondary.
        on: Host,
        /// Whom it copies from.
        source: Host,
        /// The primary.
        primary: Host,
    },
    /// Ask a secondary to stand for election.
    StepUp {
        /// The secondary.
        on: Host,
    },
    /// Have an elected member take writes now, instead of waiting for members that do not answer.
    AbortCatchUp {
        /// The elected member.
        on: Host,
    },
}

impl Step {
    /// What a refusal of this step is remembered under: one subject for each thing that it would do.
    pub fn subjects(&self) -> Vec<Subject> {
        match self {
            Self::Reconfig { changes, .. } if changes.is_empty() => vec![Subject::RenewTerm],
            Self::Reconfig { changes, .. } => changes.iter().map(Subject::of).collect(),
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
            Self::MarkRemoved { on } => write!(f, "note on {on} that it leaves"),
            Self::SetSyncSource { on, source, .. } => write!(f, "have {on} copy from {source}"),
            Self::StepUp { on } => write!(f, "step up {on}"),
            Self::AbortCatchUp { on } => write!(f, "end the catch-up of {on}"),
            Self::Recover { base, changes, .. } => {
                let words: Vec<_> = changes.iter().map(|change| describe(change, base)).collect();
                write!(f, "force {} (from v{})", words.join(", "), base.version())
            }
            Self::AcceptLoss { on, base, changes, .. } => {
                let words: Vec<_> = changes.iter().map(|change| describe(change, base)).collect();
                let words = if words.is_empty() { "the config as it is".to_owned() } else { words.join(", ") };
                write!(f, "force on {on}, accepting loss: {words} (from v{})", base.version())
            }
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
        Change::Add { host, role: NewRole::LateVoter, .. } => format!("add {host}, to vote when it holds the data"),
        Change::Add { host, role: NewRole::Spare, .. } => format!("add {host} without a vote"),
        Change::Remove { id } => format!("remove {}", host(id)),
        Change::RevokeVote { id } => format!("take the vote of {}", host(id)),
        Change::RestoreVote { id, .. } if base.member(*id).is_some_and(Member::awaits_first_vote) => {
            format!("make {} a voter", host(id))
        }
        Change::RestoreVote { id, .. } => format!("give {} its vote back", host(id)),
        Change::RestoreVoteWithoutPriority { id, .. } => format!("give {} its vote back without priority", host(id)),
        Change::Promote { id } => format!("make {} a voter", host(id)),
        Change::Tag { id, .. } => format!("tag {}", host(id)),
    }
}
