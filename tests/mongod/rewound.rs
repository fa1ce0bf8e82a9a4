//! A volume that is restored from an older snapshot keeps the identity of its data directory.

use std::time::Duration;

use mongodb::bson::doc;
use rsctl::publish::{Status, VerdictWord};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, LIMIT, PORT, blank_node, is_settled, votes};
use crate::recovery::every_write_is_there;
use crate::support::controller::Controller;
use crate::support::mongods::{Mongod, free_ip};
use crate::support::writer::insert;

/// Settings with long times, so that no member is removed or replaced while its mongod is down.
const PATIENT: [(&str, &str); 2] = [("RSCTL_REPLACE_AFTER", "10m"), ("RSCTL_REMOVE_AFTER", "10m")];
/// The pause between two questions to the same mongod.
const POLL: Duration = Duration::from_millis(20);
/// Without the protection the set is forced and has a primary within a second.
const TEMPTED_FOR: Duration = Duration::from_secs(5);

/// A mongod that applies nothing that it copies.
const STOPPED: &str = r#"--setParameter=failpoint.rsSyncApplyStop={"mode":"alwaysOn"}"#;

/// Writes with `w: "majority"`.
async fn write(controller: &Controller, ids: std::ops::Range<i64>) -> Vec<i64> {
    let ids: Vec<i64> = ids.collect();
    let uri = controller.get("/v1/uri?database=test").await.unwrap();
    insert(uri.trim(), &ids).await.unwrap();
    ids
}

/// A copy of its data directory, made while it is stopped. The copy is down.
async fn snapshot(node: &mut Mongod) -> Mongod {
    let mut copy = blank_node().await;
    copy.kill();
    node.stop().await.unwrap();
    copy.clone_data_from(node);
    node.restart().await.unwrap();
    copy
}

/// The newest write that a mongod has in its journal and knows to be committed: seconds and counter.
async fn held(node: &Mongod) -> (u32, u32) {
    let status = node.command(doc! { "replSetGetStatus": 1 }).await.unwrap();
    let optimes = status.get_document("optimes").unwrap();
    let at = |name| optimes.get_document(name).unwrap().get_timestamp("ts").unwrap();
    let held = at("lastCommittedOpTime").min(at("durableOpTime"));
    (held.time, held.increment)
}

/// Waits until the follower holds what the primary holds now, and the controller has observed that.
async fn remembers(controller: &Controller, primary: &Mongod, follower: &Mongod) {
    let (wanted, began) = (held(primary).await, Instant::now());
    while held(follower).await < wanted {
        assert!(began.elapsed() < LIMIT, "{} does not get the write", follower.address());
        sleep(POLL).await;
    }
    // An observation takes less than a second, and one that is so much younger began after the write was held.
    let since = Instant::now() + Duration::from_secs(1);
    let fresh = |s: &Status| Instant::now().checked_sub(Duration::from_millis(s.observed_ms_ago)) > Some(since);
    controller.until("a later observation", LIMIT, fresh).await;
}

fn names_it(status: &Status) -> bool {
    status.findings.iter().any(|f| f.text.contains("lacks writes that its data directory held before"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_snapshot_and_a_stale_member_at_new_addresses_elect_nobody() {
    let (mut cluster, controller) = Cluster::settled(&PATIENT).await;
    let status = controller.status().await.unwrap();
    let primary = cluster.primary(&status);
    let (restored, stale) = ((primary + 1) % 3, (primary + 2) % 3);
    let before = write(&controller, 0..20).await;
    let snapshot = snapshot(&mut cluster.nodes[restored]).await;
    controller.until("three members again", LIMIT, is_settled(3)).await;
    cluster.nodes[stale].kill();
    let after = write(&controller, 100..120).await;
    remembers(&controller, &cluster.nodes[primary], &cluster.nodes[restored]).await;

    // Of the two that acknowledged the writes, one is away, and the other one's volume is set back.
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.nodes[restored] = snapshot;
    for node in [restored, stale] {
        cluster.nodes[node].restart_at(free_ip(PORT), PORT).await.unwrap();
    }
    cluster.list([restored, stale].map(|node| cluster.nodes[node].ip()));
    let refused = |s: &Status| s.recovery.as_ref().is_some_and(|r| r.verdict == VerdictWord::Loss && r.votes == 1);
    let status = controller.until("the evidence", LIMIT, |s| refused(s) && names_it(s)).await;
    assert!(status.recovery.unwrap().missing.iter().any(|m| m.note.contains("lacks writes")));
    let since = Instant::now();
    while since.elapsed() < TEMPTED_FOR {
        let now = controller.status().await.unwrap();
        assert_eq!((now.primary, now.config_version), (None, status.config_version), "{}", controller.log());
        sleep(POLL).await;
    }

    // The one that is left of the two comes back, and with it the writes.
    cluster.nodes[primary].restart_at(free_ip(PORT), PORT).await.unwrap();
    cluster.list_all();
    controller.until("a primary", LIMIT, |s| s.primary.is_some() && names_it(s)).await;
    every_write_is_there(&controller, &[before, after].concat()).await;

    // What the finding says to do.
    cluster.nodes[restored].wipe();
    cluster.nodes[restored].restart().await.unwrap();
    controller.until("nothing to complain about", LIMIT, |s| !names_it(s) && s.primary.is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_restored_in_place_catches_up_and_votes_again() {
    let (mut cluster, controller) = Cluster::settled(&PATIENT).await;
    let status = controller.status().await.unwrap();
    let primary = cluster.primary(&status);
    let restored = (primary + 1) % 3;
    let mut snapshot = snapshot(&mut cluster.nodes[restored]).await;
    controller.until("three members again", LIMIT, is_settled(3)).await;
    let ids = write(&controller, 0..20).await;
    remembers(&controller, &cluster.nodes[primary], &cluster.nodes[restored]).await;

    // It cannot copy anything yet, so that it is seen as it is.
    cluster.nodes[restored].kill();
    cluster.nodes[restored].clone_data_from(&mut snapshot);
    cluster.nodes[restored].restart_with(STOPPED).await.unwrap();
    controller.until("its vote revoked", LIMIT, |s| names_it(s) && votes(s) == 2).await;
    let go = doc! { "configureFailPoint": "rsSyncApplyStop", "mode": "off" };
    cluster.nodes[restored].command(go).await.unwrap();
    controller.until("its vote restored", LIMIT, is_settled(3)).await;
    every_write_is_there(&controller, &ids).await;
}
