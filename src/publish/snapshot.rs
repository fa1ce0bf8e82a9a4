//! What a running controller publishes.

use super::{Counts, Status};
use crate::model::{Event, Observed};
use crate::plan::Plan;
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
    /// What DNS lists. `None` while it has no good answer.
    pub listing: Option<Listing>,
    /// The history at that time, the newest event last.
    pub history: Arc<[Event]>,
}

impl Snapshot {
    /// A status of this moment, before anything is counted and without a history.
    pub fn new(status: Status) -> Self {
        Self { status, observed_at: Instant::now(), counts: Counts::default(), listing: None, history: [].into() }
    }

    /// The status with its age.
    pub fn status_now(&self) -> Status {
        let observed_ms_ago = self.observed_at.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        Status { observed_ms_ago, ..self.status.clone() }
    }
}

/// What DNS lists, compared with the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The number of tasks.
    pub tasks: usize,
    /// The number of members without a task.
    pub members_missing: usize,
}

impl Listing {
    /// `None` if DNS had no good answer for a service: then absence means nothing.
    pub fn of(observed: &Observed, plan: &Plan) -> Option<Self> {
        let tasks = observed.nodes.values().filter(|node| node.must_answer()).count();
        let is_listed = |host| observed.node(host).is_some_and(|node| node.listed);
        let members = plan.config.iter().flat_map(|config| config.members());
        let members_missing = members.filter(|member| !is_listed(&member.host)).count();
        observed.tasks.is_good().then_some(Self { tasks, members_missing })
    }
}
