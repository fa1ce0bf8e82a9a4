//! What is known of a set that has no primary, as `/v1/status` and `rsctl recover` show it.

use crate::plan::{Directory, Evidence, Missing, Verdict};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// The evidence, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryStatus {
    /// The evidence's name: a request repeats it, and is followed only as long as it holds.
    pub evidence: String,
    /// What can be done, in one word.
    pub verdict: VerdictWord,
    /// Votes that are in hand.
    pub votes: usize,
    /// Votes that an election takes.
    pub votes_needed: usize,
    /// The newest write that anybody here knows a majority to hold.
    pub committed: Option<String>,
    /// The data directories that answer, the newest write first.
    pub directories: Vec<DirectoryStatus>,
    /// Voters that are not found.
    pub missing: Vec<MissingStatus>,
    /// What would be done.
    pub step: Option<String>,
    /// What would be lost by it.
    pub lost: Vec<String>,
    /// Why nothing can be done.
    pub reasons: Vec<String>,
}

/// What can be done, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictWord {
    /// Nothing is needed: somebody takes writes.
    Primary,
    /// The members elect a primary by themselves.
    Electing,
    /// A majority of the data is at hand: it can be brought back without loss, and the controller is about to.
    Automatic,
    /// The same, when it is ordered.
    Safe,
    /// It can be brought back, with a loss of writes.
    Loss,
    /// It could be done, but might lose more than can be shown.
    Refused,
    /// Not enough is known. A word of a later version reads as this one too.
    #[serde(other)]
    Unknown,
}

/// One data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryStatus {
    /// Where it answers.
    pub host: String,
    /// As what.
    pub state: String,
    /// Its identity.
    pub data: Option<String>,
    /// Its newest write.
    pub newest: Option<String>,
    /// The version of the config that it stores.
    pub config_version: Option<i64>,
    /// The `_id` of the member that it is.
    pub member: Option<i64>,
    /// Its vote counts.
    pub votes: bool,
}

/// One voter that is not found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingStatus {
    /// Its address in the config.
    pub host: String,
    /// Its `_id` in the config.
    pub member: i64,
    /// Its data directory, where the config names it.
    pub data: Option<String>,
    /// What is found there instead.
    pub note: String,
}

impl RecoveryStatus {
    /// The evidence of one observation.
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
            directories: directories.into_iter().map(directory).collect(),
            missing: evidence.missing.iter().map(missing).collect(),
            step: step.map(ToString::to_string),
            lost: lost.to_vec(),
            reasons: reasons.to_vec(),
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
        note: missing.instead.clone(),
    }
}
