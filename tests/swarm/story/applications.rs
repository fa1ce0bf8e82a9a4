//! The recipes for applications, with the main set, whose members have names.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{Story, moving};
use crate::Outcome;
use crate::apps::{self, APP, HAPROXY, ORION, Recipe};
use crate::lab::Lab;
use crate::remote::until;
use crate::stack::{DESK, NETWORK};

/// Let's Chat uses another set, because its driver needs an older MongoDB.
const RECIPES: [Recipe; 3] = [ORION, APP, HAPROXY];
const TASKS_LIMIT: Duration = Duration::from_secs(60);

/// Every Dockerfile makes an image, and every stack makes an application that accepts writes.
pub(super) async fn start(story: &mut Story<'_>) -> Outcome<String> {
    let began = Instant::now();
    apps::build(story.lab, &story.nodes).await?;
    let built = began.elapsed().as_secs_f64();
    let began = Instant::now();
    apps::deploy(story.lab, &RECIPES, NETWORK, "").await?;
    let mut writing = Vec::new();
    for endpoint in RECIPES.iter().flat_map(|recipe| recipe.endpoints) {
        endpoint.enter(story.agent()?).await?;
        writing.push(format!("{} after {:.1} s", endpoint.name, began.elapsed().as_secs_f64()));
    }
    story.applications = true;
    for (endpoint, role) in [("door:27017", "isWritablePrimary"), ("door:27018", "secondary")] {
        let behind = story.agent()?.command(endpoint, json!({"hello": 1})).await?;
        if behind[role] != true {
            return Err(format!("{endpoint} leads to a member that is not {role}: {behind}").into());
        }
    }
    story.beside.begin(moving::NAME, moving::moved(story.lab, story.nodes.clone()));
    Ok(format!("images built on three engines in {built:.1} s; first writes by {}", writing.join(", ")))
}

/// Deploys them if they do not run.
async fn have(story: &mut Story<'_>) -> Outcome {
    if story.applications { Ok(()) } else { start(story).await.map(drop) }
}

/// Stops the writers of the applications.
pub(super) async fn leave(story: &mut Story<'_>) -> Outcome {
    if !std::mem::take(&mut story.applications) {
        return Ok(());
    }
    for endpoint in RECIPES.iter().flat_map(|recipe| recipe.endpoints) {
        story.agent()?.rest(endpoint.name).await?;
    }
    apps::remove(story.lab, &RECIPES, "").await
}

/// Tasks of applications start and stop, and the engine of the primary is drained.
pub(super) async fn scaled(story: &mut Story<'_>) -> Outcome<String> {
    have(story).await?;
    let before = story.shape().await?;
    let drained = super::node_of(&story.calm().await?.primary.ok_or("no primary")?)?;
    story.agent()?.mark().await?;
    let began = Instant::now();
    scale(story.lab, 4).await?;
    let grown = began.elapsed().as_secs_f64();
    story.lab.docker(DESK, &["node", "update", "--availability", "drain", &drained]).await?;
    until(TASKS_LIMIT, &format!("{drained} to be empty"), async || {
        let tasks = ["ps", "-q", "--filter", "label=com.docker.swarm.task.id"];
        let left = story.lab.docker(&drained, &tasks).await?;
        Ok(if left.trim().is_empty() { Ok(()) } else { Err(left.trim().replace('\n', " ")) })
    })
    .await?;
    running(story.lab, 4).await?;
    let empty = began.elapsed().as_secs_f64();
    // Another member is primary by now.
    story.gap().await?;
    story.lab.docker(DESK, &["node", "update", "--availability", "active", &drained]).await?;
    let lab = story.lab;
    let (whole, scaled) = tokio::join!(story.whole(), scale(lab, 2));
    whole?;
    scaled?;
    let back = began.elapsed().as_secs_f64();
    let gap = story.gap().await?;
    story.same_shape(&before).await?;
    Ok(format!(
        "4 tasks of each after {grown:.1} s, the primary's engine {drained} drained after {empty:.1} s, back and 2 tasks after \
         {back:.1} s, longest gap {gap:.1} s"
    ))
}

/// Runs `docker service scale`, and waits for that many running tasks.
async fn scale(lab: &Lab, tasks: usize) -> Outcome {
    let sizes = services().map(|service| format!("{service}={tasks}"));
    let words: Vec<_> = ["service", "scale", "--detach"].into_iter().chain(sizes.iter().map(String::as_str)).collect();
    lab.docker(DESK, &words).await?;
    running(lab, tasks).await
}

fn services() -> [String; 2] {
    [format!("{}_app", APP.stack), format!("{}_orion", ORION.stack)]
}

/// Waits until each of the services has exactly this many running tasks.
async fn running(lab: &Lab, tasks: usize) -> Outcome {
    until(TASKS_LIMIT, &format!("{tasks} tasks of each application"), async || {
        let wanted = format!("{tasks}/{tasks}");
        let all = lab.docker(DESK, &["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]).await?;
        let there = |service: &String| all.lines().any(|line| line == format!("{service} {wanted}"));
        Ok(if services().iter().all(there) { Ok(()) } else { Err(all.trim().replace('\n', ", ")) })
    })
    .await
}
