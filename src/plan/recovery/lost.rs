//! What is lost when a set continues without the votes of lost directories.

use super::super::reason::list;
use crate::model::{Host, OpTime};
use std::fmt;

/// One loss, or one risk of a loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Writes that only missing voters have.
    Writes {
        /// The newest write that stays.
        after: OpTime,
        /// The missing voters.
        of: Vec<Host>,
        /// The newest write that a majority is known to have acknowledged.
        committed: Option<OpTime>,
    },
    /// Writes that missing voters may be taking now.
    WritesNow {
        /// The missing voters.
        of: Vec<Host>,
    },
    /// The data of a listed task that does not answer.
    SilentTask {
        /// The task.
        host: Host,
    },
    /// Writes of a directory whose member cannot become primary.
    Ahead {
        /// The directory's address.
        host: Host,
        /// The directory's newest write.
        newest: OpTime,
    },
    /// Writes of a directory that is in an older state than before.
    Rewound {
        /// The directory's address.
        host: Host,
    },
    /// The data of a member without a tag, if the directory that is assigned to it is not its own.
    Guessed {
        /// The member's address in the config.
        member: Host,
        /// The address of the directory that is assigned to the member.
        directory: Host,
    },
    /// An arbiter, which holds no data.
    Arbiter {
        /// The arbiter.
        host: Host,
    },
    /// Writes of voters that only a newer config names.
    UnknownVoters,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writes { after, of, committed } => {
                write!(f, "every write after {after} that only {} had; ", list(of))?;
                match committed {
                    Some(at) if at > after => write!(f, "a majority acknowledged writes up to {at}, so some of those"),
                    Some(at) => write!(f, "what is known here to be acknowledged by a majority, up to {at}, stays"),
                    None => f.write_str("it is unknown here what a majority acknowledged, so some of that may be lost"),
                }
            }
            Self::WritesNow { of } => write!(
                f,
                "every write that {} may be taking now, where rsctl cannot see it: make sure that nothing runs there",
                list(of)
            ),
            Self::SilentTask { host } => write!(
                f,
                "what the task at {host} holds, which DNS lists and which does not answer: wait for it if it may answer"
            ),
            Self::Ahead { host, newest } => {
                write!(f, "perhaps what {host} has after that, up to {newest}: it cannot lead")
            }
            Self::Rewound { host } => {
                write!(f, "what {host} held before and lacks now: its data directory is in an older state")
            }
            Self::Guessed { member, directory } => {
                write!(f, "what {member} had, if the data at {directory} is not its own: no tag names the directory")
            }
            Self::Arbiter { host } => write!(f, "the arbiter {host}: add it again with rs.addArb()"),
            Self::UnknownVoters => {
                f.write_str("perhaps writes of voters that only a newer config names: the stored configs differ")
            }
        }
    }
}
