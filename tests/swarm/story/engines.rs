//! Whole engines: a new one, a lost one, one that comes back.

use std::time::Duration;

use rsctl::publish::Status;
use serde_json::json;
use tokio::time::Instant;

use super::{Story, applications, at_rest, brief, compose, differs, host_on, node_of, stack, voting_secondary};
use crate::Outcome;
use crate::remote::until;
use crate::stack::DESK;

const FOURTH: &str = "node4";
/// The limit: Swarm's DNS drops a dead engine after some seconds, and `--replace-after` begins then.
const REPLACED_LIMIT: Duration = Duration::from_secs(90);
const RETURN_LIMIT: Duration = Duration::from_secs(120);

/// Its mongod becomes a member without a vote, because four votes are no better than three.
pub(super) async fn fourth(story: &mut Story<'_>) -> Outcome<String> {
    // The images of the applications are only on the first three engines.
    applications::leave(story).await?;
    story.beside.begin(compose::NAME, compose::starts(story.lab, story.nodes.clone()));
    let before = story.shape().await?;
    let began = Instant::now();
    story.lab.add(FOURTH).await?;
    let ready = began.elapsed().as_secs_f64();
    story.nodes.push(FOURTH.to_owned());
    story.whole().await?;
    let took = began.elapsed().as_secs_f64();
    let after = story.shape().await?;
    let place = after.at(&host_on(FOURTH))?;
    if place.votes != 0 || before.members.iter().any(|(id, place)| after.members.get(id) != Some(place)) {
        return Err(differs("the members", &before.members, &after.members));
    }
    Ok(format!("a member {:.1} s after the engine was ready ({ready:.1} s)", took - ready))
}

/// The loss of a secondary's machine.
pub(super) async fn secondary(story: &mut Story<'_>) -> Outcome<String> {
    have_a_spare(story).await?;
    let controller = stack::controller_node(story.lab).await?;
    let status = story.calm().await?;
    let victim = voting_secondary(&status, |node| node != DESK && node != controller)
        .or_else(|_| voting_secondary(&status, |node| node != DESK))?;
    dies_and_returns(story, &victim).await
}

/// The loss of the primary's machine.
pub(super) async fn primary(story: &mut Story<'_>) -> Outcome<String> {
    have_a_spare(story).await?;
    let controller = stack::controller_node(story.lab).await?;
    let status = story.calm().await?;
    let victim = node_of(&status.primary.clone().ok_or("no primary")?)?;
    if victim != DESK && victim != controller {
        return dies_and_returns(story, &victim).await;
    }
    // The manager of the test must stay, and rsctl should.
    let other = voting_secondary(&status, |node| node != DESK && node != controller)
        .or_else(|_| voting_secondary(&status, |node| node != DESK))?;
    let host = host_on(&other);
    // A member that lags a little loses the election, and tries again.
    let agent = story.agent()?;
    until(Duration::from_secs(20), &format!("{host} to win an election"), async || {
        agent.command(&host, json!({"replSetStepUp": 1})).await.map(Ok)
    })
    .await?;
    let there = |status: &Status| status.primary.as_ref() == Some(&host);
    story.seen(&format!("{host} to be primary"), Duration::from_secs(20), there).await?;
    dies_and_returns(story, &other).await
}

async fn have_a_spare(story: &mut Story<'_>) -> Outcome {
    if story.nodes.iter().any(|node| node == FOURTH) {
        return Ok(());
    }
    fourth(story).await.map(drop)
}

async fn dies_and_returns(story: &mut Story<'_>, victim: &str) -> Outcome<String> {
    let before = story.shape().await?;
    let host = host_on(victim);
    let with_rsctl = stack::controller_node(story.lab).await? == victim;
    let data = before.at(&host)?.data.clone();
    story.agent()?.mark().await?;
    let died = Instant::now();
    story.lab.lab(Duration::from_secs(60), &["kill", victim]).await?;
    let gap = story.gap().await?;
    let members = story.nodes.len() - 1;
    let replaced = |status: &Status| {
        status.members.len() == members && status.members.iter().all(|m| m.host != host) && at_rest(status)
    };
    story.seen(&format!("{host} to be replaced by the spare"), REPLACED_LIMIT, replaced).await?;
    let after_death = died.elapsed().as_secs_f64();
    let returned = Instant::now();
    story.lab.lab(RETURN_LIMIT, &["start", victim]).await?;
    let status = story.whole().await?;
    let after_return = returned.elapsed().as_secs_f64();
    let after = story.shape().await?;
    if after.at(&host)?.data != data {
        return Err(differs(&format!("the data directory of {host}"), &data, &after.at(&host)?.data));
    }
    if after.at(&host)?.votes != 0 {
        return Err(format!("{host} took a vote that the spare has: {}", brief(&status)).into());
    }
    let which = if with_rsctl { "that of rsctl too, " } else { "" };
    Ok(format!(
        "{victim}, {which}longest gap {gap:.1} s, replaced by the spare after {after_death:.1} s, \
         a member again {after_return:.1} s after its start"
    ))
}
