//! `scripts/bench --swarm`: how long an application cannot write on a real Swarm, with rsctl, with the ideal commands at
//! the ideal moment, and with MongoDB alone. The stack, the image and the binary are those that ship.

mod inside;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Outcome;
use super::lab::Lab;
use super::line::Line;
use super::remote::until;
use super::stack::{self, DESK, MONGO, NETWORK};
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

/// Who looks after the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Rsctl,
    Floor,
    Alone,
}

const CONTENDERS: [Contender; 3] = [Contender::Rsctl, Contender::Floor, Contender::Alone];
const MOMENTS: [&str; 3] =
    ["first start: writable", "primary's container killed", "stack removed and deployed again: writable"];

/// Lives through every moment so many times, and gives the report as Markdown.
pub(super) async fn measure(lab: &Lab, rounds: usize) -> Outcome<String> {
    let mut samples: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for (column, who) in CONTENDERS.into_iter().enumerate() {
        for round in 0..rounds {
            for (row, seconds) in live(lab, who).await?.into_iter().enumerate() {
                println!("{who:?}, round {}: {}: {seconds:.2} s", round + 1, MOMENTS[row]);
                samples.entry((row, column)).or_default().push(seconds);
            }
        }
    }
    Ok(table(&samples, rounds))
}

/// One round: begun on empty volumes, the primary killed, everything removed and deployed again.
async fn live(lab: &Lab, who: Contender) -> Outcome<[f64; MOMENTS.len()]> {
    let nodes = NODES.map(str::to_owned);
    deploy(lab, who).await?;
    let mut line = Line::enter(lab, DESK, NETWORK, ENTER)?;
    let first = match who {
        Contender::Rsctl => Help::Controller,
        Contender::Floor => Help::InitiateOne,
        Contender::Alone => Help::InitiateAll,
    };
    let begun = seconds(&mut line, Ask::Begin { help: first }).await?;
    let killed = kill_primary(lab, &mut line, who).await?;
    ask(&mut line, Ask::Whole).await?;
    ask(&mut line, Ask::Rest).await?;
    stack::remove(lab, &nodes, &[stack::DB]).await?;
    let again = async { seconds(&mut line, Ask::Begin { help: again(who) }).await };
    let (deployed, again) = tokio::join!(deploy(lab, who), again);
    deployed?;
    let seconds = [begun, killed, again?];
    drop(line);
    stack::remove(lab, &nodes, &[stack::DB]).await?;
    forget_data(lab).await?;
    Ok(seconds)
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

async fn kill_primary(lab: &Lab, line: &mut Line, who: Contender) -> Outcome<f64> {
    let Answer::Host(primary) = ask(line, Ask::Whole).await? else { return Err("no primary was named".into()) };
    let node = primary.trim_start_matches("mongo-").trim_end_matches(":27017").to_owned();
    let container = stack::container(lab, &node, MONGO).await?.ok_or("the primary has no container")?;
    if who == Contender::Floor {
        ask(line, Ask::Guard { primary }).await?;
    }
    ask(line, Ask::Mark).await?;
    lab.docker(&node, &["rm", "-f", &container.id]).await?;
    let gap = seconds(line, Ask::Gap).await?;
    stack::replacement(lab, &node, MONGO, &container).await?;
    Ok(gap)
}

async fn deploy(lab: &Lab, who: Contender) -> Outcome {
    let files = [stack::FILE, WITHOUT_RSCTL];
    let files = if who == Contender::Rsctl { &files[..1] } else { &files[..] };
    stack::deploy_merged(lab, stack::DB, files, &BTreeMap::new()).await
}

fn table(samples: &BTreeMap<(usize, usize), Vec<f64>>, rounds: usize) -> String {
    let mut text = format!(
        "## On a real Swarm\n\nThree engines, the shipped stack and image, members by names; {rounds} rounds by `scripts/bench \
         --swarm`. Seconds: the median, and in brackets the least and the most.\n\n| moment | rsctl | floor | alone | of \
         floor | faster than alone |\n|---|---|---|---|---|---|\n"
    );
    for (row, moment) in MOMENTS.iter().enumerate() {
        let sorted = |column| {
            let mut all = samples.get(&(row, column)).cloned().unwrap_or_default();
            all.sort_by(f64::total_cmp);
            all
        };
        let [rsctl, floor, alone] = [sorted(0), sorted(1), sorted(2)];
        let median = |all: &[f64]| all.get(all.len() / 2).copied().unwrap_or(f64::NAN);
        let show = |all: &[f64]| match (all.first(), all.last()) {
            (Some(least), Some(most)) => format!("**{:.2}** ({least:.2}–{most:.2})", median(all)),
            _ => "–".to_owned(),
        };
        let (of_floor, faster) = (median(&rsctl) / median(&floor), median(&alone) / median(&rsctl));
        let (rsctl, floor, alone) = (show(&rsctl), show(&floor), show(&alone));
        let _ = writeln!(text, "| {moment} | {rsctl} | {floor} | {alone} | {of_floor:.1} × | {faster:.1} × |");
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
