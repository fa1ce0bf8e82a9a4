//! A second set, with the last MongoDB that old drivers can write to. Its members are known by address, so its applications
//! lose it when all addresses change. They need `rsctl exec --on-change restart`.

use std::collections::BTreeMap;
use std::time::Duration;

use rsctl::publish::Status;
use tokio::time::Instant;

use super::{brief, stack, verdict, whole};
use crate::Outcome;
use crate::agent::Agent;
use crate::apps::{self, APP, CHAT, HAPROXY, ORION, Recipe};
use crate::lab::{Lab, OLD_MONGO};
use crate::remote::until;
use crate::stack::{DESK, FILE};

const STACK: &str = "old";
const NETWORK: &str = "old_backend";
const MONGO: &str = "old_mongo";
/// A suffix for the names of the stacks: those of the first set may still be in removal.
const SUFFIX: &str = "-old";
const RECIPES: [Recipe; 4] = [CHAT, ORION, APP, HAPROXY];
/// Services whose tasks must restart when every address has changed, and their number of tasks.
const RESTARTED: [(&str, usize); 4] =
    [("chat-old_chat", 1), ("broker-old_orion", 2), ("broker-old_old-orion", 1), ("app-old_app", 1)];
/// Keeps the URI in a file on every node.
const FILE_STACK: &str = "uri";
const LIMIT: Duration = Duration::from_secs(60);

/// Its stack, the recipes, and a program in its network.
struct Second<'l> {
    lab: &'l Lab,
    nodes: Vec<String>,
    agent: Agent,
}

/// The name of the step that reports its result.
pub(super) const NAME: &str = "applications follow a set to new addresses";

/// Applications start with the set, lose its primary, and then lose every address that they know.
pub(super) async fn moved(lab: &Lab, nodes: Vec<String>) -> Outcome<String> {
    apps::build(lab, &nodes).await?;
    let began = Instant::now();
    let mut second = Second::begin(lab, nodes).await?;
    let ended = second.told(began).await;
    if ended.is_err() {
        second.explain().await;
    }
    second.end().await?;
    ended
}

impl<'l> Second<'l> {
    /// Deploys everything at the same time: the applications start before the set exists.
    async fn begin(lab: &'l Lab, nodes: Vec<String>) -> Outcome<Self> {
        deploy(lab, "auto").await?;
        apps::deploy(lab, &RECIPES, NETWORK, SUFFIX).await?;
        stack::deploy_as(lab, FILE_STACK, "deploy/apps/uri-file.yml", &BTreeMap::from([("MONGO_NETWORK", NETWORK)]))
            .await?;
        Ok(Self { lab, nodes, agent: Agent::enter(lab, DESK, NETWORK)? })
    }

    async fn told(&mut self, began: Instant) -> Outcome<String> {
        for endpoint in RECIPES.iter().flat_map(|recipe| recipe.endpoints) {
            endpoint.enter(&mut self.agent).await?;
        }
        let first = self.uri().await?;
        self.whole().await?;
        self.in_files(&first).await?;
        let started = began.elapsed().as_secs_f64();

        self.agent.mark().await?;
        let led = self.whole().await?.primary.ok_or("no primary")?;
        let (node, old) = self.task_at(&led).await?;
        self.lab.docker(&node, &["rm", "-f", &old.id]).await?;
        let killed = verdict(&mut self.agent, &first).await?;
        stack::replacement(self.lab, &node, MONGO, &old).await?;
        self.whole().await?;

        let before = self.starts().await?;
        let seeds = self.agent.status().await?.1.seeds;
        self.agent.mark().await?;
        stack::remove(self.lab, &self.nodes, &[STACK]).await?;
        let again = Instant::now();
        deploy(self.lab, "never").await?;
        let second = self.uri_other_than(&seeds).await?;
        let published = again.elapsed().as_secs_f64();
        let moved = verdict(&mut self.agent, &second).await?;
        let written = again.elapsed().as_secs_f64();
        self.in_files(&second).await?;
        let filed = again.elapsed().as_secs_f64();
        self.restarted_once(&before).await?;
        Ok(format!(
            "all write {started:.1} s after the deploy; primary's task removed: {killed}; all addresses new, published after \
             {published:.1} s, each application started anew and writing after {written:.1} s, in the file on every node after {filed:.1} s at most: \
             {moved}"
        ))
    }

    /// Waits for a URI.
    async fn uri(&mut self) -> Outcome<String> {
        let ran = self.agent.rsctl(&["uri", "--wait", "60s"], Duration::from_secs(65)).await?;
        if ran.code == Some(0) { Ok(ran.out.trim().to_owned()) } else { Err(ran.err.into()) }
    }

