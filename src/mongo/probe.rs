//! All questions that one observation asks one mongod.

use super::configs::Configs;
use super::connect::Way;
use super::error::{
    AUTHENTICATION_FAILED, INVALID_CONFIG, NO_REPLICATION, NOT_YET_INITIALIZED, SHUTTING_DOWN, UNAUTHORIZED,
    UNKNOWN_FEATURE_VERSION, server_error,
};
use super::peer::{self, Stream};
use super::wire::{self, Hello};
use super::{Error, Mongods, Told};
use crate::model::{
    FeatureVersion, Host, NodeState, Probe, ProbeError, ProcessId, Proof, ReplConfig, SetName, UserData, WireVersion,
};
use bson::{Document, doc};
use mongodb::Client;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::PoisonError;
use tokio::sync::Mutex as AsyncMutex;

/// The facts that do not change while the process lives.
#[derive(Clone)]
pub(super) struct Constant {
    process: ProcessId,
    hostname: Option<String>,
    set: Option<SetName>,
}

/// Why a question failed.
pub(super) enum Trouble {
    Server { command: &'static str, code: i32, message: String },
    Driver(mongodb::error::Error),
    Unreadable(Error),
    Unfit(ProbeError),
}

/// What a mongod answers to any client, with or without a login.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicView {
    /// The name of its set.
    pub set: Option<SetName>,
    /// Members that applications may read from.
    pub hosts: Vec<Host>,
    /// The member that it considers the primary.
    pub primary: Option<Host>,
}

impl Mongods {
    /// Asks `hello`, which needs no login. The answer is enough for an application to find the set.
    pub async fn hello(&self, at: SocketAddr) -> Option<PublicView> {
        let client = tokio::time::timeout(super::GRACE, self.client(at)).await.ok()?.ok()?;
        let reply = tokio::time::timeout(super::GRACE, run(&client, "hello", doc! { "hello": 1 })).await.ok()?.ok()?;
        let Hello { set, hosts, primary, .. } = wire::hello(&reply).ok()?;
        Some(PublicView { set, hosts, primary })
    }

    /// Asks one mongod all questions. The caller sets the time limit.
    pub(super) async fn ask(&self, at: SocketAddr) -> Result<Probe, ProbeError> {
        let (client, proof) = match self.way(at).await? {
            Way::Driver(client, proof) => (client, proof),
            Way::Public(stream, name) => return self.greet(at, &stream, name).await,
        };
        match self.questions(at, &client).await {
            Ok(probe) => Ok(Probe { proof, ..probe }),
            Err(Trouble::Unreadable(error)) => Err(ProbeError::NotMongod(error.to_string())),
            Err(Trouble::Unfit(error)) => Err(error),
            Err(Trouble::Driver(error)) => Err(self.give_up(at, &error).await),
            Err(Trouble::Server { command, code, message }) => Err(match code {
                SHUTTING_DOWN => ProbeError::ShuttingDown,
                // The server's message is left out, because it contains the whole command, which differs each time.
                UNAUTHORIZED if self.terms.access.logs_in() => ProbeError::Denied(command),
                UNAUTHORIZED | AUTHENTICATION_FAILED => ProbeError::Login(message),
                _ => ProbeError::Server { command, code, message },
            }),
        }
    }

    /// Asks an arbiter that gave no proof. The result holds only that it is an arbiter. The caller decides whether that
    /// counts.
    async fn greet(&self, at: SocketAddr, stream: &AsyncMutex<Stream>, name: ProcessId) -> Result<Probe, ProbeError> {
        let reply = peer::greet(&mut *stream.lock().await).await;
        let document = match reply.map(|raw| Document::try_from(raw.as_ref())) {
            Ok(document) => document.map_err(|_| ProbeError::NotMongod("its `hello` cannot be read".to_owned())),
            Err(error) => Err(error),
        };
        let unreadable = |error: Error| ProbeError::NotMongod(error.to_string());
        match document.and_then(|document| wire::hello(&document).map_err(unreadable)) {
            Ok(hello) if hello.arbiter => {
                let public = bare(hello, NodeState::Arbiter);
                Ok(Probe { process: name, proof: Proof::None, set: None, ..public })
            }
            // The peer is no arbiter now, so the connection must start again.
            Ok(_) => {
                self.let_go(at).await;
                Err(ProbeError::Unproven("it was an arbiter a moment ago".to_owned()))
            }
            Err(error) => {
                self.let_go(at).await;
                Err(error)
            }
        }
    }

