//! `/v1/events`: the changes of the status and the URI, as server-sent events.
//!
//! **Invariant:** a client that reads slowly misses changes between two events, and delays no other client. Only the next
//! events are kept for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::uri::{UriQuery, tag};
use super::{Parameters, Served, line};
use crate::publish::{Snapshot, Status};

/// The interval of keep-alive comments, for clients and for proxies.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The shortest time between two events. During changes there is an observation every few milliseconds.
const GAP: Duration = Duration::from_millis(100);

pub(super) async fn events(State(served): State<Served>, query: Parameters, headers: HeaderMap) -> Response {
    let query = match UriQuery::read(query, headers.get("last-event-id")) {
        Ok(query) if query.polls() => return line(StatusCode::BAD_REQUEST, "the parameters are database and format"),
        Ok(query) => query,
        Err(mistake) => return line(StatusCode::BAD_REQUEST, mistake),
    };
    let Ok(permit) = served.listeners.clone().try_acquire_owned() else {
        return line(StatusCode::SERVICE_UNAVAILABLE, "too many listeners; ask /v1/uri?wait=30s instead");
    };
    let mut snapshots = served.snapshots;
    snapshots.mark_changed();
    let feed =
        Feed { snapshots, query, uri: None, status: None, due: VecDeque::new(), next: Instant::now(), _permit: permit };
    Sse::new(unfold(feed, Feed::next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// What one client has, and what it gets next.
struct Feed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    query: UriQuery,
    /// The tag of the URI that it has.
    uri: Option<String>,
    /// The status that it has, without the age.
    status: Option<Status>,
    due: VecDeque<Event>,
    next: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Some((Ok(event), self));
            }
            sleep_until(self.next).await;
            self.snapshots.changed().await.ok()?;
            let snapshot = self.snapshots.borrow_and_update().clone();
            self.compare(&snapshot);
            self.next = Instant::now() + GAP;
        }
    }

    /// Queues an event for each change. The ID of an event is the tag of the URI, so that a client that connects again
    /// does not get the same URI twice.
    fn compare(&mut self, snapshot: &Snapshot) {
        let status = &snapshot.status;
        if let Ok(uri) = self.query.answer(status) {
            let tag = tag(&uri);
            if self.uri.as_ref() != Some(&tag) && !(self.uri.is_none() && self.query.knows(&tag)) {
                self.due.push_back(Event::default().event("uri").id(&tag).data(uri.trim_end()));
            }
            self.uri = Some(tag);
        }
        if self.status.as_ref() != Some(status) {
            let Ok(json) = serde_json::to_string(&snapshot.status_now()) else { return };
            self.due.push_back(Event::default().event("status").data(json));
            self.status = Some(status.clone());
        }
    }
}
