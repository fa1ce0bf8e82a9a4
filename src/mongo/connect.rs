//! One direct client per mongod, which lives as long as it is in use.
//!
//! rsctl opens a TCP connection before it builds a driver client. This connection shows at once whether the port is
//! closed or silent. The driver reports that only after its server selection timeout, and its own monitor does not
//! check more often than every 500 ms. The gate then gives this connection to the client's monitor.

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

/// The time limit for the driver's server selection. There is only one server to select.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// The time limit for TLS, `hello` and login of the first connection, also on a slow network.
const MEET_LIMIT: Duration = Duration::from_secs(5);
/// The driver closes a connection that was not used for so long. Observations use one all the time. A second one, which
/// is rarely needed, would cost two packets every three seconds for the kernel's keepalive.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A connection to one mongod, with the failures that were seen on it.
pub(super) struct Connection {
    pub(super) way: Way,
    gate: Option<Gate>,
    health: Arc<Health>,
}

/// How rsctl can ask the mongod.
#[derive(Clone)]
pub(super) enum Way {
    /// All commands, through the driver.
    Driver(Client, Proof),
    /// `hello` only, for an arbiter that gave no proof. The process id is one that rsctl made, because an id without a
    /// proof does not count.
    Public(Arc<Mutex<Stream>>, ProcessId),
}

impl Connection {
    /// Lets the peer prove itself, then builds the client. Every event of the client's monitor notifies `wake`.
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
        // The driver must not repeat a write, because the repetition can be a second write.
        options.retry_reads = Some(false);
        options.retry_writes = Some(false);
        options.max_pool_size = Some(2);
        options.max_idle_time = Some(IDLE_MAX);
        options.sdam_event_handler = Some(watch(Arc::clone(&health), wake));
        let client = Client::with_options(options).map_err(|e| broken(e.to_string()))?;
        Ok(Self { way: Way::Driver(client, proof), gate: Some(gate), health })
    }

    /// Whether the monitor has seen no failure of the connection.
    pub(super) fn is_sound(&self) -> bool {
        self.health.is_sound()
    }

    /// Whether the other end closed the connection: the process ended, or the network path was removed.
    pub(super) fn was_closed(&self) -> bool {
        self.health.was_closed()
    }

    /// The error that the monitor saw, if it is an error that waiting cannot resolve.
    pub(super) fn permanent_error(&self) -> Option<ProbeError> {
        use ProbeError as E;
        self.health.cause().filter(|c| matches!(c, E::Tls(_) | E::TooOld(_) | E::Login(_) | E::Unproven(_)))
    }

    /// Why a question to the node failed.
    pub(super) fn explain(&self, error: &mongodb::error::Error) -> ProbeError {
        self.health.explain(error)
    }

    /// Frees sockets and tasks at once. A drop alone leaves them for up to ten seconds. The gate is dropped last, so
    /// that no other process can take its name while the driver may still use it.
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
