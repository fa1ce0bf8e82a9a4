//! Our man in the overlay network: this very program, started once more in there, does as it is told line by line.
//!
//! It is where applications are: it finds rsctl and the mongods by Swarm's DNS, and runs the application that writes
//! all through the story.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc, serialize_to_document};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::Outcome;
use super::support::process::DIE_WITH_US;
use super::support::writer::{MajorityWriter, majority_writer, missing};

/// The word that makes this program serve instead of telling the story.
pub(super) const ENTER: &str = "in-the-overlay";

/// How long the writer may take for its first write: before it, nothing is measured.
const FIRST_WRITE: Duration = Duration::from_secs(30);
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// What can be asked for.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Order {
    /// Run `rsctl`.
    Rsctl { args: Vec<String>, seconds: u64 },
    /// Start to write.
    Write { uri: String },
    /// How the writing goes.
    Tally,
    /// Measure gaps from now on.
    Mark,
    /// Wait for a write that begins from now on.
    Acknowledged { seconds: u64 },
    /// Read every acknowledged write back.
    Missing,
    /// Run a command on one mongod.
    Command { host: String, command: serde_json::Value },
    /// Which data directory this mongod has.
    Data { host: String },
}

/// What comes back.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Answer {
    Done,
    Ran { code: Option<i32>, out: String, err: String },
    Tally { acknowledged: usize, failed: usize, gap_ms: u64, last_error: Option<String> },
    Acknowledged(bool),
    Missing { ids: Vec<i64>, of: usize },
    Reply(serde_json::Value),
    Failed(String),
}

/// Serves orders from stdin until it ends.
pub(super) async fn serve(rsctl: &str) -> ExitCode {
    let mut desk = Desk { rsctl, uri: String::new(), writer: None };
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match serde_json::from_str(&line) {
            Ok(order) => desk.serve(order).await.unwrap_or_else(|failure| Answer::Failed(failure.to_string())),
            Err(error) => Answer::Failed(format!("no order: {error}")),
        };
        match serde_json::to_string(&answer) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("an answer that cannot be written down: {error}"),
        }
    }
    ExitCode::SUCCESS
}

struct Desk<'a> {
    rsctl: &'a str,
    uri: String,
    writer: Option<MajorityWriter>,
}

impl Desk<'_> {
    async fn serve(&mut self, order: Order) -> Outcome<Answer> {
        match order {
            Order::Rsctl { args, seconds } => self.run(&args, Duration::from_secs(seconds)).await,
            Order::Write { uri } => self.write(uri).await,
            Order::Command { host, command } => Ok(Answer::Reply(run_command(&host, &command).await?)),
            Order::Data { host } => Ok(Answer::Reply(data(&host).await?)),
            Order::Mark => {
                self.writer()?.reset_gap();
                Ok(Answer::Done)
            }
            Order::Acknowledged { seconds } => {
                Ok(Answer::Acknowledged(self.writer()?.next_acknowledged(Duration::from_secs(seconds)).await))
            }
            Order::Tally => {
                let tally = self.writer()?.tally();
                let gap_ms = u64::try_from(tally.longest_gap.as_millis())?;
                let acknowledged = tally.acknowledged.len();
                Ok(Answer::Tally { acknowledged, failed: tally.failed, gap_ms, last_error: tally.last_error })
            }
            Order::Missing => {
                let written = self.writer()?.tally().acknowledged;
                Ok(Answer::Missing { ids: missing(&self.uri, &written).await?, of: written.len() })
            }
        }
    }

    fn writer(&self) -> Outcome<&MajorityWriter> {
        self.writer.as_ref().ok_or_else(|| "nobody writes yet".into())
    }

    async fn run(&self, args: &[String], limit: Duration) -> Outcome<Answer> {
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).arg("--").arg(self.rsctl).args(args).kill_on_drop(true);
        let output = timeout(limit, command.output()).await;
        let output = output.map_err(|_| format!("rsctl {} did not end within {limit:?}", args.join(" ")))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer::Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    async fn write(&mut self, uri: String) -> Outcome<Answer> {
        let writer = majority_writer(&uri).await?;
        if !writer.next_acknowledged(FIRST_WRITE).await {
            let tally = writer.tally();
            return Err(format!("no write in {FIRST_WRITE:?}: {}", tally.last_error.unwrap_or_default()).into());
        }
        writer.reset_gap();
        (self.uri, self.writer) = (uri, Some(writer));
        Ok(Answer::Done)
    }
}

/// A client of one mongod, whatever its state.
async fn client(host: &str) -> Outcome<Client> {
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

/// `local.replset.initialSyncId`: new after a wipe and after every initial sync.
async fn data(host: &str) -> Outcome<serde_json::Value> {
    let client = client(host).await?;
    let identities = client.database("local").collection::<Document>("replset.initialSyncId");
    let found = timeout(COMMAND_LIMIT, async { identities.find_one(doc! {}).await }).await;
    client.shutdown().immediate(true).await;
    let found = found.map_err(io::Error::from)??;
    Ok(serde_json::to_value(found.and_then(|identity| identity.get("_id").cloned()))?)
}

/// Waits until `probe` gives something; on giving up, says what was waited for and what there was instead.
pub(super) async fn until<T>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Outcome<Result<T, String>>,
) -> Outcome<T> {
    const POLL: Duration = Duration::from_millis(100);
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
        sleep(POLL).await;
    }
}
