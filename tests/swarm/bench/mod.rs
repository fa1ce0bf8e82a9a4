//! `scripts/bench --swarm` measures on a real Swarm how long an application cannot write and how long a set is not healthy:
//! with rsctl, with the ideal commands at the ideal moment, and with MongoDB alone. It uses the stack in `deploy/swarm`.

mod ideal;
mod inside;
mod planned;

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

/// The argument that makes this program serve in the network.
pub(super) const ENTER: &str = "bench-in-the-overlay";
/// The variable with the number of rounds. If it is set, the bench runs.
pub(super) const ROUNDS: &str = "SWARM_BENCH";
/// The variable with words: only those moments of a set that lives on are measured whose names contain one of them.
/// MongoDB alone is measured too if one of the words is `alone`.
const ONLY: &str = "SWARM_BENCH_ONLY";
/// The variable with the file for the table, which is also printed.
pub(super) const TABLE: &str = "SWARM_BENCH_TABLE";

const HOSTS: [&str; 3] = ["mongo-node1:27017", "mongo-node2:27017", "mongo-node3:27017"];
const NODES: [&str; 3] = ["node1", "node2", "node3"];
const WITHOUT_RSCTL: &str = "tests/swarm/bench/without-rsctl.yml";

/// How long a set runs before something is killed. The first seconds of a set are not typical.
const REST: Duration = Duration::from_secs(5);

/// What controls the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Contender {
    Rsctl,
    Floor,
    Alone,
}

const CONTENDERS: [Contender; 3] = [Contender::Rsctl, Contender::Floor, Contender::Alone];

/// How the config names the members.
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

/// Measures every moment once per round. Returns the report as Markdown.
pub(super) async fn measure(lab: &Lab, rounds: usize) -> Outcome<String> {
    if let Ok(words) = std::env::var(ONLY) {
        let is_wanted = |name: &str| words.split(',').any(|word| name.contains(word));
        let contenders = if is_wanted("alone") { &planned::CONTENDERS[..] } else { &planned::CONTENDERS[..1] };
        return planned::measure(lab, rounds, contenders, is_wanted).await;
    }
    Ok(format!(
        "{}\n{}",
        lives(lab, rounds).await?,
        planned::measure(lab, rounds, &planned::CONTENDERS, |_| true).await?
    ))
}

