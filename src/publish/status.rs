//! The status after one observation, as `/v1/status` and `rsctl status` show it.

use super::{CertificateStatus, EventStatus, MarginStatus, PauseStatus, RecoveryStatus};
use crate::connection_string::Endpoint;
use crate::model::{Host, SetName};
use serde::{Deserialize, Serialize};

/// The replica set, its members, and what the controller does next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The name of the replica set.
    pub set: String,
    /// `settings.replicaSetId` of the config. `None` before the replica set is initiated.
    pub replica_set_id: Option<String>,
    /// The health of the replica set in one word.
    pub health: Health,
    /// The state of the set in one sentence.
    #[serde(default)]
    pub verdict: String,
    /// Why no controller watches the set, if a command made this status by itself. `None` in a controller's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unattended: Option<String>,
    /// A pause that lasts: no controller changes the set.
    #[serde(default)]
    pub pause: Option<PauseStatus>,
    /// The primary, as `host:port`.
    pub primary: Option<String>,
    /// For how long that member has been the primary, in milliseconds. `None` if it does not say so.
    #[serde(default)]
    pub primary_ms: Option<u64>,
    /// The voters, and how many of them the set can lose. `None` while there is no primary.
    #[serde(default)]
    pub margin: Option<MarginStatus>,
    /// The election term.
    pub term: Option<i64>,
    /// The version of the replica set config.
    pub config_version: Option<i64>,
    /// The feature compatibility version: the release of MongoDB that the replica set behaves as. `None` if it is unknown.
    #[serde(default)]
    pub feature_version: Option<String>,
    /// The published seed list: the data-bearing members of the config that are not hidden, sorted.
    pub seeds: Vec<String>,
    /// The number of members that the operator expects (`--expect`).
    pub expect: usize,
    /// The members of the config.
    pub members: Vec<MemberStatus>,
    /// Tasks of the service that are not members.
    pub others: Vec<OtherStatus>,
    /// The next step. `nothing` if there is nothing to do.
    pub next: String,
    /// The reason for the next step.
    pub because: String,
    /// The next steps, as far as they can be predicted. The first one is `next`.
    #[serde(default)]
    pub steps: Vec<StepStatus>,
    /// The conditions that the controller waits for.
    pub waiting: Vec<String>,
    /// Problems that an operator should know.
    pub findings: Vec<FindingStatus>,
    /// The certificates of rsctl and of the nodes. Empty without TLS.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// The newest events of the history, the newest one last.
    #[serde(default)]
    pub history: Vec<EventStatus>,
    /// While there is no primary: the evidence, and what `rsctl recover` would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryStatus>,
    /// The age of the observation in milliseconds when it is served.
    pub observed_ms_ago: u64,
}

/// A step with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStatus {
    /// The step.
    pub step: String,
    /// The reason.
    pub because: String,
}

/// The health of the replica set in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// There is a primary, every member is healthy, and there is nothing to do or to wait for.
    Ok,
    /// There is a primary, but something is not as it should be yet: a member is not healthy, there is a step to do or
    /// something to wait for, or there is an error-level finding.
    Degraded,
    /// There is no primary.
    NoPrimary,
    /// The replica set is not initiated.
    Uninitiated,
    /// The state is unknown. An unknown word of a later version is read as this one.
    #[serde(other)]
    Unknown,
}

/// One member of the config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its `_id` in the config.
    pub id: i64,
    /// Its address in the config.
    pub host: String,
    /// The `IP:port` of that address in this observation. `None` if its name did not resolve.
    #[serde(default)]
    pub address: Option<String>,
    /// The Swarm node that it runs on. `None` unless its host name tells it.
    #[serde(default)]
    pub node: Option<String>,
    /// MongoDB's name for its state, or `UNREACHABLE`.
    pub state: String,
    /// Its votes in the config.
    pub votes: u8,
    /// Whether it gets a vote when it holds the data.
    #[serde(default)]
    pub awaits_vote: bool,
    /// Its priority in the config.
    pub priority: f64,
    /// Whether it applies writes late on purpose.
    #[serde(default)]
    pub delayed: bool,
    /// Whether it has a state that fits its role in the config, and the primary receives its heartbeats.
    pub healthy: bool,
    /// For how long it has been seen in this state, in milliseconds. `None` while it does not answer.
    #[serde(default)]
    pub state_ms: Option<u64>,
    /// The member that it copies writes from, as it says, as `host:port`. `None` if it copies from none, or does not answer.
    #[serde(default)]
    pub sync_source: Option<String>,
    /// How far it is behind the primary, in milliseconds. `None` if this is unknown.
    pub lag_ms: Option<u64>,
    /// How far back its oplog reaches, in milliseconds. `None` if this is unknown.
    #[serde(default)]
    pub oplog_ms: Option<u64>,
    /// How far its initial sync is. `None` outside an initial sync, or if this is unknown.
    #[serde(default)]
    pub sync: Option<SyncStatus>,
    /// Anything special about it.
    pub note: Option<String>,
}

