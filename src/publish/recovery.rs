//! What is known about a replica set without a primary, as `/v1/status` and `rsctl recover` show it.

use crate::plan::{Directory, Evidence, Missing, Verdict};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// The evidence, and what a recovery can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryStatus {
    /// The ID of the evidence. A request names it, and is executed only while the evidence has the same ID.
    pub evidence: String,
    /// What a recovery can do, in one word.
    pub verdict: VerdictWord,
    /// The number of votes whose data directories are found.
    pub votes: usize,
    /// The number of votes that an election needs.
    pub votes_needed: usize,
    /// The newest write that a majority holds, as far as the nodes know.
    pub committed: Option<String>,
    /// The addresses of the data directories that may have gone back to an older state, because the controller has not
    /// observed them long enough to tell.
    #[serde(default)]
    pub unchecked: Vec<String>,
    /// The data directories that are found, the one with the newest write first.
    pub directories: Vec<DirectoryStatus>,
    /// The voters whose data directories are not found.
    pub missing: Vec<MissingStatus>,
    /// The step of the recovery.
    pub step: Option<String>,
    /// What the step would lose.
    pub lost: Vec<String>,
    /// Why no recovery is possible.
    pub reasons: Vec<String>,
}

/// What a recovery can do, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictWord {
    /// No recovery is needed: there is a primary.
    Primary,
    /// No recovery is needed: the members elect a primary themselves.
    Electing,
    /// A majority of the votes is found, so no acknowledged write is lost. The controller recovers without a request.
    Automatic,
    /// A majority of the votes is found, so no acknowledged write is lost. The controller recovers on request.
    Safe,
    /// A recovery is possible, but it loses writes.
    Loss,
    /// A recovery could lose more than can be shown, so it is refused.
    Refused,
    /// Not enough is known. An unknown word of a later version is read as this one.
    #[serde(other)]
    Unknown,
}

/// One data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryStatus {
    /// The address where it is found.
    pub host: String,
    /// The state of the mongod there.
    pub state: String,
    /// Its ID.
    pub data: Option<String>,
    /// The optime of its newest write.
    pub newest: Option<String>,
    /// The version of the config that it stores.
    pub config_version: Option<i64>,
    /// The `_id` of its member in the config.
    pub member: Option<i64>,
    /// Whether its vote counts.
    pub votes: bool,
}

/// One voter that is not found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingStatus {
    /// Its address in the config.
    pub host: String,
    /// Its `_id` in the config.
    pub member: i64,
    /// The ID of its data directory, if the config names it.
    pub data: Option<String>,
    /// What is found at its address instead.
    pub note: String,
}

impl RecoveryStatus {
    /// Converts the evidence of one observation.
    pub fn of(evidence: &Evidence) -> Self {
        let (verdict, step, lost, reasons) = match &evidence.verdict {
            Verdict::Primary(_) => (VerdictWord::Primary, None, &[][..], &[][..]),
            Verdict::Electing => (VerdictWord::Electing, None, &[][..], &[][..]),
            Verdict::Safe { step, by_itself: true } => (VerdictWord::Automatic, Some(step), &[][..], &[][..]),
            Verdict::Safe { step, by_itself: false } => (VerdictWord::Safe, Some(step), &[][..], &[][..]),
            Verdict::Loss(loss) => (VerdictWord::Loss, Some(&loss.step), &loss.lost[..], &[][..]),
            Verdict::Refused(reasons) => (VerdictWord::Refused, None, &[][..], &reasons[..]),
            Verdict::Unknown(reasons) => (VerdictWord::Unknown, None, &[][..], &reasons[..]),
        };
        let mut directories: Vec<_> = evidence.directories.iter().collect();
        directories.sort_by_key(|d| (Reverse(d.newest), &d.host));
        Self {
            evidence: evidence.id().to_string(),
            verdict,
            votes: evidence.have,
            votes_needed: evidence.need,
            committed: evidence.committed.map(|at| at.to_string()),
            unchecked: evidence.unchecked.iter().map(ToString::to_string).collect(),
            directories: directories.into_iter().map(directory).collect(),
            missing: evidence.missing.iter().map(missing).collect(),
            step: step.map(ToString::to_string),
            lost: lost.iter().map(ToString::to_string).collect(),
            reasons: reasons.iter().map(ToString::to_string).collect(),
        }
    }
}

fn directory(directory: &Directory) -> DirectoryStatus {
    DirectoryStatus {
        host: directory.host.to_string(),
        state: directory.state.to_string(),
        data: directory.data.map(|data| data.to_string()),
        newest: directory.newest.map(|at| at.to_string()),
        config_version: directory.config_version,
        member: directory.member.map(|id| id.0),
        votes: directory.counts,
    }
}

fn missing(missing: &Missing) -> MissingStatus {
    MissingStatus {
        host: missing.host.to_string(),
        member: missing.id.0,
        data: missing.data.map(|data| data.to_string()),
        note: missing.instead.to_string(),
    }
}
