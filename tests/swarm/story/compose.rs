//! `deploy/compose` with the init container of `deploy/apps`. It has one engine, and an application whose image does
//! not contain rsctl.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::{verdict, whole};
use crate::Outcome;
use crate::agent::Agent;
use crate::apps::{self, APP_ALONE, COMPOSED};
use crate::lab::Lab;
use crate::remote::until;
use crate::stack::DESK;

pub(super) const NAME: &str = "Compose's init container starts an application";

const PROJECT: &str = "recipe";
const NETWORK: &str = "recipe_default";
const UP_LIMIT: Duration = Duration::from_secs(120);

/// The application starts after the init container has ended, and continues after the primary is lost.
pub(super) async fn starts(lab: &Lab, nodes: Vec<String>) -> Outcome<String> {
    apps::build(lab, &nodes).await?;
    let need = lab.run(UP_LIMIT, &lab.path("scripts/need"), &["docker-compose:docker-compose"]).await;
    if let Err(why) = need {
        println!("skipped: {NAME}: {why}");
        return Ok(String::new());
    }
    let began = Instant::now();
    compose(lab, &["up", "-d"]).await?;
    let up = began.elapsed().as_secs_f64();
    let told = told(lab).await;
    if told.is_err() {
        println!("--- docker-compose logs\n{}", compose(lab, &["logs", "--tail", "30"]).await.unwrap_or_default());
    }
    // Not `down`: a process of the test may still use the network, which ends with the engine.
    compose(lab, &["rm", "--stop", "--force", "-v"]).await?;
    Ok(format!("up after {up:.1} s, {}", told?))
}

async fn told(lab: &Lab) -> Outcome<String> {
    let init =
        lab.docker(DESK, &["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "recipe_mongo-url_1"]).await?;
    if init.trim() != "exited 0" {
        return Err(format!("the init container is {}", init.trim()).into());
    }
    let mut agent = Agent::enter(lab, DESK, NETWORK)?;
    COMPOSED.enter(&mut agent).await?;
    let uri = agent.rsctl(&["uri", "--wait", "60s"], Duration::from_secs(65)).await?.out;
    if uri.trim() != "mongodb://mongo1:27017,mongo2:27017,mongo3:27017/?replicaSet=rs" {
        return Err(format!("the URI is {uri}").into());
    }
    // Applications start before all members vote. A primary with the only vote has no successor.
    let primary = whole(&mut agent, UP_LIMIT, "the set").await?.primary.ok_or("no primary")?;
    agent.mark().await?;
    let (service, _) = primary.split_once(':').ok_or("no port")?;
    // The test kills the process, as a crash does: Docker does not restart a container after `docker kill`.
    let container = format!("{PROJECT}_{service}_1");
    let pid = lab.docker(DESK, &["inspect", "-f", "{{.State.Pid}}", &container]).await?;
    kill(Pid::from_raw(pid.trim().parse()?), Signal::SIGKILL)?;
    until(Duration::from_secs(40), "another primary", async || {
        let now = agent.status().await?.1.primary;
        Ok(if now.as_ref().is_some_and(|now| *now != primary) { Ok(()) } else { Err(format!("{now:?}")) })
    })
    .await?;
    verdict(&mut agent, uri.trim()).await
}

async fn compose(lab: &Lab, words: &[&str]) -> Outcome<String> {
    let files = ["-p", PROJECT, "-f", "deploy/compose/compose.yml", "-f", "deploy/apps/compose-init.yml"];
    let variables = BTreeMap::from([("APP_IMAGE", APP_ALONE)]);
    lab.session(UP_LIMIT, "docker-compose", &[&files, words].concat(), &variables).await
}
