//! What happens to the set while the applications write.

use std::time::Duration;

use futures_util::future::join_all;
use mongodb::bson::doc;
use rsctl::publish::Status;
use tokio::time::Instant;

use super::acknowledged::longest_gap;
use super::application::Application;
use super::rust::now_ms;
use crate::cluster::{Cluster, LIMIT, PORT, is_settled};
use crate::support::controller::Controller;
use crate::support::mongods::{Mongod, free_ip};
use crate::support::report::Outcome;

/// Old drivers look around every ten seconds.
const WRITES_WITHIN: Duration = Duration::from_secs(60);

/// One event, and how long each application could not write because of it; none for one that did not write again.
#[derive(Debug)]
pub struct Told {
    pub event: &'static str,
    pub gaps: Vec<Option<Duration>>,
}

/// `started` is when the applications were, in milliseconds since 1970.
pub async fn tell(
    cluster: &mut Cluster,
    controller: &Controller,
    applications: &[Application],
    started: u64,
) -> Outcome<Vec<Told>> {
    let mut told = vec![connected(started, applications).await];

    let since = now_ms()?;
    let (killed, old) = primary(cluster, controller).await?;
    cluster.nodes[killed].kill();
    another_primary(controller, &old).await;
    told.push(reckon("kill -9 primary", since, applications).await?);
    cluster.nodes[killed].restart().await?;
    settled(cluster, controller).await;

    let since = now_ms()?;
    let (leading, old) = primary(cluster, controller).await?;
    cluster.nodes[leading].command(doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5 }).await?;
    another_primary(controller, &old).await;
    told.push(reckon("replSetStepDown", since, applications).await?);
    settled(cluster, controller).await;

    let since = now_ms()?;
    let (leading, _) = primary(cluster, controller).await?;
    move_away(cluster, (leading + 1) % 3).await?;
    settled(cluster, controller).await;
    told.push(reckon("secondary moves", since, applications).await?);

    let since = now_ms()?;
    let (leading, _) = primary(cluster, controller).await?;
    move_away(cluster, leading).await?;
    settled(cluster, controller).await;
    told.push(reckon("primary moves", since, applications).await?);

    let since = now_ms()?;
    let began = Instant::now();
    cluster.nodes.iter_mut().for_each(Mongod::kill);
    let moves = cluster.nodes.iter_mut().map(|node| node.restart_at(free_ip(PORT), PORT));
    join_all(moves).await.into_iter().collect::<Result<(), _>>()?;
    cluster.list_all();
    let up = began.elapsed();
    let here: Vec<String> = cluster.nodes.iter().map(|node| node.address().to_string()).collect();
    let led = |s: &Status| s.primary.as_ref().is_some_and(|primary| here.contains(primary));
    controller.until("a primary where the mongods are", LIMIT, led).await;
    println!("all moved: the last mongod answers after {up:.1?}, there is a primary after {:.1?}", began.elapsed());
    settled(cluster, controller).await;
    told.push(reckon("all move at once", since, applications).await?);
    Ok(told)
}

/// The place of the primary, and its address.
async fn primary(cluster: &Cluster, controller: &Controller) -> Outcome<(usize, String)> {
    let status = controller.status().await.ok_or("the controller does not answer")?;
    let host = status.primary.clone().ok_or("there is no primary")?;
    Ok((cluster.primary(&status), host))
}

/// The same data at another address, as after every change of a Swarm task.
async fn move_away(cluster: &mut Cluster, nth: usize) -> Outcome {
    cluster.nodes[nth].restart_at(free_ip(PORT), PORT).await?;
    cluster.list_all();
    Ok(())
}

async fn another_primary(controller: &Controller, old: &str) {
    let another = |s: &Status| s.primary.as_deref().is_some_and(|primary| primary != old);
    controller.until("another primary", LIMIT, another).await;
}

/// All well again, and the members are exactly the mongods that run.
async fn settled(cluster: &Cluster, controller: &Controller) {
    let mut hosts: Vec<String> = cluster.nodes.iter().map(|node| node.address().to_string()).collect();
    hosts.sort();
    let well = is_settled(3);
    let here = |s: &Status| {
        let mut members: Vec<_> = s.members.iter().map(|m| m.host.clone()).collect();
        members.sort();
        well(s) && members == hosts
    };
    controller.until("a settled set where the mongods are", LIMIT, here).await;
}

/// How long each took from its start to its first write.
async fn connected(started: u64, applications: &[Application]) -> Told {
    let deadline = Instant::now() + WRITES_WITHIN;
    let mut gaps = Vec::new();
    for application in applications {
        let wrote = application.writes_again(deadline.saturating_duration_since(Instant::now())).await;
        let first = application.told().acknowledged.first().map_or(started, |(_, at)| *at);
        gaps.push(wrote.map(|()| Duration::from_millis(first.saturating_sub(started))));
    }
    Told { event: "first write", gaps }
}

async fn reckon(event: &'static str, since: u64, applications: &[Application]) -> Outcome<Told> {
    let deadline = Instant::now() + WRITES_WITHIN;
    let mut gaps = Vec::new();
    for application in applications {
        let again = application.writes_again(deadline.saturating_duration_since(Instant::now())).await;
        let until = now_ms()?;
        gaps.push(again.map(|()| longest_gap(&application.told().acknowledged, since, until)));
    }
    Ok(Told { event, gaps })
}
