//! Controllers without one of their safety rules. They show that the checker detects what each rule prevents.
//!
//! `faulty_controller` switches a rule off. It stands between the real controller and the world.

use super::scenarios::Scenario;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The controller with all its rules.
    None,
    /// Initiates a second node as well.
    InitiatesTwice,
    /// Ignores the locks of other controllers.
    IgnoresLocks,
    /// Treats a node that does not answer as blank.
    TakesSilenceForBlank,
    /// Does not revoke the vote of a wiped directory.
    KeepsWipedVotes,
    /// Restores a vote before the member has copied what is committed. This alone loses no write. A step restores one
    /// vote, so every majority with this vote shares a member with every majority without it. Before the next step, the
    /// server waits until a majority with the new vote has the committed writes.
    GivesVotesEarly,
    /// Gives a new member the `_id` of a member that does not answer.
    ReusesMembers,
    /// Revokes a second vote whenever it revokes one or removes a member.
    ChangesTwoVotes,
    /// Forces a set of one on the member that should stand for election.
    ForcesAnybody,
    /// Forces the addresses by what answers there instead of by data directory.
    ForcesByAddress,
    /// Forces with directories that it has not seen.
    ForcesUnseen,
    /// Forces votes on new members that do not have the data yet.
    ForcesNewcomers,
    /// Leaves every vote when it assigns directories to members without tags.
    KeepsEveryVote,
    /// Has a member elected although the other members see a primary.
    UnseatsPrimaries,
    /// Removes a member as soon as it does not see it.
    RemovesEarly,
    /// Treats a node that does not answer as gone, and DNS that does not answer as an empty list.
    TakesSilenceForGone,
    /// Treats a node that DNS does not list as gone.
    TrustsDnsAlone,
    /// Does not remember what a directory held.
    ForgetsThePast,
    /// Compares what members have applied where the server goes by what they have written (8.0).
    ComparesApplied,
}

impl Mutant {
    /// The scenario in which the mutant is tested.
    pub fn scenario(self) -> Scenario {
        match self {
            Self::TakesSilenceForBlank => Scenario::TwoSides,
            Self::ReusesMembers => Scenario::NewcomerBesideSilent,
            Self::ForcesByAddress => Scenario::BlankTaskWhileReaddressing,
            Self::ForcesNewcomers => Scenario::ReaddressWhileCopying,
            Self::TrustsDnsAlone => Scenario::HiddenTask,
            Self::KeepsEveryVote => Scenario::RedeployedUntagged,
            Self::ForgetsThePast => Scenario::SnapshotBesideStale,
            _ => Scenario::Random,
        }
    }
}

/// How a mutant is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectedBy {
    /// By its commands only. The text says why no write is lost.
    Commands(&'static str),
    /// By acknowledged writes that are lost.
    LostWrites,
    /// By a set that does not come right. The text says why.
    Unsettled(&'static str),
}

/// Every mutant that must be detected.
pub const ALL: [(Mutant, DetectedBy); 18] = [
    (Mutant::InitiatesTwice, DetectedBy::LostWrites),
    (Mutant::IgnoresLocks, DetectedBy::LostWrites),
    (Mutant::TakesSilenceForBlank, DetectedBy::LostWrites),
    (Mutant::KeepsWipedVotes, DetectedBy::LostWrites),
    (Mutant::GivesVotesEarly, DetectedBy::Commands("the server takes no reconfig before what was committed is")),
    (Mutant::ReusesMembers, DetectedBy::LostWrites),
    (Mutant::ChangesTwoVotes, DetectedBy::Commands("the server refuses it (103)")),
    (Mutant::ForcesAnybody, DetectedBy::LostWrites),
    (Mutant::ForcesByAddress, DetectedBy::LostWrites),
    (Mutant::KeepsEveryVote, DetectedBy::LostWrites),
    (Mutant::ForgetsThePast, DetectedBy::LostWrites),
    (Mutant::ForcesUnseen, DetectedBy::Commands("a directory that is absent cannot vote")),
    (
        Mutant::ForcesNewcomers,
        DetectedBy::Commands("the newest voter is asked to lead; it takes its loss in that moment"),
    ),
    (
        Mutant::UnseatsPrimaries,
        DetectedBy::Commands("an election keeps what was acknowledged; service stops for a moment"),
    ),
    (
        Mutant::ComparesApplied,
        DetectedBy::Unsettled("a wiped member gets its vote back in no pause between two writes"),
    ),
    (Mutant::RemovesEarly, DetectedBy::Commands("a reconfig loses nothing; one more loss may stop the set")),
    (Mutant::TakesSilenceForGone, DetectedBy::Commands("a reconfig loses nothing; one more loss may stop the set")),
    (Mutant::TrustsDnsAlone, DetectedBy::Commands("a reconfig loses nothing; one more loss may stop the set")),
];
