//! One member of a config, and what can be done to it.

use super::{DataId, Host};
use std::fmt;

/// Tag that names the data directory which holds the member's vote.
pub(super) const TAG_DATA: &str = "rsctlData";
/// Tag that remembers the votes and priority which rsctl took, or still holds back, as `votes/priority`.
pub(super) const TAG_SAVED_VOTE: &str = "rsctlSavedVote";
/// Tag of a non-voter that may be promoted when a voter is gone for good.
pub(super) const TAG_SPARE: &str = "rsctlSpare";
/// Tag of every member that rsctl made, until its directory is known: it was a task, so it may go again.
pub(super) const TAG_ADDED: &str = "rsctlAdded";

/// `members[n]._id`: the identity of a member, never used twice.
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
    /// Where the set looks for this member.
    pub host: Host,
    /// Whether the config gives it a vote.
    pub votes: bool,
    /// Its priority; above zero means electable.
    pub priority: f64,
    /// The server keeps it from voting until it holds data (`newlyAdded`, MongoDB 5.0 and later).
    pub newly_added: bool,
    /// Votes, holds no data, cannot carry tags.
    pub arbiter: bool,
    /// Hidden from drivers.
    pub hidden: bool,
    /// Applies writes late on purpose.
    pub delayed: bool,
    /// The data directory that holds the member's vote, where it is tagged.
    pub data: Option<DataId>,
    /// A non-voter of ours that waits for a voter's place.
    pub spare: bool,
    /// rsctl made it a member, and has not yet learned its directory.
    pub added: bool,
    /// The vote and priority that rsctl revoked, or that it holds back from a new member until that holds the data.
    pub saved_vote: Option<SavedVote>,
    /// Carries tags that are not ours.
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
    /// Counts in elections and majorities now.
    pub fn votes_now(&self) -> bool {
        self.votes && !self.newly_added
    }

    /// Gets a vote as soon as it holds the data.
    pub fn owed_vote(&self) -> bool {
        !self.votes && self.saved_vote.is_some_and(|saved| saved.votes)
    }

    /// It joined under a server that would let it vote without data, and waits; or it was wiped before it was tagged.
    pub fn awaits_first_vote(&self) -> bool {
        self.owed_vote() && self.added
    }

    /// Holds a copy of the data that applications may read.
    pub fn serves_reads(&self) -> bool {
        !self.arbiter && !self.hidden
    }

    /// An operator set this one up by hand: it goes only when he says so.
    pub fn hand_tuned(&self) -> bool {
        // What rsctl took says nothing about the operator; what it was before does.
        let now = SavedVote { votes: self.votes, priority: self.priority };
        let SavedVote { votes, priority } = self.saved_vote.unwrap_or(now);
        let plain = priority == 1.0 || (priority == 0.0 && !votes);
        self.hidden || self.delayed || self.arbiter || self.foreign_tags || !plain
    }
}

/// One edit of a config. Together in one reconfig they are one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The member's directory answers elsewhere now.
    Readdress {
        /// The member, which keeps its identity and vote.
        id: MemberId,
        /// Where the directory answers.
        to: Host,
    },
    /// A new member.
    Add {
        /// Never used before.
        id: MemberId,
        /// Where the newcomer answers.
        host: Host,
        /// What it joins as.
        role: NewRole,
    },
    /// The member goes.
    Remove {
        /// The member.
        id: MemberId,
    },
    /// The member's vote may be cast without the writes it vouched for: away with it, remembered in `rsctlSavedVote`.
    RevokeVote {
        /// The member.
        id: MemberId,
    },
    /// The member holds data (again): vote and priority come from `rsctlSavedVote`.
    RestoreVote {
        /// The member.
        id: MemberId,
        /// The directory that votes from now on.
        data: DataId,
    },
    /// The same, but for the priority, which comes back in a step of its own: beside an arbiter, the server refuses to
    /// give a second member with data both at once (103, "PSA topology", seen on 6.0.5).
    RestoreVoteWithoutPriority {
        /// The member.
        id: MemberId,
        /// The directory that votes from now on.
        data: DataId,
    },
    /// A spare becomes a voter.
    Promote {
        /// The member.
        id: MemberId,
    },
    /// Notes which directory holds the member.
    Tag {
        /// The member.
        id: MemberId,
        /// The directory found there.
        data: DataId,
    },
}

/// What a newcomer joins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewRole {
    /// Votes as soon as it holds data; the server sees to that (`newlyAdded`).
    Voter,
    /// Gets its vote from rsctl when it holds data, under a server that would let it vote before (MongoDB 4.4).
    LateVoter,
    /// Holds data, votes when a voter is gone for good.
    Spare,
}
