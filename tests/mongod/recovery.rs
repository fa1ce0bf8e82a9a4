//! Members are known by IP, and the addresses of a majority change at the same time.

use std::net::Ipv4Addr;
use std::time::Duration;

use rsctl::publish::Status;
use tokio::time::Instant;

use crate::changes::{all_there, writing};
use crate::cluster::{Cluster, LIMIT, PORT, is_settled, member};
use crate::support::mongods::free_ip;
use crate::support::writer::missing;

pub fn has_addresses_of(cluster: &Cluster) -> impl Fn(&Status) -> bool + use<> {
    let mut hosts: Vec<String> = cluster.nodes.iter().map(|n| n.address().to_string()).collect();
    hosts.sort();
    move |status| {
        let mut seeds = status.seeds.clone();
        seeds.sort();
        seeds == hosts
    }
}

/// Kills all mongods and restarts them with the same data at these addresses.
pub async fn recreate(cluster: &mut Cluster, ips: &[Ipv4Addr]) -> Instant {
    for node in &mut cluster.nodes {
        node.kill();
    }
    for (node, ip) in cluster.nodes.iter_mut().zip(ips) {
        node.restart_at(*ip, PORT).await.unwrap();
    }
    cluster.list_all();
    Instant::now()
}

pub async fn every_write_is_there(controller: &crate::support::controller::Controller, ids: &[i64]) {
    let uri = controller.get("/v1/uri?database=test").await.unwrap();
    assert_eq!(missing(uri.trim(), ids).await.unwrap(), Vec::<i64>::new(), "acknowledged writes are lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_set_at_new_addresses_is_recovered_and_loses_nothing() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let before = controller.status().await.unwrap();
    let writer = writing(&controller).await;
    let (tally, lost) = writer.finish().await.unwrap();
    assert!(lost.is_empty());
    let ips = [free_ip(PORT), free_ip(PORT), free_ip(PORT)];
    let answered = recreate(&mut cluster, &ips).await;
    let moved = has_addresses_of(&cluster);
    controller.until("a primary at the new addresses", LIMIT, |s| s.primary.is_some() && moved(s)).await;
    println!("figures: writable {:?} after the last mongod answered", answered.elapsed());
    let settled = is_settled(3);
    let after = controller.until("a settled set", LIMIT, |s| settled(s) && moved(s)).await;
    assert_eq!(after.replica_set_id, before.replica_set_id, "the same set");
    assert!(after.term.is_some(), "the config has a term again");
    every_write_is_there(&controller, &tally.acknowledged).await;
    all_there(writing(&controller).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_come_back_permuted_and_partly_new_are_sorted_out() {
    for shift in [1, 2] {
        let (mut cluster, controller) = Cluster::settled(&[]).await;
        let (tally, _) = writing(&controller).await.finish().await.unwrap();
        let old: Vec<_> = cluster.nodes.iter().map(|n| n.ip()).collect();
        // Two directories swap addresses and one gets a new address. Then all three addresses rotate.
        let ips = if shift == 1 { [old[1], old[2], free_ip(PORT)] } else { [old[2], old[0], old[1]] };
        recreate(&mut cluster, &ips).await;
        let (moved, settled) = (has_addresses_of(&cluster), is_settled(3));
        controller.until("a settled set at the new addresses", LIMIT, |s| settled(s) && moved(s)).await;
        every_write_is_there(&controller, &tally.acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_majority_that_moves_before_the_primary_steps_down_needs_no_force() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    let status = controller.status().await.unwrap();
    let primary = cluster.primary(&status);
    for node in (0..3).filter(|n| *n != primary) {
        cluster.nodes[node].kill();
        cluster.nodes[node].restart_at(free_ip(PORT), PORT).await.unwrap();
    }
    cluster.list_all();
    let (moved, settled) = (has_addresses_of(&cluster), is_settled(3));
    let after = controller.until("both at their new addresses", LIMIT, |s| settled(s) && moved(s)).await;
    assert_eq!(after.primary, status.primary, "the primary stayed");
    assert!(after.config_version < Some(1000), "a forced config has a large random version: {after:?}");
    all_there(writer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_third_gets_no_vote_while_the_rest_is_recovered() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let (tally, _) = writing(&controller).await.finish().await.unwrap();
    cluster.nodes[2].kill();
    cluster.nodes[2].wipe();
    let old = cluster.nodes[2].ip();
    recreate(&mut cluster, &[free_ip(PORT), free_ip(PORT), old]).await;
    let took = |s: &Status| s.primary.is_some();
    let status = controller.until("a primary", LIMIT, took).await;
    assert_ne!(status.primary.as_deref(), Some(cluster.nodes[2].address().to_string().as_str()));
    every_write_is_there(&controller, &tally.acknowledged).await;
    let settled = is_settled(3);
    let whole = controller.until("three voters again", LIMIT, |s| settled(s) && s.members.len() == 3).await;
    assert!(member(&whole, &cluster.nodes[2].address().to_string()).healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_majority_is_waited_for_by_name_and_nothing_is_forced() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let (tally, _) = writing(&controller).await.finish().await.unwrap();
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.nodes[0].restart_at(free_ip(PORT), PORT).await.unwrap();
    cluster.list([cluster.nodes[0].ip()]);
    let names = |s: &Status| s.waiting.iter().any(|w| w.contains("the data of 2 voters, and that of 1 is found"));
    let status = controller.until("the missing data named", LIMIT, names).await;
    assert!(status.primary.is_none());
    tokio::time::sleep(Duration::from_secs(2)).await; // several times `--stable-for`
    let status = controller.status().await.unwrap();
    assert!(status.config_version < Some(1000), "nothing was forced: {status:?}");
    cluster.nodes[1].restart_at(free_ip(PORT), PORT).await.unwrap();
    cluster.list([cluster.nodes[0].ip(), cluster.nodes[1].ip()]);
    controller.until("a primary with a majority of the data", LIMIT, |s| s.primary.is_some()).await;
    every_write_is_there(&controller, &tally.acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_dns_no_longer_lists_is_switched_over_before_it_stops() {
    let (cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    writer.reset_gap();
    let status = controller.status().await.unwrap();
    let (old, primary) = (status.primary.clone(), cluster.primary(&status));
    cluster.list((0..3).filter(|n| *n != primary).map(|n| cluster.nodes[n].ip()));
    controller.until("another primary", LIMIT, |s| s.primary.is_some() && s.primary != old).await;
    println!("figures: writes out for {:?}", writer.tally().longest_gap);
    all_there(writer).await;
}
