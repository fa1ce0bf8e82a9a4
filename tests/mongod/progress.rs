//! How far an initial sync is, as the status shows it.

use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use rsctl::publish::{MemberStatus, Status};

use crate::cluster::{Cluster, LIMIT, PORT, is_settled, member};
use crate::support::mongods::{Mongod, MongodOptions, free_ip};
use crate::versions::is_here;

/// A megabyte of documents.
async fn fill(primary: &Mongod) {
    let client = primary.client();
    let filler = client.database("filler").collection::<Document>("t");
    filler.insert_many((0..100).map(|n| doc! { "n": n, "text": "x".repeat(10_000) })).await.unwrap();
    client.shutdown().immediate(true).await;
}

/// Stops the initial sync of a new member when all data is copied, looks, and lets it go on.
async fn progress_on(version: &'static str) {
    if !is_here(version) {
        return;
    }
    let mut cluster = Cluster::of(version, 1).await;
    let controller = cluster.controller(&[("RSCTL_EXPECT", "1")]);
    let status = controller.until("a set of one", LIMIT, is_settled(1)).await;
    fill(&cluster.nodes[cluster.primary(&status)]).await;
    let before = cluster.nodes.len();
    let options = MongodOptions { version: Some(version), ..MongodOptions::at(free_ip(PORT), PORT) };
    cluster.nodes.push(Mongod::start(options).await.unwrap());
    let host = cluster.nodes[before].host();
    let hang = |mode: &str| doc! { "configureFailPoint": "initialSyncHangAfterDataCloning", "mode": mode };
    cluster.nodes[before].command(hang("alwaysOn")).await.unwrap();
    cluster.list_all();
    let copied = |m: &MemberStatus| m.sync.is_some_and(|sync| sync.copied > 900_000 && sync.total >= sync.copied);
    let is_copied = |s: &Status| s.members.iter().any(|m| m.host == host && copied(m));
    let status = controller.until("the progress of the initial sync", LIMIT, is_copied).await;
    println!("figures: {version}: {:?}", member(&status, &host).sync);
    let told = controller.run(&["status"]).await.unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("copies its data: [#"), "{told}");
    cluster.nodes[before].command(hang("off")).await.unwrap();
    let done = |s: &Status| s.members.iter().all(|m| m.healthy && m.sync.is_none());
    controller.until("the end of the initial sync", LIMIT, |s| s.members.len() == 2 && done(s)).await;
}

/// A 4.4.2 counts documents and no bytes, so nothing is known there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_initial_sync_shows_how_far_it_is() {
    join_all(["5.0.4", "6.0.27"].map(progress_on)).await;
}
