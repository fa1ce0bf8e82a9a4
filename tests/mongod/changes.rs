//! Tasks start, stop, get new addresses and lose their data. Acknowledged writes stay.

use std::time::Duration;

use mongodb::bson::doc;
use rsctl::publish::Status;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, LIMIT, PORT, blank_node, is_settled, member, stored_config, votes};
use crate::support::controller::Controller;
use crate::support::mongods::free_ip;
use crate::support::writer::{MajorityWriter, majority_writer};

/// The pause between two questions to the same mongods.
const POLL: Duration = Duration::from_millis(20);

pub async fn writing(controller: &Controller) -> MajorityWriter {
    let uri = controller.get("/v1/uri?database=test").await.unwrap();
    let writer = majority_writer(uri.trim()).await.unwrap();
    assert!(writer.next_acknowledged(LIMIT).await, "writes are acknowledged");
    writer
}

/// Checks that every acknowledged write is there. Returns the longest time without one.
pub async fn all_there(writer: MajorityWriter) -> Duration {
    assert!(writer.next_acknowledged(LIMIT).await, "writes go on");
    let (tally, missing) = writer.finish().await.unwrap();
    assert!(missing.is_empty(), "{} acknowledged writes are lost", missing.len());
    tally.longest_gap
}

async fn copies(cluster: &Cluster, from: usize, to: usize) -> bool {
    cluster.nodes[to].sync_source().await == Some(cluster.nodes[from].address().to_string())
}

