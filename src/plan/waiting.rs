//! What a plan waits for: inaction has a type and a sentence too.

use crate::model::{DnsTrouble, Host, NodeState, ProbeError, Subject};
use std::fmt;
use std::time::Duration;

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
    /// The same observation must come twice.
    Stability {
        /// How long still.
        left: Duration,
    },
    /// Another controller is about to initiate.
    Lock {
        /// Where its claim stands.
        on: Host,
        /// Whose it is.
        controller: String,
    },
    /// The task that a claim names as seed is no task now, yet it may be alive, and initiated.
    Seed {
        /// The seed.
        host: Host,
        /// Whose claim names it.
        controller: String,
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
    /// The data of a majority of the voters must be there.
    Directories {
        /// Voters whose data is found.
        have: usize,
        /// How many it takes.
        need: usize,
        /// Voters whose data is not.
        missing: Vec<Host>,
    },
    /// A recovery needs time to show its effect before there may be another.
    Cooldown {
        /// How long still.
        left: Duration,
    },
    /// A member holds the data; the server is about to let it vote.
    Vote {
        /// The member.
        host: Host,
    },
    /// A primary that some member names may be alive, though it does not answer rsctl.
    OldPrimary {
        /// The primary.
        host: Host,
    },
    /// The members elect a primary.
    Election,
    /// The next primary lacks writes that are committed.
    CatchUp {
        /// Who it is to be.
        host: Host,
    },
    /// A step was refused; it is tried again.
    Refused {
        /// What it would have done, one subject for each part.
        subjects: Vec<Subject>,
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

impl WaitingOn {
    /// Every value of [`WaitingOn::kind`].
    pub const KINDS: [&str; 18] = [
        "tasks",
        "dns",
        "node",
        "name",
        "stability",
        "lock",
        "seed",
        "member",
        "gone",
        "majority",
        "directories",
        "cooldown",
        "vote",
        "old-primary",
        "election",
        "catch-up",
        "refused",
        "veto",
    ];

    /// The kind in one fixed word, for metrics and documents.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tasks { .. } => "tasks",
            Self::Dns(_) => "dns",
            Self::Node { .. } => "node",
            Self::Name { .. } => "name",
            Self::Stability { .. } => "stability",
            Self::Lock { .. } => "lock",
            Self::Seed { .. } => "seed",
            Self::Member { .. } => "member",
            Self::Gone { .. } => "gone",
            Self::Majority { .. } => "majority",
            Self::Directories { .. } => "directories",
            Self::Cooldown { .. } => "cooldown",
            Self::Vote { .. } => "vote",
            Self::OldPrimary { .. } => "old-primary",
            Self::Election => "election",
            Self::CatchUp { .. } => "catch-up",
            Self::Refused { .. } => "refused",
            Self::Veto { .. } => "veto",
        }
    }

    /// Whether both say the same but for durations: one that merely grew is no news.
    pub fn same_as(&self, other: &Self) -> bool {
        self.without_durations() == other.without_durations()
    }

    fn without_durations(&self) -> Self {
        let mut same = self.clone();
        match &mut same {
            Self::Stability { left } | Self::Cooldown { left } => *left = Duration::ZERO,
            Self::Gone { since, .. } => *since = Duration::ZERO,
            Self::Refused { retry_in, .. } => *retry_in = Duration::ZERO,
            Self::Tasks { .. }
            | Self::Dns(_)
            | Self::Node { .. }
            | Self::Name { .. }
            | Self::Lock { .. }
            | Self::Seed { .. }
            | Self::Member { .. }
            | Self::Majority { .. }
            | Self::Directories { .. }
            | Self::Vote { .. }
            | Self::OldPrimary { .. }
            | Self::Election
            | Self::CatchUp { .. }
            | Self::Veto { .. } => {}
        }
        same
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tasks { seen, expect } => write!(f, "{seen} of {expect} expected tasks answer"),
            Self::Dns(trouble) => trouble.fmt(f),
            Self::Node { host, error } => write!(f, "{host} {error}"),
            Self::Name { host } => write!(f, "the host name that {host} reports must resolve to it"),
            Self::Stability { left } => write!(f, "the tasks must stay as they are for {} ms more", left.as_millis()),
            Self::Lock { on, controller } => write!(f, "controller {controller} holds the lock on {on}"),
            Self::Seed { host, controller } => {
                write!(f, "{host}, which controller {controller} was to initiate, must be listed again or stay silent")
            }
            Self::Member { host, state } => write!(f, "{host} is {state}"),
            Self::Gone { host, since, limit } => {
                write!(f, "{host} has been gone for {} s; it is removed after {} s", since.as_secs(), limit.as_secs())
            }
            Self::Majority { have, need, missing } => {
                let names: Vec<_> = missing.iter().map(Host::to_string).collect();
                write!(f, "{have} of {need} needed voters are there; missing: {}", names.join(", "))
            }
            Self::Directories { have, need, missing } => {
                let names: Vec<_> = missing.iter().map(Host::to_string).collect();
                write!(
                    f,
                    "the data of {have} of {need} needed voters is found; not that of {}: bring back its volume, or see \
                     `rsctl recover`",
                    names.join(", ")
                )
            }
            Self::Cooldown { left } => write!(f, "the last recovery must settle for {} s more", left.as_secs()),
            Self::Vote { host } => write!(f, "{host} holds the data and is about to get its vote"),
            Self::OldPrimary { host } => {
                write!(f, "primary {host} does not answer rsctl, but the other members may still reach it")
            }
            Self::Election => f.write_str("the members elect a primary"),
            Self::CatchUp { host } => write!(f, "{host} must catch up before it can lead"),
            Self::Refused { subjects, reason, retry_in } => {
                let subjects: Vec<_> = subjects.iter().map(Subject::to_string).collect();
                write!(f, "{} was refused: {reason}; next try in {} ms", subjects.join(", "), retry_in.as_millis())
            }
            Self::Veto { step, reason } => write!(f, "not now: {step}: {reason}"),
        }
    }
}
