//! What a running controller publishes.

use super::{Counts, Status};
use crate::model::Event;
use std::sync::Arc;
use tokio::time::Instant;

/// The newest observation of a running controller. A `watch` channel carries it to the HTTP servers.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The status. Its `observed_ms_ago` is set when it is served.
    pub status: Status,
    /// The time of the observation.
    pub observed_at: Instant,
    /// The counters at that time.
    pub counts: Counts,
    /// The history at that time, the newest event last.
    pub history: Arc<[Event]>,
}

impl Snapshot {
    /// A status of this moment, before anything is counted and without a history.
    pub fn new(status: Status) -> Self {
        Self { status, observed_at: Instant::now(), counts: Counts::default(), history: [].into() }
    }

    /// The status with its age.
    pub fn status_now(&self) -> Status {
        let observed_ms_ago = self.observed_at.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        Status { observed_ms_ago, ..self.status.clone() }
    }
}
