//! In the overlay network, where applications are: waits, writes and, for the floor, sends the ideal commands.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::HOSTS;
use crate::Outcome;
use crate::line;
use crate::remote::{client, until};
use crate::support::writer::{Door, MajorityWriter, writer};

/// For what should take seconds: MongoDB by itself needs half a minute for some of it.
const LIMIT: Duration = Duration::from_secs(120);
const KNOCK: Duration = Duration::from_millis(5);
/// A container that is gone answers nobody: a ping of the floor's that takes longer than this was not answered.
const PING_LIMIT: Duration = Duration::from_millis(100);

/// What can be asked for.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Ask {
    /// From the moment in which the last mongod opens its port until a majority acknowledged a write.
    Begin { help: Help },
    /// Wait until three voters serve; whom they follow.
    Whole,
    /// Have another one elected as soon as this one is gone.
    Guard { primary: String },
    /// Gaps count from now on.
    Mark,
    /// The longest time without an acknowledged write since then.
    Gap,
    /// Write no more.
    Rest,
}

/// What is done so that there can be writes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum Help {
    /// Nothing but to ask rsctl for the URI.
    Controller,
    /// `replSetInitiate` of one, then the others are added.
    InitiateOne,
    /// `rs.initiate()` of all three, as the manual has it.
    InitiateAll,
    /// `replSetStepUp`.
    StepUp,
    /// Nothing.
    Nothing,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Answer {
    Done,
    Seconds(f64),
    Host(String),
    Failed(String),
}

/// Serves until stdin ends.
pub(crate) async fn serve(rsctl: &str) -> ExitCode {
    let mut writer = None;
    line::serve(async |ask: Result<Ask, String>| match ask {
        Ok(ask) => answer(ask, rsctl, &mut writer).await.unwrap_or_else(|why| Answer::Failed(why.to_string())),
        Err(why) => Answer::Failed(why),
    })
    .await
}

async fn answer(ask: Ask, rsctl: &str, writer: &mut Option<MajorityWriter>) -> Outcome<Answer> {
    let writing = || "nobody writes yet";
    Ok(match ask {
        Ask::Begin { help } => {
            rest(writer).await;
            let (took, writes) = timeout(LIMIT, begin(help, rsctl)).await.map_err(|_| "no set in two minutes")??;
            *writer = Some(writes);
            Answer::Seconds(took.as_secs_f64())
        }
        Ask::Whole => Answer::Host(whole().await?),
        Ask::Guard { primary } => {
            tokio::spawn(guard(primary));
            Answer::Done
        }
        Ask::Mark => {
            writer.as_ref().ok_or_else(writing)?.reset_gap();
            Answer::Done
        }
        Ask::Gap => {
            let writer = writer.as_ref().ok_or_else(writing)?;
            if !writer.next_acknowledged(LIMIT).await {
                return Err(format!("no write in {LIMIT:?}: {:?}", writer.tally().last_error).into());
            }
            Answer::Seconds(writer.tally().longest_gap.as_secs_f64())
        }
        Ask::Rest => {
            rest(writer).await;
            Answer::Done
        }
    })
}

async fn rest(writer: &mut Option<MajorityWriter>) {
    if let Some(writer) = writer.take() {
        writer.rest().await;
    }
}

/// Writes that nobody looks at again.
struct Beats(Collection<Document>);

impl Door for Beats {
    async fn write(&self, _: i64) -> Result<(), String> {
        self.0.insert_one(doc! {}).await.map(drop).map_err(|error| error.to_string())
    }
}

async fn beats(uri: &str) -> Outcome<Collection<Document>> {
    let mut options = ClientOptions::parse(uri).await?;
    options.write_concern = Some(WriteConcern::majority());
    Ok(Client::with_options(options)?.database("bench").collection("writes"))
}

