//! The history outlives its controller: the members keep it.

use mongodb::bson::{Document, doc};
use rsctl::publish::{HistoryStatus, Status};
use tokio::time::Instant;

use crate::cluster::{Cluster, LIMIT, is_settled};
use crate::support::controller::Controller;
use crate::support::mongods::Mongod;

async fn history(controller: &Controller) -> HistoryStatus {
    serde_json::from_str(&controller.get("/v1/history").await.unwrap()).unwrap()
}

fn whats(history: &HistoryStatus) -> Vec<&str> {
    history.events.iter().map(|event| event.what.as_str()).collect()
}

async fn kept(node: &Mongod) -> Option<Document> {
    let client = node.client();
    let kept = client.database("local").collection::<Document>("rsctl").find_one(doc! { "_id": "history" }).await;
    client.shutdown().immediate(true).await;
    kept.unwrap()
}

async fn replace(node: &Mongod, other: Document) {
    let client = node.client();
    let change = doc! { "q": { "_id": "history" }, "u": other, "upsert": true };
    client.database("local").run_command(doc! { "update": "rsctl", "updates": [change] }).await.unwrap();
    client.shutdown().immediate(true).await;
}

/// Waits until every member keeps an event like this one.
async fn until_all_keep(cluster: &Cluster, word: &str) {
    let began = Instant::now();
    for node in &cluster.nodes {
        while !kept(node).await.is_some_and(|kept| kept.to_string().contains(word)) {
            assert!(began.elapsed() < LIMIT, "{} does not keep {word}: {:?}", node.host(), kept(node).await);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_outlives_its_controller_and_is_bounded() {
    let (cluster, mut first) = Cluster::settled(&[]).await;
    until_all_keep(&cluster, "add ").await;
    let before = history(&first).await;
    let words = whats(&before).join("\n");
    assert!(words.contains("initiate rs on ") && words.contains("is primary"), "{words}");
    let change = before.events.iter().find(|event| event.what.starts_with("add ")).unwrap();
    assert!(change.changes.iter().any(|change| change.starts_with("added ")), "{change:?}");
    assert!(first.terminate(LIMIT).await.is_some());

    // Without a controller the members tell it.
    let dns = cluster.dns.address().to_string();
    let alone = first.run_alone(&["history", "--dns", &dns]).await.unwrap();
    let text = String::from_utf8(alone.stdout).unwrap();
    assert!(alone.status.success() && text.contains("initiate rs on "), "{text}");

    // One member's document is of another form, and one is not a history at all. The seed has all of it.
    let seed = before.events.iter().find_map(|event| event.what.strip_prefix("initiate rs on ")).unwrap();
    let (seed, other) = (cluster.position(seed), (cluster.position(seed) + 1) % 3);
    let newer = doc! { "_id": "history", "v": 2, "events": "elsewhere" };
    replace(&cluster.nodes[other], newer.clone()).await;
    replace(&cluster.nodes[(seed + 2) % 3], doc! { "_id": "history", "v": 1, "events": ["odd", 7, {}] }).await;

    let second = cluster.controller(&[]);
    let knows = |s: &Status| !s.history.is_empty() && s.members.iter().all(|m| m.oplog_ms.is_some());
    let status =
        second.until("the history of the first, and every oplog window", LIMIT, |s| is_settled(3)(s) && knows(s)).await;
    assert!(status.primary_ms.is_some() && status.history.len() <= 5);
    assert_eq!(whats(&history(&second).await), whats(&before), "the second adds nothing to what it finds at rest");

    // A change by hand, which the second sees.
    let primary = cluster.primary(&status);
    let mut config = crate::cluster::stored_config(&cluster.nodes[primary]).await;
    config.insert("version", config.get_i32("version").unwrap() + 1);
    config.get_document_mut("settings").unwrap().insert("heartbeatTimeoutSecs", 11);
    cluster.nodes[primary].command(doc! { "replSetReconfig": config }).await.unwrap();
    second.until("the change by hand", LIMIT, |s| s.history.iter().any(|e| e.what == "the config changed")).await;
    let newest = history(&second).await.events.pop().unwrap();
    assert_eq!(newest.changes, ["settings.heartbeatTimeoutSecs: 10 → 11"]);
    let began = Instant::now();
    while !kept(&cluster.nodes[seed]).await.unwrap().to_string().contains("heartbeatTimeoutSecs") {
        assert!(began.elapsed() < LIMIT, "it is kept");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(kept(&cluster.nodes[other]).await, Some(newer), "what is of another form is left alone");
    for node in &cluster.nodes {
        let size = mongodb::bson::serialize_to_vec(&kept(node).await.unwrap()).unwrap().len();
        assert!(size < 64 * 1024, "{size} bytes");
    }
}
