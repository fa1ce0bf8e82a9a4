//! Being told to stop. The kernel drops the signal to process 1 of a container that does not listen for it, so every
//! command that may take its time listens.

use crate::outcome::{Exit, Outcome};
use tokio::signal::unix::{SignalKind, signal};

/// Ends with the number of the signal, as soon as one of those comes that ask to stop.
pub(super) async fn told_to_stop() -> u8 {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    let kind = tokio::select! {
        _ = term.recv() => SignalKind::terminate(),
        _ = int.recv() => SignalKind::interrupt(),
    };
    u8::try_from(kind.as_raw_value()).unwrap_or_default()
}

/// Does this, unless told to stop before it is done.
pub(super) async fn stoppable(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = command => outcome,
        signal = told_to_stop() => Outcome::silent(Exit::Stopped(signal)),
    }
}
