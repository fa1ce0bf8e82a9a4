//! A pause, as a status shows it.

use crate::model::Pause;
use serde::{Deserialize, Serialize};

/// A pause that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseStatus {
    /// For how long it still lasts, in milliseconds.
    pub left_ms: u64,
    /// Why, in the operator's words. It may be empty.
    pub reason: String,
    /// How many members keep it.
    pub kept_by: usize,
}

impl From<&Pause> for PauseStatus {
    fn from(Pause { word, left, kept_by }: &Pause) -> Self {
        Self {
            left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            reason: word.why().to_owned(),
            kept_by: *kept_by,
        }
    }
}
