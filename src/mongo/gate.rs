//! The gate between the driver and a mongod. It connects the driver only to peers that have proved themselves.
//!
//! The driver trusts what a peer says before the login, and it has no hook to change that. So the driver gets neither
//! the secret nor the address. It connects to a socket of this process, and the gate connects that socket to a mongod
//! on which it has already logged in. `docs/adr/0008-login-before-belief.md` compares this with other solutions.
//!
//! **Invariant:** the driver receives no byte from a peer that was asked for a proof and gave none. It also receives no
//! byte of a message that is longer than any valid answer to rsctl.

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

/// The limit for answers, in bytes. The longest answers describe a whole set: about 60 kB with 50 members.
const REPLY_BYTES_MAX: usize = 1024 * 1024;
/// The limit for commands from the driver, in bytes. The longest command holds a config of 50 members. The limit is the
/// driver's own (48,000,000).
const COMMAND_BYTES_MAX: usize = 48_000_000;
/// Most messages fit in these sizes, in bytes, for each direction (measured).
const COMMAND_BYTES_USUAL: usize = 512;
const REPLY_BYTES_USUAL: usize = 2048;
/// The time limit for TCP, TLS, `hello` and login of one more connection. The driver's own limit is the same.
const MEET_LIMIT: Duration = Duration::from_secs(1);
/// The pause after a connection could not be accepted, which happens when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address that the driver connects to. A drop closes every connection through it.
pub(super) struct Gate {
    pub(super) address: ServerAddress,
    task: JoinHandle<()>,
}

impl Gate {
    /// Opens the gate with a first connection that exists already. The gate reports failures of all connections to
    /// `health`.
    pub(super) fn open(first: Peer, at: SocketAddr, terms: Arc<Terms>, health: Arc<Health>) -> io::Result<Self> {
        let path = PathBuf::from(abstract_socket_name()?);
        let listener = UnixListener::bind(&path)?;
        let task = tokio::spawn(GateTask { at, terms, health }.run(listener, first));
        Ok(Self { address: ServerAddress::Unix { path }, task })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A random name in the abstract socket namespace of Linux. It creates no file, it ends with the process, and it cannot
/// be guessed.
fn abstract_socket_name() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the operating system gives no random bytes"))?;
    let mut name = String::from("\0rsctl-");
    for byte in bytes {
        write!(name, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(name)
}

/// Whether this process made the connection, as the kernel reports it. Other processes on the machine may see the name,
/// but cannot use it.
fn is_this_process(driver: &UnixStream) -> bool {
    let pid = driver.peer_cred().ok().and_then(|cred| cred.pid());
    pid.and_then(|pid| u32::try_from(pid).ok()) == Some(std::process::id())
}

#[derive(Clone)]
struct GateTask {
    at: SocketAddr,
    terms: Arc<Terms>,
    health: Arc<Health>,
}

impl GateTask {
    async fn run(self, listener: UnixListener, first: Peer) {
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
                    self.health.gate_saw(ProbeError::Broken("the relay of a connection panicked".to_owned()));
                },
            }
        }
    }

    /// Connects the driver to the mongod. The reason for an end is recorded before the driver sees the end.
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

/// Copies messages until one end closes. The result is an error only if the mongod closed.
async fn converse(driver: &mut UnixStream, peer: Peer) -> Result<(), ProbeError> {
    // The driver sends `hello` first. The server would refuse a second `hello` with client metadata, and the first
    // answer is only a moment old. So the driver gets the first answer.
    let Ok(greeting) = Frame::read(driver, REPLY_BYTES_MAX).await else { return Ok(()) };
    if driver.write_all(peer.hello.answering(greeting.request()).as_bytes()).await.is_err() {
        return Ok(());
    }
    let (from_driver, mut to_driver) = driver.split();
    let (from_peer, mut to_peer) = tokio::io::split(peer.stream);
    // The buffers reduce three system calls for a short message to one.
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
