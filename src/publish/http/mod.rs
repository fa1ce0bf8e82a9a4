//! The read-only HTTP side: the status page, health, readiness, status, the URI, and checks for load balancers.
//!
//! **Invariant:** every answer is made from the newest snapshot. No request reaches a node, changes anything, or delays
//! the controller.

mod admin;
mod connection;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod metrics;
mod page;
mod roles;
mod token;
mod uri;

pub use admin::serve_admin;
pub use connection::listen;
pub use token::Guard;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::{HistoryStatus, Snapshot};

/// The largest number of requests that wait for a change. The other connections are for requests that do not wait.
const POLLERS_MAX: usize = 320;
/// The largest number of clients of `/v1/events`.
const LISTENERS_MAX: usize = 64;

const INDEX: &str = "\
rsctl creates, monitors and repairs a MongoDB replica set on Docker Swarm. A browser gets its status page here.

/healthz      200 while the controller observes the replica set
/readyz       200 if applications can start
/v1/status    the replica set and its members, as JSON
/v1/history   what was done to it, as JSON
/v1/uri       the connection URI; ?database=NAME, ?format=uri|hosts|seed-list|env|json,
              ?wait=30s to wait until it differs from If-None-Match,
              ?primary=true to answer only while there is a primary
/v1/events    the changes of both, as server-sent events
/metrics      metrics for Prometheus
/primary      ?host=HOST:PORT, 200 if that member is the primary
/replica      the same for a secondary; &lag=10s is the largest accepted lag
/read-only    the same for either
";

#[derive(Clone)]
struct Served {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    liveness_limit: Duration,
    pollers: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
}

/// Serves until `shutdown`, then closes all connections. The controller counts as stuck when the newest observation is
/// older than `liveness_limit`. With a guard, only role checks and health need no token.
pub async fn serve(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    liveness_limit: Duration,
    guard: Option<Guard>,
    shutdown: impl Future<Output = ()>,
) {
    let router = router(Served::new(snapshots, liveness_limit, POLLERS_MAX, LISTENERS_MAX));
    let router = router.layer(from_fn_with_state(guard, token::demand));
    tokio::select! {
        never = connection::accept(listener, router, connection::PUBLIC) => match never {},
        () = shutdown => {}
    }
}

fn router(served: Served) -> Router {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { page::page_or(INDEX, &headers) }))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/v1/status", get(status))
        .route("/v1/history", get(history))
        .route("/v1/uri", get(uri::uri))
        .route("/v1/events", get(events::events))
        .route("/metrics", get(metrics::metrics))
        .merge(roles::routes())
        .merge(page::routes())
        .fallback(|| async { line(StatusCode::NOT_FOUND, "no such page; / lists all pages") })
        .method_not_allowed_fallback(|| async { line(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD") })
        .layer(from_fn(without_body))
        .with_state(served)
}

/// No page takes a body, so none is read.
async fn without_body(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    ([(header::CONNECTION, "close")], line(StatusCode::PAYLOAD_TOO_LARGE, "requests have no body")).into_response()
}

impl Served {
    fn new(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        liveness_limit: Duration,
        pollers: usize,
        listeners: usize,
    ) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        Self { snapshots, liveness_limit, pollers: permits(pollers), listeners: permits(listeners) }
    }

    fn newest(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// Why the newest observation is too old, or `None` if it is not.
    fn stale(&self) -> Option<String> {
        let age = self.newest().observed_at.elapsed();
        let limit = self.liveness_limit;
        (age >= limit).then(|| format!("the newest observation is {age:.1?} old, the limit is {limit:?}"))
    }
}

async fn healthz(State(served): State<Served>) -> Response {
    match served.stale() {
        None => line(StatusCode::OK, "ok"),
        Some(why) => line(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

async fn readyz(State(served): State<Served>) -> Response {
    match served.stale().or_else(|| served.newest().status.missing()) {
        None => line(StatusCode::OK, "ready"),
        Some(why) => line(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

async fn status(State(served): State<Served>) -> Response {
    json(&served.newest().status_now())
}

async fn history(State(served): State<Served>) -> Response {
    json(&HistoryStatus::from(&*served.newest().history))
}

fn json(answer: &impl serde::Serialize) -> Response {
    match serde_json::to_string(answer) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json + "\n").into_response(),
        Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, &format!("cannot write the answer: {error}")),
    }
}

/// The parameters of a request. Each page checks them itself.
type Parameters = Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>;

/// An answer of one line of text.
fn line(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

#[cfg(test)]
mod tests;
