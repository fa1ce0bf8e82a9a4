//! The safety rules, and who lives without one of them: to show that the checker would notice.
//!
//! A rule is switched off by `faulty_controller`, which stands between the product and the world.

use super::scenarios::Scenario;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The controller as it is.
    None,
    /// Initiates a second node as well.
    InitiatesTwice,
    /// Takes no notice of other controllers' locks.
    IgnoresLocks,
    /// Takes a node that does not answer for a blank one.
    TakesSilenceForBlank,
    /// Leaves a wiped directory its vote.
    KeepsWipedVotes,
    /// Gives a vote back before what is committed was copied. No write is lost by that alone: one vote comes a step, so
    /// every majority with it shares a member with every majority without it, which holds what that one acknowledged;
    /// and before the next step the server has it acknowledged by a majority with the new vote.
    GivesVotesEarly,
    /// Gives a newcomer the slot of a member that does not answer.
    ReusesMembers,
    /// Takes a second vote whenever it takes one or removes a member.
    ChangesTwoVotes,
    /// Forces a set of one upon whoever should stand for election.
    ForcesAnybody,
    /// Forces the config's addresses as they are found, by machine instead of by directory.
    ForcesByAddress,
    /// Forces with directories that it has not seen.
    ForcesUnseen,
    /// Forces votes upon newcomers that do not hold the data yet.
    ForcesNewcomers,
    /// Has somebody elected though the others see a primary.
    UnseatsPrimaries,
    /// Removes whom it does not see at once.
    RemovesEarly,
    /// Takes a node that does not answer for one that is gone, and DNS that does not for one that is empty.
    TakesSilenceForGone,
    /// Takes whom DNS does not list for gone.
    TrustsDnsAlone,
}

impl Mutant {
    /// The faults in which it is looked for.
    pub fn scenario(self) -> Scenario {
        match self {
            Self::TakesSilenceForBlank => Scenario::TwoSides,
            Self::ReusesMembers => Scenario::NewcomerBesideSilent,
            Self::ForcesByAddress => Scenario::BlankTaskWhileReaddressing,
            Self::ForcesNewcomers => Scenario::ReaddressWhileCopying,
            Self::TrustsDnsAlone => Scenario::HiddenTask,
            _ => Scenario::Random,
        }
    }
}

/// How a mutant is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectedBy {
    /// By what it does alone; what it loses or whom it hurts, and why no write is lost.
    Commands(&'static str),
    /// By acknowledged writes that are lost.
    LostWrites,
}

/// Every mutant that must be found.
pub const ALL: [(Mutant, DetectedBy); 15] = [
    (Mutant::InitiatesTwice, DetectedBy::LostWrites),
    (Mutant::IgnoresLocks, DetectedBy::LostWrites),
    (Mutant::TakesSilenceForBlank, DetectedBy::LostWrites),
    (Mutant::KeepsWipedVotes, DetectedBy::LostWrites),
    (Mutant::GivesVotesEarly, DetectedBy::Commands("the server takes no reconfig before what was committed is")),
    (Mutant::ReusesMembers, DetectedBy::LostWrites),
    (Mutant::ChangesTwoVotes, DetectedBy::Commands("the server refuses it (103)")),
    (Mutant::ForcesAnybody, DetectedBy::LostWrites),
    (Mutant::ForcesByAddress, DetectedBy::LostWrites),
    (Mutant::ForcesUnseen, DetectedBy::Commands("who is not there cannot elect")),
    (
        Mutant::ForcesNewcomers,
        DetectedBy::Commands("the newest voter is asked to lead; it takes its loss in that moment"),
    ),
    (
        Mutant::UnseatsPrimaries,
        DetectedBy::Commands("an election keeps what was acknowledged; service stops for a moment"),
    ),
    (Mutant::RemovesEarly, DetectedBy::Commands("a reconfig loses nothing; one more loss may stop the set")),
    (Mutant::TakesSilenceForGone, DetectedBy::Commands("a reconfig loses nothing; one more loss may stop the set")),
    (Mutant::TrustsDnsAlone, DetectedBy::Commands("a reconfig loses nothing; one more loss may stop the set")),
];
