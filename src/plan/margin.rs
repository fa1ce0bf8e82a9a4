//! How much the set can lose.

use super::situation::Situation;
use crate::model::Member;

/// The voters of a set with a primary, and how many of them it can lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// Members with a vote that counts now.
    pub voters: usize,
    /// Voters that hold their data and can vote.
    pub live: usize,
    /// How many voters an election needs.
    pub majority: usize,
    /// How many more voters the set can lose, whichever they are, and still elect a primary and acknowledge majority
    /// writes. Arbiters vote, but acknowledge no writes.
    pub can_lose: usize,
}

impl Margin {
    /// None while there is no primary, because nothing is left to lose then.
    pub(super) fn of(now: &Situation<'_>) -> Option<Self> {
        let (_, config) = now.writable()?;
        let live = |arbiters: bool| config.voters().filter(|m| now.is_live(m) && (arbiters || !m.arbiter)).count();
        let holds_data = |m: &&Member| !m.arbiter;
        let (voters, majority) = (config.voters().count(), config.majority());
        // The server asks as many members for a majority write (`writeMajorityCount` of `replSetGetStatus`).
        let acknowledge = majority.min(config.voters().filter(holds_data).count());
        let can_lose = live(true).saturating_sub(majority).min(live(false).saturating_sub(acknowledge));
        Some(Self { voters, live: live(true), majority, can_lose })
    }
}
