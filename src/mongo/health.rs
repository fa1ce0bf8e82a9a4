//! The state of the connections to one mongod, and why a connection failed.

use super::error::io_kind;
use crate::model::ProbeError;
use mongodb::error::ErrorKind;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Joins two sources: the driver's monitor reports that a connection ended, and the gate reports why it ended.
#[derive(Default)]
pub(super) struct Health {
    broken: AtomicBool,
    /// Why the monitor's last attempt failed.
    cause: Mutex<Option<ProbeError>>,
    /// Why the gate last closed a connection.
    gate: Mutex<Option<ProbeError>>,
}

impl Health {
    /// Records the reason before the gate closes a connection.
    pub(super) fn gate_saw(&self, reason: ProbeError) {
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// Whether the monitor has seen no failure of the connection.
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

    /// Why a question to the node failed. The driver itself often reports only a timeout, so the answer comes from what
    /// the monitor saw.
    pub(super) fn explain(&self, error: &mongodb::error::Error) -> ProbeError {
        match error.kind.as_ref() {
            ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } => {
                self.cause().unwrap_or(ProbeError::Timeout)
            }
            _ => self.explain_failure(error),
        }
    }

    /// The driver talks only to the gate. So it can report only that the node sends nothing, or that the answer is
    /// invalid.
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

/// The event handler of the driver's monitor. It records failures in `health` and notifies `wake`.
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

/// The first line of the driver's error text. The full text contains labels and whole replies.
fn short(error: &mongodb::error::Error) -> String {
    super::peer::tame(error.kind.to_string().lines().next().unwrap_or_default())
}
