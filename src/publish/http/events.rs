//! `/v1/events`: the status and the URI as they change, as server-sent events.
//!
//! **Invariant:** a client that reads slowly misses what is between two events, and holds up nobody: nothing is kept for
//! it but the event on its way.

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

/// A sign of life, for clients and for whatever stands between.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// While much is going on there is an observation every few milliseconds; nobody needs to read them all.
const GAP: Duration = Duration::from_millis(100);

pub(super) async fn events(State(served): State<Served>, query: Parameters, headers: HeaderMap) -> Response {
    let query = match UriQuery::read(query, headers.get("last-event-id")) {
        Ok(query) if query.waits() => return line(StatusCode::BAD_REQUEST, "the parameters are database and format"),
        Ok(query) => query,
        Err(mistake) => return line(StatusCode::BAD_REQUEST, mistake),
    };
    let Ok(seat) = served.listeners.clone().try_acquire_owned() else {
        return line(StatusCode::SERVICE_UNAVAILABLE, "too many listeners; ask /v1/uri?wait=30s instead");
    };
    let mut snapshots = served.snapshots;
    snapshots.mark_changed();
    let feed =
        Feed { snapshots, query, uri: None, status: None, due: VecDeque::new(), next: Instant::now(), _seat: seat };
    Sse::new(unfold(feed, Feed::next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// What one client has been told, and is to be told.
struct Feed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    query: UriQuery,
    /// The tag of the URI that it has.
    uri: Option<String>,
    /// The status that it has, as JSON without the age.
    status: Option<String>,
    due: VecDeque<Event>,
    next: Instant,
    _seat: OwnedSemaphorePermit,
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
            self.compare(&snapshot.status);
            self.next = Instant::now() + GAP;
        }
    }

    /// Queues what differs. `id` is the tag of the URI, so that a client that comes back does not get it twice.
    fn compare(&mut self, status: &Status) {
        if let Ok(uri) = self.query.answer(status) {
            let tag = tag(&uri);
            if self.uri.as_ref() != Some(&tag) && !(self.uri.is_none() && self.query.knows(&tag)) {
                self.due.push_back(Event::default().event("uri").id(&tag).data(uri.trim_end()));
            }
            self.uri = Some(tag);
        }
        let Ok(json) = serde_json::to_string(status) else { return };
        if self.status.as_ref() != Some(&json) {
            self.due.push_back(Event::default().event("status").data(&json));
            self.status = Some(json);
        }
    }
}
