//! Signals that ask a command to stop. The kernel does not deliver them to PID 1 of a container without a handler, so
//! every command that may wait installs one.

use crate::outcome::{Exit, Outcome};
use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM or SIGINT. Returns the number of the signal.
pub(super) async fn stop_signal() -> u8 {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    let kind = tokio::select! {
        _ = term.recv() => SignalKind::terminate(),
        _ = int.recv() => SignalKind::interrupt(),
    };
    u8::try_from(kind.as_raw_value()).unwrap_or_default()
}

/// Runs a command until it ends or a signal asks it to stop.
pub(super) async fn stoppable(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = command => outcome,
        signal = stop_signal() => Outcome::silent(Exit::Stopped(signal)),
    }
}
