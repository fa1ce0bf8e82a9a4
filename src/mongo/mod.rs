//! The only endpoint to mongods: questions, and the few commands that change something.
//!
//! **Invariant:** no decision is made here, every call has a deadline, and a call without an answer has an unknown
//! outcome, never an assumed one.

mod configs;
mod connect;
mod error;
mod frame;
mod gate;
mod health;
mod login;
mod node;
mod peer;
mod probe;
mod scram;
mod tls;
mod wire;

pub use error::Error;
use error::ILLEGAL_OPERATION;
pub use login::{Access, Account};
pub use probe::PublicView;
pub use tls::{Names, Tls};

use crate::model::{Host, Lock, Probe, ProbeError, ProcessId, ReplConfig};
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

/// What the controller needs of mongods. The simulation implements it too.
#[expect(async_fn_in_trait, reason = "the loop is one task, nobody sends these futures to another thread")]
pub trait Admin {
    /// Asks one mongod everything, within the limit.
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError>;
    /// Whether somebody takes connections there: far cheaper than a probe, and says no more.
    async fn listens(&self, at: SocketAddr) -> bool;
    /// `replSetInitiate`.
    async fn initiate(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error>;
    /// `replSetReconfig`, not by force.
    async fn reconfig(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error>;
    /// `replSetReconfig` by force.
    async fn force(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error>;
    /// `replSetStepUp`.
    async fn step_up(&self, at: SocketAddr) -> Result<(), Error>;
    /// `replSetSyncFrom`.
    async fn sync_from(&self, at: SocketAddr, source: &Host) -> Result<(), Error>;
    /// `appendOplogNote`: an entry in the primary's oplog that changes nothing.
    async fn write_noop(&self, at: SocketAddr) -> Result<(), Error>;
    /// `replSetAbortPrimaryCatchUp`; no error when it is over.
    async fn abort_catch_up(&self, at: SocketAddr) -> Result<(), Error>;
    /// Writes everything to disk.
    async fn fsync(&self, at: SocketAddr) -> Result<(), Error>;
    /// Claims the right to initiate through this node; fails where a claim stands.
    async fn take_lock(&self, at: SocketAddr, lock: &Lock) -> Result<(), Error>;
    /// Replaces exactly this claim.
    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error>;
    /// Removes whatever claim stands there.
    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error>;
    /// Notes on this node that its process is to leave the set.
    async fn mark_removed(&self, at: SocketAddr, process: ProcessId) -> Result<(), Error>;
    /// Lets go of everything but these.
    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>);
}

/// How long a reconfig may take on the server: it waits for a majority to have the config.
const RECONFIG_LIMIT: Duration = Duration::from_secs(5);
/// How long anything else may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);
/// For a request that is only good to have: nothing urgent waits for it any longer.
const HINT_LIMIT: Duration = Duration::from_millis(500);
/// What a call may take longer than its server-side limit.
const GRACE: Duration = Duration::from_secs(1);

/// Real mongods, through the driver.
pub struct Mongods {
    terms: Arc<Terms>,
    wake: Arc<Notify>,
    nodes: Mutex<BTreeMap<SocketAddr, Arc<Node>>>,
    configs: Configs,
}

impl Mongods {
    /// `wake` is notified whenever a mongod's state or connection changes.
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

    /// A local write is not on disk before an fsync, whatever the write concern says (seen on 6.0.5).
    async fn locked_write(&self, at: SocketAddr, command: Document) -> Result<Document, Error> {
        let reply = self.command(at, "local", command, COMMAND_LIMIT).await?;
        if let Some(refused) = first_write_error(&reply) {
            return Err(refused);
        }
        self.fsync(at).await?;
        Ok(reply)
    }
}

/// `insert` and `delete` answer `ok: 1` even when the one write in them failed.
fn first_write_error(reply: &Document) -> Option<Error> {
    let error = reply.get_array("writeErrors").ok()?.first()?.as_document()?;
    let code = error.get_i32("code").unwrap_or_default();
    if code == error::DUPLICATE_KEY {
        return Some(Error::LockHeld);
    }
    let message = error.get_str("errmsg").unwrap_or_default().to_owned();
    Some(Error::Server { code, code_name: "WriteError".to_owned(), message })
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
        // A container that is removed closes its connections, and its address is silent before anybody asks again.
        let node = self.node(at);
        match (node.closed.swap(false, Ordering::AcqRel), answer) {
            (true, Err(ProbeError::Timeout)) => Err(ProbeError::Closed),
            // The driver goes on trying where no handshake can succeed.
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
        // By insert only: an explicit `create` crashes a blank 6.0.5.
        let insert = doc! {
            "insert": "rsctl", "documents": [wire::lock_document(lock)], "writeConcern": local_write_concern(),
        };
        self.locked_write(at, insert).await.map(drop)
    }

    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error> {
        let command = doc! {
            "findAndModify": "rsctl", "query": wire::lock_document(stale), "update": wire::lock_document(lock),
            "new": true, "writeConcern": local_write_concern(),
        };
        let reply = self.locked_write(at, command).await?;
        reply.get_document("value").map(drop).map_err(|_| Error::LockHeld)
    }

    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error> {
        let delete = doc! {
            "delete": "rsctl", "deletes": [{ "q": { "_id": wire::LOCK_ID }, "limit": 1 }],
            "writeConcern": local_write_concern(),
        };
        self.locked_write(at, delete).await.map(drop)
    }

    async fn mark_removed(&self, at: SocketAddr, process: ProcessId) -> Result<(), Error> {
        let note =
            doc! { "q": { "_id": wire::REMOVED_MARK_ID }, "u": wire::removed_mark_document(process), "upsert": true };
        let update = doc! { "update": "rsctl", "updates": [note], "writeConcern": local_write_concern() };
        // Lost with the process, the note has done its part: no fsync.
        let reply = self.command(at, "local", update, COMMAND_LIMIT).await?;
        first_write_error(&reply).map_or(Ok(()), Err)
    }

    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>) {
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