    async fn questions(&self, at: SocketAddr, client: &Client) -> Result<Probe, Trouble> {
        let hello = wire::hello(&run(client, "hello", doc! { "hello": 1 }).await?).map_err(Trouble::Unreadable)?;
        if hello.is_mongos {
            return Err(Trouble::Unfit(ProbeError::NotMongod("a mongos".to_owned())));
        }
        if hello.wire < WireVersion::OLDEST {
            return Err(Trouble::Unfit(ProbeError::TooOld(hello.wire)));
        }
        let (state, view) = match run(client, "replSetGetStatus", doc! { "replSetGetStatus": 1 }).await {
            Ok(reply) => wire::status(&reply).map(|(s, v)| (s, Some(v))).map_err(Trouble::Unreadable)?,
            Err(Trouble::Server { code: NOT_YET_INITIALIZED, .. }) => (NodeState::Blank, None),
            Err(Trouble::Server { code: INVALID_CONFIG, .. }) => (NodeState::Removed, None),
            Err(Trouble::Server { code: NO_REPLICATION, .. }) => return Ok(bare(hello, NodeState::Standalone)),
            // Some questions need a login. An arbiter without a login answers only `hello`.
            Err(Trouble::Server { code: UNAUTHORIZED, .. }) if hello.arbiter => {
                return Ok(bare(hello, NodeState::Arbiter));
            }
            Err(other) => return Err(other),
        };
        let constant = self.constant(at, client, hello.process).await?;
        let probe = Probe { hostname: constant.hostname, view, ..bare(hello, state) };
        let probe = stored(client, &self.configs, probe, constant.set).await?;
        // Last, so that what it starts finds the connection of these questions free and opens no other one.
        let copies = matches!(probe.state, NodeState::Primary | NodeState::Secondary);
        let Told { oplog, history } = if copies { self.told(at, client, probe.process) } else { Told::default() };
        Ok(Probe { oplog, history, ..probe })
    }

    /// The facts that are asked once per process, such as the host name and the set that it was started for.
    async fn constant(&self, at: SocketAddr, client: &Client, process: ProcessId) -> Result<Constant, Trouble> {
        let node = self.node(at);
        let known = node.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|k| k.process == process) {
            return Ok(known);
        }
        let host_info = run(client, "hostInfo", doc! { "hostInfo": 1 }).await?;
        let options = run(client, "getCmdLineOpts", doc! { "getCmdLineOpts": 1 }).await?;
        let constant = Constant { process, hostname: wire::hostname(&host_info), set: wire::wanted_set(&options) };
        *node.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(constant.clone());
        Ok(constant)
    }
}

/// The facts from the node's `local` database, and the node's state as far as it follows from them.
async fn stored(
    client: &Client,
    configs: &Configs,
    mut probe: Probe,
    wanted: Option<SetName>,
) -> Result<Probe, Trouble> {
    // `replSetGetConfig` hides `newlyAdded`. The stored document shows it.
    let config = first(client, "system.replset").await?;
    probe.config = config.map(|stored| configs.read(stored)).transpose().map_err(Trouble::Unreadable)?;
    let data: Option<Document> = first(client, "replset.initialSyncId").await?;
    probe.data = data.as_ref().map(wire::data_id).transpose().map_err(Trouble::Unreadable)?;
    for note in notes(client).await? {
        match note.get_str("_id") {
            Ok(wire::LOCK_ID) => probe.lock = Some(wire::lock(&note).map_err(Trouble::Unreadable)?),
            Ok(wire::PAUSE_ID) => probe.pause = wire::pause(&note),
            Ok(wire::REMOVED_MARK_ID) => probe.marked_removed = wire::names_process(&note, probe.process),
            _ => {}
        }
    }
    probe.started_for.clone_from(&wanted);
    probe.set = probe.config.as_ref().map(ReplConfig::set_name).or(probe.set).or(wanted);
    // A node that has not loaded its config yet also answers with 94.
    if probe.state == NodeState::Blank && (probe.config.is_some() || probe.data.is_some()) {
        probe.state = NodeState::Startup;
    }
    if probe.state == NodeState::Removed {
        let collection = client.database("local").collection::<Document>("oplog.rs");
        let last = collection.find_one(doc! {}).sort(doc! { "$natural": -1 }).projection(doc! { "ts": 1, "t": 1 });
        probe.oplog_end = last.await.map_err(|error| trouble("oplog.rs", error))?.as_ref().map(wire::optime);
    }
    if probe.state == NodeState::Blank {
        probe.user_data = user_data(client).await?;
    }
    if probe.state == NodeState::Primary {
        probe.feature = feature(client).await?;
    }
    Ok(probe)
}

