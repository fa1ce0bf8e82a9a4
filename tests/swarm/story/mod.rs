//! The story, step by step, and the code that its steps share.

mod accidents;
mod applications;
mod compose;
mod engines;
mod moving;
mod planned;
mod safe;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use rsctl::publish::{Health, Status};
use serde_json::Value;
use tokio::time::Instant;

use super::agent::{Agent, DRIVER};
use super::beside::Beside;
use super::lab::Lab;
use super::remote::{Missing, Tally, until};
use super::stack::{self, DESK, MONGO, RSCTL};
use super::{Failure, Outcome};

/// A step returns what it measured.
type Telling<'a> = Pin<Box<dyn Future<Output = Outcome<String>> + 'a>>;
type Step = for<'a> fn(&'a mut Story<'_>) -> Telling<'a>;

/// The steps in order. All others need the first one.
pub(super) const STEPS: &[(&str, Step)] = &[
    ("a new stack becomes a set with a URI", |story| Box::pin(story.judged(planned::begins))),
    ("applications start by their recipes", |story| Box::pin(story.judged(applications::start))),
    ("a secondary's task is replaced", |story| Box::pin(story.judged(accidents::secondary))),
    ("the primary's task is replaced", |story| Box::pin(story.judged(accidents::primary))),
    ("rsctl's own task is replaced", |story| Box::pin(story.judged(accidents::controller))),
    ("an application starts through rsctl exec", |story| Box::pin(story.judged(planned::application))),
    ("the stack is removed and deployed again", |story| Box::pin(story.judged(planned::redeployed))),
    (moving::NAME, |story| Box::pin(story.ended(moving::NAME, moving::moved))),
    ("applications are scaled, and an engine drained", |story| Box::pin(story.judged(applications::scaled))),
    (safe::NAME, |story| Box::pin(story.ended(safe::NAME, safe::kept))),
    ("a fourth engine becomes a spare", |story| Box::pin(story.judged(engines::fourth))),
    ("an engine dies with a secondary, and returns", |story| Box::pin(story.judged(engines::secondary))),
    ("an engine dies with the primary, and returns", |story| Box::pin(story.judged(engines::primary))),
    (compose::NAME, |story| Box::pin(story.ended(compose::NAME, compose::starts))),
    ("a rolling update waits for each member", |story| Box::pin(story.judged(planned::updated))),
    ("a volume is emptied under its name", |story| Box::pin(story.judged(accidents::emptied))),
];

/// The limit until the set is healthy again after an event.
const WHOLE_LIMIT: Duration = Duration::from_secs(60);
/// The limit until writes continue. libmongoc 1.23 hangs now and then in the search for the next primary (CDRIVER-4666): then
/// the health check of the recipe ends the old Orion after a minute, and Swarm starts another one.
const WRITE_LIMIT: Duration = Duration::from_secs(90);

/// The state of the story.
pub(super) struct Story<'l> {
    lab: &'l Lab,
    agent: Option<Agent>,
    uri: String,
    nodes: Vec<String>,
    /// Whether the applications of the recipes run and write.
    applications: bool,
    beside: Beside<'l>,
}

/// The parts of a config that must not change without a reason.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    set: String,
    version: i64,
    members: BTreeMap<i64, MemberShape>,
}

#[derive(Clone, Debug, PartialEq)]
struct MemberShape {
    host: String,
    votes: i64,
    data: Option<String>,
}

impl<'l> Story<'l> {
    pub(super) fn new(lab: &'l Lab) -> Self {
        let nodes = ["node1", "node2", "node3"].map(str::to_owned).into();
        Self { lab, agent: None, uri: String::new(), nodes, applications: false, beside: Beside::default() }
    }

