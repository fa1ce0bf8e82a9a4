//! Planned actions: deploy, remove, update, start an application.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Story, differs, host_on};
use crate::Outcome;
use crate::agent::Agent;
use crate::lab::Lab;
use crate::remote::until;
use crate::stack::{self, DB, DESK, MONGO, NETWORK, RSCTL};

/// The URI with the stable names of the three engines. It never changes.
const URI: &str = "mongodb://mongo-node1:27017,mongo-node2:27017,mongo-node3:27017/?replicaSet=rs";
const UPDATE_LIMIT: Duration = Duration::from_secs(240);

/// Deploys the stack, and waits for a set that applications can use.
pub(super) async fn begins(story: &mut Story<'_>) -> Outcome<String> {
    let began = Instant::now();
    stack::deploy(story.lab, "auto").await?;
    let agent = story.agent.insert(Agent::enter(story.lab, DESK, NETWORK)?);
    let ran = agent.rsctl(&["uri", "--wait", "60s"], Duration::from_secs(65)).await?;
    if ran.code != Some(0) {
        return Err(format!("rsctl uri ended with {:?}: {}", ran.code, ran.err.trim()).into());
    }
    let published = began.elapsed().as_secs_f64();
    story.uri = ran.out.trim().to_owned();
    if story.uri != URI {
        return Err(differs("the URI", &URI, &story.uri));
    }
    agent.write(URI).await?;
    let writable = began.elapsed().as_secs_f64();
    let status = story.whole().await?;
    let whole = began.elapsed().as_secs_f64();
    for node in story.nodes.clone() {
        let config = story.agent()?.config(&host_on(&node)).await?;
        let id = config["settings"]["replicaSetId"]["$oid"].as_str().map(str::to_owned);
        if id != status.replica_set_id {
            return Err(differs(&format!("the set on {node}"), &status.replica_set_id, &id));
        }
    }
    let table = story.agent()?.rsctl(&["status"], Duration::from_secs(20)).await?;
    if table.code != Some(0) || !table.err.is_empty() {
        return Err(format!("rsctl status ended with {:?}: {}{}", table.code, table.out, table.err).into());
    }
    healthy(story).await?;
    Ok(format!("URI after {published:.1} s, written to after {writable:.1} s, whole after {whole:.1} s"))
}

/// Waits until Docker reports rsctl as healthy.
async fn healthy(story: &mut Story<'_>) -> Outcome {
    let node = stack::controller_node(story.lab).await?;
    let lab = story.lab;
    until(Duration::from_secs(30), "rsctl's health check to pass", async || {
        let Some(container) = stack::container(lab, &node, RSCTL).await? else { return Ok(Err("no task".to_owned())) };
        let health = lab.docker(&node, &["inspect", "-f", "{{.State.Health.Status}}", &container.id]).await?;
        Ok(if health.trim() == "healthy" { Ok(()) } else { Err(health.trim().to_owned()) })
    })
    .await
}

/// Starts a container with an outdated URI. rsctl corrects the URI before the program starts.
pub(super) async fn application(story: &mut Story<'_>) -> Outcome<String> {
    let volume = format!("{}:/rsctl:ro", story.lab.rsctl());
    let container = ["run", "--rm", "--network", NETWORK, "-v", &volume, "--entrypoint", "/rsctl"];
    let variable = ["-e", "SHOP_URI=mongodb://mongo:27017/shop?appName=shop", "localhost:1/mongo:test"];
    let wrapper = ["exec", "--set", "SHOP_URI", "--set", "HOSTS={hosts}", "--wait", "30s", "--"];
    let program = ["sh", "-c", "echo \"$SHOP_URI $HOSTS\""];
    let said = story.lab.docker(DESK, &[&container[..], &variable, &wrapper, &program].concat()).await?;
    let names = &URI["mongodb://".len()..URI.len() - "/?replicaSet=rs".len()];
    let (uri, hosts) = said.trim().split_once(' ').ok_or("the application said nothing")?;
    let right = uri.starts_with(&format!("mongodb://{names}/shop?"))
        && uri.contains("replicaSet=rs")
        && uri.contains("appName=shop");
    if !right || hosts != names {
        return Err(format!("the application started with {}", said.trim()).into());
    }
    let file = written_by_a_task(story.lab).await?;
    if file.trim() != format!("DATABASE_URL=mongodb://{names}/app?replicaSet=rs") {
        return Err(format!("the file for an application says {file}").into());
    }
    Ok(format!("SHOP_URI={uri}; a task that writes a file for another one: {}", file.trim()))
}