/// The progress of an initial sync, as the server estimates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// Bytes that are copied.
    pub copied: u64,
    /// Bytes that are to be copied.
    pub total: u64,
    /// The time that is left, in milliseconds. `None` if this is unknown.
    pub left_ms: Option<u64>,
}

impl SyncStatus {
    /// The part that is copied, in percent.
    pub fn percent(&self) -> u8 {
        let percent = (u128::from(self.copied) * 100).checked_div(self.total.into()).unwrap_or_default();
        percent.min(100).try_into().unwrap_or(100)
    }
}

/// A task that is not a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherStatus {
    /// The name that leads to it, or else its address.
    pub host: String,
    /// Its `IP:port`.
    #[serde(default)]
    pub address: Option<String>,
    /// The state of the mongod there.
    pub state: String,
    /// An explanation.
    pub note: Option<String>,
}

/// A problem that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingStatus {
    /// Its level.
    pub severity: FindingLevel,
    /// One line that says what is wrong and what to do.
    pub text: String,
}

/// The level of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingLevel {
    /// The replica set works, but the finding should be fixed.
    Warning,
    /// An operator must act. An unknown word of a later version is read as this one.
    #[serde(other)]
    Error,
}

/// Why a status has no connection string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedsError {
    /// The replica set does not exist yet, or no node that answers knows its config.
    #[error("no members are known")]
    NoSeeds,
    /// Every machine means itself by the addresses of the members.
    #[error("the members have only local addresses ({0}), which lead nowhere from another machine: see `rsctl status`")]
    Local(String),
    /// A set name or an address is not valid. The answer does not come from an rsctl controller.
    #[error("the answer holds no usable addresses")]
    Invalid,
}

impl Status {
    /// The status before the first observation.
    pub fn before_any_observation(set: &SetName, expect: usize) -> Self {
        Self {
            set: set.to_string(),
            replica_set_id: None,
            health: Health::Unknown,
            verdict: "unknown: the first observation is not complete".to_owned(),
            unattended: None,
            pause: None,
            primary: None,
            primary_ms: None,
            margin: None,
            term: None,
            config_version: None,
            feature_version: None,
            seeds: Vec::new(),
            expect,
            members: Vec::new(),
            others: Vec::new(),
            next: "nothing".to_owned(),
            because: "the first observation is not complete".to_owned(),
            steps: Vec::new(),
            waiting: Vec::new(),
            findings: Vec::new(),
            certificates: Vec::new(),
            history: Vec::new(),
            recovery: None,
            observed_ms_ago: 0,
        }
    }

    /// Whether applications can start: there is a primary, and the seed list is complete.
    ///
    /// A complete list has `expect` seeds, or fewer if no other task is left that could join. A replica set that was
    /// scaled down, or that has an arbiter, must not make applications wait forever.
    pub fn ready(&self) -> bool {
        self.primary.is_some() && !self.seeds.is_empty() && self.seeds.len() >= self.seeds_wanted()
    }

    /// What is missing until applications can start, in one line. `None` if they can start.
    pub fn missing(&self) -> Option<String> {
        if self.ready() {
            return None;
        }
        let primary = if self.primary.is_some() { "" } else { ", no primary" };
        Some(format!("{} of {} members listed{primary}", self.seeds.len(), self.seeds_wanted().max(1)))
    }

    /// Where to connect when applications can start.
    ///
    /// # Errors
    ///
    /// What is missing until they can, in one line.
    pub fn usable(&self) -> Result<Endpoint, String> {
        self.missing().map_or_else(|| self.endpoint().map_err(|error| error.to_string()), Err)
    }

    /// Where to connect, according to the published seed list. The status may come from the network, so every part is
    /// checked.
    ///
    /// # Errors
    ///
    /// There is no seed, or a name or address is not valid.
    pub fn endpoint(&self) -> Result<Endpoint, SeedsError> {
        let set = self.set.parse().map_err(|_| SeedsError::Invalid)?;
        let hosts: Result<Vec<Host>, _> = self.seeds.iter().map(|seed| seed.parse()).collect();
        Endpoint::new(set, hosts.map_err(|_| SeedsError::Invalid)?).ok_or_else(|| self.no_seeds())
    }

