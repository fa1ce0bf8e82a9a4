//! What an operator or a script waits for.

use super::status::{Health, MemberStatus, Status};
use crate::model::MEMBERS_MAX;
use std::fmt;
use std::str::FromStr;

/// A member that is further behind than this is not in sync. `rolling-update` has the same limit.
const LAG_MAX_MS: u64 = 10_000;
/// An older observation shows nothing any more. A controller at rest observes every few seconds.
const AGE_MAX_MS: u64 = 30_000;

/// A condition of the replica set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Applications can start: there is a primary, and the seed list is complete.
    Usable,
    /// There is a primary.
    Primary,
    /// The set is healthy, and there is nothing to do or to wait for.
    Healthy,
    /// Every member that is to have a vote has it.
    AllVoting,
    /// The config has exactly this many members.
    Members(usize),
    /// Every member holds the data, and none is more than ten seconds behind. Delayed members may be.
    Synced,
}

/// The text is no goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("usable, primary, healthy, all-voting, synced, or members=N with a number from 1 to 50")]
pub struct NoGoal;

impl FromStr for Goal {
    type Err = NoGoal;

    fn from_str(text: &str) -> Result<Self, NoGoal> {
        match text {
            "usable" => Ok(Self::Usable),
            "primary" => Ok(Self::Primary),
            "healthy" => Ok(Self::Healthy),
            "all-voting" => Ok(Self::AllVoting),
            "synced" => Ok(Self::Synced),
            _ => {
                let number = text.strip_prefix("members=").and_then(|digits| digits.parse().ok());
                number.filter(|n| (1..=MEMBERS_MAX).contains(n)).map(Self::Members).ok_or(NoGoal)
            }
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usable => f.write_str("usable"),
            Self::Primary => f.write_str("primary"),
            Self::Healthy => f.write_str("healthy"),
            Self::AllVoting => f.write_str("all-voting"),
            Self::Members(number) => write!(f, "members={number}"),
            Self::Synced => f.write_str("synced"),
        }
    }
}

impl Goal {
    /// What is missing, in one line. `None` if the goal is reached.
    pub fn missing(self, status: &Status) -> Option<String> {
        if self == Self::Usable {
            return status.usable().err();
        }
        if status.observed_ms_ago > AGE_MAX_MS {
            return Some(format!("the newest observation is {} s old", status.observed_ms_ago / 1000));
        }
        if status.primary.is_none() {
            return Some("there is no primary".to_owned());
        }
        let members = &status.members;
        match self {
            Self::Usable | Self::Primary => None,
            Self::Healthy => (status.health != Health::Ok).then(|| status.verdict()),
            Self::AllVoting => listed(members, |m| m.awaits_vote.then(|| format!("{} has no vote yet", m.host))),
            Self::Members(number) => {
                (members.len() != number).then(|| format!("{} members, and not {number}", members.len()))
            }
            Self::Synced => listed(members, lacks_data),
        }
    }
}

/// What is said of any of the members. A set without members has reached nothing.
fn listed(members: &[MemberStatus], lack: impl Fn(&MemberStatus) -> Option<String>) -> Option<String> {
    if members.is_empty() {
        return Some("no members are known".to_owned());
    }
    let lacks: Vec<String> = members.iter().filter_map(lack).collect();
    (!lacks.is_empty()).then(|| lacks.join(", "))
}

fn lacks_data(member: &MemberStatus) -> Option<String> {
    let MemberStatus { host, state, sync, lag_ms, delayed, .. } = member;
    match (state.as_str(), lag_ms) {
        ("PRIMARY" | "ARBITER", _) => None,
        ("SECONDARY", _) if *delayed => None,
        ("SECONDARY", None) => Some(format!("how far {host} is behind is not known")),
        ("SECONDARY", Some(ms)) => (*ms > LAG_MAX_MS).then(|| format!("{host} is {} s behind", ms / 1000)),
        _ => {
            let part = sync.map(|sync| format!(" ({} %)", sync.percent())).unwrap_or_default();
            Some(format!("{host} is {state}{part}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::{SyncStatus, healthy};

    fn missing(goal: &str, change: impl Fn(&mut Status)) -> Option<String> {
        let mut status = healthy();
        change(&mut status);
        goal.parse::<Goal>().unwrap().missing(&status)
    }

    #[test]
    fn a_goal_reads_back_as_it_is_written() {
        for text in ["usable", "primary", "healthy", "all-voting", "synced", "members=3", "members=50"] {
            assert_eq!(text.parse::<Goal>().unwrap().to_string(), text);
        }
        for text in ["", "Primary", "members", "members=", "members=0", "members=51", "members=-1", "members=3x"] {
            assert_eq!(text.parse::<Goal>(), Err(NoGoal), "{text}");
        }
    }

    #[test]
    fn a_healthy_set_has_reached_every_goal() {
        for goal in ["usable", "primary", "healthy", "all-voting", "synced", "members=3"] {
            assert_eq!(missing(goal, |_| {}), None, "{goal}");
        }
    }

    #[test]
    fn each_goal_says_what_it_lacks() {
        let says = |goal, change: &dyn Fn(&mut Status)| missing(goal, change).unwrap();
        for goal in ["primary", "healthy", "all-voting", "synced", "members=3"] {
            assert_eq!(says(goal, &|s| s.primary = None), "there is no primary", "{goal}");
            assert_eq!(says(goal, &|s| s.observed_ms_ago = 31_000), "the newest observation is 31 s old", "{goal}");
        }
        assert_eq!(says("usable", &|s| s.primary = None), "3 of 3 members listed, no primary");
        assert!(says("healthy", &|s| s.health = Health::Degraded).starts_with("degraded: "));
        assert_eq!(says("members=4", &|_| {}), "3 members, and not 4");
        assert_eq!(says("members=2", &|_| {}), "3 members, and not 2");
        assert_eq!(says("all-voting", &|s| s.members[1].awaits_vote = true), "mongo-node2:27017 has no vote yet");
        assert_eq!(says("all-voting", &|s| s.members.clear()), "no members are known");
        let behind = |ms| move |s: &mut Status| s.members[2].lag_ms = ms;
        assert_eq!(says("synced", &behind(Some(12_000))), "mongo-node3:27017 is 12 s behind");
        assert_eq!(says("synced", &behind(None)), "how far mongo-node3:27017 is behind is not known");
        let copies = |s: &mut Status| {
            s.members[1].state = "STARTUP2".to_owned();
            s.members[1].sync = Some(SyncStatus { copied: 62, total: 100, left_ms: None });
        };
        assert_eq!(says("synced", &copies), "mongo-node2:27017 is STARTUP2 (62 %)");
    }

    #[test]
    fn a_delayed_member_and_an_arbiter_are_as_they_should_be() {
        let delayed = |s: &mut Status| (s.members[2].delayed, s.members[2].lag_ms) = (true, Some(3_600_000));
        assert_eq!(missing("synced", delayed), None);
        let arbiter = |s: &mut Status| (s.members[2].state, s.members[2].lag_ms) = ("ARBITER".to_owned(), None);
        assert_eq!(missing("synced", arbiter), None);
    }
}
