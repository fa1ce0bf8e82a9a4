//! The only module that talks to mongods. It asks questions, and it sends the few commands that change something.
//!
//! **Invariant:** this module makes no decision. Every call has a deadline. A call without an answer has an unknown
//! outcome, never an assumed one.

mod aside;
mod configs;
mod connect;
mod error;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gate;
mod health;
mod login;
mod node;
mod papers;
mod peer;
mod probe;
mod scram;
mod tls;
mod users;
mod wire;

pub use aside::Told;
pub use error::Error;
use error::ILLEGAL_OPERATION;
pub use login::{Access, Account, Identity};
pub use probe::PublicView;
pub use tls::{Names, Tls};
pub use users::StoredUser;

use crate::model::{Certificates, Event, Host, Lock, PauseWord, Probe, ProbeError, ProcessId, ReplConfig};
use crate::panics::contained;
use bson::{Document, doc};
use configs::Configs;
use login::Terms;
use mongodb::options::{Acknowledgment, WriteConcern};
use node::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

/// The operations of mongods that the controller needs. The simulation implements them too.
#[expect(async_fn_in_trait, reason = "the loop is one task, so these futures stay on one thread")]
pub trait Admin {
    /// Asks one mongod all questions of an observation, within the limit.
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError>;
    /// Whether a process accepts connections at the address. It costs much less than a probe, and it shows nothing
    /// more.
    async fn listens(&self, at: SocketAddr) -> bool;
    /// Sends `replSetInitiate`.
    async fn initiate(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error>;
    /// Sends `replSetReconfig` without force.
    async fn reconfig(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error>;
    /// Sends `replSetReconfig` with force.
    async fn force(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error>;
    /// Sends `replSetStepUp`.
    async fn step_up(&self, at: SocketAddr) -> Result<(), Error>;
    /// Sends `replSetSyncFrom`.
    async fn sync_from(&self, at: SocketAddr, source: &Host) -> Result<(), Error>;
    /// Sends `appendOplogNote`, which writes an entry to the primary's oplog and changes nothing else.
    async fn write_noop(&self, at: SocketAddr) -> Result<(), Error>;
    /// Sends `replSetAbortPrimaryCatchUp`. It is no error if the catch-up is over.
    async fn abort_catch_up(&self, at: SocketAddr) -> Result<(), Error>;
    /// Sends `fsync`: the mongod writes all data to disk.
    async fn fsync(&self, at: SocketAddr) -> Result<(), Error>;
    /// Takes the bootstrap lock on this node. It fails if the node has a lock already.
    async fn take_lock(&self, at: SocketAddr, lock: &Lock) -> Result<(), Error>;
    /// Replaces the bootstrap lock `stale`. It fails if the node has another lock.
    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error>;
    /// Removes the bootstrap lock from this node, whatever its content is.
    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error>;
    /// Writes a mark on this node: its process must leave the set.
    async fn mark_removed(&self, at: SocketAddr, process: ProcessId) -> Result<(), Error>;
    /// Has this node keep events of the history. It returns at once, and what the node does not keep is lost. The nodes of the
    /// simulation keep none.
    fn keep_history(&self, _at: SocketAddr, _events: &[Event]) {}
    /// Has this node keep the newest word about a pause. It returns at once.
    fn keep_pause(&self, _at: SocketAddr, _word: &PauseWord) {}
    /// The certificates, after the files for TLS were checked. While they are the same, that costs two questions to the
    /// file system.
    fn certificates(&self) -> Certificates {
        Certificates::default()
    }
    /// Closes the connections to all other addresses.
    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>);
}

/// The time limit for a reconfig on the server, which waits until a majority has the config.
const RECONFIG_LIMIT: Duration = Duration::from_secs(5);
/// The time limit for any other command.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);
/// The time limit for an optional request. Urgent work does not wait longer for it.
const HINT_LIMIT: Duration = Duration::from_millis(500);
/// How much longer a call may take than its limit on the server.
const GRACE: Duration = Duration::from_secs(1);

/// Real mongods, through the driver.
pub struct Mongods {
    terms: Arc<Terms>,
    wake: Arc<Notify>,
    nodes: Mutex<BTreeMap<SocketAddr, Arc<Node>>>,
    configs: Configs,
}

impl Mongods {
    /// Starts without connections. Every change of a mongod's state or connection notifies `wake`.
    pub fn new(access: Access, wake: Arc<Notify>) -> Self {
        Self { terms: Arc::new(Terms::new(access)), wake, nodes: Mutex::default(), configs: Configs::default() }
    }

    async fn command(
        &self,
        at: SocketAddr,
        database: &str,
        command: Document,
        limit: Duration,
    ) -> Result<Document, Error> {
        let client = match timeout(limit, self.client(at)).await {
            Ok(client) => client.map_err(|e| Error::Connection(mongodb::error::Error::custom(e)))?,
            Err(_) => return Err(Error::Timeout(limit.as_millis())),
        };
        let database = client.database(database);
        match timeout(limit, contained(database.run_command(command).into_future())).await {
            Ok(Ok(reply)) => Ok(reply?),
            Ok(Err(panic)) => {
                self.let_go(at).await;
                Err(Error::Connection(mongodb::error::Error::custom(panic)))
            }
            Err(_) => Err(Error::Timeout(limit.as_millis())),
        }
    }

    async fn local_write(&self, at: SocketAddr, command: Document) -> Result<Document, Error> {
        let reply = self.command(at, "local", command, COMMAND_LIMIT).await?;
        first_write_error(&reply).map_or(Ok(reply), Err)
    }

    /// Writes to `local` and then sends `fsync`. A local write is not on disk before an fsync, whatever the write
    /// concern is (seen on 6.0.5).
    async fn locked_write(&self, at: SocketAddr, command: Document) -> Result<Document, Error> {
        let reply = self.local_write(at, command).await?;
        self.fsync(at).await?;
        Ok(reply)
    }
}

/// The error of the one write in a command. `insert` and `delete` answer `ok: 1` even if that write failed.
fn first_write_error(reply: &Document) -> Option<Error> {
    let error = reply.get_array("writeErrors").ok()?.first()?.as_document()?;
    let code = error.get_i32("code").unwrap_or_default();
    if code == error::DUPLICATE_KEY {
        return Some(Error::LockHeld);
    }
    let message = error.get_str("errmsg").unwrap_or_default().to_owned();
    Some(Error::Server { code, code_name: "WriteError".to_owned(), message })
}

// Only `insert`, `update` without upsert, and `delete` are sent to a mongod without a config: MongoDB's own tests cover
// these there, and neither `findAndModify` nor an upsert.

fn insert(document: Document) -> Document {
    doc! { "insert": "rsctl", "documents": [document], "writeConcern": local_write_concern() }
}

fn update(change: Document) -> Document {
    doc! { "update": "rsctl", "updates": [change], "writeConcern": local_write_concern() }
}

fn local_write_concern() -> Document {
    let concern = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
    bson::serialize_to_document(&concern).unwrap_or_else(|_| doc! { "w": 1 })
}

impl Admin for Mongods {
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError> {
        let answer = match timeout(limit, contained(self.ask(at))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => {
                self.let_go(at).await;
                Err(ProbeError::Broken(panic.to_string()))
            }
            Err(_) => Err(ProbeError::Timeout),
        };
        // A container that is removed closes its connections. Its address can be silent before the next probe.
        let node = self.node(at);
        match (node.closed.swap(false, Ordering::AcqRel), answer) {
            (true, Err(ProbeError::Timeout)) => Err(ProbeError::Closed),
            // The driver retries even where no handshake can succeed.
            (false, Err(ProbeError::Timeout)) => {
                let seen = node.slot.try_lock().ok().and_then(|slot| slot.open()?.permanent_error());
                Err(seen.unwrap_or(ProbeError::Timeout))
            }
            (_, answer) => answer,
        }
    }

    async fn listens(&self, at: SocketAddr) -> bool {
        matches!(timeout(GRACE, TcpStream::connect(at)).await, Ok(Ok(_)))
    }

    async fn initiate(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        let command = doc! { "replSetInitiate": config.document().clone() };
        self.command(at, "admin", command, COMMAND_LIMIT).await.map(drop)
    }

    async fn reconfig(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        let limit_ms = i64::try_from(RECONFIG_LIMIT.as_millis()).unwrap_or(i64::MAX);
        let command = doc! { "replSetReconfig": config.document().clone(), "maxTimeMS": limit_ms };
        self.command(at, "admin", command, RECONFIG_LIMIT + GRACE).await.map(drop)
    }

    async fn force(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        let command = doc! { "replSetReconfig": config.document().clone(), "force": true };
        self.command(at, "admin", command, COMMAND_LIMIT).await.map(drop)
    }

    async fn step_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.command(at, "admin", doc! { "replSetStepUp": 1 }, COMMAND_LIMIT).await.map(drop)
    }

    async fn sync_from(&self, at: SocketAddr, source: &Host) -> Result<(), Error> {
        self.command(at, "admin", doc! { "replSetSyncFrom": source.to_string() }, HINT_LIMIT).await.map(drop)
    }

    async fn write_noop(&self, at: SocketAddr) -> Result<(), Error> {
        let command = doc! { "appendOplogNote": 1, "data": { "rsctl": "chain-secondary" } };
        self.command(at, "admin", command, COMMAND_LIMIT).await.map(drop)
    }

    async fn abort_catch_up(&self, at: SocketAddr) -> Result<(), Error> {
        match self.command(at, "admin", doc! { "replSetAbortPrimaryCatchUp": 1 }, COMMAND_LIMIT).await {
            Err(Error::Server { code: ILLEGAL_OPERATION, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn fsync(&self, at: SocketAddr) -> Result<(), Error> {
        self.command(at, "admin", doc! { "fsync": 1 }, COMMAND_LIMIT).await.map(drop)
    }

    async fn take_lock(&self, at: SocketAddr, lock: &Lock) -> Result<(), Error> {
        // This uses an insert only, because an explicit `create` crashes a blank 6.0.5.
        self.locked_write(at, insert(wire::lock_document(lock))).await.map(drop)
    }

    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error> {
        // The stale lock is the filter. Of two controllers that take it over, the second finds it gone.
        let change = doc! { "q": wire::lock_document(stale), "u": wire::lock_document(lock) };
        let reply = self.locked_write(at, update(change)).await?;
        if wire::matched_none(&reply) { Err(Error::LockHeld) } else { Ok(()) }
    }

    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error> {
        let delete = doc! {
            "delete": "rsctl", "deletes": [{ "q": { "_id": wire::LOCK_ID }, "limit": 1 }],
            "writeConcern": local_write_concern(),
        };
        self.locked_write(at, delete).await.map(drop)
    }

    async fn mark_removed(&self, at: SocketAddr, process: ProcessId) -> Result<(), Error> {
        let mark = wire::removed_mark_document(process);
        // The mark has no use after its process ends, so it needs no fsync.
        let change = doc! { "q": { "_id": wire::REMOVED_MARK_ID }, "u": mark.clone() };
        let reply = self.local_write(at, update(change)).await?;
        if wire::matched_none(&reply) { self.local_write(at, insert(mark)).await.map(drop) } else { Ok(()) }
    }

    fn keep_history(&self, at: SocketAddr, events: &[Event]) {
        self.keep(at, events);
    }

    fn keep_pause(&self, at: SocketAddr, word: &PauseWord) {
        self.keep_word(at, word);
    }

    fn certificates(&self) -> Certificates {
        self.terms.access.tls.as_ref().map(Tls::certificates).unwrap_or_default()
    }

    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>) {
        if let Some(tls) = &self.terms.access.tls {
            tls.forget_all_but(addresses);
        }
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|at, node| {
            let keep = addresses.contains(at);
            if !keep && let Ok(mut slot) = node.slot.try_lock() {
                slot.clear();
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests;
