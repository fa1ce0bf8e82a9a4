//! What a plan waits for: each reason for doing nothing has a type and a sentence.

use super::reason::list;
use super::{Objection, Reason, Rule, Step};
use crate::model::{DnsTrouble, Host, NodeState, ProbeError, Subject, VOTERS_MAX};
use std::fmt;
use std::time::Duration;

/// Something that must happen before there is more to do.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitingOn {
    /// More tasks must be listed and answer before the bootstrap.
    Tasks {
        /// Distinct tasks that answer.
        seen: usize,
        /// How many must answer.
        expect: usize,
    },
    /// DNS must give a good answer.
    Dns(DnsTrouble),
    /// A node must answer.
    Node {
        /// Its address.
        host: Host,
        /// Why it gives no answer.
        error: ProbeError,
    },
    /// The name that a node reports must resolve to it, before it can be a member under that name.
    Name {
        /// The node's address.
        host: Host,
    },
    /// The state must stay the same for a while.
    Stability {
        /// The time that is left.
        left: Duration,
    },
    /// Another controller holds the bootstrap lock.
    Lock {
        /// The task with the lock.
        on: Host,
        /// The other controller's run.
        controller: String,
    },
    /// The seed that a lock names is no listed task now. It may still be alive, and initiated.
    Seed {
        /// The seed.
        host: Host,
        /// The run of the controller whose lock names it.
        controller: String,
    },
    /// A member must reach another state.
    Member {
        /// The member.
        host: Host,
        /// Its state now.
        state: NodeState,
    },
    /// A member answers rsctl, and the primary must hear its heartbeats.
    Unheard {
        /// The member.
        host: Host,
    },
    /// A member is gone, and is removed when it has been gone for long enough.
    Gone {
        /// The member.
        host: Host,
        /// For how long it has been gone.
        since: Duration,
        /// For how long it must be gone.
        limit: Duration,
    },
    /// A majority of the voters must answer.
    Majority {
        /// Voters that answer and could elect.
        have: usize,
        /// How many it takes.
        need: usize,
        /// The other voters.
        missing: Vec<Host>,
    },
    /// The data of a majority of the voters must be found.
    Directories {
        /// Voters whose data is found.
        have: usize,
        /// How many it takes.
        need: usize,
        /// The other voters.
        missing: Vec<Host>,
    },
    /// The last recovery must have time to show its effect.
    Cooldown {
        /// The time that is left.
        left: Duration,
    },
    /// A new member holds the data, and the server is about to let it vote.
    Vote {
        /// The member.
        host: Host,
    },
    /// A member holds the data and is owed a vote, but the set has as many voters as a set can have.
    VoterLimit {
        /// The member.
        host: Host,
    },
    /// A primary that does not answer rsctl may be alive for the other members.
    OldPrimary {
        /// The primary.
        host: Host,
    },
    /// A rule would leave no member that can be elected, as when the only one with a priority lost its data.
    Electable {
        /// The rule.
        rule: Rule,
    },
    /// The members must elect a primary.
    Election,
    /// The member that is to lead next lacks writes that a majority holds.
    CatchUp {
        /// The member.
        host: Host,
    },
    /// Members must copy from the one that an operator wants to lead.
    Followers {
        /// The member that is to lead.
        next: Host,
        /// How many copy from it.
        have: usize,
        /// How many it takes.
        need: usize,
    },
    /// A step was refused, and is tried again later.
    Refused {
        /// What the step would have done, one subject for each part.
        subjects: Vec<Subject>,
        /// The server's words.
        reason: String,
        /// The time until the next try.
        retry_in: Duration,
    },
    /// A step that a rule proposes is not safe now.
    Veto {
        /// The step.
        step: Box<Step>,
        /// Why it is not safe.
        objection: Objection,
    },
    /// A pause must end. No controller changes the set meanwhile.
    Paused {
        /// The time that is left.
        left: Duration,
        /// The step that would be done without the pause.
        would: Box<Step>,
        /// Why it would be done.
        because: Box<Reason>,
    },
}

