//! One member of a config, and what can be done to it.

use super::{DataId, Host};
use std::fmt;

/// The tag that names the data directory which holds the member's vote.
pub(super) const TAG_DATA: &str = "rsctlData";
/// The tag that keeps the vote and priority which rsctl revoked, or still holds back, as `votes/priority`.
pub(super) const TAG_SAVED_VOTE: &str = "rsctlSavedVote";
/// The tag of a member without a vote that may get one when a voter is gone for good.
pub(super) const TAG_SPARE: &str = "rsctlSpare";
/// The tag of every member that rsctl added, until its directory is known. It was a task, so rsctl may remove it.
pub(super) const TAG_ADDED: &str = "rsctlAdded";

/// The tag that keeps the host which rsctl has written in another form for a moment.
pub(super) const TAG_SAVED_HOST: &str = "rsctlSavedHost";

/// `members[n]._id`: the identity of a member. rsctl never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(pub i64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What rsctl reads of one `members[n]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The member's identity.
    pub id: MemberId,
    /// The address at which the set expects the member.
    pub host: Host,
    /// Whether the config gives it a vote.
    pub votes: bool,
    /// Its priority. A member is electable when it is above zero.
    pub priority: f64,
    /// The server does not count its vote until it holds the data (`newlyAdded`, MongoDB 5.0 and later).
    pub newly_added: bool,
    /// It votes, holds no data, and cannot have tags.
    pub arbiter: bool,
    /// Drivers do not see it.
    pub hidden: bool,
    /// It applies writes late on purpose.
    pub delayed: bool,
    /// The data directory that holds the member's vote, where a tag names it.
    pub data: Option<DataId>,
    /// A member without a vote that rsctl added, to replace a voter that is gone for good.
    pub spare: bool,
    /// rsctl added it, and does not know its directory yet.
    pub added: bool,
    /// The vote and priority that rsctl revoked, or that it holds back from a new member until that holds the data.
    pub saved_vote: Option<SavedVote>,
    /// The host as it was before rsctl wrote it in another form. It is written back when the set has a primary.
    pub saved_host: Option<Host>,
    /// It has tags that are not rsctl's.
    pub foreign_tags: bool,
}

/// A vote and priority as the tag `rsctlSavedVote` keeps them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedVote {
    /// Whether the member had, or will have, a vote.
    pub votes: bool,
    /// The priority that goes with it.
    pub priority: f64,
}

impl Member {
    /// It counts in elections and majorities now.
    pub fn votes_now(&self) -> bool {
        self.votes && !self.newly_added
    }

    /// It gets a vote as soon as it holds the data.
    pub fn owed_vote(&self) -> bool {
        !self.votes && self.saved_vote.is_some_and(|saved| saved.votes)
    }

    /// It has not voted yet. It was added under a server that would let it vote without data, or lost its directory before
    /// that was tagged.
    pub fn awaits_first_vote(&self) -> bool {
        self.owed_vote() && self.added
    }

    /// It holds a copy of the data that applications may read.
    pub fn serves_reads(&self) -> bool {
        !self.arbiter && !self.hidden
    }

    /// An operator configured this member by hand, so rsctl removes it only on request.
    pub fn hand_tuned(&self) -> bool {
        // A vote that rsctl revoked says nothing about the operator. The saved one does.
        let now = SavedVote { votes: self.votes, priority: self.priority };
        let SavedVote { votes, priority } = self.saved_vote.unwrap_or(now);
        let plain = priority == 1.0 || (priority == 0.0 && !votes);
        self.hidden || self.delayed || self.arbiter || self.foreign_tags || !plain
    }
}

/// One edit of a config. Several edits in one reconfig are one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Gives a member the address at which its directory answers now.
    Readdress {
        /// The member, which keeps its identity and its vote.
        id: MemberId,
        /// The address at which the directory answers.
        to: Host,
    },
    /// Writes a member's host in another form, which leads to the same mongod. The tag `rsctlSavedHost` keeps the host.
    Respell {
        /// The member.
        id: MemberId,
        /// The other form.
        to: Host,
    },
    /// Adds a member.
    Add {
        /// An identity that was never used before.
        id: MemberId,
        /// The address at which the new member answers.
        host: Host,
        /// The role in which it joins.
        role: NewRole,
    },
    /// Removes a member.
    Remove {
        /// The member.
        id: MemberId,
    },
    /// Revokes a vote that could be cast without the writes which its directory acknowledged. The tag `rsctlSavedVote` keeps
    /// vote and priority.
    RevokeVote {
        /// The member.
        id: MemberId,
    },
    /// Gives a member that holds the set's data the vote and priority from its tag `rsctlSavedVote`.
    RestoreVote {
        /// The member.
        id: MemberId,
        /// The directory that holds the vote from now on.
        data: DataId,
    },
    /// Gives a member that holds the set's data its vote, but not its priority, which a later step restores. Beside an
    /// arbiter the server refuses to give a second member with data both at once (103, "PSA topology", seen on 6.0.5).
    RestoreVoteWithoutPriority {
        /// The member.
        id: MemberId,
        /// The directory that holds the vote from now on.
        data: DataId,
    },
    /// Makes a spare a voter.
    Promote {
        /// The member.
        id: MemberId,
    },
    /// Names the member's directory in its tag.
    Tag {
        /// The member.
        id: MemberId,
        /// The directory that answers at its address.
        data: DataId,
    },
}

/// The role in which a new member joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewRole {
    /// It votes as soon as it holds the data. The server makes sure of that (`newlyAdded`).
    Voter,
    /// rsctl gives it a vote when it holds the data, because the server would let it vote before (MongoDB 4.4).
    LateVoter,
    /// It holds data, and gets a vote when a voter is gone for good.
    Spare,
}
