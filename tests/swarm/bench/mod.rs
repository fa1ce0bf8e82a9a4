//! `scripts/bench --swarm`: how long an application cannot write on a real Swarm, and a set is not whole: with rsctl, with
//! the ideal commands at the ideal moment, and with MongoDB alone. The stack, the image and the binary are those that ship.

mod ideal;
mod inside;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Outcome;
use super::lab::Lab;
use super::line::Line;
use super::remote::until;
use super::stack::{self, DESK, MONGO, NETWORK};
use ideal::Moved;
use inside::{Answer, Ask, Help};

pub(super) use inside::serve;

/// The word that makes this program go into the network instead.
pub(super) const ENTER: &str = "bench-in-the-overlay";
/// How many rounds, when it is asked for.
pub(super) const ROUNDS: &str = "SWARM_BENCH";
/// The file that its table goes to, beside stdout.
pub(super) const TABLE: &str = "SWARM_BENCH_TABLE";

const HOSTS: [&str; 3] = ["mongo-node1:27017", "mongo-node2:27017", "mongo-node3:27017"];
const NODES: [&str; 3] = ["node1", "node2", "node3"];
const WITHOUT_RSCTL: &str = "tests/swarm/bench/without-rsctl.yml";

/// A set that runs has run for longer than this: what is killed in its first seconds is no measure of it.
const REST: Duration = Duration::from_secs(5);

/// Who looks after the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Contender {
    Rsctl,
    Floor,
    Alone,
}

const CONTENDERS: [Contender; 3] = [Contender::Rsctl, Contender::Floor, Contender::Alone];

/// What the config calls the members.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum By {
    Names,
    Ips,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Writable,
    AllVoting,
    PrimaryGone,
    MemberBack,
    Recreated,
}

impl Moment {
    const ALL: [Self; 5] = [Self::Writable, Self::AllVoting, Self::PrimaryGone, Self::MemberBack, Self::Recreated];

    fn name(self) -> &'static str {
        match self {
            Self::Writable => "cold start: writable",
            Self::AllVoting => "cold start: all voting",
            Self::PrimaryGone => "primary's container gone",
            Self::MemberBack => "member back at a new address",
            Self::Recreated => "whole stack at new addresses: a majority writes",
        }
    }
}

type Samples = BTreeMap<(Moment, By, Contender), Vec<f64>>;

/// Lives through every moment so many times, and gives the report as Markdown.
pub(super) async fn measure(lab: &Lab, rounds: usize) -> Outcome<String> {
    let mut samples = Samples::new();
    for by in [By::Names, By::Ips] {
        for round in 1..=rounds {
            for who in CONTENDERS {
                for (moment, seconds) in live(lab, who, by).await? {
                    println!("{who:?}, {by:?}, round {round}: {}: {seconds:.2} s", moment.name());
                    samples.entry((moment, by, who)).or_default().push(seconds);
                }
            }
        }
    }
    Ok(table(&samples, rounds))
}

/// One round: begun on empty volumes, the primary removed, a secondary removed, everything removed and deployed again.
async fn live(lab: &Lab, who: Contender, by: By) -> Outcome<Vec<(Moment, f64)>> {
    let nodes = NODES.map(str::to_owned);
    deploy(lab, who, by).await?;
    let mut line = Line::enter(lab, DESK, NETWORK, ENTER)?;
    let help = match who {
        Contender::Rsctl => Help::Controller,
        Contender::Floor => Help::InitiateOne,
        Contender::Alone => Help::InitiateAll,
    };
    let mut times = vec![(Moment::Writable, seconds(&mut line, Ask::Begin { help, by }).await?)];
    times.push((Moment::AllVoting, seconds(&mut line, Ask::AllIn).await?));
    sleep(REST).await;
    let primary = primary(&mut line).await?;
    if who == Contender::Floor {
        ask(&mut line, Ask::Guard { primary: primary.clone() }).await?;
    }
    let old = address(&mut line, &primary).await?;
    ask(&mut line, Ask::Mark).await?;
    remove_task(lab, &primary).await?;
    times.push((Moment::PrimaryGone, seconds(&mut line, Ask::Gap).await?));
    // Known by IP, a member that moved is lost to a set that nobody looks after.
    if who != Contender::Alone || by == By::Names {
        back(&mut line, who, by, primary, old).await?;
        times.push((Moment::MemberBack, secondary_moves(lab, &mut line, who, by).await?));
        ask(&mut line, Ask::Rest).await?;
        stack::remove(lab, &nodes, &[stack::DB]).await?;
        let again = async { seconds(&mut line, Ask::Begin { help: again(who), by }).await };
        let (deployed, again) = tokio::join!(deploy(lab, who, by), again);
        deployed?;
        times.push((Moment::Recreated, again?));
    }
    drop(line);
    stack::remove(lab, &nodes, &[stack::DB]).await?;
    forget_data(lab).await?;
    Ok(times)
}

