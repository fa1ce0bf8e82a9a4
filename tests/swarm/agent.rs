//! The near end of the line to our man in the overlay network.

use std::collections::BTreeMap;
use std::time::Duration;

use rsctl::publish::Status;
use serde_json::{Value, json};

use super::Outcome;
use super::lab::Lab;
use super::line::Line;
use super::remote::{Answer, ENTER, Missing, Order, Place, Tally, Way};

/// The way of the application that writes all through the story: a driver of its own.
pub(super) const DRIVER: &str = "driver";

/// He ends when dropped.
pub(super) struct Agent {
    line: Line,
}

/// What a program said.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Agent {
    /// Sends him into a network, by way of a node.
    pub(super) fn enter(lab: &Lab, node: &str, network: &str) -> Outcome<Self> {
        Ok(Self { line: Line::enter(lab, node, network, ENTER)? })
    }

    async fn ask(&mut self, order: Order) -> Outcome<Answer> {
        match self.line.ask(&order).await? {
            Answer::Failed(why) => Err(why.into()),
            answer => Ok(answer),
        }
    }

    /// Runs `rsctl` in the network.
    pub(super) async fn rsctl(&mut self, args: &[&str], limit: Duration) -> Outcome<Ran> {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        match self.ask(Order::Rsctl { args, seconds: limit.as_secs() }).await? {
            Answer::Ran { code, out, err } => Ok(Ran { code, out, err }),
            other => unexpected(&other),
        }
    }

    /// `rsctl status`: its exit code, and what it knows.
    pub(super) async fn status(&mut self) -> Outcome<(Option<i32>, Status)> {
        let ran = self.rsctl(&["status", "--output", "json"], Duration::from_secs(20)).await?;
        match serde_json::from_str(&ran.out) {
            Ok(status) => Ok((ran.code, status)),
            Err(_) => Err(format!("rsctl status ended with {:?}: {}", ran.code, ran.err.trim()).into()),
        }
    }

    /// From now on a driver writes, and counts.
    pub(super) async fn write(&mut self, uri: &str) -> Outcome {
        let stored = Place { database: "rsctl_demo".to_owned(), collection: "writes".to_owned() };
        self.write_by(DRIVER, Way::Driver { uri: uri.to_owned() }, stored).await
    }

    /// From now on writes go this way too; the first of them is acknowledged.
    pub(super) async fn write_by(&mut self, name: &str, way: Way, stored: Place) -> Outcome {
        self.ask(Order::Write { name: name.to_owned(), way, stored }).await.map(drop)
    }

    /// No more writes by this way.
    pub(super) async fn rest(&mut self, name: &str) -> Outcome {
        self.ask(Order::Rest { name: name.to_owned() }).await.map(drop)
    }

    /// From now on gaps are measured anew.
    pub(super) async fn mark(&mut self) -> Outcome {
        self.ask(Order::Mark).await.map(drop)
    }

    /// How the writing goes, by each way.
    pub(super) async fn tallies(&mut self) -> Outcome<BTreeMap<String, Tally>> {
        match self.ask(Order::Tallies).await? {
            Answer::Tallies(tallies) => Ok(tallies),
            other => unexpected(&other),
        }
    }

    /// Waits until each way has taken a write that begins from now on.
    pub(super) async fn acknowledged(&mut self, limit: Duration) -> Outcome {
        let silent = match self.ask(Order::Acknowledged { seconds: limit.as_secs() }).await? {
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

    /// The acknowledged writes that cannot be read back, by each way.
    pub(super) async fn missing(&mut self, uri: &str) -> Outcome<BTreeMap<String, Missing>> {
        match self.ask(Order::Missing { uri: uri.to_owned() }).await? {
            Answer::Missing(missing) => Ok(missing),
            other => unexpected(&other),
        }
    }

    /// Runs a command on the mongod at this address.
    pub(super) async fn command(&mut self, host: &str, command: Value) -> Outcome<Value> {
        match self.ask(Order::Command { host: host.to_owned(), command }).await? {
            Answer::Reply(reply) => Ok(reply),
            other => unexpected(&other),
        }
    }

    /// The config as this mongod has it.
    pub(super) async fn config(&mut self, host: &str) -> Outcome<Value> {
        Ok(self.command(host, json!({"replSetGetConfig": 1})).await?["config"].take())
    }

    /// The identity of the data directory that this mongod has.
    pub(super) async fn data(&mut self, host: &str) -> Outcome<Value> {
        match self.ask(Order::Data { host: host.to_owned() }).await? {
            Answer::Reply(Value::Null) => Err(format!("{host} has no complete data directory").into()),
            Answer::Reply(data) => Ok(data),
            other => unexpected(&other),
        }
    }
}

fn unexpected<T>(answer: &Answer) -> Outcome<T> {
    Err(format!("an answer to another question: {answer:?}").into())
}
