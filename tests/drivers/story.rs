//! The events of the set while the applications write.

use std::time::Duration;

use futures_util::future::join_all;
use mongodb::bson::doc;
use rsctl::publish::Status;
use tokio::time::Instant;

use super::acknowledged::longest_gap;
use super::application::Application;
use super::names::Hosts;
use super::rust::now_ms;
use crate::cluster::{Cluster, LIMIT, PORT, hosts_file, is_settled};
use crate::support::controller::Controller;
use crate::support::mongods::{Mongod, free_ip};
use crate::support::report::Outcome;

/// The limit of a gap: old drivers check the set every ten seconds.
const WRITES_WITHIN: Duration = Duration::from_secs(60);

/// The limit until a primary: rsctl forces at most one recovery a minute, and the event before may have needed one.
const SETTLED_WITHIN: Duration = Duration::from_secs(100);

/// One event, and how long each application could not write because of it. `None` if it did not write again.
#[derive(Debug)]
pub struct Told {
    pub event: &'static str,
    pub gaps: Vec<Option<Duration>>,
}

/// A set, its controller, and the names of its members.
pub struct Set<'s> {
    pub cluster: &'s mut Cluster,
    pub controller: &'s Controller,
    /// The hosts file, if members have names.
    pub hosts: Option<&'s Hosts>,
}

impl Set<'_> {
    /// `started` is the time when the applications started, in milliseconds since 1970.
    pub async fn tell(&mut self, applications: &[Application], started: u64) -> Outcome<Vec<Told>> {
        let mut told = vec![connected(started, applications).await];

        let since = now_ms()?;
        let (killed, old) = self.primary().await?;
        self.cluster.nodes[killed].kill();
        self.another_primary(&old).await;
        told.push(reckon("kill -9 primary", since, applications).await?);
        self.cluster.nodes[killed].restart().await?;
        self.settled().await;

        let since = now_ms()?;
        let (leading, old) = self.primary().await?;
        let step_down = doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5 };
        self.cluster.nodes[leading].command(step_down).await?;
        self.another_primary(&old).await;
        told.push(reckon("replSetStepDown", since, applications).await?);
        self.settled().await;

        let since = now_ms()?;
        let (leading, _) = self.primary().await?;
        self.move_away(&[(leading + 1) % 3]).await?;
        self.settled().await;
        told.push(reckon("secondary moves", since, applications).await?);

        let since = now_ms()?;
        let (leading, _) = self.primary().await?;
        self.move_away(&[leading]).await?;
        self.settled().await;
        told.push(reckon("primary moves", since, applications).await?);

        let since = now_ms()?;
        self.all_move().await?;
        self.settled().await;
        told.push(reckon("all move at once", since, applications).await?);
        Ok(told)
    }

    async fn all_move(&mut self) -> Outcome {
        let began = Instant::now();
        self.move_away(&[0, 1, 2]).await?;
        let up = began.elapsed();
        let here: Vec<String> = self.cluster.nodes.iter().map(Mongod::host).collect();
        let led = |s: &Status| s.primary.as_ref().is_some_and(|primary| here.contains(primary));
        self.since(Instant::now(), "a primary where the mongods are", led).await;
        println!(
            "figures: all moved: the last mongod answers after {up:.1?}, there is a primary after {:.1?}",
            began.elapsed()
        );
        Ok(())
    }

    /// The index of the primary, and its host.
    async fn primary(&self) -> Outcome<(usize, String)> {
        let status = self.controller.status().await.ok_or("the controller does not answer")?;
        let host = status.primary.clone().ok_or("there is no primary")?;
        Ok((self.cluster.primary(&status), host))
    }

    /// Restarts mongods with the same data at other addresses, as after a change of a Swarm task.
    async fn move_away(&mut self, which: &[usize]) -> Outcome {
        which.iter().for_each(|nth| self.cluster.nodes[*nth].kill());
        let ips: Vec<_> =
            (0..3).map(|nth| if which.contains(&nth) { free_ip(PORT) } else { self.cluster.nodes[nth].ip() }).collect();
        if let Some(hosts) = self.hosts {
            self.cluster.nodes.iter_mut().for_each(|node| node.set_hosts(hosts_file(&ips)));
            hosts.follow(&ips);
        }
        let nodes = self.cluster.nodes.iter_mut().enumerate().filter(|(nth, _)| which.contains(nth));
        let moves = nodes.map(|(nth, node)| node.restart_at(ips[nth], PORT));
        join_all(moves).await.into_iter().collect::<Result<(), _>>()?;
        match self.hosts {
            Some(_) => self.cluster.tell_names(),
            None => self.cluster.list_all(),
        }
        Ok(())
    }

    async fn another_primary(&self, old: &str) {
        let another = |s: &Status| s.primary.as_deref().is_some_and(|primary| primary != old);
        self.controller.until("another primary", LIMIT, another).await;
    }

    /// Waits until the set is healthy and its members are exactly the running mongods.
    async fn settled(&self) {
        let mut hosts: Vec<String> = self.cluster.nodes.iter().map(Mongod::host).collect();
        hosts.sort();
        let well = is_settled(3);
        let here = |s: &Status| {
            let mut members: Vec<_> = s.members.iter().map(|m| m.host.clone()).collect();
            members.sort();
            well(s) && members == hosts
        };
        self.since(Instant::now(), "a settled set where the mongods are", here).await;
    }

    /// Waits for a status from an observation that began after `since`. With names, an older status does not differ.
    async fn since(&self, since: Instant, what: &str, wanted: impl Fn(&Status) -> bool) {
        let fresh = |s: &Status| Duration::from_millis(s.observed_ms_ago) < since.elapsed() && wanted(s);
        self.controller.until(what, SETTLED_WITHIN, fresh).await;
    }
}

/// The time of each application from its start to its first write.
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
        if again.is_none() {
            // A later restart would hide it.
            let complaints =
                application.told().complaints.iter().rev().take(3).cloned().collect::<Vec<_>>().join(" | ");
            println!("figures: {} does not write after `{event}`; it says: {complaints}", application.driver.name);
        }
        let until = now_ms()?;
        gaps.push(again.map(|()| longest_gap(&application.told().acknowledged, since, until)));
    }
    Ok(Told { event, gaps })
}
