//! The client of the program in the overlay network.

use std::collections::BTreeMap;
use std::time::Duration;

use rsctl::publish::Status;
use serde_json::{Value, json};

use super::Outcome;
use super::lab::Lab;
use super::line::Line;
use super::remote::{Answer, ENTER, Missing, Request, Stored, Tally, Way};

/// The name of the writer that runs during the whole story. It uses a driver.
pub(super) const DRIVER: &str = "driver";

/// The program ends when this is dropped.
pub(super) struct Agent {
    line: Line,
}

/// The output of a program.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Agent {
    /// Starts the program in a network, on a node.
    pub(super) fn enter(lab: &Lab, node: &str, network: &str) -> Outcome<Self> {
        Ok(Self { line: Line::enter(lab, node, network, ENTER)? })
    }

    async fn ask(&mut self, request: Request) -> Outcome<Answer> {
        match self.line.ask(&request).await? {
            Answer::Failed(why) => Err(why.into()),
            answer => Ok(answer),
        }
    }

    /// Runs `rsctl` in the network.
    pub(super) async fn rsctl(&mut self, args: &[&str], limit: Duration) -> Outcome<Ran> {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        match self.ask(Request::Rsctl { args, seconds: limit.as_secs() }).await? {
            Answer::Ran { code, out, err } => Ok(Ran { code, out, err }),
            other => unexpected(&other),
        }
    }

    /// Runs `rsctl status`. Returns its exit code and the status.
    pub(super) async fn status(&mut self) -> Outcome<(Option<i32>, Status)> {
        let ran = self.rsctl(&["status", "--output", "json"], Duration::from_secs(20)).await?;
        match serde_json::from_str(&ran.out) {
            Ok(status) => Ok((ran.code, status)),
            Err(_) => Err(format!("rsctl status ended with {:?}: {}", ran.code, ran.err.trim()).into()),
        }
    }

    /// Starts the writer that uses a driver.
    pub(super) async fn write(&mut self, uri: &str) -> Outcome {
        let stored = Stored { database: "rsctl_demo".to_owned(), collection: "writes".to_owned() };
        self.write_by(DRIVER, Way::Driver { uri: uri.to_owned() }, stored).await
    }

    /// Starts one more writer, and waits until its first write is acknowledged.
    pub(super) async fn write_by(&mut self, name: &str, way: Way, stored: Stored) -> Outcome {
        self.ask(Request::Write { name: name.to_owned(), way, stored }).await.map(drop)
    }

    /// Stops a writer.
    pub(super) async fn rest(&mut self, name: &str) -> Outcome {
        self.ask(Request::Rest { name: name.to_owned() }).await.map(drop)
    }

    /// Resets the longest gaps.
    pub(super) async fn mark(&mut self) -> Outcome {
        self.ask(Request::Mark).await.map(drop)
    }

    /// The result of each writer so far.
    pub(super) async fn tallies(&mut self) -> Outcome<BTreeMap<String, Tally>> {
        match self.ask(Request::Tallies).await? {
            Answer::Tallies(tallies) => Ok(tallies),
            other => unexpected(&other),
        }
    }

    /// Waits until each writer has an acknowledgement for a write that begins after this call.
    pub(super) async fn acknowledged(&mut self, limit: Duration) -> Outcome {
        let silent = match self.ask(Request::Acknowledged { seconds: limit.as_secs() }).await? {
            Answer::Silent(silent) => silent,
            other => return unexpected(&other),
        };
        if silent.is_empty() {
            return Ok(());
        }
        let tallies = self.tallies().await?;
        let why =
            |name: &String| format!("{name}: {:?}", tallies.get(name).and_then(|tally| tally.last_error.as_ref()));
        let why: Vec<_> = silent.iter().map(why).collect();
        Err(format!("no write was acknowledged for {limit:?}: {}", why.join("; ")).into())
    }

    /// The acknowledged writes of each writer that cannot be read back.
    pub(super) async fn missing(&mut self, uri: &str) -> Outcome<BTreeMap<String, Missing>> {
        match self.ask(Request::Missing { uri: uri.to_owned() }).await? {
            Answer::Missing(missing) => Ok(missing),
            other => unexpected(&other),
        }
    }

    /// Runs a command on the mongod at this address.
    pub(super) async fn command(&mut self, host: &str, command: Value) -> Outcome<Value> {
        match self.ask(Request::Command { host: host.to_owned(), command }).await? {
            Answer::Reply(reply) => Ok(reply),
            other => unexpected(&other),
        }
    }

    /// The config of this mongod.
    pub(super) async fn config(&mut self, host: &str) -> Outcome<Value> {
        Ok(self.command(host, json!({"replSetGetConfig": 1})).await?["config"].take())
    }

    /// The identity of the data directory of this mongod.
    pub(super) async fn data(&mut self, host: &str) -> Outcome<Value> {
        match self.ask(Request::Data { host: host.to_owned() }).await? {
            Answer::Reply(Value::Null) => Err(format!("{host} has no complete data directory").into()),
            Answer::Reply(data) => Ok(data),
            other => unexpected(&other),
        }
    }
}

fn unexpected<T>(answer: &Answer) -> Outcome<T> {
    Err(format!("an answer to another request: {answer:?}").into())
}
