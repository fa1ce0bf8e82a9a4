//! A second process of this program, which runs in the overlay network and serves requests line by line.
//!
//! It is where applications are: it finds rsctl and the mongods by Swarm's DNS, and runs the writers of the story.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use mongodb::Client;
use mongodb::bson::{Document, doc, serialize_to_document};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::Outcome;
use super::line;
use super::support::process::DIE_WITH_US;
use super::support::writer::{self, MajorityWriter, majority_writer};
use super::visitor::Visitor;

/// The argument that makes this program serve requests instead of running the story.
pub(super) const ENTER: &str = "in-the-overlay";

/// The limit of the first write of a writer. Gaps count from the first write.
const FIRST_WRITE: Duration = Duration::from_secs(45);
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// A request.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Request {
    /// Run `rsctl`.
    Rsctl { args: Vec<String>, seconds: u64 },
    /// Start one more writer.
    Write { name: String, way: Way, stored: Stored },
    /// Stop a writer.
    Rest { name: String },
    /// The result of each writer so far.
    Tallies,
    /// Reset the longest gaps.
    Mark,
    /// Wait until each writer has an acknowledgement for a write that begins from now on.
    Acknowledged { seconds: u64 },
    /// Read every acknowledged write back, with this URI.
    Missing { uri: String },
    /// Run a command on one mongod.
    Command { host: String, command: serde_json::Value },
    /// The identity of the data directory of this mongod.
    Data { host: String },
}

/// How writes reach the set.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Way {
    /// Through a driver in this process.
    Driver { uri: String },
    /// Through an application: it gets posts with ids from `first` on.
    Visit { address: String, path: String, first: i64 },
}

/// The collection that the writes go to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Stored {
    pub(super) database: String,
    pub(super) collection: String,
}

/// An answer.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Answer {
    Done,
    Ran {
        code: Option<i32>,
        out: String,
        err: String,
    },
    Tallies(BTreeMap<String, Tally>),
    /// The writers without an acknowledgement.
    Silent(Vec<String>),
    Missing(BTreeMap<String, Missing>),
    Reply(serde_json::Value),
    Failed(String),
}

/// The result of one writer.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Tally {
    pub(super) acknowledged: usize,
    pub(super) failed: usize,
    pub(super) gap: Duration,
    pub(super) last_error: Option<String>,
}

/// The acknowledged writes of one writer that cannot be read back.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Missing {
    pub(super) ids: Vec<i64>,
    pub(super) of: usize,
}

/// Serves requests from stdin until stdin closes.
pub(super) async fn serve(rsctl: &str) -> ExitCode {
    let mut desk = Desk { rsctl, ways: BTreeMap::new() };
    line::serve(async |request: Result<Request, String>| match request {
        Ok(request) => desk.serve(request).await.unwrap_or_else(|failure| Answer::Failed(failure.to_string())),
        Err(why) => Answer::Failed(why),
    })
    .await
}

struct Desk<'a> {
    rsctl: &'a str,
    ways: BTreeMap<String, (MajorityWriter, Stored)>,
}