    /// Runs a step. Then it checks that applications write again, and that every acknowledged write is there.
    async fn judged(&mut self, step: impl AsyncFnOnce(&mut Story<'l>) -> Outcome<String>) -> Outcome<String> {
        let mut beside = std::mem::take(&mut self.beside);
        let told = beside
            .while_waiting_for(async {
                let note = step(self).await?;
                let uri = self.uri.clone();
                let agent = self.agent()?;
                Ok(format!("{note}; {}", verdict(agent, &uri).await?))
            })
            .await;
        self.beside.adopt(beside);
        told
    }

    /// The result of a story that ran at the same time as other steps. If it has not started, it runs now.
    async fn ended<S: Future<Output = Outcome<String>> + 'l>(
        &mut self,
        name: &'static str,
        story: impl FnOnce(&'l Lab, Vec<String>) -> S,
    ) -> Outcome<String> {
        if let Some(ended) = self.beside.end_of(name).await {
            return ended;
        }
        story(self.lab, self.nodes.clone()).await
    }

    fn agent(&mut self) -> Outcome<&mut Agent> {
        self.agent.as_mut().ok_or_else(|| "no program runs in the overlay network".into())
    }

    /// Waits for a healthy set in an observation that began after this call: rsctl may not have noticed an accident yet.
    async fn whole(&mut self) -> Outcome<Status> {
        let since = Instant::now();
        self.calm_since(|status| Duration::from_millis(status.observed_ms_ago) < since.elapsed()).await
    }

    /// Waits until rsctl reports a healthy set: all members, three votes, nothing to do.
    async fn calm(&mut self) -> Outcome<Status> {
        self.calm_since(|_| true).await
    }

    async fn calm_since(&mut self, fresh: impl Fn(&Status) -> bool) -> Outcome<Status> {
        let members = self.nodes.len();
        let calm = |status: &Status| fresh(status) && status.members.len() == members && at_rest(status);
        self.seen("the set to be whole", WHOLE_LIMIT, calm).await
    }

    /// Waits until `rsctl status` shows something.
    async fn seen(&mut self, what: &str, limit: Duration, wanted: impl Fn(&Status) -> bool) -> Outcome<Status> {
        let agent = self.agent()?;
        until(limit, what, async || {
            let (_, status) = agent.status().await?;
            Ok(if wanted(&status) { Ok(status) } else { Err(brief(&status)) })
        })
        .await
    }

    /// The config of the primary.
    async fn shape(&mut self) -> Outcome<Shape> {
        let host = self.calm().await?.primary.ok_or("no primary")?;
        let config = self.agent()?.config(&host).await?;
        Shape::of(&config).ok_or_else(|| format!("not a config: {config}").into())
    }

    /// Checks that the config has not changed.
    async fn same_shape(&mut self, before: &Shape) -> Outcome {
        let after = self.shape().await?;
        if *before == after {
            return Ok(());
        }
        Err(format!("the config changed without a reason: from {before:?} to {after:?}").into())
    }

    /// Waits for an acknowledged write. Returns the longest time without one since the last reset.
    async fn gap(&mut self) -> Outcome<f64> {
        let agent = self.agent()?;
        agent.acknowledged(WRITE_LIMIT).await?;
        let tallies = agent.tallies().await?;
        Ok(tallies.get(DRIVER).ok_or("there is no writer")?.gap.as_secs_f64())
    }

    /// Prints what helps to understand a failure.
    pub(super) async fn explain(&mut self) {
        if let Some(agent) = &mut self.agent {
            match agent.rsctl(&["status"], Duration::from_secs(20)).await {
                Ok(ran) => println!("--- rsctl status ({:?})\n{}{}", ran.code, ran.out, ran.err),
                Err(failure) => println!("--- rsctl status: {failure}"),
            }
            for (name, tally) in agent.tallies().await.unwrap_or_default() {
                let (seen, lost) = (tally.acknowledged, tally.failed);
                println!("--- writes by {name}: {seen} acknowledged, {lost} not; last error: {:?}", tally.last_error);
            }
        }
        let logs = ["service", "logs", "--raw", "--tail", "60", RSCTL];
        let tasks = ["service", "ps", "--format", "{{.Name}} {{.Node}}: {{.CurrentState}} {{.Error}}", MONGO, RSCTL];
        for args in [&logs[..], &tasks, &["node", "ls"]] {
            match self.lab.spoken(DESK, args).await {
                Ok(text) => println!("--- docker {}\n{text}", args.join(" ")),
                Err(failure) => println!("--- {failure}"),
            }
        }
    }
}

impl Shape {
    fn of(config: &Value) -> Option<Self> {
        let member = |member: &Value| {
            let data = member["tags"]["rsctlData"].as_str().map(str::to_owned);
            let shape =
                MemberShape { host: member["host"].as_str()?.to_owned(), votes: member["votes"].as_i64()?, data };
            Some((member["_id"].as_i64()?, shape))
        };
        Some(Self {
            set: config["settings"]["replicaSetId"].to_string(),
            version: config["version"].as_i64()?,
            members: config["members"].as_array()?.iter().map(member).collect::<Option<_>>()?,
        })
    }

