//! The stack in `deploy/swarm`, and where its tasks run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Outcome;
use super::lab::Lab;
use super::remote::until;

pub(super) const NETWORK: &str = "db_backend";
pub(super) const MONGO: &str = "db_mongo";
pub(super) const RSCTL: &str = "db_rsctl";
/// The manager node that gets the docker commands. It is never killed.
pub(super) const DESK: &str = "node1";

/// The stack of the main set.
pub(super) const DB: &str = "db";
/// The stack file of a set.
pub(super) const FILE: &str = "deploy/swarm/stack.yml";
const DEPLOY_LIMIT: Duration = Duration::from_secs(60);
/// The limit of a removal: each mongod has a grace period, and Swarm needs time to notice the end.
pub(super) const REMOVE_LIMIT: Duration = Duration::from_secs(60);

/// The container of a task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) ip: String,
}

/// Deploys the set, with the settings that do not change during the story.
pub(super) async fn deploy(lab: &Lab, bootstrap: &str) -> Outcome {
    let variables = BTreeMap::from([("RSCTL_REPLACE_AFTER", "10s"), ("RSCTL_BOOTSTRAP", bootstrap)]);
    deploy_as(lab, DB, FILE, &variables).await
}

/// Deploys a stack file of `deploy/` with these variables.
pub(super) async fn deploy_as(lab: &Lab, stack: &str, file: &str, variables: &BTreeMap<&str, &str>) -> Outcome {
    deploy_merged(lab, stack, &[file], variables).await
}

/// The same with several files. A later file overrides an earlier one.
pub(super) async fn deploy_merged(lab: &Lab, stack: &str, files: &[&str], variables: &BTreeMap<&str, &str>) -> Outcome {
    let mut args = vec!["stack", "deploy", "--resolve-image", "never"];
    args.extend(files.iter().flat_map(|file| ["-c", file]));
    args.push(stack);
    lab.session(DEPLOY_LIMIT, "docker", &args, variables).await.map(drop)
}

/// Removes stacks, and waits until none of them runs.
pub(super) async fn remove(lab: &Lab, nodes: &[String], stacks: &[&str]) -> Outcome {
    begin_removal(lab, stacks).await?;
    until(REMOVE_LIMIT, "the end of every task", async || {
        for node in nodes {
            let stack = "{{.Label \"com.docker.stack.namespace\"}} {{.Names}}";
            let running = lab.docker(node, &["ps", "--format", stack]).await?;
            let ours = |line: &&str| stacks.iter().any(|stack| line.starts_with(&format!("{stack} ")));
            let left: Vec<_> = running.lines().filter(ours).collect();
            if !left.is_empty() {
                return Ok(Err(format!("{} on {node}", left.join(", "))));
            }
        }
        Ok(Ok(()))
    })
    .await
}

/// Starts the removal of stacks. A network stays while an application uses it.
pub(super) async fn begin_removal(lab: &Lab, stacks: &[&str]) -> Outcome {
    match lab.docker(DESK, &[&["stack", "rm"], stacks].concat()).await {
        Err(failure) if !failure.to_string().contains("network") || !failure.to_string().contains("in use") => {
            Err(failure)
        }
        _ => Ok(()),
    }
}

/// The running container of a service on a node.
pub(super) async fn container(lab: &Lab, node: &str, service: &str) -> Outcome<Option<Container>> {
    let name = format!("label=com.docker.swarm.service.name={service}");
    let ids = lab.docker(node, &["ps", "-q", "--no-trunc", "--filter", &name, "--filter", "status=running"]).await?;
    let Some(id) = ids.lines().next() else { return Ok(None) };
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let ip = lab.docker(node, &["inspect", "-f", format, id]).await?;
    Ok(Some(Container { id: id.to_owned(), ip: ip.trim().to_owned() }))
}

/// The running containers of a service on these nodes.
pub(super) async fn containers(lab: &Lab, nodes: &[String], service: &str) -> Outcome<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for node in nodes {
        found.extend(container(lab, node, service).await?.map(|container| container.id));
    }
    Ok(found)
}

/// Removes the container of a task, as in an accident, and waits until Swarm has replaced it.
pub(super) async fn lose(lab: &Lab, node: &str, service: &str) -> Outcome<(Container, Container)> {
    let old = container(lab, node, service).await?.ok_or_else(|| format!("no task of {service} runs on {node}"))?;
    lab.docker(node, &["rm", "-f", &old.id]).await?;
    Ok((old.clone(), replacement(lab, node, service, &old).await?))
}

/// Waits until another container than this one runs.
pub(super) async fn replacement(lab: &Lab, node: &str, service: &str, old: &Container) -> Outcome<Container> {
    until(Duration::from_secs(30), &format!("a new task of {service} on {node}"), async || {
        let new = container(lab, node, service).await?;
        Ok(new.filter(|new| new.id != old.id && !new.ip.is_empty()).ok_or_else(|| "none".to_owned()))
    })
    .await
}

/// The node where rsctl runs.
pub(super) async fn controller_node(lab: &Lab) -> Outcome<String> {
    until(Duration::from_secs(30), "a running task of rsctl", async || {
        let args = ["service", "ps", RSCTL, "-f", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}"];
        let tasks = lab.docker(DESK, &args).await?;
        let running = tasks.lines().filter_map(|line| line.split_once(' ')).find(|(_, s)| s.starts_with("Running"));
        Ok(running.map(|(node, _)| node.to_owned()).ok_or_else(|| tasks.trim().to_owned()))
    })
    .await
}