impl Desk<'_> {
    async fn serve(&mut self, request: Request) -> Outcome<Answer> {
        match request {
            Request::Rsctl { args, seconds } => self.run(&args, Duration::from_secs(seconds)).await,
            Request::Write { name, way, stored } => self.write(name, way, stored).await,
            Request::Command { host, command } => Ok(Answer::Reply(run_command(&host, &command).await?)),
            Request::Data { host } => Ok(Answer::Reply(data(&host).await?)),
            Request::Rest { name } => {
                let (writer, _) = self.ways.remove(&name).ok_or_else(|| format!("there is no writer {name}"))?;
                writer.rest().await;
                Ok(Answer::Done)
            }
            Request::Mark => {
                self.ways.values().for_each(|(writer, _)| writer.reset_gap());
                Ok(Answer::Done)
            }
            Request::Acknowledged { seconds } => Ok(Answer::Silent(self.silent(Duration::from_secs(seconds)).await)),
            Request::Tallies => {
                Ok(Answer::Tallies(self.ways.iter().map(|(name, (writer, _))| (name.clone(), tally(writer))).collect()))
            }
            Request::Missing { uri } => Ok(Answer::Missing(self.missing(&uri).await?)),
        }
    }

    /// The writers that get no acknowledgement within the limit.
    async fn silent(&self, limit: Duration) -> Vec<String> {
        let waits = self.ways.iter().map(|(name, (writer, _))| async move {
            let silent = !writer.next_acknowledged(limit).await;
            silent.then(|| name.clone())
        });
        join_all(waits).await.into_iter().flatten().collect()
    }

    async fn missing(&self, uri: &str) -> Outcome<BTreeMap<String, Missing>> {
        let client = writer::collection(uri).await?.client().clone();
        let mut found = BTreeMap::new();
        for (name, (writer, Stored { database, collection })) in &self.ways {
            let written = writer.tally().acknowledged;
            let stored = client.database(database).collection(collection);
            let ids = writer::missing_in(stored, &written).await?;
            found.insert(name.clone(), Missing { ids, of: written.len() });
        }
        client.shutdown().immediate(true).await;
        Ok(found)
    }

    async fn run(&self, args: &[String], limit: Duration) -> Outcome<Answer> {
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).arg("--").arg(self.rsctl).args(args).kill_on_drop(true);
        let output = timeout(limit, command.output()).await;
        let output = output.map_err(|_| format!("rsctl {} did not end within {limit:?}", args.join(" ")))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer::Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    async fn write(&mut self, name: String, way: Way, stored: Stored) -> Outcome<Answer> {
        let writer = match way {
            Way::Driver { uri } => majority_writer(&uri).await?,
            Way::Visit { address, path, first } => writer::writer(Visitor { address, path, first }, ""),
        };
        if !writer.next_acknowledged(FIRST_WRITE).await {
            let why = writer.tally().last_error.unwrap_or_default();
            return Err(format!("{name} had no acknowledged write in {FIRST_WRITE:?}: {why}").into());
        }
        writer.reset_gap();
        self.ways.insert(name, (writer, stored));
        Ok(Answer::Done)
    }
}

fn tally(writer: &MajorityWriter) -> Tally {
    let writer::Tally { acknowledged, longest_gap: gap, failed, last_error, .. } = writer.tally();
    Tally { acknowledged: acknowledged.len(), failed, gap, last_error }
}

/// A client of one mongod only, in any member state.
pub(super) async fn client(host: &str) -> Outcome<Client> {
    let mut options = ClientOptions::parse(format!("mongodb://{host}/?directConnection=true")).await?;
    options.server_selection_timeout = Some(Duration::from_secs(2));
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Nearest { options: None }));
    Ok(Client::with_options(options)?)
}

async fn run_command(host: &str, command: &serde_json::Value) -> Outcome<serde_json::Value> {
    let client = client(host).await?;
    let command = serialize_to_document(command)?;
    let reply = timeout(COMMAND_LIMIT, async { client.database("admin").run_command(command).await }).await;
    client.shutdown().immediate(true).await;
    Ok(serde_json::to_value(reply.map_err(io::Error::from)??)?)
}

/// `local.replset.initialSyncId`. It is new after a loss of the data and after every initial sync.
async fn data(host: &str) -> Outcome<serde_json::Value> {
    let client = client(host).await?;
    let identities = client.database("local").collection::<Document>("replset.initialSyncId");
    let found = timeout(COMMAND_LIMIT, async { identities.find_one(doc! {}).await }).await;
    client.shutdown().immediate(true).await;
    let found = found.map_err(io::Error::from)??;
    Ok(serde_json::to_value(found.and_then(|identity| identity.get("_id").cloned()))?)
}

/// Waits until `probe` returns something. At the limit, the error says what was waited for and what was seen instead.
pub(super) async fn until<T>(
    limit: Duration,
    what: &str,
    probe: impl AsyncFnMut() -> Outcome<Result<T, String>>,
) -> Outcome<T> {
    until_each(Duration::from_millis(100), limit, what, probe).await
}

/// The same, with this pause between two probes.
pub(super) async fn until_each<T>(
    poll: Duration,
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Outcome<Result<T, String>>,
) -> Outcome<T> {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let instead = match probe().await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(instead)) => instead,
            Err(failure) => failure.to_string(),
        };
        if tokio::time::Instant::now() >= deadline {
            return Err(format!("gave up after {limit:?} waiting for {what}: {instead}").into());
        }
        sleep(poll).await;
    }
}
