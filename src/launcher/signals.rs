//! The signals that are passed on to the program.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What people and orchestrators send to a program.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// The signals that come to us from here on. What comes while no program runs waits for the next one.
pub(super) struct Signals(Vec<(Signal, Stream)>);

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let streams = PASSED_ON.iter().map(|kind| Ok((*kind, signal(SignalKind::from_raw(*kind as i32))?)));
        Ok(Self(streams.collect::<io::Result<_>>()?))
    }

    /// The next one.
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

/// Whether whoever sent it wants an end: from then on nothing is started anew.
pub(super) fn asks_to_stop(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT)
}
