//! What became of the connections to one mongod, and why.

use super::error::io_kind;
use crate::model::ProbeError;
use mongodb::error::ErrorKind;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The driver's monitor notices that a connection ended; the gate knows why.
#[derive(Default)]
pub(super) struct Health {
    broken: AtomicBool,
    /// Why the monitor's last attempt failed.
    cause: Mutex<Option<ProbeError>>,
    /// Why the gate closed a connection last.
    gate: Mutex<Option<ProbeError>>,
}

impl Health {
    /// The gate is about to close a connection.
    pub(super) fn gate_saw(&self, reason: ProbeError) {
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// The monitor has not seen the connection fail.
    pub(super) fn is_sound(&self) -> bool {
        !self.broken.load(Ordering::Acquire)
    }

    /// Why the monitor's last attempt failed.
    pub(super) fn cause(&self) -> Option<ProbeError> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, error: &mongodb::error::Error) {
        let cause = self.explain_failure(error);
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
        self.broken.store(true, Ordering::Release);
    }

    /// Why the node could not be asked, from what the monitor saw where the driver itself only says "timeout".
    pub(super) fn explain(&self, error: &mongodb::error::Error) -> ProbeError {
        match error.kind.as_ref() {
            ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } => {
                self.cause().unwrap_or(ProbeError::Timeout)
            }
            _ => self.explain_failure(error),
        }
    }

    /// The driver speaks with the gate alone, so of the node it knows nothing but silence and nonsense.
    fn explain_failure(&self, error: &mongodb::error::Error) -> ProbeError {
        match io_kind(error) {
            Some(io::ErrorKind::TimedOut) => ProbeError::Timeout,
            Some(io::ErrorKind::ConnectionRefused) => ProbeError::Broken("its gate is closed".to_owned()),
            Some(_) => {
                let seen = self.gate.lock().unwrap_or_else(PoisonError::into_inner).clone();
                seen.unwrap_or(ProbeError::Timeout)
            }
            None => ProbeError::NotMongod(short(error)),
        }
    }
}

/// Tells `health` of what the driver's monitor sees, and wakes `wake`.
pub(super) fn watch(health: Arc<Health>, wake: Arc<Notify>) -> EventHandler<SdamEvent> {
    EventHandler::callback(move |event| match event {
        SdamEvent::ServerHeartbeatFailed(failed) => {
            health.failed(&failed.failure);
            wake.notify_one();
        }
        SdamEvent::ServerDescriptionChanged(_) => wake.notify_one(),
        _ => {}
    })
}

/// The driver's own words hold labels and whole replies; a line has to do.
fn short(error: &mongodb::error::Error) -> String {
    super::peer::tame(error.kind.to_string().lines().next().unwrap_or_default())
}
