//! The admin endpoint. Every client that reaches it can change the replica set, so it listens on loopback only.

use super::{Parameters, Served, accept, line, router};
use crate::admin::AdminEndpoint;
use crate::model::{RecoveryRequest, SetName};
use crate::publish::{Snapshot, VerdictWord};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Clone)]
struct AdminState {
    served: Served,
    requests: Arc<dyn AdminEndpoint>,
}

/// Serves admin requests and all read-only pages until the process ends.
pub async fn serve_admin(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    liveness_limit: Duration,
    requests: Arc<dyn AdminEndpoint>,
) {
    let served = Served::new(snapshots, liveness_limit, 8, 8);
    let endpoint = AdminState { served: served.clone(), requests };
    let requests = axum::Router::new()
        .route("/v1/remove", post(accept_removal))
        .route("/v1/recover", post(recovering).get(recovered))
        .with_state(endpoint);
    match accept(listener, router(served).merge(requests)).await {}
}

async fn accept_removal(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let node = match query.as_ref().map(|Query(pairs)| pairs.as_slice()) {
        Ok([(name, node)]) if name == "node" => node.as_str(),
        _ => return line(StatusCode::BAD_REQUEST, "the one parameter is ?node=HOST:PORT, a member's address"),
    };
    let status = &endpoint.served.newest().status;
    let named = |host: &str| host == node || host.rsplit_once(':').is_some_and(|(name, _)| name == node);
    let Some(member) = status.members.iter().find(|m| named(&m.host)) else {
        let members: Vec<_> = status.members.iter().map(|m| m.host.as_str()).collect();
        return line(StatusCode::NOT_FOUND, &format!("no such member; there are: {}", members.join(", ")));
    };
    match endpoint.requests.remove(&member.host) {
        Ok(()) => line(StatusCode::OK, &member.host),
        Err(error) => line(StatusCode::CONFLICT, &error.to_string()),
    }
}

/// Accepts a recovery only for the evidence of the newest status. The loop compares the evidence again when it acts.
async fn recovering(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let Some(request) = recovery_request(&query) else { return recover_parameters() };
    let status = &endpoint.served.newest().status;
    let Some(recovery) = &status.recovery else {
        return line(StatusCode::CONFLICT, "there is nothing to recover");
    };
    if recovery.evidence != request.evidence.to_string() {
        return line(StatusCode::CONFLICT, "the evidence has changed since it was shown");
    }
    if request.accepts_loss_of.as_ref().is_some_and(|set| set.as_str() != status.set) {
        return line(StatusCode::FORBIDDEN, &format!("the name of the replica set is {}", status.set));
    }
    match (recovery.verdict, &request.accepts_loss_of) {
        (VerdictWord::Automatic | VerdictWord::Safe, _) | (VerdictWord::Loss, Some(_)) => {
            endpoint.requests.recover(request);
            line(StatusCode::ACCEPTED, "pending")
        }
        (VerdictWord::Loss, None) => {
            line(StatusCode::FORBIDDEN, "a recovery would lose writes, and this is not accepted")
        }
        _ => line(StatusCode::CONFLICT, "no recovery is possible"),
    }
}

/// Answers with the state of a request.
async fn recovered(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let Some(request) = recovery_request(&query) else { return recover_parameters() };
    match endpoint.requests.request_state(&request) {
        Some(request_state) => line(StatusCode::OK, &request_state.to_string()),
        None => line(StatusCode::NOT_FOUND, "there is a newer request, or the controller was restarted"),
    }
}

fn recovery_request(query: &Parameters) -> Option<RecoveryRequest> {
    let pairs = query.as_ref().map(|Query(pairs)| pairs.as_slice()).unwrap_or_default();
    let (evidence, accepts_loss_of) = match pairs {
        [(name, evidence)] if name == "evidence" => (evidence, None),
        [(name, evidence), (loss, set)] if name == "evidence" && loss == "accept-data-loss" => {
            (evidence, Some(SetName::new(set)))
        }
        _ => return None,
    };
    Some(RecoveryRequest { evidence: evidence.parse().ok()?, accepts_loss_of })
}

fn recover_parameters() -> Response {
    line(StatusCode::BAD_REQUEST, "the parameters are ?evidence=ID, and optionally &accept-data-loss=SET")
}