async fn secondary_moves(lab: &Lab, line: &mut Line, who: Contender, by: By) -> Outcome<f64> {
    sleep(REST).await;
    let primary = primary(line).await?;
    let host = HOSTS.into_iter().find(|host| *host != primary).unwrap_or(HOSTS[0]).to_owned();
    let old = address(line, &host).await?;
    remove_task(lab, &host).await?;
    back(line, who, by, host, old).await
}

/// A member whose container was removed comes back, somewhere else.
async fn back(line: &mut Line, who: Contender, by: By, host: String, old: String) -> Outcome<f64> {
    let help = who == Contender::Floor && by == By::Ips;
    seconds(line, Ask::Back { moved: Moved { host, old }, help }).await
}

async fn primary(line: &mut Line) -> Outcome<String> {
    host(line, Ask::AtRest).await
}

async fn address(line: &mut Line, of: &str) -> Outcome<String> {
    host(line, Ask::Where { host: of.to_owned() }).await
}

/// A container of a task that has ended holds on to its volume for a moment.
async fn forget_data(lab: &Lab) -> Outcome {
    for node in NODES {
        until(stack::REMOVE_LIMIT, "a volume that nobody uses", async || {
            lab.docker(node, &["volume", "rm", "db_data"]).await?;
            Ok(Ok(()))
        })
        .await?;
    }
    Ok(())
}

fn again(who: Contender) -> Help {
    match who {
        Contender::Rsctl => Help::Controller,
        Contender::Floor => Help::StepUp,
        Contender::Alone => Help::Nothing,
    }
}

async fn remove_task(lab: &Lab, host: &str) -> Outcome {
    let node = host.trim_start_matches("mongo-").trim_end_matches(":27017");
    let container = stack::container(lab, node, MONGO).await?.ok_or("a member has no container")?;
    lab.docker(node, &["rm", "-f", &container.id]).await.map(drop)
}

async fn deploy(lab: &Lab, who: Contender, by: By) -> Outcome {
    let files = [stack::FILE, WITHOUT_RSCTL];
    let files = if who == Contender::Rsctl { &files[..1] } else { &files[..] };
    let kind = if by == By::Names { "auto" } else { "ip" };
    stack::deploy_merged(lab, stack::DB, files, &BTreeMap::from([("RSCTL_MEMBER_ADDRESS", kind)])).await
}

fn table(samples: &Samples, rounds: usize) -> String {
    let mut text = format!(
        "## On a real Swarm\n\nThree engines, the shipped stack and image; {rounds} rounds by `scripts/bench --swarm`. \
         Seconds: the median, and in brackets the least and the most. A member answers some time before Swarm's DNS lists \
         its task, which has to pass its health check first. Known by IP, a mongod that comes back first tries to connect to \
         the addresses of its config one by one, for up to 3 s where nobody is any more, whoever observations after it. Containers \
         are removed from a set that has been whole for 5 s. Of the ideal commands none has the third voter copy from the \
         second beforehand, so it sleeps MongoDB's second when the primary goes. A member added, a member removed and a URI that changes take \
         more than three engines to show, and nothing of Swarm: see above.\n\n| moment | members by | rsctl | floor | \
         alone | of floor | faster than alone |\n|---|---|---|---|---|---|---|\n"
    );
    for moment in Moment::ALL {
        for (by, word) in [(By::Names, "names"), (By::Ips, "IPs")] {
            let sorted = CONTENDERS.map(|who| {
                let mut all = samples.get(&(moment, by, who)).cloned().unwrap_or_default();
                all.sort_by(f64::total_cmp);
                all
            });
            let median = |all: &[f64]| all.get(all.len() / 2).copied();
            let show = |all: &[f64]| match (median(all), all.first(), all.last()) {
                (Some(median), Some(least), Some(most)) => format!("**{median:.2}** ({least:.2}–{most:.2})"),
                _ => "–".to_owned(),
            };
            let ratio = |a: &[f64], b: &[f64]| {
                median(a).zip(median(b)).map_or_else(|| "–".to_owned(), |(a, b)| format!("{:.1} ×", a / b))
            };
            let [rsctl, floor, alone] = &sorted;
            let (of_floor, faster) = (ratio(rsctl, floor), ratio(alone, rsctl));
            let (rsctl, floor, alone) = (show(rsctl), show(floor), show(alone));
            let name = moment.name();
            let _ = writeln!(text, "| {name} | {word} | {rsctl} | {floor} | {alone} | {of_floor} | {faster} |");
        }
    }
    text
}

async fn ask(line: &mut Line, ask: Ask) -> Outcome<Answer> {
    match line.ask(&ask).await? {
        Answer::Failed(why) => Err(format!("{ask:?}: {why}").into()),
        answer => Ok(answer),
    }
}

async fn seconds(line: &mut Line, wanted: Ask) -> Outcome<f64> {
    match ask(line, wanted).await? {
        Answer::Seconds(seconds) => Ok(seconds),
        other => Err(format!("an answer to another question: {other:?}").into()),
    }
}

async fn host(line: &mut Line, wanted: Ask) -> Outcome<String> {
    match ask(line, wanted).await? {
        Answer::Host(host) => Ok(host),
        other => Err(format!("an answer to another question: {other:?}").into()),
    }
}
