//! The door for orders. Whoever reaches it may change the set, so it listens on loopback only.

use super::{Parameters, Served, accept, line, router};
use crate::model::{Fate, RecoveryOrder, SetName};
use crate::publish::{Snapshot, VerdictWord};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Whoever follows orders.
pub trait TakesOrders: Send + Sync {
    /// Take this member out; called for members only.
    ///
    /// # Errors
    /// When it is not clear which node is meant.
    fn forget(&self, host: &str) -> Result<(), NotForgotten>;
    /// Bring the set back; called for what the newest look showed only.
    fn recover(&self, order: RecoveryOrder);
    /// What became of that order; none of one that is not the newest.
    fn fate(&self, order: &RecoveryOrder) -> Option<Fate>;
}

/// Why an order to leave somebody out is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotForgotten {
    /// What was written is no address.
    #[error("this is no address of a member")]
    NoAddress,
    /// The config has one member there and the directory that answers is another's: either may be meant.
    #[error(
        "another member's data answers at this address just now; ask again when `rsctl status` shows nothing to do"
    )]
    EitherOfTwo,
}

#[derive(Clone)]
struct Door {
    served: Served,
    orders: Arc<dyn TakesOrders>,
}

/// Serves orders, and everything that can be read, until the process ends.
pub async fn serve_orders(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    liveness_limit: Duration,
    orders: Arc<dyn TakesOrders>,
) {
    let served = Served::new(snapshots, liveness_limit, 8, 8);
    let door = Door { served: served.clone(), orders };
    let orders = axum::Router::new()
        .route("/v1/forget", post(forgetting))
        .route("/v1/recover", post(recovering).get(recovered))
        .with_state(door);
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
    match door.orders.forget(&member.host) {
        Ok(()) => line(StatusCode::OK, &member.host),
        Err(error) => line(StatusCode::CONFLICT, &error.to_string()),
    }
}

/// Only what the newest look shows can be ordered. The loop compares once more, with the look on which it acts.
async fn recovering(State(door): State<Door>, query: Parameters) -> Response {
    let Some(order) = recovery_order(&query) else { return what_recover_takes() };
    let status = &door.served.newest().status;
    let Some(recovery) = &status.recovery else {
        return line(StatusCode::CONFLICT, "there is nothing to recover");
    };
    if recovery.evidence != order.evidence.to_string() {
        return line(StatusCode::CONFLICT, "the evidence is no longer what was shown");
    }
    if order.accepts_loss_of.as_ref().is_some_and(|set| set.as_str() != status.set) {
        return line(StatusCode::FORBIDDEN, &format!("the set is called {}", status.set));
    }
    match (recovery.verdict, &order.accepts_loss_of) {
        (VerdictWord::Automatic | VerdictWord::Safe, _) | (VerdictWord::Loss, Some(_)) => {
            door.orders.recover(order);
            line(StatusCode::ACCEPTED, "pending")
        }
        (VerdictWord::Loss, None) => line(StatusCode::FORBIDDEN, "it would lose writes, which nobody has accepted"),
        _ => line(StatusCode::CONFLICT, "there is nothing that could be done"),
    }
}

/// What became of an order.
async fn recovered(State(door): State<Door>, query: Parameters) -> Response {
    let Some(order) = recovery_order(&query) else { return what_recover_takes() };
    match door.orders.fate(&order) {
        Some(fate) => line(StatusCode::OK, &fate.to_string()),
        None => line(StatusCode::NOT_FOUND, "another order has taken its place, or the controller was restarted"),
    }
}

fn recovery_order(query: &Parameters) -> Option<RecoveryOrder> {
    let pairs = query.as_ref().map(|Query(pairs)| pairs.as_slice()).unwrap_or_default();
    let (evidence, accepts_loss_of) = match pairs {
        [(name, evidence)] if name == "evidence" => (evidence, None),
        [(name, evidence), (loss, set)] if name == "evidence" && loss == "accept-data-loss" => {
            (evidence, Some(SetName::new(set)))
        }
        _ => return None,
    };
    Some(RecoveryOrder { evidence: evidence.parse().ok()?, accepts_loss_of })
}

fn what_recover_takes() -> Response {
    line(StatusCode::BAD_REQUEST, "the parameters are ?evidence=ID, and perhaps &accept-data-loss=SET")
}
