//! From empty mongods to a set: exactly once, and only with complete evidence.

use std::time::Duration;

use mongodb::bson::{Document, doc, oid::ObjectId};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, LIMIT, blank_node, is_settled, member, stored_config, votes};
use crate::support::mongods::Mongod;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_blank_tasks_become_a_set_that_says_which_directory_votes() {
    let cluster = Cluster::blank(3).await;
    let started = Instant::now();
    let controller = cluster.controller(&[]);
    controller.until("a primary and three seeds", LIMIT, |s| s.ready()).await;
    let ready = started.elapsed();
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    println!("figures: ready after {ready:?}, settled after {:?}", started.elapsed());
    let config = stored_config(&cluster.nodes[cluster.primary(&status)]).await;
    for entry in config.get_array("members").unwrap() {
        let tags = entry.as_document().unwrap().get_document("tags").unwrap();
        assert!(tags.contains_key("rsctlData"), "{config}");
    }
    let uri = controller.get("/v1/uri?database=letschat").await.unwrap();
    let mut hosts: Vec<String> = cluster.nodes.iter().map(|n| n.address().to_string()).collect();
    hosts.sort_by_key(|h| h.parse::<rsctl::model::Host>().unwrap());
    assert_eq!(uri.trim(), format!("mongodb://{}/letschat?replicaSet=rs", hosts.join(",")));
    for node in &cluster.nodes {
        assert_eq!(locks(node).await, 0, "claims are gone once the set exists");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_tasks_than_expected_wait_and_say_so() {
    let mut cluster = Cluster::blank(2).await;
    let controller = cluster.controller(&[]);
    let said =
        controller.until("the missing task named", LIMIT, |s| s.waiting.iter().any(|w| w.contains("2 of 3"))).await;
    assert_eq!(said.members.len(), 0);
    sleep(Duration::from_millis(800)).await; // twice `--stable-for`
    assert!(controller.status().await.unwrap().members.is_empty(), "nothing begins on partial evidence");
    cluster.nodes.push(blank_node().await);
    cluster.list_all();
    controller.until("a settled set", LIMIT, is_settled(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_controllers_at_once_make_one_set() {
    one_set(&Cluster::blank(3).await).await;
}

/// Checks that three controllers at once make one set.
pub async fn one_set(cluster: &Cluster) {
    let controllers = [cluster.controller(&[]), cluster.controller(&[]), cluster.controller(&[])];
    let mut ids = Vec::new();
    for controller in &controllers {
        ids.push(controller.until("a settled set", LIMIT, is_settled(3)).await.replica_set_id);
    }
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    for node in &cluster.nodes {
        let config = stored_config(node).await;
        let id = config.get_document("settings").unwrap().get_object_id("replicaSetId").unwrap();
        assert_eq!(Some(id.to_hex()), ids[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_was_left_behind_is_taken_over_with_its_seed() {
    let cluster = Cluster::blank(3).await;
    // A controller died between its locks and the initiate, and its seed is not the first in order.
    let mut hosts: Vec<_> = cluster.nodes.iter().map(Mongod::address).collect();
    hosts.sort();
    let seed = cluster.position(&hosts[2].to_string());
    let hello = cluster.nodes[seed].command(doc! { "hello": 1 }).await.unwrap();
    let process: ObjectId = hello.get_document("topologyVersion").unwrap().get_object_id("processId").unwrap();
    let claim = doc! { "_id": "bootstrap", "token": "long-gone", "seed": hosts[2].to_string(), "seedProcess": process };
    let first = &cluster.nodes[cluster.position(&hosts[0].to_string())];
    write_local(first, claim).await;
    let controller = cluster.controller(&[]);
    controller.until("the claim named", LIMIT, |s| s.waiting.iter().any(|w| w.contains("long-gone"))).await;
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    assert_eq!(member(&status, &hosts[2].to_string()).id, 0, "the seed of the old claim began the set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_is_killed_at_any_moment_leaves_nothing_that_the_next_cannot_finish() {
    let cluster = Cluster::blank(3).await;
    for lifetime_ms in [30, 60, 90, 130, 180, 240, 320, 420, 600] {
        let mut controller = cluster.controller(&[]);
        sleep(Duration::from_millis(lifetime_ms)).await; // this time is what the test varies
        controller.kill();
    }
    let controller = cluster.controller(&[]);
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    for node in &cluster.nodes {
        let config = stored_config(node).await;
        let id = config.get_document("settings").unwrap().get_object_id("replicaSetId").unwrap();
        assert_eq!(Some(id.to_hex()), status.replica_set_id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_with_user_data_begins_and_keeps_it() {
    let mut cluster = Cluster::blank(2).await;
    cluster.nodes.push(standalone_with_data(None).await);
    cluster.list_all();
    let keeper = cluster.nodes[2].address().to_string();
    let controller = cluster.controller(&[]);
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    assert_eq!(member(&status, &keeper).id, 0);
    let client = cluster.nodes[2].client();
    let kept = client.database("app").collection::<Document>("t").find_one(doc! { "_id": 1 }).await.unwrap();
    assert!(kept.is_some(), "the data that was there is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_with_user_data_are_named_and_nothing_is_lost() {
    let mut cluster = Cluster::blank(1).await;
    cluster.nodes.push(standalone_with_data(None).await);
    cluster.nodes.push(standalone_with_data(None).await);
    cluster.list_all();
    let controller = cluster.controller(&[]);
    let named = |s: &rsctl::publish::Status| s.findings.iter().any(|f| f.text.contains("user data"));
    let status = controller.until("both named", LIMIT, named).await;
    for node in &cluster.nodes[1..] {
        assert!(status.findings.iter().any(|f| f.text.contains(&node.address().to_string())), "{status:?}");
    }
    sleep(Duration::from_millis(800)).await; // twice `--stable-for`
    assert_eq!(votes(&controller.status().await.unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_series_or_a_view_is_user_data_too() {
    // The server does not count them as collections.
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let series = doc! { "create": "series", "timeseries": { "timeField": "at" } };
    let view = doc! { "create": "view", "viewOn": "nothing", "pipeline": [] };
    for command in [series, view] {
        cluster.nodes.push(filled_standalone(None, command).await);
    }
    cluster.list_all();
    for node in &cluster.nodes[3..] {
        let address = node.address().to_string();
        let named = |f: &rsctl::publish::FindingStatus| f.text.contains("user data") && f.text.contains(&address);
        let status = controller.until("it named", LIMIT, |s| s.findings.iter().any(named)).await;
        assert_eq!(status.members.len(), 3, "it may not join");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_task_is_enough_where_one_is_expected() {
    let cluster = Cluster::blank(1).await;
    let controller = cluster.controller(&[("RSCTL_EXPECT", "1")]);
    let status = controller.until("a set of one", LIMIT, is_settled(1)).await;
    assert_eq!(status.seeds, [cluster.nodes[0].address().to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_never_begins_nothing() {
    let cluster = Cluster::blank(3).await;
    let controller = cluster.controller(&[("RSCTL_BOOTSTRAP", "never")]);
    controller.until("the reason", LIMIT, |s| s.findings.iter().any(|f| f.text.contains("--bootstrap never"))).await;
    sleep(Duration::from_millis(800)).await; // twice `--stable-for`
    assert!(controller.status().await.unwrap().members.is_empty());
}

/// A mongod that ran as a standalone, has user data, and now waits for a set.
pub async fn standalone_with_data(version: Option<&'static str>) -> Mongod {
    filled_standalone(version, doc! { "insert": "t", "documents": [{ "_id": 1 }] }).await
}

async fn filled_standalone(version: Option<&'static str>, command: Document) -> Mongod {
    use crate::support::mongods::{MongodOptions, free_ip};
    let dir = std::env::temp_dir().join(format!("rsctl-data-{}-{}", std::process::id(), ObjectId::new()));
    let place = MongodOptions::at(free_ip(crate::cluster::PORT), crate::cluster::PORT);
    let options = MongodOptions { dir: Some(dir), version, ..place };
    let mut before = Mongod::start(MongodOptions { replset: None, ..options.clone() }).await.unwrap();
    let client = before.client();
    client.database("app").run_command(command).await.unwrap();
    client.shutdown().immediate(true).await;
    before.stop().await.unwrap();
    drop(before);
    Mongod::start(options).await.unwrap()
}

async fn write_local(node: &Mongod, document: Document) {
    let client = node.client();
    let command = doc! { "insert": "rsctl", "documents": [document] };
    client.database("local").run_command(command).await.unwrap();
    client.shutdown().immediate(true).await;
}

async fn locks(node: &Mongod) -> usize {
    let client = node.client();
    let found =
        client.database("local").collection::<Document>("rsctl").find_one(doc! { "_id": "bootstrap" }).await.unwrap();
    client.shutdown().immediate(true).await;
    usize::from(found.is_some())
}
