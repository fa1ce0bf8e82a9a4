//! The door for orders. Whoever reaches it may change the set, so it listens on loopback only.

use super::{Parameters, Served, accept, line, router};
use crate::publish::Snapshot;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Takes a member's address; called for members only.
pub type Forget = Arc<dyn Fn(String) + Send + Sync>;

#[derive(Clone)]
struct Door {
    served: Served,
    forget: Forget,
}

/// Serves orders, and everything that can be read, until the process ends.
pub async fn serve_orders(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    liveness_limit: Duration,
    forget: Forget,
) {
    let served = Served::new(snapshots, liveness_limit, 8, 8);
    let door = Door { served: served.clone(), forget };
    let orders = axum::Router::new().route("/v1/forget", post(forgetting)).with_state(door);
    match accept(listener, router(served).merge(orders)).await {}
}

async fn forgetting(State(door): State<Door>, query: Parameters) -> Response {
    let node = match query.as_ref().map(|Query(pairs)| pairs.as_slice()) {
        Ok([(name, node)]) if name == "node" => node.as_str(),
        _ => return line(StatusCode::BAD_REQUEST, "the one parameter is ?node=HOST:PORT, a member's address"),
    };
    let status = &door.served.newest().status;
    let named = |host: &str| host == node || host.rsplit_once(':').is_some_and(|(name, _)| name == node);
    let Some(member) = status.members.iter().find(|m| named(&m.host)) else {
        let members: Vec<_> = status.members.iter().map(|m| m.host.as_str()).collect();
        return line(StatusCode::NOT_FOUND, &format!("no such member; there are: {}", members.join(", ")));
    };
    (door.forget)(member.host.clone());
    line(StatusCode::OK, &member.host)
}
