//! In the overlay network, where applications are: waits, writes and, for the floor, sends the ideal commands.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::ideal::{self, Moved};
use super::{By, HOSTS};
use crate::Outcome;
use crate::line;
use crate::remote::{client, until_each};
use crate::support::writer::{Door, MajorityWriter, writer};

/// For what should take seconds: MongoDB by itself needs half a minute for some of it.
pub(super) const LIMIT: Duration = Duration::from_secs(120);
pub(super) const KNOCK: Duration = Duration::from_millis(5);
/// Every member is asked, each time by new connections.
const POLL: Duration = Duration::from_millis(20);
/// A container that is gone answers nobody: what takes longer than this was not answered.
pub(super) const PING_LIMIT: Duration = Duration::from_millis(100);

/// What can be asked for.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Ask {
    /// From the moment in which the last mongod opens its port until a majority acknowledged a write.
    Begin { help: Help, by: By },
    /// From the same moment until three voters serve.
    AllIn,
    /// Wait until three voters serve, and every secondary copies from somebody; whom they follow.
    AtRest,
    /// The address behind a name.
    Where { host: String },
    /// From the moment in which a member answers at another address than this until three voters serve; with the ideal
    /// command, if wished.
    Back { moved: Moved, help: bool },
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
    /// The addresses that changed are forced upon one, and `replSetStepUp`.
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

/// What is remembered between two questions.
struct Desk<'a> {
    rsctl: &'a str,
    writer: Option<MajorityWriter>,
    /// When the last mongod of a beginning opened its port.
    answered: Instant,
}

/// Serves until stdin ends.
pub(crate) async fn serve(rsctl: &str) -> ExitCode {
    let mut desk = Desk { rsctl, writer: None, answered: Instant::now() };
    line::serve(async |ask: Result<Ask, String>| match ask {
        Ok(ask) => desk.answer(ask).await.unwrap_or_else(|why| Answer::Failed(why.to_string())),
        Err(why) => Answer::Failed(why),
    })
    .await
}

impl Desk<'_> {
    async fn answer(&mut self, ask: Ask) -> Outcome<Answer> {
        Ok(match ask {
            Ask::Begin { help, by } => {
                self.rest().await;
                timeout(LIMIT, self.begin(help, by)).await.map_err(|_| "no set in two minutes")??;
                Answer::Seconds(self.answered.elapsed().as_secs_f64())
            }
            Ask::AllIn => {
                serving(false).await?;
                Answer::Seconds(self.answered.elapsed().as_secs_f64())
            }
            Ask::AtRest => Answer::Host(serving(true).await?),
            Ask::Where { host } => Answer::Host(answers(&host, None).await),
            Ask::Back { moved, help } => {
                let primary = if help { Some(ideal::leader().await?) } else { None };
                let new = timeout(LIMIT, answers(&moved.host, Some(&moved.old))).await?;
                let answered = Instant::now();
                if let Some(primary) = primary {
                    ideal::readdress(&primary, &moved, &new).await?;
                }
                serving(false).await?;
                Answer::Seconds(answered.elapsed().as_secs_f64())
            }
            Ask::Guard { primary } => {
                tokio::spawn(ideal::guard(primary));
                Answer::Done
            }
            Ask::Mark => {
                self.writing()?.reset_gap();
                Answer::Done
            }
            Ask::Gap => {
                let writer = self.writing()?;
                if !writer.next_acknowledged(LIMIT).await {
                    return Err(format!("no write in {LIMIT:?}: {:?}", writer.tally().last_error).into());
                }
                Answer::Seconds(writer.tally().longest_gap.as_secs_f64())
            }
            Ask::Rest => {
                self.rest().await;
                Answer::Done
            }
        })
    }

    fn writing(&self) -> Outcome<&MajorityWriter> {
        self.writer.as_ref().ok_or_else(|| "nobody writes yet".into())
    }

    async fn rest(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.rest().await;
        }
    }

    async fn begin(&mut self, help: Help, by: By) -> Outcome {
        let addresses = join_all(HOSTS.map(|host| answers(host, None))).await;
        self.answered = Instant::now();
        let hosts = match by {
            By::Names => HOSTS.map(str::to_owned).to_vec(),
            By::Ips => addresses,
        };
        let mut uri = format!("mongodb://{}/?replicaSet=rs", hosts.join(","));
        match help {
            Help::Controller => {
                let mut command = Command::new(self.rsctl);
                let output = command.args(["uri", "--wait", "60s"]).kill_on_drop(true).output().await?;
                uri = String::from_utf8(output.stdout)?.trim().to_owned();
            }
            Help::InitiateOne => {
                ideal::initiate(&hosts[..1], doc! { "heartbeatIntervalMillis": 500 }).await?;
                tokio::spawn(ideal::add_others(hosts));
            }
            Help::InitiateAll => ideal::initiate(&hosts, doc! {}).await?,
            Help::StepUp => {
                if by == By::Ips {
                    ideal::force(&hosts).await?;
                }
                ideal::step_up(HOSTS.to_vec()).await?;
            }
            Help::Nothing => {}
        }
        let writer = writer(Beats(beats(&uri).await?), &uri);
        if !writer.next_acknowledged(LIMIT).await {
            return Err(format!("no write by {uri}: {:?}", writer.tally().last_error).into());
        }
        self.writer = Some(writer);
        Ok(())
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

/// It listens, at another address than this; gives the address. The end is the caller's.
async fn answers(host: &str, but: Option<&str>) -> String {
    loop {
        if let Ok(Ok(stream)) = timeout(PING_LIMIT, TcpStream::connect(host)).await
            && let Ok(peer) = stream.peer_addr()
            && but.is_none_or(|old| peer.to_string() != old)
        {
            return peer.to_string();
        }
        sleep(KNOCK).await;
    }
}

/// Waits until three voters serve in everybody's eyes, and gives the primary. Asks the members themselves: with MongoDB
/// alone there is nobody else to ask.
async fn serving(at_rest: bool) -> Outcome<String> {
    until_each(POLL, LIMIT, "three voters to serve", async || {
        let mut leaders = Vec::new();
        for (host, status) in HOSTS.into_iter().zip(join_all(HOSTS.map(status)).await) {
            let status = status?;
            let members = status.get_array("members")?;
            let serves =
                |m: &mongodb::bson::Bson| m.as_document().is_some_and(|m| matches!(m.get_i32("state"), Ok(1 | 2)));
            if members.len() != HOSTS.len() || !members.iter().all(serves) {
                return Ok(Err(format!("{host} sees {} members, not all of which serve", members.len())));
            }
            let leads = status.get_i32("myState")? == 1;
            if at_rest && !leads && status.get_str("syncSourceHost").unwrap_or_default().is_empty() {
                return Ok(Err(format!("{host} copies from nobody")));
            }
            if leads && status.get_i32("votingMembersCount")? == 3 {
                leaders.push(host.to_owned());
            }
        }
        Ok(leaders.pop().ok_or_else(|| "nobody leads three voters".to_owned()))
    })
    .await
}

async fn status(host: &str) -> Outcome<Document> {
    command(host, doc! { "replSetGetStatus": 1 }).await
}

pub(super) async fn command(host: &str, command: Document) -> Outcome<Document> {
    let client = client(host).await?;
    let reply = timeout(LIMIT, async { client.database("admin").run_command(command).await }).await;
    client.shutdown().immediate(true).await;
    Ok(reply??)
}
