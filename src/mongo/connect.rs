//! One direct client per mongod, kept while it is of use.
//!
//! A plain TCP connect comes before any driver client: it tells refused from silent at once, while the driver
//! would only tell after its server selection timeout, and the driver's own monitor never asks more often than
//! every 500 ms.

use super::error::io_kind;
use crate::model::{ProbeError, WireVersion};
use mongodb::Client;
use mongodb::error::ErrorKind;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::{ClientOptions, Credential, ServerAddress, Tls};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How to speak to every mongod.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who we are; the driver's own type, whose `Debug` redacts.
    pub credential: Option<Credential>,
    /// TLS, if it is wanted.
    pub tls: Option<Tls>,
}

/// The driver gives up choosing a server after so long; there is only one to choose from.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// A client, and what its monitor noticed.
pub(super) struct Connection {
    pub(super) client: Client,
    health: Arc<Health>,
}

#[derive(Default)]
struct Health {
    broken: AtomicBool,
    cause: Mutex<Option<ProbeError>>,
}

impl Connection {
    /// Connects by plain TCP first, then builds the client. Whatever the client's monitor notices wakes `wake`.
    pub(super) async fn open(at: SocketAddr, access: &Access, wake: &Arc<Notify>) -> Result<Self, ProbeError> {
        TcpStream::connect(at).await.map_err(|error| connect_error(&error))?;
        let health = Arc::new(Health::default());
        let mut options = ClientOptions::default();
        options.hosts = vec![ServerAddress::Tcp { host: at.ip().to_string(), port: Some(at.port()) }];
        options.direct_connection = Some(true);
        options.app_name = Some("rsctl".to_owned());
        options.credential = access.credential.clone();
        options.tls = access.tls.clone();
        options.server_selection_timeout = Some(SELECTION_TIMEOUT);
        options.connect_timeout = Some(SELECTION_TIMEOUT);
        // A write that is repeated behind our back could be a second write.
        options.retry_reads = Some(false);
        options.retry_writes = Some(false);
        options.max_pool_size = Some(2);
        options.sdam_event_handler = Some(watch(Arc::clone(&health), Arc::clone(wake)));
        let client = Client::with_options(options).map_err(|e| ProbeError::NotMongod(e.to_string()))?;
        Ok(Self { client, health })
    }

    /// The monitor has not seen the connection fail.
    pub(super) fn is_sound(&self) -> bool {
        !self.health.broken.load(Ordering::Acquire)
    }

    /// The other end was closed: a process ended there, or the way to it was torn down.
    pub(super) fn was_closed(&self) -> bool {
        self.health.cause.lock().is_ok_and(|cause| cause.as_ref().is_some_and(ProbeError::is_down))
    }

    /// What the monitor saw, where that is no matter of time.
    pub(super) fn permanent_error(&self) -> Option<ProbeError> {
        let cause = self.health.cause.lock().ok()?.clone();
        cause.filter(|cause| matches!(cause, ProbeError::Tls(_) | ProbeError::TooOld(_)))
    }

    /// Why the node could not be asked, from what the monitor saw where the driver itself only says "timeout".
    pub(super) fn explain(&self, error: &mongodb::error::Error) -> ProbeError {
        let seen = self.health.cause.lock().ok().and_then(|cause| cause.clone());
        match error.kind.as_ref() {
            ErrorKind::ServerSelection { .. } => seen.unwrap_or(ProbeError::Timeout),
            _ => classify(error),
        }
    }

    /// Frees sockets and tasks at once; dropping alone leaves them for up to ten seconds.
    pub(super) fn close(self) {
        tokio::spawn(self.client.shutdown().immediate(true).into_future());
    }
}

fn watch(health: Arc<Health>, wake: Arc<Notify>) -> EventHandler<SdamEvent> {
    EventHandler::callback(move |event| match event {
        SdamEvent::ServerHeartbeatFailed(failed) => {
            if let Ok(mut cause) = health.cause.lock() {
                *cause = Some(classify(&failed.failure));
            }
            health.broken.store(true, Ordering::Release);
            wake.notify_one();
        }
        SdamEvent::ServerDescriptionChanged(change) => {
            // The driver refuses such a server too, in words of its own.
            let wire = change.new_description.max_wire_version().map(WireVersion);
            if let (Some(wire), Ok(mut cause)) = (wire.filter(|w| *w < WireVersion::OLDEST), health.cause.lock()) {
                *cause = Some(ProbeError::TooOld(wire));
            }
            wake.notify_one();
        }
        _ => {}
    })
}

fn connect_error(error: &io::Error) -> ProbeError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeError::Refused,
        io::ErrorKind::ConnectionReset => ProbeError::Closed,
        io::ErrorKind::TimedOut => ProbeError::Timeout,
        kind => ProbeError::Unreachable(kind.to_string()),
    }
}

/// What a driver error says about the node.
fn classify(error: &mongodb::error::Error) -> ProbeError {
    if let Some(kind) = io_kind(error) {
        return match kind {
            io::ErrorKind::ConnectionRefused => ProbeError::Refused,
            io::ErrorKind::TimedOut => ProbeError::Timeout,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ProbeError::Tls(short(error)),
            _ => ProbeError::Closed,
        };
    }
    match error.kind.as_ref() {
        ErrorKind::Authentication { message, .. } => ProbeError::Login(message.clone()),
        ErrorKind::InvalidTlsConfig { message, .. } => ProbeError::Tls(message.clone()),
        _ => ProbeError::NotMongod(short(error)),
    }
}

/// The driver's own words hold labels and whole replies; a line has to do.
fn short(error: &mongodb::error::Error) -> String {
    let text = error.kind.to_string();
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}