impl WaitingOn {
    /// Every value of [`WaitingOn::kind`].
    pub const KINDS: [&str; 23] = [
        "tasks",
        "dns",
        "node",
        "name",
        "stability",
        "lock",
        "seed",
        "member",
        "unheard",
        "gone",
        "majority",
        "directories",
        "cooldown",
        "vote",
        "voter-limit",
        "old-primary",
        "electable",
        "election",
        "catch-up",
        "followers",
        "refused",
        "veto",
        "paused",
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
            Self::Unheard { .. } => "unheard",
            Self::Gone { .. } => "gone",
            Self::Majority { .. } => "majority",
            Self::Directories { .. } => "directories",
            Self::Cooldown { .. } => "cooldown",
            Self::Vote { .. } => "vote",
            Self::VoterLimit { .. } => "voter-limit",
            Self::OldPrimary { .. } => "old-primary",
            Self::Electable { .. } => "electable",
            Self::Election => "election",
            Self::CatchUp { .. } => "catch-up",
            Self::Followers { .. } => "followers",
            Self::Refused { .. } => "refused",
            Self::Veto { .. } => "veto",
            Self::Paused { .. } => "paused",
        }
    }

    /// Whether both say the same, apart from how long something has lasted or will last. A step counts as the same when
    /// it would do the same things, whatever version of the config it starts from.
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Veto { step: one, objection: because }, Self::Veto { step: two, objection: as_well }) => {
                one.subjects() == two.subjects() && because == as_well
            }
            (Self::Paused { would: one, because, .. }, Self::Paused { would: two, because: as_well, .. }) => {
                one.subjects() == two.subjects() && because == as_well
            }
            _ => self.without_durations() == other.without_durations(),
        }
    }

    fn without_durations(&self) -> Self {
        let mut same = self.clone();
        match &mut same {
            Self::Stability { left } | Self::Cooldown { left } | Self::Paused { left, .. } => *left = Duration::ZERO,
            Self::Gone { since, .. } => *since = Duration::ZERO,
            Self::Refused { retry_in, .. } => *retry_in = Duration::ZERO,
            Self::Tasks { .. }
            | Self::Dns(_)
            | Self::Node { .. }
            | Self::Name { .. }
            | Self::Lock { .. }
            | Self::Seed { .. }
            | Self::Member { .. }
            | Self::Unheard { .. }
            | Self::Majority { .. }
            | Self::Directories { .. }
            | Self::Vote { .. }
            | Self::VoterLimit { .. }
            | Self::OldPrimary { .. }
            | Self::Electable { .. }
            | Self::Election
            | Self::CatchUp { .. }
            | Self::Followers { .. }
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
            Self::Seed { host, controller } => write!(
                f,
                "controller {controller} may have initiated {host}, which must be listed again, or stay silent"
            ),
            Self::Member { host, state } => write!(f, "{host} is {state}"),
            Self::Unheard { host } => write!(f, "the primary does not hear {host}, which answers rsctl"),
            Self::Gone { host, since, limit } => {
                write!(f, "{host} has been gone for {} s; it is removed after {} s", since.as_secs(), limit.as_secs())
            }
            Self::Majority { have, need, missing } => {
                write!(f, "an election needs {need} voters, and {have} can vote; missing: {}", list(missing))
            }
            Self::Directories { have, need, missing } => write!(
                f,
                "a recovery needs the data of {need} voters, and that of {have} is found; missing: {}; bring back \
                 their volumes, or see `rsctl recover`",
                list(missing)
            ),
            Self::Cooldown { left } => {
                write!(f, "the last recovery needs {} s more to show its effect", left.as_secs())
            }
            Self::Vote { host } => write!(f, "{host} holds the data and is about to get its vote"),
            Self::VoterLimit { host } => {
                write!(f, "{host} holds the data, but gets no vote, because a set has at most {VOTERS_MAX} voters")
            }
            Self::OldPrimary { host } => {
                write!(f, "primary {host} does not answer rsctl, but the other members may still reach it")
            }
            Self::Electable { rule } => write!(
                f,
                "{rule} would leave no member that can be elected; give another member with data a vote and a priority \
                 above 0"
            ),
            Self::Election => f.write_str("the members elect a primary"),
            Self::CatchUp { host } => write!(f, "{host} must catch up before it can lead"),
            Self::Followers { next, have, need } => {
                write!(f, "before {next} leads, others must copy from it, and {have} of {need} do")
            }
            Self::Refused { subjects, reason, retry_in } => {
                let subjects: Vec<_> = subjects.iter().map(Subject::to_string).collect();
                write!(f, "{} was refused: {reason}; next try in {} ms", subjects.join(", "), retry_in.as_millis())
            }
            Self::Veto { step, objection } => write!(f, "not safe now: {step}: {objection}"),
            Self::Paused { left, would, because } => {
                write!(f, "paused for {} s more: without the pause: {would}, because {because}", left.as_secs())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_durations_make_no_difference() {
        let gone = |host: &str, since, limit| WaitingOn::Gone {
            host: host.parse().unwrap(),
            since: Duration::from_secs(since),
            limit: Duration::from_secs(limit),
        };
        assert!(gone("mongo-node1", 5, 30).same_as(&gone("mongo-node1", 6, 30)));
        assert!(!gone("mongo-node1", 5, 30).same_as(&gone("mongo-node2", 5, 30)), "names differ in a digit");
        assert!(!gone("mongo-node1", 5, 30).same_as(&gone("mongo-node1", 5, 600)), "the limit is another one");
        let refused = |id: i64, ms| WaitingOn::Refused {
            subjects: vec![Subject::Remove(crate::model::MemberId(id))],
            reason: "no".to_owned(),
            retry_in: Duration::from_millis(ms),
        };
        assert!(refused(1, 80).same_as(&refused(1, 40)));
        assert!(!refused(1, 80).same_as(&refused(2, 80)), "another member");
    }
}
