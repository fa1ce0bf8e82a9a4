//! Accidents of single tasks and volumes.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use super::{Story, WHOLE_LIMIT, differs, host_on, node_of, stack, voting_secondary};
use crate::Outcome;
use crate::remote::until;
use crate::stack::{MONGO, RSCTL};

/// The new task has a new address, the old name, and the old data.
pub(super) async fn secondary(story: &mut Story<'_>) -> Outcome<String> {
    let before = story.shape().await?;
    let node = voting_secondary(&story.calm().await?, |_| true)?;
    let host = host_on(&node);
    let data = story.agent()?.data(&host).await?;
    story.agent()?.mark().await?;
    let began = Instant::now();
    let (old, new) = stack::lose(story.lab, &node, MONGO).await?;
    story.whole().await?;
    let took = began.elapsed().as_secs_f64();
    let gap = story.gap().await?;
    story.same_shape(&before).await?;
    let found = story.agent()?.data(&host).await?;
    if found != data {
        return Err(differs(&format!("the data directory of {host}"), &data, &found));
    }
    if old.ip == new.ip {
        return Err(format!("the new task on {node} has the old address {}, so this showed nothing", new.ip).into());
    }
    Ok(format!("{host} from {} to {}, whole after {took:.1} s, longest gap {gap:.1} s", old.ip, new.ip))
}

/// Another member accepts writes soon.
pub(super) async fn primary(story: &mut Story<'_>) -> Outcome<String> {
    let before = story.shape().await?;
    let lost = story.calm().await?.primary.ok_or("no primary")?;
    story.agent()?.mark().await?;
    let began = Instant::now();
    let node = node_of(&lost)?;
    let old = stack::container(story.lab, &node, MONGO).await?.ok_or("the primary has no task")?;
    story.lab.docker(&node, &["rm", "-f", &old.id]).await?;
    let gap = story.gap().await?;
    stack::replacement(story.lab, &node, MONGO, &old).await?;
    let status = story.whole().await?;
    let took = began.elapsed().as_secs_f64();
    story.same_shape(&before).await?;
    let now = status.primary.unwrap_or_default();
    Ok(format!("longest gap {gap:.1} s, from {lost} to {now}, whole after {took:.1} s"))
}

/// The set continues without rsctl, and rsctl needs no stored state.
pub(super) async fn controller(story: &mut Story<'_>) -> Outcome<String> {
    let before = story.shape().await?;
    let primary = story.calm().await?.primary;
    story.agent()?.mark().await?;
    let node = stack::controller_node(story.lab).await?;
    let old = stack::container(story.lab, &node, RSCTL).await?.ok_or("rsctl has no container")?;
    let began = Instant::now();
    story.lab.docker(&node, &["rm", "-f", &old.id]).await?;
    // Swarm may start it on any node. Without the controller `rsctl status` still answers, with a note on stderr.
    let agent = story.agent()?;
    until(WHOLE_LIMIT, "rsctl to answer again", async || {
        let ran = agent.rsctl(&["status"], Duration::from_secs(20)).await?;
        Ok(if ran.code == Some(0) && ran.err.is_empty() { Ok(()) } else { Err(ran.err.trim().to_owned()) })
    })
    .await?;
    let took = began.elapsed().as_secs_f64();
    let status = story.whole().await?;
    story.same_shape(&before).await?;
    let gap = story.gap().await?;
    if status.primary != primary {
        return Err(differs("the primary", &primary, &status.primary));
    }
    Ok(format!("back after {took:.1} s, nothing changed, longest gap {gap:.1} s"))
}

/// An empty directory under the name of a voter has no vote until it has the data.
pub(super) async fn emptied(story: &mut Story<'_>) -> Outcome<String> {
    let before = story.shape().await?;
    let node = voting_secondary(&story.calm().await?, |_| true)?;
    let host = host_on(&node);
    story.agent()?.mark().await?;
    let old = stack::container(story.lab, &node, MONGO).await?.ok_or("the member has no task")?;
    let inspect = ["volume", "inspect", "-f", "{{.Mountpoint}}", "db_data"];
    let volume = story.lab.docker(&node, &inspect).await?;
    // Swarm starts the next task after 2 s.
    story.lab.docker(&node, &["rm", "-f", &old.id]).await?;
    empty(volume.trim())?;
    stack::replacement(story.lab, &node, MONGO, &old).await?;
    let back = Instant::now();
    let has = |votes: u8| {
        let host = host.clone();
        move |status: &rsctl::publish::Status| status.members.iter().any(|m| m.host == host && m.votes == votes)
    };
    story.seen(&format!("{host} to lose its vote"), WHOLE_LIMIT, has(0)).await?;
    let lost = back.elapsed().as_secs_f64();
    story.whole().await?;
    let whole = back.elapsed().as_secs_f64();
    let gap = story.gap().await?;
    let after = story.shape().await?;
    let (was, is) = (before.at(&host)?, after.at(&host)?);
    if is.votes != 1 || is.data == was.data || is.data.is_none() {
        return Err(differs(&format!("the member {host}"), was, is));
    }
    Ok(format!("{host} without a vote {lost:.1} s after its start, whole after {whole:.1} s, longest gap {gap:.1} s"))
}

fn empty(directory: &str) -> Outcome {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}
