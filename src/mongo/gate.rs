//! The gate between the driver and a mongod: it lets the driver through to peers that have proven themselves.
//!
//! The driver believes what a peer says before it logs in, and has no hook to change that. So it is given neither secret
//! nor address: it connects to a socket of this process, and what answers there is a connection on which the gate has
//! logged in already. `docs/adr/0008-login-before-belief.md` weighs this against other ways.
//!
//! **Invariant:** not a byte passes to the driver from a peer that was asked for a proof and gave none, and none of a
//! message that is longer than any mongod's answer here can be.

use super::frame::{self, Frame, FrameError};
use super::health::Health;
use super::login::Terms;
use super::peer::{Peer, dial, lost};
use crate::model::{ProbeError, Proof};
use mongodb::options::ServerAddress;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// The longest answers are those about a whole set: with 50 members some 60 kB.
const REPLY_BYTES_MAX: usize = 1024 * 1024;
/// What the driver itself sends: a config of 50 members at most. Its own limit is no other (48,000,000).
const COMMAND_BYTES_MAX: usize = 48_000_000;
/// What most messages fit in, in either direction (measured).
const COMMAND_BYTES_USUAL: usize = 512;
const REPLY_BYTES_USUAL: usize = 2048;
/// TCP, TLS, `hello` and login of one more connection; the driver waits no longer either.
const MEET_LIMIT: Duration = Duration::from_secs(1);
/// After a connection that could not be accepted, which happens when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where the driver connects to. Dropping it closes every connection through it.
pub(super) struct Gate {
    pub(super) address: ServerAddress,
    keeper: JoinHandle<()>,
}

impl Gate {
    /// Opens with the first connection made already. What becomes of it and of later ones goes to `health`.
    pub(super) fn open(first: Peer, at: SocketAddr, terms: Arc<Terms>, health: Arc<Health>) -> io::Result<Self> {
        let path = PathBuf::from(nobody_s_name()?);
        let listener = UnixListener::bind(&path)?;
        let keeper = tokio::spawn(Keeper { at, terms, health }.keep(listener, first));
        Ok(Self { address: ServerAddress::Unix { path }, keeper })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// A name in Linux' abstract namespace: no file, gone with the process, and not to be guessed.
fn nobody_s_name() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random bytes can be had"))?;
    let mut name = String::from("\0rsctl-");
    for byte in bytes {
        write!(name, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(name)
}

/// The kernel says who connected. Others on this machine may see the name, but not use it.
fn is_this_process(driver: &UnixStream) -> bool {
    let pid = driver.peer_cred().ok().and_then(|cred| cred.pid());
    pid.and_then(|pid| u32::try_from(pid).ok()) == Some(std::process::id())
}

#[derive(Clone)]
struct Keeper {
    at: SocketAddr,
    terms: Arc<Terms>,
    health: Arc<Health>,
}

impl Keeper {
    async fn keep(self, listener: UnixListener, first: Peer) {
        let mut first = Some(first);
        let mut relays = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((driver, _)) if is_this_process(&driver) => {
                        relays.spawn(self.clone().relay(driver, first.take()));
                    }
                    Ok(_) => {}
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                Some(ended) = relays.join_next() => if ended.is_err() {
                    self.health.gate_saw(ProbeError::Broken("a relay ended early".to_owned()));
                },
            }
        }
    }

    /// What ends a connection is told before the driver sees its end.
    async fn relay(self, mut driver: UnixStream, first: Option<Peer>) {
        let peer = match first {
            Some(peer) => Ok(peer),
            None => timeout(MEET_LIMIT, self.meet()).await.unwrap_or(Err(ProbeError::Timeout)),
        };
        let ended = match peer {
            Ok(peer) => converse(&mut driver, peer).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            self.health.gate_saw(error);
        }
    }

    async fn meet(&self) -> Result<Peer, ProbeError> {
        let peer = Peer::meet(dial(self.at).await?, self.at, &self.terms).await?;
        match peer.proof {
            Proof::Secret | Proof::NotAsked => Ok(peer),
            Proof::None => Err(ProbeError::Unproven("it has become an arbiter".to_owned())),
        }
    }
}

/// Until one end closes. It is an error only where that was the mongod's.
async fn converse(driver: &mut UnixStream, peer: Peer) -> Result<(), ProbeError> {
    // The driver begins with a `hello`. The server would refuse a second one that introduces a client, and the answer to
    // the first is a moment old.
    let Ok(greeting) = Frame::read(driver, REPLY_BYTES_MAX).await else { return Ok(()) };
    if driver.write_all(peer.hello.answering(greeting.request()).as_bytes()).await.is_err() {
        return Ok(());
    }
    let (from_driver, mut to_driver) = driver.split();
    let (from_peer, mut to_peer) = tokio::io::split(peer.stream);
    // One system call for a short message instead of three.
    let mut from_driver = BufReader::with_capacity(COMMAND_BYTES_USUAL, from_driver);
    let mut from_peer = BufReader::with_capacity(REPLY_BYTES_USUAL, from_peer);
    tokio::select! {
        asked = pump(&mut from_driver, &mut to_peer, COMMAND_BYTES_MAX) => match asked {
            Err(FrameError::Unheard(error)) => Err(lost(&error)),
            Ok(()) | Err(_) => Ok(()),
        },
        answered = pump(&mut from_peer, &mut to_driver, REPLY_BYTES_MAX) => match answered {
            Ok(()) => Err(ProbeError::Closed),
            Err(FrameError::Unheard(_)) => Ok(()),
            Err(error) => Err(error.into()),
        },
    }
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    limit: usize,
) -> Result<(), FrameError> {
    while frame::pass(from, to, limit).await? {}
    Ok(())
}
