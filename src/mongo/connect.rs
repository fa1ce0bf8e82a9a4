//! One direct client per mongod, kept while it is of use.
//!
//! A connection that the gate opens comes before any driver client: it tells refused from silent at once, while the
//! driver would only tell after its server selection timeout, and the driver's own monitor never asks more often than
//! every 500 ms. The client's monitor then takes that connection over.

use super::gate::Gate;
use super::health::{Health, watch};
use super::login::Terms;
use super::peer::{Peer, Stream};
use crate::model::{ProbeError, ProcessId, Proof};
use bson::oid::ObjectId;
use mongodb::Client;
use mongodb::options::ClientOptions;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

/// The driver gives up choosing a server after so long; there is only one to choose from.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// TLS, `hello` and login of the first connection, however slow the way is.
const MEET_LIMIT: Duration = Duration::from_secs(5);

/// A way to ask one mongod, and what was noticed about it.
pub(super) struct Connection {
    pub(super) way: Way,
    gate: Option<Gate>,
    health: Arc<Health>,
}

/// How it can be asked.
#[derive(Clone)]
pub(super) enum Way {
    /// Everything, through the driver.
    Driver(Client, Proof),
    /// `hello` alone: an arbiter that gave no proof. It is called by a name of our own, for its own counts nothing.
    Public(Arc<Mutex<Stream>>, ProcessId),
}

impl Connection {
    /// Makes the peer prove itself, then builds the client. Whatever the client's monitor notices wakes `wake`.
    pub(super) async fn open(
        tcp: TcpStream,
        at: SocketAddr,
        terms: Arc<Terms>,
        wake: Arc<Notify>,
    ) -> Result<Self, ProbeError> {
        let meeting = timeout(MEET_LIMIT, Peer::meet(tcp, at, &terms));
        let peer = meeting.await.unwrap_or(Err(ProbeError::Timeout))?;
        let (health, proof) = (Arc::new(Health::default()), peer.proof);
        if proof == Proof::None {
            let way = Way::Public(Arc::new(Mutex::new(peer.stream)), ProcessId(ObjectId::new()));
            return Ok(Self { way, gate: None, health });
        }
        let broken = |reason: String| ProbeError::Broken(reason);
        let gate = Gate::open(peer, at, terms, Arc::clone(&health)).map_err(|e| broken(e.to_string()))?;
        let mut options = ClientOptions::default();
        options.hosts = vec![gate.address.clone()];
        options.direct_connection = Some(true);
        options.app_name = Some("rsctl".to_owned());
        options.server_selection_timeout = Some(SELECTION_TIMEOUT);
        options.connect_timeout = Some(SELECTION_TIMEOUT);
        // A write that is repeated behind our back could be a second write.
        options.retry_reads = Some(false);
        options.retry_writes = Some(false);
        options.max_pool_size = Some(2);
        options.sdam_event_handler = Some(watch(Arc::clone(&health), wake));
        let client = Client::with_options(options).map_err(|e| broken(e.to_string()))?;
        Ok(Self { way: Way::Driver(client, proof), gate: Some(gate), health })
    }

    /// The monitor has not seen the connection fail.
    pub(super) fn is_sound(&self) -> bool {
        self.health.is_sound()
    }

    /// The other end was closed: a process ended there, or the way to it was torn down.
    pub(super) fn was_closed(&self) -> bool {
        self.health.cause().is_some_and(|cause| cause.is_down())
    }

    /// What the monitor saw, where that is no matter of time.
    pub(super) fn permanent_error(&self) -> Option<ProbeError> {
        use ProbeError as E;
        self.health.cause().filter(|c| matches!(c, E::Tls(_) | E::TooOld(_) | E::Login(_) | E::Unproven(_)))
    }

    /// Why the node could not be asked.
    pub(super) fn explain(&self, error: &mongodb::error::Error) -> ProbeError {
        self.health.explain(error)
    }

    /// Frees sockets and tasks at once; dropping alone leaves them for up to ten seconds. The gate goes last, so that
    /// nobody else can take its name while the driver may still use it.
    pub(super) fn close(self) {
        if let Way::Driver(client, _) = self.way {
            let gate = self.gate;
            tokio::spawn(async move {
                client.shutdown().immediate(true).await;
                drop(gate);
            });
        }
    }
}