/// Waits until one secondary copies from the other. Returns the sync source, then the one that copies from it.
pub async fn sync_source_requests(cluster: &Cluster, primary: usize) -> (usize, usize) {
    let [one, other] = [(primary + 1) % 3, (primary + 2) % 3];
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        for (head, third) in [(one, other), (other, one)] {
            if copies(cluster, head, third).await {
                return (head, third);
            }
        }
        sleep(POLL).await;
    }
    panic!("no secondary copies from the other one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced_long_before_the_election_timeout() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    let status = controller.status().await.unwrap();
    let old = status.primary.clone();
    let primary = cluster.primary(&status);
    // Waits for a set at rest: a member changes its sync source 1 s to 5 s after the command (6.0.5).
    sync_source_requests(&cluster, primary).await;
    writer.reset_gap();
    cluster.nodes[primary].kill();
    controller.until("another primary", LIMIT, |s| s.primary.is_some() && s.primary != old).await;
    assert!(writer.next_acknowledged(LIMIT).await);
    let gap = writer.tally().longest_gap;
    println!("figures: writes out for {gap:?}");
    assert!(gap < Duration::from_secs(5), "MongoDB alone takes 10 s, this took {gap:?}\n{}", controller.log());
    cluster.nodes[primary].restart().await.unwrap();
    controller.until("everybody well again", LIMIT, is_settled(3)).await;
    all_there(writer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_at_a_new_address_stays_the_same_member_and_copies_nothing() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    let before = controller.status().await.unwrap();
    let moving = (cluster.primary(&before) + 1) % 3;
    let old = cluster.nodes[moving].address().to_string();
    let (id, data) = (member(&before, &old).id, identity(&cluster, moving).await);
    cluster.nodes[moving].kill();
    cluster.nodes[moving].restart_at(free_ip(PORT), PORT).await.unwrap();
    let answered = Instant::now();
    cluster.list_all();
    let new = cluster.nodes[moving].address().to_string();
    let arrived = |s: &Status| s.members.iter().any(|m| m.host == new && m.healthy);
    let status = controller.until("the member at its new address", LIMIT, arrived).await;
    println!("figures: healthy at the new address after {:?}", answered.elapsed());
    assert_eq!(member(&status, &new).id, id, "the slot is the same");
    assert_eq!(identity(&cluster, moving).await, data, "no initial sync");
    assert!(status.seeds.contains(&new) && !status.seeds.contains(&old), "the URI follows");
    all_there(writer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_at_a_new_address_comes_back_as_the_same_member() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    let status = controller.status().await.unwrap();
    let moving = cluster.primary(&status);
    let old = cluster.nodes[moving].address().to_string();
    let id = member(&status, &old).id;
    cluster.nodes[moving].kill();
    cluster.nodes[moving].restart_at(free_ip(PORT), PORT).await.unwrap();
    cluster.list_all();
    let new = cluster.nodes[moving].address().to_string();
    let settled = is_settled(3);
    let back = |s: &Status| settled(s) && s.members.iter().any(|m| m.host == new);
    let status = controller.until("the old primary in its slot", LIMIT, back).await;
    assert_eq!(member(&status, &new).id, id);
    all_there(writer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_task_becomes_a_spare_and_replaces_a_member_that_is_gone() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    cluster.nodes.push(blank_node().await);
    let fourth = cluster.nodes[3].address().to_string();
    cluster.list_all();
    let joined = |s: &Status| s.members.iter().any(|m| m.host == fourth && m.state == "SECONDARY");
    let status = controller.until("the fourth member", LIMIT, joined).await;
    assert_eq!(votes(&status), 3, "an even number of voters helps nobody");
    controller.until("nothing left to do", LIMIT, is_settled(3)).await;
    let leaving = (cluster.primary(&status) + 1) % 3;
    let gone = cluster.nodes[leaving].address().to_string();
    cluster.nodes.remove(leaving);
    cluster.list_all();
    let settled = is_settled(3);
    let replaced = |s: &Status| settled(s) && s.members.len() == 3 && s.members.iter().all(|m| m.host != gone);
    let status = controller.until("the spare in the gone one's place", LIMIT, replaced).await;
    assert_eq!(member(&status, &fourth).votes, 1);
    all_there(writer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_that_is_gone_stays_a_member_until_it_is_removed() {
    let (mut cluster, controller) = Cluster::settled(&[("RSCTL_REMOVE_AFTER", "8s")]).await;
    let status = controller.status().await.unwrap();
    let leaving = (cluster.primary(&status) + 1) % 3;
    let gone = cluster.nodes[leaving].address().to_string();
    cluster.nodes.remove(leaving);
    cluster.list_all();
    let waits = |s: &Status| s.waiting.iter().any(|w| w.contains("removed after 8 s"));
    let status = controller.until("the reason to wait", LIMIT, waits).await;
    assert_eq!(status.members.len(), 3, "to remove it would buy nothing");
    let status = controller.until("its removal", LIMIT, |s| s.members.len() == 2).await;
    assert!(status.members.iter().all(|m| m.host != gone));
    controller.until("the warning", LIMIT, |s| s.findings.iter().any(|f| f.text.contains("two voters"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_directory_loses_its_vote_at_once_and_gets_it_back_with_the_data() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    let status = controller.status().await.unwrap();
    let wiped = (cluster.primary(&status) + 1) % 3;
    let host = cluster.nodes[wiped].address().to_string();
    let data = identity(&cluster, wiped).await;
    cluster.nodes[wiped].kill();
    cluster.nodes[wiped].wipe();
    cluster.nodes[wiped].restart().await.unwrap();
    let lost = |s: &Status| s.members.iter().any(|m| m.host == host && m.votes == 0);
    controller.until("the vote taken", LIMIT, lost).await;
    let status = controller.until("the vote restored", LIMIT, is_settled(3)).await;
    assert_eq!(member(&status, &host).priority, 1.0);
    assert_ne!(identity(&cluster, wiped).await, data, "a new directory");
    let config = stored_config(&cluster.nodes[wiped]).await;
    assert!(!config.to_string().contains("rsctlSavedVote"), "nothing is left over: {config}");
    all_there(writer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_off_controller_leaves_a_healthy_primary_alone() {
    let (cluster, controller) = Cluster::settled(&[]).await;
    let before = controller.status().await.unwrap();
    let writer = writing(&controller).await;
    drop(controller);
    // A second controller cannot reach the primary, and DNS lists only the two secondaries for it. Something silent
    // listens at the address of the primary, as behind a firewall.
    let primary = cluster.primary(&before);
    cluster.list((0..3).filter(|n| *n != primary).map(|n| cluster.nodes[n].ip()));
    cluster.nodes[primary].freeze();
    let blind = cluster.controller(&[]);
    let waits =
        |s: &Status| s.waiting.iter().any(|w| w.contains("may still reach it") || w.contains("does not answer"));
    let status = blind.until("the reason to wait", LIMIT, waits).await;
    assert_eq!(status.term, before.term, "no election was called");
    cluster.nodes[primary].thaw();
    let status = blind.until("the same primary", LIMIT, |s| s.primary == before.primary).await;
    assert_eq!(status.primary, before.primary);
    all_there(writer).await;
}

/// A stalled process still accepts connections, by its kernel. So it is told from a lost machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_only_stalls_stays_the_primary() {
    let (cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    let before = controller.status().await.unwrap();
    let primary = cluster.primary(&before);
    for ms in [500, 1000, 1400] {
        writer.reset_gap();
        cluster.nodes[primary].freeze();
        sleep(Duration::from_millis(ms)).await;
        cluster.nodes[primary].thaw();
        assert!(writer.next_acknowledged(LIMIT).await);
        println!("figures: a stall of {ms} ms: writes out for {:?}", writer.tally().longest_gap);
        let after = controller.until("a settled set", LIMIT, is_settled(3)).await;
        assert_eq!((&after.primary, after.term), (&before.primary, before.term), "an election\n{}", controller.log());
    }
    all_there(writer).await;
}

/// A frozen mongod is as silent as one on a lost machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_hangs_on_a_silent_member_for_longer_than_its_connection() {
    let (cluster, controller) = Cluster::settled(&[]).await;
    let writer = writing(&controller).await;
    let primary = cluster.primary(&controller.status().await.unwrap());
    let (head, third) = sync_source_requests(&cluster, primary).await;
    writer.reset_gap();
    cluster.nodes[head].freeze();
    let frozen = Instant::now();
    while !copies(&cluster, primary, third).await {
        assert!(frozen.elapsed() < LIMIT, "the third hangs on the silent one");
        sleep(POLL).await;
    }
    assert!(writer.next_acknowledged(LIMIT).await);
    let gap = writer.tally().longest_gap;
    println!("figures: writes out for {gap:?}");
    assert!(gap < Duration::from_secs(14), "MongoDB gives a connection up after 10 s, this took {gap:?}");
    cluster.nodes[head].thaw();
    controller.until("everybody well again", LIMIT, is_settled(3)).await;
    all_there(writer).await;
}

/// The identity of a mongod's data directory.
pub async fn identity(cluster: &Cluster, node: usize) -> String {
    let client = cluster.nodes[node].client();
    let found = client.database("local").collection::<mongodb::bson::Document>("replset.initialSyncId");
    let identity = found.find_one(doc! {}).await.unwrap().map(|d| d.get("_id").unwrap().to_string());
    client.shutdown().immediate(true).await;
    identity.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_an_operator_takes_out_stays_out_after_a_switchover_of_the_primary() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    cluster.nodes.push(blank_node().await);
    cluster.list_all();
    let settled = is_settled(3);
    let four = |s: &Status| settled(s) && s.members.len() == 4;
    let status = controller.until("the fourth member", LIMIT, four).await;
    let writer = writing(&controller).await;
    let old = status.primary.unwrap();
    let answer = controller.run(&["remove", &old, "--admin", &controller.admin_url(), "--wait", "40s"]).await.unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let out = |s: &Status| settled(s) && s.members.iter().all(|m| m.host != old);
    let status = controller.until("three members without it", LIMIT, out).await;
    assert_eq!((status.members.len(), votes(&status)), (3, 3), "the spare took its place");
    // This controller does not know about the removal, and observes a task that could be added.
    let other = cluster.controller(&[]);
    let outside = |s: &Status| settled(s) && s.findings.iter().any(|f| f.text.contains("`rsctl remove`"));
    let status = other.until("another controller that leaves it out", LIMIT, outside).await;
    assert_eq!(status.members.len(), 3);
    let node = (0..4).find(|n| old.contains(&cluster.nodes[*n].ip().to_string())).unwrap();
    cluster.nodes[node].restart().await.unwrap();
    other.until("a member again, since it was started anew", LIMIT, four).await;
    controller.until("the same, for the one that was told", LIMIT, four).await;
    all_there(writer).await;
    let nobody = controller.run(&["remove", "nobody", "--admin", &controller.admin_url()]).await.unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no such member"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_third_copies_from_the_second_though_nobody_writes() {
    let (cluster, controller) = Cluster::settled(&[]).await;
    let (settled, status) = (Instant::now(), controller.status().await.unwrap());
    sync_source_requests(&cluster, cluster.primary(&status)).await;
    println!("figures: chained {:?} after the set was stable, without writes", settled.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_is_shown_and_nothing_is_changed() {
    let cluster = Cluster::blank(3).await;
    let controller = cluster.controller(&[("RSCTL_EXPECT", "4")]);
    controller.until("a task waited for", LIMIT, |s| s.waiting.iter().any(|w| w.contains("3 of 4"))).await;
    let dns = cluster.dns.address().to_string();
    let alone = controller.run_alone(&["plan", "--dns", &dns, "--expect", "3"]).await.unwrap();
    let text = String::from_utf8_lossy(&alone.stdout);
    assert!(text.contains("1. lock ") && text.contains("because every expected task answers"), "{text}");
    let asked = controller.run(&["plan"]).await.unwrap();
    let text = String::from_utf8_lossy(&asked.stdout);
    assert!(text.contains("nothing to do") && text.contains("waiting: 3 of 4 expected tasks answer"), "{text}");
    assert_eq!(asked.status.code(), Some(3));
    assert!(controller.status().await.unwrap().members.is_empty());
}
