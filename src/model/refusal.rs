//! Steps that failed, under the things that they would have done.

use super::{Change, Host, MemberId};
use std::fmt;
use std::time::Duration;

/// A step that failed, with the time until it may be tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What the step would have done, one subject for each part.
    pub subjects: Vec<Subject>,
    /// Why it failed, in the server's words.
    pub reason: String,
    /// What made it fail the last time.
    pub cause: Cause,
    /// How often in a row it failed.
    pub times: u32,
    /// How long until it may be tried again; zero when it may be tried now.
    pub retry_in: Duration,
}

/// What made a step fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server refuses the step. Another try will probably end the same way.
    Server,
    /// Another process was faster, the node changed meanwhile, or no answer came.
    Moment,
}

/// One thing that a step would do: the key under which its failure is remembered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Any reconfig. A lost race for the config is remembered under it, because it says nothing about the change.
    AnyReconfig,
    /// Write the config once more, so that it gets a term.
    RenewTerm,
    /// Add a member at this address.
    Add(Host),
    /// Give a member another address.
    Readdress {
        /// The member.
        id: MemberId,
        /// The address.
        to: Host,
    },
    /// Remove a member.
    Remove(MemberId),
    /// Revoke a member's vote.
    RevokeVote(MemberId),
    /// Restore a member's vote, with or without its priority.
    RestoreVote(MemberId),
    /// Make a spare a voter.
    Promote(MemberId),
    /// Tag a member with its data directory.
    Tag(MemberId),
    /// Have a secondary copy from another member.
    SetSyncSource {
        /// The secondary.
        on: Host,
        /// The other member.
        source: Host,
    },
    /// Have any member stand for election.
    StepUp,
    /// End the catch-up of an elected member.
    AbortCatchUp(Host),
    /// Force any config.
    Force,
    /// Take or take over the lock on a task.
    Lock(Host),
    /// Initiate the set on a task.
    Initiate(Host),
    /// Release the lock on a task.
    ReleaseLock(Host),
    /// Have a member write its state to disk.
    Fsync(Host),
    /// Mark a member's process as removed.
    MarkRemoved(Host),
}

impl Subject {
    /// The part of a reconfig that a change is.
    pub fn of(change: &Change) -> Self {
        match change {
            Change::Add { host, .. } => Self::Add(host.clone()),
            Change::Readdress { id, to } | Change::Respell { id, to } => Self::Readdress { id: *id, to: to.clone() },
            Change::Remove { id } => Self::Remove(*id),
            Change::RevokeVote { id } => Self::RevokeVote(*id),
            Change::RestoreVote { id, .. } | Change::RestoreVoteWithoutPriority { id, .. } => Self::RestoreVote(*id),
            Change::Promote { id } => Self::Promote(*id),
            Change::Tag { id, .. } => Self::Tag(*id),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyReconfig => f.write_str("any reconfig"),
            Self::RenewTerm => f.write_str("renew the term"),
            Self::Add(host) => write!(f, "add {host}"),
            Self::Readdress { id, to } => write!(f, "move member {id} to {to}"),
            Self::Remove(id) => write!(f, "remove member {id}"),
            Self::RevokeVote(id) => write!(f, "revoke the vote of member {id}"),
            Self::RestoreVote(id) => write!(f, "restore the vote of member {id}"),
            Self::Promote(id) => write!(f, "promote member {id}"),
            Self::Tag(id) => write!(f, "tag member {id}"),
            Self::SetSyncSource { on, source } => write!(f, "set the sync source of {on} to {source}"),
            Self::StepUp => f.write_str("step up"),
            Self::AbortCatchUp(host) => write!(f, "abort the catch-up of {host}"),
            Self::Force => f.write_str("force a config"),
            Self::Lock(host) => write!(f, "lock {host}"),
            Self::Initiate(host) => write!(f, "initiate {host}"),
            Self::ReleaseLock(host) => write!(f, "release the lock on {host}"),
            Self::Fsync(host) => write!(f, "fsync {host}"),
            Self::MarkRemoved(host) => write!(f, "mark {host} as removed"),
        }
    }
}
