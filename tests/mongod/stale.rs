//! Members that do not come back by themselves: too stale for the oplog of the others, or an initial sync that fails.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use rsctl::publish::Status;
use tokio::time::Instant;

use crate::changes::{all_there, writing};
use crate::cluster::{Cluster, LIMIT, PORT, blank_node, is_settled};
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions, free_ip};

/// A state counts as lasting after a minute.
const LASTING: Duration = Duration::from_secs(100);

/// An oplog of 1 MB, and checkpoints often, because the server keeps what is newer than the last one.
async fn small_oplogs(count: usize) -> Cluster {
    let args = ["--oplogSize=1", "--syncdelay=1"].map(String::from).to_vec();
    let mut nodes = Vec::new();
    for _ in 0..count {
        let options = MongodOptions { args: args.clone(), ..MongodOptions::at(free_ip(PORT), PORT) };
        nodes.push(Mongod::start(options).await.unwrap());
    }
    let cluster = Cluster { dns: DnsServer::start().await, nodes };
    cluster.list_all();
    cluster
}

/// The time of the oldest or the newest entry of the oplog.
async fn oplog(node: &Mongod, direction: i32) -> (u32, u32) {
    let client = node.client();
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let entry = oplog.find_one(doc! {}).sort(doc! { "$natural": direction }).await.unwrap().unwrap();
    client.shutdown().immediate(true).await;
    let at = entry.get_timestamp("ts").unwrap();
    (at.time, at.increment)
}

/// Writes until the oplogs of the primary and of the other member begin after what the primary has written now.
async fn outrun(primary: &Mongod, other: &Mongod) {
    let newest = oplog(primary, -1).await;
    let client = primary.client();
    let filler = client.database("filler").collection::<Document>("t");
    let (began, text) = (Instant::now(), "x".repeat(100_000));
    while oplog(primary, 1).await <= newest || oplog(other, 1).await <= newest {
        assert!(began.elapsed() < LASTING, "the oplog still begins at {:?}", oplog(primary, 1).await);
        for _ in 0..10 {
            filler.insert_one(doc! { "text": &text }).await.unwrap();
        }
    }
    client.shutdown().immediate(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_too_stale_is_named_and_comes_back_as_told() {
    let mut cluster = small_oplogs(3).await;
    let controller = cluster.controller(&[]);
    let status = controller.until("a settled set of three", LIMIT, is_settled(3)).await;
    let primary = cluster.primary(&status);
    let stale = (primary + 1) % 3;
    let host = cluster.nodes[stale].host();
    let writer = writing(&controller).await;
    cluster.nodes[stale].kill();
    outrun(&cluster.nodes[primary], &cluster.nodes[(primary + 2) % 3]).await;
    cluster.nodes[stale].restart().await.unwrap();
    let began = Instant::now();

    let command = format!("`rsctl remove {host}`");
    let told = |s: &Status| s.findings.iter().any(|f| f.text.contains(&command) && f.text.contains("RECOVERING"));
    controller.until("the stale member named", LASTING, told).await;
    println!("figures: named {:?} after its restart", began.elapsed());

    let removed = controller.run(&["remove", &host, "--admin", &controller.admin_url()]).await.unwrap();
    assert!(removed.status.success(), "{removed:?}");
    let out = format!("{host} was removed by `rsctl remove`");
    controller.until("it to be out", LIMIT, |s| s.findings.iter().any(|f| f.text.starts_with(&out))).await;
    cluster.nodes[stale].wipe();
    cluster.nodes[stale].restart().await.unwrap();
    controller.until("three voters again", LIMIT, is_settled(3)).await;
    all_there(writer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_initial_sync_that_begins_again_and_again_is_named_with_its_reason() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    for node in &cluster.nodes {
        let fails = doc! { "failCommands": ["listDatabases"], "errorCode": 72, "failInternalCommands": true };
        node.command(doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": fails }).await.unwrap();
    }
    cluster.nodes.push(blank_node().await);
    cluster.list_all();
    let host = cluster.nodes[3].host();
    let named = |s: &Status| s.findings.iter().any(|f| f.text.starts_with(&format!("{host} has failed to copy")));
    let status = controller.until("the initial sync named", LIMIT, named).await;
    println!("figures: {}", status.findings[0].text);
    for node in &cluster.nodes[..3] {
        node.command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    }
    let well = |s: &Status| !named(s) && s.members.iter().filter(|m| m.state == "SECONDARY").count() == 3;
    controller.until("the initial sync done", LIMIT, well).await;
}
