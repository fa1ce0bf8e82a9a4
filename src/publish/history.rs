//! The history, as `/v1/history` and `rsctl history` show it.

use crate::model::Event;
use serde::{Deserialize, Serialize};

/// How many of the newest events a status has.
const LAST: usize = 5;

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventStatus {
    /// When it was, in UTC.
    pub at: String,
    /// The controller that did or saw it, by the name of its machine or container.
    pub by: String,
    /// What was done, or what happened.
    pub what: String,
    /// Why.
    pub why: String,
    /// The config before and after, as a difference.
    pub changes: Vec<String>,
    /// The version of the config that came out of it.
    pub config_version: Option<i64>,
}

impl From<&Event> for EventStatus {
    fn from(event: &Event) -> Self {
        // Whole seconds: clocks of several machines do not agree more than that.
        let at = bson::DateTime::from_millis(event.at_ms.div_euclid(1000) * 1000);
        Self {
            at: at.try_to_rfc3339_string().unwrap_or_default(),
            by: event.by.clone(),
            what: event.what.clone(),
            why: event.why.clone(),
            changes: event.changes.clone(),
            config_version: event.version,
        }
    }
}

/// The newest events, for a status.
pub fn last(history: &[Event]) -> Vec<EventStatus> {
    history[history.len().saturating_sub(LAST)..].iter().map(Into::into).collect()
}

/// The whole history, the newest event last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// The events.
    pub events: Vec<EventStatus>,
}

impl From<&[Event]> for HistoryStatus {
    fn from(history: &[Event]) -> Self {
        Self { events: history.iter().map(Into::into).collect() }
    }
}
