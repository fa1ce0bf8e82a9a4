//! The admin endpoint. Every client that reaches it can change the replica set, so it listens on loopback only.

use super::connection::{ADMIN, accept};
use super::{Parameters, Served, line, router, without_body};
use crate::admin::{AdminEndpoint, HEADER};
use crate::model::{AddressKind, RecoveryRequest, SetName, SwitchoverId};
use crate::parse::values::pause_length;
use crate::publish::{NameError, Snapshot, Status, VerdictWord};
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::post;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Why there is no state of a request.
const SUPERSEDED: &str = "there is a newer request, or the controller was restarted";

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
    match accept(listener, admin_router(served, requests), ADMIN).await {}
}

pub(super) fn admin_router(served: Served, requests: Arc<dyn AdminEndpoint>) -> Router {
    let endpoint = AdminState { served: served.clone(), requests };
    let requests = Router::new()
        .route("/v1/remove", post(accept_removal))
        .route("/v1/readdress", post(accept_readdressing))
        .route("/v1/switchover", post(accept_switchover).get(switched_over))
        .route("/v1/recover", post(recovering).get(recovered))
        .route_layer(from_fn_with_state(endpoint.clone(), unless_paused))
        .route("/v1/pause", post(accept_pause))
        .route("/v1/resume", post(accept_resume))
        .layer(from_fn(without_body))
        .with_state(endpoint);
    router(served).merge(requests).layer(from_fn(only_from_commands))
}

/// Refuses requests that a web page can send: any page in a browser on this machine reaches loopback.
async fn only_from_commands(request: Request, next: Next) -> Response {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    match refusal(request.headers()) {
        Some(why) if !reads => line(StatusCode::FORBIDDEN, why),
        _ => next.run(request).await,
    }
}

/// Why these headers are not those of an admin request. A browser sends [`HEADER`] to another origin only with the
/// permission of that origin, and this endpoint gives none. The check of `Host` is for names that lead to loopback.
fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    if headers.contains_key(header::ORIGIN) {
        Some("the header Origin shows that a web page sent this: use `rsctl remove` or `rsctl recover`")
    } else if hosts.next().is_some() || !host.is_some_and(|host| is_loopback(host.host())) {
        Some("the header Host must be one loopback address, such as 127.0.0.1:8081, or localhost")
    } else if !headers.contains_key(HEADER) {
        Some("the header `X-Rsctl: 1` is missing: use `rsctl remove` or `rsctl recover`, which send it")
    } else {
        None
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    ip.map_or(host.eq_ignore_ascii_case("localhost"), |ip| ip.to_canonical().is_loopback())
}

async fn accept_removal(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let node = match query.as_ref().map(|Query(pairs)| pairs.as_slice()) {
        Ok([(name, node)]) if name == "node" => node.as_str(),
        _ => {
            return line(
                StatusCode::BAD_REQUEST,
                "the one parameter is ?node=HOST:PORT, a member's address, or its Swarm node",
            );
        }
    };
    let status = &endpoint.served.newest().status;
    let member = match member_of(status, node) {
        Ok(member) => member,
        Err(refusal) => return *refusal,
    };
    match endpoint.requests.remove(member) {
        Ok(()) => line(StatusCode::OK, member),
        Err(error) => line(StatusCode::CONFLICT, &error.to_string()),
    }
}

async fn accept_pause(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let (time, why) = match query.as_ref().map(|Query(pairs)| pairs.as_slice()) {
        Ok([(name, time)]) if name == "for" => (time, ""),
        Ok([(name, time), (reason, why)]) if name == "for" && reason == "reason" => (time, why.as_str()),
        _ => return line(StatusCode::BAD_REQUEST, "the parameters are ?for=TIME, and optionally &reason=TEXT"),
    };
    match pause_length(time) {
        Ok(length) => {
            endpoint.requests.pause(length, why);
            line(StatusCode::ACCEPTED, "paused")
        }
        Err(wanted) => line(StatusCode::BAD_REQUEST, &format!("for: {wanted}")),
    }
}

async fn accept_resume(State(endpoint): State<AdminState>) -> Response {
    endpoint.requests.resume();
    line(StatusCode::ACCEPTED, "resumed")
}