/// Runs the snippet `app-env` of `deploy/apps/README.md` as a stack. Returns what another user than root reads in its volume.
async fn written_by_a_task(lab: &Lab) -> Outcome<String> {
    let page = std::fs::read_to_string(lab.path("deploy/apps/README.md"))?;
    let snippet = page.split("```yaml\napp-env:").nth(1).and_then(|rest| rest.split("```").next());
    let service =
        snippet.ok_or("no such snippet")?.replace("rsctl:latest", "localhost:1/rsctl:test").replace('\n', "\n  ");
    let (network, volumes) = (format!("networks: {{{NETWORK}: {{external: true}}}}"), "volumes: {app-env: {}}");
    let file = format!("{}/init.yml", lab.dir());
    let stack =
        format!("version: '3.8'\nservices:\n  app-env:{service}  networks: [{NETWORK}]\n{network}\n{volumes}\n");
    std::fs::write(&file, stack)?;
    stack::deploy_as(lab, "init", &file, &BTreeMap::new()).await?;
    let node = until(Duration::from_secs(30), "a task to write the file", async || {
        let tasks = ["service", "ps", "init_app-env", "--format", "{{.Node}} {{.CurrentState}} {{.Error}}"];
        let said = lab.docker(DESK, &tasks).await?;
        let done =
            said.lines().filter_map(|line| line.split_once(' ')).find(|(_, state)| state.starts_with("Complete"));
        Ok(done.map(|(node, _)| node.to_owned()).ok_or(said.clone()))
    })
    .await?;
    let reader = ["run", "--rm", "--user", "1234:1234", "-v", "init_app-env:/env:ro", "localhost:1/mongo:test"];
    let found = lab.docker(&node, &[&reader[..], &["cat", "/env/mongo.env"]].concat()).await?;
    stack::begin_removal(lab, &["init"]).await?;
    Ok(found)
}

/// Removes everything except the volumes, and deploys it again. All addresses change.
pub(super) async fn redeployed(story: &mut Story<'_>) -> Outcome<String> {
    let before = story.shape().await?;
    let old = addresses(story).await?;
    story.agent()?.mark().await?;
    stack::remove(story.lab, &story.nodes, &[DB]).await?;
    let began = Instant::now();
    stack::deploy(story.lab, "never").await?;
    let gap = story.gap().await?;
    let writable = began.elapsed().as_secs_f64();
    story.same_shape(&before).await?;
    let whole = began.elapsed().as_secs_f64();
    let uri = story.agent()?.rsctl(&["uri"], Duration::from_secs(20)).await?.out;
    if uri.trim() != story.uri {
        return Err(differs("the URI", &story.uri, &uri.trim()));
    }
    let new = addresses(story).await?;
    let moved = new.iter().filter(|(node, ip)| old.get(*node) != Some(ip)).count();
    if moved == 0 {
        return Err(format!("every task got its old address back, so this showed nothing: {new:?}").into());
    }
    let of = new.len();
    Ok(format!(
        "written to {writable:.1} s after the second deploy ({gap:.1} s without writes in all), whole after {whole:.1} s, \
         {moved} of {of} addresses new"
    ))
}

async fn addresses(story: &Story<'_>) -> Outcome<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for node in &story.nodes {
        let container = stack::container(story.lab, node, MONGO).await?;
        found.insert(node.clone(), container.ok_or_else(|| format!("no mongod runs on {node}"))?.ip);
    }
    Ok(found)
}

/// Replaces all members, one at a time, each only when the set is healthy.
pub(super) async fn updated(story: &mut Story<'_>) -> Outcome<String> {
    let before = story.shape().await?;
    let old = stack::containers(story.lab, &story.nodes, MONGO).await?;
    story.agent()?.mark().await?;
    let began = Instant::now();
    let over = Cell::new(false);
    let lab = story.lab;
    let script = lab.path("deploy/swarm/rolling-update");
    let none = BTreeMap::new();
    let update = async {
        let script = script.to_string_lossy();
        let ended = lab.session(UPDATE_LIMIT, &script, &["db"], &none).await;
        over.set(true);
        ended
    };
    let agent = story.agent.as_mut().ok_or("nobody is in the overlay network")?;
    let (ended, most_missing) = tokio::join!(update, watch(agent, &over));
    ended?;
    let took = began.elapsed().as_secs_f64();
    let gap = story.gap().await?;
    story.same_shape(&before).await?;
    let new = stack::containers(lab, &story.nodes, MONGO).await?;
    if let Some(kept) = old.intersection(&new).next() {
        return Err(format!("{kept} was not replaced").into());
    }
    if most_missing > 1 {
        return Err(format!("{most_missing} members were missing at once").into());
    }
    Ok(format!("{} members in {took:.1} s, never two at once, longest gap {gap:.1} s", new.len()))
}

/// The most members that were missing at once.
async fn watch(agent: &mut Agent, over: &Cell<bool>) -> usize {
    let mut most = 0;
    while !over.get() {
        if let Ok((_, status)) = agent.status().await {
            most = most.max(status.members.iter().filter(|m| !m.healthy).count());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    most
}
