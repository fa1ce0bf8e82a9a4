//! Connections: how many there are, and how long a client may keep one.
//!
//! **Invariant:** no client delays another one, or the controller. A client that stops to send or to read loses its
//! connection within seconds, one address holds at most its share of the connections, and no connection lasts longer than
//! [`KEPT_FOR`] and [`LAST_ANSWER_FOR`] together.

use super::uri::WAIT_MAX;
use crate::outcome::Chain;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};

/// How many connections a listener has.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    /// The largest number of open connections. More connections wait in the kernel's queue.
    pub(super) open: usize,
    /// The largest number from one address. More connections are closed at once.
    pub(super) of_one_address: usize,
}

/// For everybody on the network. One address gets a quarter: enough for the applications behind one address, and too little to
/// keep others out. The buffers below bound the kernel's memory for all of them.
pub(super) const PUBLIC: Budget = Budget { open: 512, of_one_address: 128 };
/// For the programs in the controller's own container: the health check and the admin requests, which all come from
/// loopback. Nobody outside can use them up.
pub(super) const ADMIN: Budget = Budget { open: 64, of_one_address: 64 };

/// How long a client may take to send its request, and how long an idle connection is kept.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// The largest request line and headers. A URI with a database name needs less than 1 KiB.
const HEADERS_MAX: usize = 16 * 1024;
/// How long an answer waits for a client that does not read. On a network that works, a client reads within milliseconds.
const STALLED_MAX: Duration = Duration::from_secs(10);
/// After this time a connection takes no further request, so that no client keeps its place for ever.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// How long the last answer of a connection may then take. It is longer than the longest wait of `/v1/uri`. A client of
/// `/v1/events` connects again after it.
const LAST_ANSWER_FOR: Duration = Duration::from_secs(330);
const _: () = assert!(LAST_ANSWER_FOR.as_secs() > WAIT_MAX.as_secs() + STALLED_MAX.as_secs());

/// What the kernel keeps of an answer that the client has not read. Linux doubles the value, and would take up to 4 MiB for
/// each connection without it, which counts towards the container's memory limit.
const SEND_BUFFER: u32 = 32 * 1024;
/// The same for requests that are not read yet.
const RECEIVE_BUFFER: u32 = 16 * 1024;
/// Connections that wait in the kernel's queue.
const BACKLOG: u32 = 1024;

/// Listens for HTTP connections at this address.
///
/// # Errors
///
/// The address is in use, or not one of this machine.
pub fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit both.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// Serves connections for ever.
pub(super) async fn accept(listener: TcpListener, router: Router, budget: Budget) -> Infallible {
    let mut connections = JoinSet::new();
    let shares = Shares::default();
    loop {
        while connections.try_join_next().is_some() || connections.len() >= budget.open {
            if connections.len() >= budget.open {
                connections.join_next().await;
            }
        }
        match listener.accept().await {
            Ok((stream, from)) => {
                let Some(share) = shares.take(from.ip(), budget.of_one_address) else {
                    tracing::debug!(%from, "closing a connection: there are too many from this address");
                    continue;
                };
                let router = router.clone();
                connections.spawn(async move {
                    converse(stream, router).await;
                    drop(share);
                });
            }
            Err(error) => {
                // Most likely there are no free file descriptors. A retry at once would only use CPU time.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection until it ends.
pub(super) async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADERS_MAX)
        .serve_connection(TokioIo::new(StallLimited::new(stream)), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = match timeout(KEPT_FOR, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_ANSWER_FOR, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %Chain(&error), "closing a connection");
    }
}

/// How many connections each address has. An address without one is not in it.
#[derive(Clone, Default)]
struct Shares(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One connection of an address, until it is dropped.
struct Share {
    shares: Shares,
    of: IpAddr,
}

impl Shares {
    /// `None` if the address has `max` connections already.
    fn take(&self, of: IpAddr, max: usize) -> Option<Share> {
        let of = of.to_canonical();
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = shares.get(&of).copied().unwrap_or_default();
        if held >= max {
            return None;
        }
        shares.insert(of, held + 1);
        Some(Share { shares: self.clone(), of })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shares.get_mut(&self.of) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(shares.remove(&self.of)),
        }
    }
}

/// A connection that fails when the other end reads nothing for [`STALLED_MAX`].
struct StallLimited<S> {
    stream: S,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> StallLimited<S> {
    fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    fn limited<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED_MAX)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallLimited<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallLimited<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.limited(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.limited(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.limited(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.limited(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_addresses_that_come_and_go_leave_nothing_behind() {
        let shares = Shares::default();
        for n in 0..10_000_u32 {
            let of = IpAddr::from(n.to_be_bytes());
            let two = (shares.take(of, 2), shares.take(of, 2));
            assert!(two.0.is_some() && two.1.is_some() && shares.take(of, 2).is_none());
            let mapped = IpAddr::from(std::net::Ipv4Addr::from(n).to_ipv6_mapped());
            assert!(shares.take(mapped, 2).is_none(), "it is the same address");
            drop(two.0);
            assert!(shares.take(of, 2).is_some(), "a connection that ended is free again");
        }
        assert_eq!(shares.0.lock().unwrap().len(), 0);
    }
}
