//! Runs in the overlay network, where applications are. It waits, writes and, for the floor, sends the ideal commands.

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
use crate::support::writer::{MajorityWriter, Sink, writer};

/// The limit of every wait. MongoDB alone needs half a minute for some of them.
pub(super) const LIMIT: Duration = Duration::from_secs(120);
pub(super) const RETRY: Duration = Duration::from_millis(5);
/// A gap that is longer is explained on stderr.
const WORTH_A_LINE: Duration = Duration::from_millis(500);
/// The pause between two rounds of questions to all members, each with new connections.
const POLL: Duration = Duration::from_millis(20);
/// The limit of one answer: a removed container never answers.
pub(super) const PING_LIMIT: Duration = Duration::from_millis(100);

/// A request.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Ask {
    /// The time from the moment when the last mongod opens its port until a majority has acknowledged a write.
    Begin { help: Help, by: By },
    /// The time from the same moment until three voters serve.
    AllIn,
    /// Wait until three voters serve and every secondary has a sync source. Returns the primary.
    AtRest,
    /// The address of a name.
    Where { host: String },
    /// The time from the moment when a member answers at another address than this until three voters serve. With `help`,
    /// the ideal command is sent.
    Back { moved: Moved, help: bool },
    /// Have another member elected as soon as this one does not answer.
    Guard { primary: String },
    /// Reset the longest gap.
    Mark,
    /// The longest time without an acknowledged write since the reset.
    Gap,
    /// Stop the writer.
    Rest,
}

/// What makes writes possible.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum Help {
    /// Only ask rsctl for the URI.
    Controller,
    /// `replSetInitiate` with one member, then add the others.
    InitiateOne,
    /// `rs.initiate()` with all three, as MongoDB's manual describes it.
    InitiateAll,
    /// Force the new addresses on one member, then send `replSetStepUp`.
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

/// The state between two requests.
struct Desk<'a> {
    rsctl: &'a str,
    writer: Option<MajorityWriter>,
    /// When the last mongod of the first start opened its port.
    answered: Instant,
}

/// Serves requests until stdin closes.
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
                let tally = writer.tally();
                if let (Some(why), true) = (&tally.last_error, tally.longest_gap > WORTH_A_LINE) {
                    eprintln!("{} writes failed so far, the last one: {why}", tally.failed);
                }
                Answer::Seconds(tally.longest_gap.as_secs_f64())
            }
            Ask::Rest => {
                self.rest().await;
                Answer::Done
            }
        })
    }

    fn writing(&self) -> Outcome<&MajorityWriter> {
        self.writer.as_ref().ok_or_else(|| "there is no writer yet".into())
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
            return Err(format!("no acknowledged write with {uri}: {:?}", writer.tally().last_error).into());
        }
        self.writer = Some(writer);
        Ok(())
    }
}

/// The collection of the writes, which are not read again.
struct Beats(Collection<Document>);

impl Sink for Beats {
    async fn write(&self, _: i64) -> Result<(), String> {
        self.0.insert_one(doc! {}).await.map(drop).map_err(|error| error.to_string())
    }
}

async fn beats(uri: &str) -> Outcome<Collection<Document>> {
    let mut options = ClientOptions::parse(uri).await?;
    options.write_concern = Some(WriteConcern::majority());
    Ok(Client::with_options(options)?.database("bench").collection("writes"))
}

/// Waits until it listens at another address than this. Returns the address. The caller sets the limit.
async fn answers(host: &str, but: Option<&str>) -> String {
    loop {
        if let Ok(Ok(stream)) = timeout(PING_LIMIT, TcpStream::connect(host)).await
            && let Ok(peer) = stream.peer_addr()
            && but.is_none_or(|old| peer.to_string() != old)
        {
            return peer.to_string();
        }
        sleep(RETRY).await;
    }
}

/// Waits until every member reports three voters that serve. Returns the primary. It asks the members, because MongoDB
/// alone has no controller to ask.
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
                return Ok(Err(format!("{host} has no sync source")));
            }
            if leads && status.get_i32("votingMembersCount")? == 3 {
                leaders.push(host.to_owned());
            }
        }
        Ok(leaders.pop().ok_or_else(|| "no primary has three voters".to_owned()))
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
