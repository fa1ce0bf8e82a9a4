//! The signals that are forwarded to the program.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// The signals that operators and orchestrators send.
const FORWARDED: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Receives the signals. A signal that arrives while no program runs is kept for the next one.
pub(super) struct Signals(Vec<(Signal, Stream)>);

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let streams = FORWARDED.iter().map(|kind| Ok((*kind, signal(SignalKind::from_raw(*kind as i32))?)));
        Ok(Self(streams.collect::<io::Result<_>>()?))
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let mut ready = self.0.iter_mut().filter_map(|(kind, stream)| match stream.poll_recv(context) {
                Poll::Ready(Some(())) => Some(*kind),
                Poll::Ready(None) | Poll::Pending => None,
            });
            ready.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Whether the signal asks the program to end. After it the program is not restarted.
pub(super) fn asks_to_stop(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT)
}