    /// Waits for a URI in which every address is new.
    async fn uri_other_than(&mut self, seeds: &[String]) -> Outcome<String> {
        let agent = &mut self.agent;
        until(LIMIT, "a set at new addresses", async || {
            let (_, status) = agent.status().await?;
            let new = !status.seeds.is_empty() && status.seeds.iter().all(|seed| !seeds.contains(seed));
            Ok(if new && status.primary.is_some() { Ok(()) } else { Err(brief(&status)) })
        })
        .await?;
        self.uri().await
    }

    async fn whole(&mut self) -> Outcome<Status> {
        whole(&mut self.agent, LIMIT, "the second set").await
    }

    /// The node and the container of a member with this address.
    async fn task_at(&self, host: &str) -> Outcome<(String, stack::Container)> {
        for node in &self.nodes {
            let found = stack::container(self.lab, node, MONGO).await?;
            if let Some(task) = found.filter(|task| host == format!("{}:27017", task.ip)) {
                return Ok((node.clone(), task));
            }
        }
        Err(format!("no task is at {host}").into())
    }

    /// How often the applications of each service have started, from their logs.
    async fn starts(&self) -> Outcome<BTreeMap<&'static str, usize>> {
        let mut starts = BTreeMap::new();
        for (service, _) in RESTARTED {
            let said = self.lab.spoken(DESK, &["service", "logs", "--raw", service]).await?;
            starts.insert(service, said.lines().filter(|line| line.starts_with("start ")).count());
        }
        Ok(starts)
    }

    /// Checks that each task restarted its application once, and that no container was replaced.
    async fn restarted_once(&self, before: &BTreeMap<&'static str, usize>) -> Outcome {
        let starts = self.starts().await?;
        for (service, tasks) in RESTARTED {
            let (then, now) = (before.get(service).copied().unwrap_or(0), starts.get(service).copied().unwrap_or(0));
            if now - then != tasks {
                return Err(format!(
                    "{service} started {} times with {tasks} tasks when all addresses changed",
                    now - then
                )
                .into());
            }
        }
        Ok(())
    }

    /// Waits until a container on each node reads this in its volume, as a user without write permission.
    async fn in_files(&self, uri: &str) -> Outcome {
        for node in &self.nodes {
            until(LIMIT, &format!("the file on {node} to say {uri}"), async || {
                let container =
                    ["run", "--rm", "--user", "1234:1234", "-v", "mongo-uri:/mongo:ro", "localhost:1/mongo:test"];
                let said = self.lab.docker(node, &[&container[..], &["cat", "/mongo/uri"]].concat()).await?;
                Ok(if said.trim() == uri { Ok(()) } else { Err(said) })
            })
            .await?;
        }
        Ok(())
    }

    async fn explain(&mut self) {
        if let Ok(ran) = self.agent.rsctl(&["status"], Duration::from_secs(20)).await {
            println!("--- rsctl status of the second set ({:?})\n{}{}", ran.code, ran.out, ran.err);
        }
        for (name, tally) in self.agent.tallies().await.unwrap_or_default() {
            println!(
                "--- writes by {name}: {} acknowledged, {} not; last error: {:?}",
                tally.acknowledged, tally.failed, tally.last_error
            );
        }
        for service in ["old_rsctl", "chat-old_chat", "broker-old_orion", "app-old_app", "door-old_door"] {
            let logs = self.lab.spoken(DESK, &["service", "logs", "--raw", "--tail", "30", service]).await;
            let tasks = self.lab.spoken(DESK, &["service", "ps", "--no-trunc", service]).await;
            println!("--- {service}\n{}\n{}", logs.unwrap_or_default(), tasks.unwrap_or_default());
        }
    }

    /// Starts the removal of its stacks without waiting.
    async fn end(self) -> Outcome {
        apps::remove(self.lab, &RECIPES, SUFFIX).await?;
        drop(self.agent);
        stack::begin_removal(self.lab, &[FILE_STACK, STACK]).await
    }
}

async fn deploy(lab: &Lab, bootstrap: &str) -> Outcome {
    let image = format!("localhost:1/mongo:{OLD_MONGO}");
    let variables = BTreeMap::from([
        ("MONGO_IMAGE", image.as_str()),
        ("RSCTL_MEMBER_ADDRESS", "ip"),
        ("RSCTL_BOOTSTRAP", bootstrap),
    ]);
    stack::deploy_as(lab, STACK, FILE, &variables).await
}
