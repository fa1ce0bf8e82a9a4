//! The state of one address: connected, connecting, or not asked for a moment.

use super::aside::Aside;
use super::connect::{Connection, Way};
use super::login::Terms;
use super::{COMMAND_LIMIT, Mongods, peer, probe};
use crate::model::ProbeError;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// The time limit for a new connection after the other end has just closed the previous one.
const REOPEN_LIMIT: Duration = Duration::from_millis(50);
/// How long rsctl does not ask a node that did not prove itself. A check of a proof costs rsctl more than a false
/// answer costs the peer.
const UNPROVEN_PAUSE: Duration = Duration::from_secs(1);

/// One address: its connection, and the facts that are asked once per process.
#[derive(Default)]
pub(super) struct Node {
    pub(super) slot: tokio::sync::Mutex<Slot>,
    /// The other end closed the last connection, and no probe has reported that yet.
    pub(super) closed: AtomicBool,
    pub(super) known: Mutex<Option<probe::Constant>>,
    pub(super) aside: Mutex<Aside>,
}

/// The connection of one address.
#[derive(Default)]
pub(super) enum Slot {
    #[default]
    Empty,
    /// The peer accepted a connection, and its proof is in progress. The time limit of a probe does not restart it.
    Opening(JoinHandle<Result<Connection, ProbeError>>),
    Open(Connection),
    /// The peer did not prove itself at this time, for this reason.
    Unproven(Instant, ProbeError),
}

impl Slot {
    pub(super) fn open(&self) -> Option<&Connection> {
        match self {
            Self::Open(connection) => Some(connection),
            Self::Empty | Self::Opening(_) | Self::Unproven(..) => None,
        }
    }

    /// Closes the connection or stops the attempt.
    pub(super) fn clear(&mut self) {
        match std::mem::take(self) {
            Self::Open(connection) => connection.close(),
            Self::Opening(task) => task.abort(),
            Self::Empty | Self::Unproven(..) => {}
        }
    }

    /// Waits until the peer has proved itself, or until that has failed.
    async fn settle(&mut self) -> Result<(), ProbeError> {
        let Self::Opening(task) = self else { return Ok(()) };
        let opened = task.await.unwrap_or_else(|e| Err(ProbeError::Broken(e.to_string())));
        *self = match &opened {
            Err(error @ (ProbeError::Unproven(_) | ProbeError::Login(_))) => {
                Self::Unproven(Instant::now(), error.clone())
            }
            _ => Self::Empty,
        };
        *self = Self::Open(opened?);
        Ok(())
    }
}

impl Node {
    async fn way(&self, at: SocketAddr, terms: &Arc<Terms>, wake: &Arc<Notify>) -> Result<Way, ProbeError> {
        let mut slot = self.slot.lock().await;
        if let Slot::Opening(task) = &*slot
            && task.is_finished()
        {
            // No probe waited for this result, so a failure is old. The connection is tried again.
            let _ = slot.settle().await;
        }
        if let Some(broken) = slot.open().filter(|c| !c.is_sound()) {
            self.closed.store(broken.was_closed(), Ordering::Release);
            slot.clear();
        }
        match &*slot {
            Slot::Unproven(since, error) if since.elapsed() < UNPROVEN_PAUSE => return Err(error.clone()),
            Slot::Empty | Slot::Unproven(..) => {
                // An address that was alive a moment ago answers at once. If its container is gone, it never answers.
                let limit = if self.closed.load(Ordering::Acquire) { REOPEN_LIMIT } else { COMMAND_LIMIT };
                let tcp = timeout(limit, peer::dial(at)).await.unwrap_or(Err(ProbeError::Timeout))?;
                let opening = Connection::open(tcp, at, Arc::clone(terms), Arc::clone(wake));
                *slot = Slot::Opening(tokio::spawn(opening));
            }
            Slot::Opening(_) | Slot::Open(_) => {}
        }
        slot.settle().await?;
        slot.open().map(|c| c.way.clone()).ok_or(ProbeError::Timeout)
    }
}

impl Mongods {
    pub(super) fn node(&self, at: SocketAddr) -> Arc<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(nodes.entry(at).or_default())
    }

    /// A sound connection to the address. It is opened if there is none.
    pub(super) async fn way(&self, at: SocketAddr) -> Result<Way, ProbeError> {
        self.node(at).way(at, &self.terms, &self.wake).await
    }

    /// A client for the address. An arbiter without a proof has none: rsctl sends it only `hello`.
    pub(super) async fn client(&self, at: SocketAddr) -> Result<mongodb::Client, ProbeError> {
        match self.way(at).await? {
            Way::Driver(client, _) => Ok(client),
            Way::Public(..) => Err(ProbeError::Unproven("it is an arbiter, so no user can log in to it".to_owned())),
        }
    }

    /// Turns a failed question into a fact about the node, and closes the connection.
    pub(super) async fn give_up(&self, at: SocketAddr, error: &mongodb::error::Error) -> ProbeError {
        let node = self.node(at);
        let mut slot = node.slot.lock().await;
        let reason = slot.open().map_or(ProbeError::Closed, |c| c.explain(error));
        slot.clear();
        reason
    }

    pub(super) async fn let_go(&self, at: SocketAddr) {
        self.node(at).slot.lock().await.clear();
    }
}