/// Whether a blank node holds user data: see [`UserData`] for how that is known.
async fn user_data(client: &Client) -> Result<UserData, Trouble> {
    let brief = doc! { "serverStatus": 1, "catalogStats": 1, "metrics": 0, "wiredTiger": 0, "tcmalloc": 0, "locks": 0 };
    match wire::user_data(&run(client, "serverStatus", brief).await?) {
        UserData::Unknown => match run(client, "getParameter", feature_question()).await {
            Ok(_) => Ok(UserData::Unknown),
            Err(Trouble::Server { code: UNKNOWN_FEATURE_VERSION, .. }) => Ok(UserData::None),
            Err(other) => Err(other),
        },
        told => Ok(told),
    }
}

/// The feature version. A server that refuses the question leaves it unknown.
async fn feature(client: &Client) -> Result<Option<FeatureVersion>, Trouble> {
    match run(client, "getParameter", feature_question()).await {
        Ok(reply) => Ok(wire::feature(&reply)),
        Err(Trouble::Server { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

fn feature_question() -> Document {
    doc! { "getParameter": 1, "featureCompatibilityVersion": 1 }
}

fn bare(hello: Hello, state: NodeState) -> Probe {
    // `myState` becomes 1 before the node takes writes. `hello` shows when it takes them.
    let state = if state == NodeState::Primary && !hello.writable { NodeState::Other } else { state };
    Probe { set: hello.set, sees_primary: hello.primary, ..Probe::new(hello.process, hello.wire, state) }
}

fn unreadable(what: &'static str) -> Trouble {
    Trouble::Unreadable(Error::Unreadable(what))
}

pub(super) async fn run(client: &Client, name: &'static str, command: Document) -> Result<Document, Trouble> {
    client.database("admin").run_command(command).await.map_err(|error| trouble(name, error))
}

/// The only document of a collection of `local`.
async fn first<T>(client: &Client, collection: &'static str) -> Result<Option<T>, Trouble>
where
    T: DeserializeOwned + Send + Sync,
{
    let found = client.database("local").collection::<T>(collection).find_one(doc! {}).await;
    found.map_err(|error| trouble(collection, error))
}

/// What controllers have written to this node for each other, read with one question.
async fn notes(client: &Client) -> Result<Vec<Document>, Trouble> {
    let wanted = doc! { "_id": { "$in": [wire::LOCK_ID, wire::REMOVED_MARK_ID, wire::PAUSE_ID] } };
    let find = doc! { "find": "rsctl", "filter": wanted, "limit": 10, "singleBatch": true };
    let reply = client.database("local").run_command(find).await.map_err(|error| trouble("rsctl", error))?;
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let batch = batch.map_err(|_| unreadable("local.rsctl"))?;
    Ok(batch.iter().filter_map(|note| note.as_document().cloned()).collect())
}

fn trouble(command: &'static str, error: mongodb::error::Error) -> Trouble {
    match server_error(&error) {
        Some((code, _, message)) => Trouble::Server { command, code, message },
        None => Trouble::Driver(error),
    }
}