    fn no_seeds(&self) -> SeedsError {
        let hosts: Vec<Host> = self.members.iter().filter_map(|m| m.host.parse().ok()).collect();
        let local: Vec<String> = hosts.iter().filter(|host| host.is_local()).map(Host::to_string).collect();
        if local.is_empty() { SeedsError::NoSeeds } else { SeedsError::Local(local.join(", ")) }
    }

    fn seeds_wanted(&self) -> usize {
        let before_any_set = self.seeds.is_empty();
        if before_any_set { self.expect } else { self.expect.min(self.seeds.len() + self.others.len()) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Three members, of which the first is primary.
    pub(crate) fn healthy() -> Status {
        let hosts = ["mongo-node1:27017", "mongo-node2:27017", "mongo-node3:27017"];
        let member = |(id, host): (usize, &&str)| MemberStatus {
            id: id as i64,
            host: (*host).to_owned(),
            address: Some(format!("10.0.1.{}:27017", id + 1)),
            node: Some(format!("node{}", id + 1)),
            state: if id == 0 { "PRIMARY" } else { "SECONDARY" }.to_owned(),
            votes: 1,
            awaits_vote: false,
            priority: 1.0,
            delayed: false,
            healthy: true,
            state_ms: Some(7_200_000),
            sync_source: (id > 0).then(|| hosts[0].to_owned()),
            lag_ms: (id > 0).then_some(0),
            oplog_ms: Some(93_600_000),
            sync: None,
            note: None,
        };
        Status {
            set: "rs".to_owned(),
            replica_set_id: Some("652f9f4e1c2d3e4f5a6b7c8d".to_owned()),
            health: Health::Ok,
            verdict: "healthy: can lose 1 more member".to_owned(),
            unattended: None,
            pause: None,
            margin: Some(MarginStatus { voters: 3, live: 3, majority: 2, can_lose: 1 }),
            primary: Some(hosts[0].to_owned()),
            primary_ms: Some(7_260_000),
            term: Some(3),
            config_version: Some(5),
            feature_version: Some("6.0".to_owned()),
            seeds: hosts.map(str::to_owned).into(),
            expect: 3,
            members: hosts.iter().enumerate().map(member).collect(),
            others: vec![],
            next: "nothing".to_owned(),
            because: "the set is as it should be".to_owned(),
            steps: vec![],
            waiting: vec![],
            findings: vec![],
            certificates: vec![],
            history: vec![],
            recovery: None,
            observed_ms_ago: 0,
        }
    }

    fn not_a_controller() -> OtherStatus {
        OtherStatus { host: "10.0.1.9:27017".to_owned(), address: None, state: "blank".to_owned(), note: None }
    }

    #[test]
    fn a_complete_set_with_a_primary_is_ready() {
        assert!(healthy().ready());
        assert_eq!(healthy().missing(), None);
    }

    #[test]
    fn without_a_primary_nothing_is_ready() {
        let status = Status { primary: None, ..healthy() };
        assert_eq!(status.missing().unwrap(), "3 of 3 members listed, no primary");
    }

    #[test]
    fn a_set_that_still_grows_is_not_ready() {
        let status =
            Status { seeds: vec!["a:1".into()], others: vec![not_a_controller(), not_a_controller()], ..healthy() };
        assert_eq!(status.missing().unwrap(), "1 of 3 members listed");
    }

    #[test]
    fn a_set_that_cannot_grow_is_ready_as_it_is() {
        let status = Status { seeds: vec!["a:1".into(), "b:1".into()], ..healthy() };
        assert!(status.ready());
    }

    #[test]
    fn before_there_is_a_set_all_are_missing() {
        let status = Status { seeds: vec![], primary: None, ..healthy() };
        assert_eq!(status.missing().unwrap(), "0 of 3 members listed, no primary");
    }

    #[test]
    fn an_invalid_seed_makes_no_connection_string() {
        let status = |seeds: &[&str]| Status { seeds: seeds.iter().map(|s| (*s).to_owned()).collect(), ..healthy() };
        assert_eq!(status(&["a:1/?x"]).endpoint(), Err(SeedsError::Invalid));
        assert_eq!(status(&[]).endpoint(), Err(SeedsError::NoSeeds));
        assert_eq!(Status { set: "a/b".to_owned(), ..healthy() }.endpoint(), Err(SeedsError::Invalid));
    }

    #[test]
    fn words_of_a_later_version_are_read_with_care() {
        assert_eq!(serde_json::from_str::<Health>("\"splendid\"").unwrap(), Health::Unknown);
        assert_eq!(serde_json::from_str::<Health>("\"no-primary\"").unwrap(), Health::NoPrimary);
        assert_eq!(serde_json::from_str::<FindingLevel>("\"fatal\"").unwrap(), FindingLevel::Error);
    }
}