/// Refuses requests that change the set while it is paused, so that none of them waits until nobody expects it.
async fn unless_paused(State(endpoint): State<AdminState>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST && endpoint.served.newest().status.pause.is_some() {
        return line(StatusCode::CONFLICT, "the set is paused: `rsctl resume` ends the pause");
    }
    next.run(request).await
}

/// The address of the member that an operator names, or why it is not clear which one that is.
fn member_of<'s>(status: &'s Status, node: &str) -> Result<&'s str, Box<Response>> {
    status.member_named(node).map(|member| member.host.as_str()).map_err(|error| {
        let code = match error {
            NameError::Unknown(_) => StatusCode::NOT_FOUND,
            NameError::Ambiguous(_) => StatusCode::CONFLICT,
        };
        Box::new(line(code, &error.to_string()))
    })
}

/// Accepts a request against the primary of the newest status. The loop checks who can take over.
async fn accept_switchover(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let pairs = query.as_ref().map(|Query(pairs)| pairs.as_slice()).unwrap_or_default();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let only_asks = value("dry-run") == Some("true");
    if query.is_err() || pairs.iter().any(|(key, _)| key != "to" && key != "dry-run") {
        return line(StatusCode::BAD_REQUEST, "the parameters are ?to=HOST:PORT and &dry-run=true, both optional");
    }
    let status = &endpoint.served.newest().status;
    let to = match value("to").map(|node| member_of(status, node)).transpose() {
        Ok(to) => to,
        Err(refusal) => return *refusal,
    };
    let Some(primary) = &status.primary else {
        return line(
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no primary that could hand over: `rsctl status` shows why",
        );
    };
    if to == Some(primary.as_str()) {
        return line(StatusCode::OK, primary);
    }
    match endpoint.requests.switch_over(primary, to, only_asks) {
        Some(SwitchoverId(id)) => line(StatusCode::ACCEPTED, &id.to_string()),
        None => line(StatusCode::SERVICE_UNAVAILABLE, "the primary is changing just now: ask again in a few seconds"),
    }
}

/// Answers with the state of a request.
async fn switched_over(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let id = match query.as_ref().map(|Query(pairs)| pairs.as_slice()) {
        Ok([(name, id)]) if name == "id" => id.parse().ok(),
        _ => None,
    };
    let Some(id) = id else { return line(StatusCode::BAD_REQUEST, "the one parameter is ?id=NUMBER") };
    match endpoint.requests.switchover_state(SwitchoverId(id)) {
        Some(state) => line(StatusCode::OK, &state.to_string()),
        None => line(StatusCode::NOT_FOUND, SUPERSEDED),
    }
}

async fn accept_readdressing(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let kind = match query.as_ref().map(|Query(pairs)| pairs.as_slice()) {
        Ok([(name, word)]) if name == "to" => AddressKind::CHOICES.iter().find(|(choice, _)| choice == word),
        _ => None,
    };
    let Some((word, kind)) = kind else {
        return line(StatusCode::BAD_REQUEST, "the one parameter is ?to=names or ?to=ips");
    };
    endpoint.requests.readdress(*kind);
    line(StatusCode::ACCEPTED, word)
}

/// Accepts a recovery only for the evidence of the newest status. The loop compares the evidence again when it acts.
async fn recovering(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let Some(request) = recovery_request(&query) else { return recover_parameters() };
    let status = &endpoint.served.newest().status;
    let Some(recovery) = &status.recovery else {
        return line(StatusCode::CONFLICT, "there is nothing to recover: see `rsctl status`");
    };
    if recovery.evidence != request.evidence.to_string() {
        return line(StatusCode::CONFLICT, "the evidence has changed since it was shown: run `rsctl recover` again");
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
        _ => line(StatusCode::CONFLICT, "no recovery is possible: `rsctl recover` shows why"),
    }
}

/// Answers with the state of a request.
async fn recovered(State(endpoint): State<AdminState>, query: Parameters) -> Response {
    let Some(request) = recovery_request(&query) else { return recover_parameters() };
    match endpoint.requests.request_state(&request) {
        Some(request_state) => line(StatusCode::OK, &request_state.to_string()),
        None => line(StatusCode::NOT_FOUND, SUPERSEDED),
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