async fn lives(lab: &Lab, rounds: usize) -> Outcome<String> {
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

/// One round: a first start on empty volumes, the primary removed, a secondary removed, the stack removed and deployed again.
async fn live(lab: &Lab, who: Contender, by: By) -> Outcome<Vec<(Moment, f64)>> {
    deploy(lab, who, by, &[]).await?;
    let mut line = Line::enter(lab, DESK, NETWORK, ENTER)?;
    let help = first(who);
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
    // Without a controller, a member that is known by IP does not come back after its address has changed.
    if who != Contender::Alone || by == By::Names {
        back(&mut line, who, by, primary, old).await?;
        times.push((Moment::MemberBack, secondary_moves(lab, &mut line, who, by).await?));
        ask(&mut line, Ask::Rest).await?;
        stack::remove(lab, &NODES.map(str::to_owned), &[stack::DB]).await?;
        let again = async { seconds(&mut line, Ask::Begin { help: again(who), by }).await };
        let (deployed, again) = tokio::join!(deploy(lab, who, by, &[]), again);
        deployed?;
        times.push((Moment::Recreated, again?));
    }
    drop(line);
    end(lab).await?;
    Ok(times)
}

/// Removes the set and its data.
async fn end(lab: &Lab) -> Outcome {
    stack::remove(lab, &NODES.map(str::to_owned), &[stack::DB]).await?;
    forget_data(lab).await
}

fn first(who: Contender) -> Help {
    match who {
        Contender::Rsctl => Help::Controller,
        Contender::Floor => Help::InitiateOne,
        Contender::Alone => Help::InitiateAll,
    }
}

async fn secondary_moves(lab: &Lab, line: &mut Line, who: Contender, by: By) -> Outcome<f64> {
    sleep(REST).await;
    let primary = primary(line).await?;
    let host = HOSTS.into_iter().find(|host| *host != primary).unwrap_or(HOSTS[0]).to_owned();
    let old = address(line, &host).await?;
    remove_task(lab, &host).await?;
    back(line, who, by, host, old).await
}

/// A member whose container was removed comes back at another address.
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

/// Removes the volumes. The container of a task that has ended uses its volume for a moment longer.
async fn forget_data(lab: &Lab) -> Outcome {
    for node in NODES {
        until(stack::REMOVE_LIMIT, "an unused volume", async || {
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

fn node_of(host: &str) -> &str {
    host.trim_start_matches("mongo-").trim_end_matches(":27017")
}

async fn remove_task(lab: &Lab, host: &str) -> Outcome {
    let node = node_of(host);
    let container = stack::container(lab, node, MONGO).await?.ok_or("a member has no container")?;
    lab.docker(node, &["rm", "-f", &container.id]).await.map(drop)
}

async fn deploy(lab: &Lab, who: Contender, by: By, more: &[(&'static str, &'static str)]) -> Outcome {
    let files = [stack::FILE, WITHOUT_RSCTL];
    let files = if who == Contender::Rsctl { &files[..1] } else { &files[..] };
    let kind = if by == By::Names { "auto" } else { "ip" };
    let mut variables = BTreeMap::from([("RSCTL_MEMBER_ADDRESS", kind)]);
    variables.extend(more.iter().copied());
    stack::deploy_merged(lab, stack::DB, files, &variables).await
}

fn table(samples: &Samples, rounds: usize) -> String {
    let mut text = format!(
        "## On a real Swarm\n\n`scripts/bench --swarm` measured this in {rounds} rounds on three engines, with the stack in \
         `deploy/swarm` and its image. Times are in seconds: the median, and in brackets the least and the most. A member \
         answers some time before Swarm's DNS lists its task, because the task must pass its health check first. If members \
         are known by IP, a mongod that restarts first tries to connect to each address of its config, for up to 3 s for \
         each address that no longer exists, with or without rsctl. Containers are removed from a set that has been healthy \
         for 5 s. No ideal command sets the third voter to copy from the second in advance, so the third waits for one \
         second after the primary is lost. A new member, a removed member and a changed URI need more than three engines: \
         see above.\n\n| moment | members by | rsctl | floor | \
         alone | of floor | faster than alone |\n|---|---|---|---|---|---|---|\n"
    );
    for moment in Moment::ALL {
        for (by, word) in [(By::Names, "names"), (By::Ips, "IPs")] {
            let sorted = CONTENDERS.map(|who| sorted(samples.get(&(moment, by, who))));
            let ratio = |a: &[f64], b: &[f64]| {
                median(a).zip(median(b)).map_or_else(|| "–".to_owned(), |(a, b)| format!("{:.1} ×", a / b))
            };
            let [rsctl, floor, alone] = &sorted;
            let (of_floor, faster) = (ratio(rsctl, floor), ratio(alone, rsctl));
            let (rsctl, floor, alone) = (shown(rsctl), shown(floor), shown(alone));
            let name = moment.name();
            let _ = writeln!(text, "| {name} | {word} | {rsctl} | {floor} | {alone} | {of_floor} | {faster} |");
        }
    }
    text
}

fn sorted(samples: Option<&Vec<f64>>) -> Vec<f64> {
    let mut all = samples.cloned().unwrap_or_default();
    all.sort_by(f64::total_cmp);
    all
}

fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

/// The median, the least and the most, as a table has them.
fn shown(sorted: &[f64]) -> String {
    match (median(sorted), sorted.first(), sorted.last()) {
        (Some(median), Some(least), Some(most)) => format!("**{median:.2}** ({least:.2}–{most:.2})"),
        _ => "–".to_owned(),
    }
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
        other => Err(format!("an answer to another request: {other:?}").into()),
    }
}

async fn host(line: &mut Line, wanted: Ask) -> Outcome<String> {
    match ask(line, wanted).await? {
        Answer::Host(host) => Ok(host),
        other => Err(format!("an answer to another request: {other:?}").into()),
    }
}