    fn at(&self, host: &str) -> Outcome<&MemberShape> {
        self.members.values().find(|member| member.host == host).ok_or_else(|| format!("{host} is no member").into())
    }
}

/// Checks that every writer works and that no acknowledged write is lost. Returns the longest gap of each.
async fn verdict(agent: &mut Agent, uri: &str) -> Outcome<String> {
    agent.acknowledged(WRITE_LIMIT).await?;
    let tallies = agent.tallies().await?;
    let gap = |(name, tally): (&String, &Tally)| format!("{name} {:.1} s", tally.gap.as_secs_f64());
    let gaps: Vec<_> = tallies.iter().filter(|(name, _)| *name != DRIVER).map(gap).collect();
    let missing = agent.missing(uri).await?;
    let lost: Vec<_> = missing.iter().filter(|(_, missing)| !missing.ids.is_empty()).collect();
    if let Some((name, Missing { ids, of })) = lost.first() {
        let some: Vec<_> = ids.iter().take(10).collect();
        return Err(format!("{} of {of} acknowledged writes by {name} are lost: {some:?}", ids.len()).into());
    }
    let writes: usize = missing.values().map(|missing| missing.of).sum();
    let gaps = if gaps.is_empty() { String::new() } else { format!("without a write: {}; ", gaps.join(", ")) };
    Ok(format!("{gaps}all {writes} writes there"))
}

/// The host of the mongod of a node, as seen in the network.
fn host_on(node: &str) -> String {
    format!("mongo-{node}:27017")
}

fn node_of(host: &str) -> Outcome<String> {
    let node = host.strip_prefix("mongo-").and_then(|rest| rest.strip_suffix(":27017"));
    node.map(str::to_owned).ok_or_else(|| format!("{host} does not contain the name of a node").into())
}

/// A secondary with a vote, on a node that `fits` accepts.
fn voting_secondary(status: &Status, fits: impl Fn(&str) -> bool) -> Outcome<String> {
    let mut voters = status.members.iter().filter(|m| m.votes == 1 && m.state == "SECONDARY");
    let found = voters.find_map(|m| node_of(&m.host).ok().filter(|node| fits(node)));
    found.ok_or_else(|| format!("no voting secondary fits: {}", brief(status)).into())
}

/// Waits for a healthy set in an observation that began after this call.
async fn whole(agent: &mut Agent, limit: Duration, what: &str) -> Outcome<Status> {
    let since = Instant::now();
    until(limit, &format!("{what} to be whole"), async || {
        let (_, status) = agent.status().await?;
        let fresh = Duration::from_millis(status.observed_ms_ago) < since.elapsed();
        Ok(if fresh && at_rest(&status) { Ok(status) } else { Err(brief(&status)) })
    })
    .await
}

fn at_rest(status: &Status) -> bool {
    let voters: u8 = status.members.iter().map(|m| m.votes).sum();
    status.health == Health::Ok && voters == 3 && status.waiting.is_empty() && status.next == "nothing"
}

fn brief(status: &Status) -> String {
    let member = |m: &rsctl::publish::MemberStatus| {
        let ill = if m.healthy { "" } else { " not healthy" };
        format!("{} {} votes {}{ill}", m.host, m.state, m.votes)
    };
    let members: Vec<_> = status.members.iter().map(member).collect();
    let waiting = status.waiting.join("; ");
    format!("{:?}, {}, next: {}, waiting for: [{waiting}]", status.health, members.join(", "), status.next)
}

fn differs(what: &str, before: &impl std::fmt::Debug, after: &impl std::fmt::Debug) -> Failure {
    format!("{what} was {before:?} and is {after:?}").into()
}
