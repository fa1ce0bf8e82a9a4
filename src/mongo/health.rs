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
    /// The other end closed the connection. The driver connects again at once, and the failure of that attempt can be
    /// another one: a process that ends can still accept a connection, and drop it.
    closed: AtomicBool,
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

    /// Whether the other end closed the connection: the process ended, or the network path was removed.
    pub(super) fn was_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Why the monitor's last attempt failed.
    pub(super) fn cause(&self) -> Option<ProbeError> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, error: &mongodb::error::Error) {
        let cause = self.explain_failure(error);
        self.closed.fetch_or(cause.is_down(), Ordering::AcqRel);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_stays_closed_whatever_the_next_attempt_finds() {
        let health = Health::default();
        let ended = || mongodb::error::Error::from(io::Error::from(io::ErrorKind::UnexpectedEof));
        health.gate_saw(ProbeError::Closed);
        health.failed(&ended());
        // Seen with mongod 6.0.5 after SIGKILL: the listening socket lived a moment longer than the connection.
        health.gate_saw(ProbeError::Dropped);
        health.failed(&ended());
        assert!(health.was_closed());
        assert_eq!(health.cause(), Some(ProbeError::Dropped));
    }

    #[test]
    fn silence_closes_nothing() {
        let health = Health::default();
        health.failed(&mongodb::error::Error::from(io::Error::from(io::ErrorKind::TimedOut)));
        assert!(!health.is_sound());
        assert!(!health.was_closed());
    }
}
