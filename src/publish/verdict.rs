//! The verdict: what an operator needs to know first, in one sentence.

use super::status::{FindingLevel, Health, MemberStatus, Status};
use crate::plan::Margin;
use serde::{Deserialize, Serialize};

/// More troubled members than this are counted and not named.
const NAMED_MAX: usize = 3;

/// The voters, and how many of them the set can lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarginStatus {
    /// Members with a vote that counts now.
    pub voters: usize,
    /// Voters that hold their data and can vote.
    pub live: usize,
    /// How many voters an election needs.
    pub majority: usize,
    /// How many more voters the set can lose, whichever they are, and still take majority writes.
    pub can_lose: usize,
}

impl From<Margin> for MarginStatus {
    fn from(Margin { voters, live, majority, can_lose }: Margin) -> Self {
        Self { voters, live, majority, can_lose }
    }
}

impl Status {
    /// The state of the set in one sentence, and whether it is paused.
    pub fn verdict(&self) -> String {
        let paused = if self.pause.is_some() { "; paused" } else { "" };
        format!("{}{paused}", self.state())
    }

    fn state(&self) -> String {
        match self.health {
            Health::Ok => format!("healthy: {}", self.losses()),
            Health::Degraded => format!("degraded: {}; {}", self.trouble(), self.losses()),
            Health::NoPrimary => format!("no primary: applications cannot write{}", self.first_wait()),
            Health::Uninitiated => format!("no set yet{}", self.first_wait()),
            Health::Unknown => format!("unknown: no mongod of the set answers{}", self.first_wait()),
        }
    }

    fn losses(&self) -> String {
        match self.margin {
            None => "it is not known how many members can be lost".to_owned(),
            Some(MarginStatus { live, majority, .. }) if live < majority => "a majority is missing".to_owned(),
            Some(MarginStatus { can_lose: 0, .. }) => "no member can be lost".to_owned(),
            Some(MarginStatus { can_lose: 1, .. }) => "can lose 1 more member".to_owned(),
            Some(MarginStatus { can_lose, .. }) => format!("can lose {can_lose} more members"),
        }
    }

    /// What is not as it should be: members first, then what an operator must do, then what the controller is about.
    fn trouble(&self) -> String {
        let unwell: Vec<&MemberStatus> = self.members.iter().filter(|m| !m.healthy).collect();
        if unwell.len() > NAMED_MAX {
            return format!("{} of {} members do not work", unwell.len(), self.members.len());
        }
        if !unwell.is_empty() {
            return unwell.into_iter().map(ailment).collect::<Vec<_>>().join(", ");
        }
        let error = self.findings.iter().find(|f| f.severity == FindingLevel::Error).map(|f| f.text.clone());
        let next = || (self.next != "nothing").then(|| self.next.clone());
        error.or_else(next).or(self.waiting.first().cloned()).unwrap_or_else(|| "not all is known".to_owned())
    }

    fn first_wait(&self) -> String {
        self.waiting.first().map(|waiting| format!("; {waiting}")).unwrap_or_default()
    }
}

fn ailment(member: &MemberStatus) -> String {
    match member.state.as_str() {
        "PRIMARY" | "SECONDARY" | "ARBITER" => format!("the primary does not hear {}", member.host),
        state => format!("{} is {state}", member.host),
    }
}