async fn begin(help: Help, rsctl: &str) -> Outcome<(Duration, MajorityWriter)> {
    join_all(HOSTS.map(answers)).await;
    let answered = Instant::now();
    let mut uri = format!("mongodb://{}/?replicaSet=rs", HOSTS.join(","));
    match help {
        Help::Controller => {
            let output = Command::new(rsctl).args(["uri", "--wait", "60s"]).kill_on_drop(true).output().await?;
            uri = String::from_utf8(output.stdout)?.trim().to_owned();
        }
        Help::InitiateOne => {
            initiate(&HOSTS[..1], doc! { "heartbeatIntervalMillis": 500 }).await?;
            tokio::spawn(add_others());
        }
        Help::InitiateAll => initiate(&HOSTS, doc! {}).await?,
        Help::StepUp => step_up(HOSTS.to_vec()).await?,
        Help::Nothing => {}
    }
    let writer = writer(Beats(beats(&uri).await?), &uri);
    if writer.next_acknowledged(LIMIT).await {
        return Ok((answered.elapsed(), writer));
    }
    Err(format!("no write by {uri}: {:?}", writer.tally().last_error).into())
}

/// It listens. The end is the caller's.
async fn answers(host: &str) {
    while !timeout(PING_LIMIT, TcpStream::connect(host)).await.is_ok_and(|tried| tried.is_ok()) {
        sleep(KNOCK).await;
    }
}

async fn initiate(hosts: &[&str], settings: Document) -> Outcome {
    let members: Vec<_> = (0i32..).zip(hosts).map(|(id, host)| doc! { "_id": id, "host": *host }).collect();
    let config = doc! { "_id": "rs", "version": 1, "members": members, "settings": settings };
    command(HOSTS[0], doc! { "replSetInitiate": config }).await.map(drop)
}

async fn add_others() -> Outcome {
    until(LIMIT, "the others to be added", async || {
        let mut config = command(HOSTS[0], doc! { "replSetGetConfig": 1 }).await?.get_document("config")?.clone();
        let members = config.get_array_mut("members").map_err(|e| e.to_string())?;
        if members.len() == HOSTS.len() {
            return Ok(Ok(()));
        }
        members.extend((1i32..).zip(&HOSTS[1..]).map(|(id, host)| Bson::Document(doc! { "_id": id, "host": *host })));
        config.insert("version", config.get_i32("version")? + 1);
        command(HOSTS[0], doc! { "replSetReconfig": config }).await?;
        Ok(Ok(()))
    })
    .await
}

/// On one after the other, until somebody is elected.
async fn step_up(candidates: Vec<&str>) -> Outcome {
    for host in candidates.into_iter().cycle() {
        if command(host, doc! { "replSetStepUp": 1 }).await.is_ok() {
            let _ = command(host, doc! { "replSetAbortPrimaryCatchUp": 1 }).await;
            return Ok(());
        }
        sleep(KNOCK).await;
    }
    Ok(())
}

async fn guard(primary: String) -> Outcome {
    let watched = client(&primary).await?;
    let ping = || async { watched.database("admin").run_command(doc! { "ping": 1 }).await };
    while timeout(PING_LIMIT, ping()).await.is_ok_and(|pong| pong.is_ok()) {
        sleep(KNOCK).await;
    }
    timeout(LIMIT, step_up(HOSTS.into_iter().filter(|host| *host != primary).collect())).await?
}

/// Asks the members themselves: with MongoDB alone there is nobody else to ask.
async fn whole() -> Outcome<String> {
    until(LIMIT, "three voters to serve", async || {
        let mut leaders = Vec::new();
        for host in HOSTS {
            let status = command(host, doc! { "replSetGetStatus": 1 }).await?;
            let members = status.get_array("members")?;
            let serves = |m: &Bson| m.as_document().is_some_and(|m| matches!(m.get_i32("state"), Ok(1 | 2)));
            if members.len() != HOSTS.len() || !members.iter().all(serves) {
                return Ok(Err(format!("{host} sees {} members, not all of which serve", members.len())));
            }
            if status.get_i32("myState")? == 1 && status.get_i32("votingMembersCount")? == 3 {
                leaders.push(host.to_owned());
            }
        }
        Ok(leaders.pop().ok_or_else(|| "nobody leads three voters".to_owned()))
    })
    .await
}

async fn command(host: &str, command: Document) -> Outcome<Document> {
    let client = client(host).await?;
    let reply = timeout(LIMIT, async { client.database("admin").run_command(command).await }).await;
    client.shutdown().immediate(true).await;
    Ok(reply??)
}
