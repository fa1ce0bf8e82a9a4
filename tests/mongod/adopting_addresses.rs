//! Addresses as people give them: localhost, and one host name for two mongods. `shapes.rs` has the others.

use std::net::IpAddr;

use mongodb::bson::{Document, doc};
use rsctl::publish::Status;

use crate::cluster::{Cluster, LIMIT, PORT, hosts_file, is_settled, names_work, stored_config};
use crate::support::dns::Answer;
use crate::support::mongods::{Mongod, MongodOptions, NamedNode, free_ip};

const NEVER: (&str, &str) = ("RSCTL_BOOTSTRAP", "never");

/// A set whose members have these addresses, initiated by hand, with a primary.
async fn initiate(node: &Mongod, hosts: &[&str]) {
    let members: Vec<Document> =
        hosts.iter().enumerate().map(|(id, host)| doc! { "_id": id as i32, "host": *host }).collect();
    node.command(doc! { "replSetInitiate": { "_id": "rs", "members": members } }).await.unwrap();
    wait_for_primary(node).await;
}

async fn wait_for_primary(node: &Mongod) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !node.command(doc! { "hello": 1 }).await.unwrap().get_bool("isWritablePrimary").unwrap() {
        assert!(tokio::time::Instant::now() < deadline, "no primary");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The first of these mongods means itself by `localhost`, and is a set of one under that address.
async fn at_localhost(version: Option<&'static str>) -> Cluster {
    let mut cluster = Cluster::named(3, version).await;
    let ips: Vec<_> = cluster.nodes.iter().map(Mongod::ip).collect();
    let mut hosts = hosts_file(&ips);
    hosts.push((IpAddr::V4(ips[0]), "localhost".to_owned()));
    cluster.nodes[0].set_hosts(hosts);
    initiate(&cluster.nodes[0], &["localhost:27017"]).await;
    cluster
}

/// What the server answers to a reconfig that makes these the members.
async fn answer_to(node: &Mongod, hosts: &[&str]) -> String {
    let mut config = stored_config(node).await;
    let version = config.get("version").and_then(|v| v.as_i64().or(v.as_i32().map(i64::from))).unwrap();
    let member = |(id, host): (usize, &&str)| doc! { "_id": id as i32, "host": *host };
    config.insert("version", version + 1);
    config.remove("term");
    config.insert("members", hosts.iter().enumerate().map(member).collect::<Vec<Document>>());
    match node.command(doc! { "replSetReconfig": config }).await {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

async fn localhost_grows(version: Option<&'static str>) {
    if !names_work() {
        return;
    }
    let cluster = at_localhost(version).await;
    let mixed = answer_to(&cluster.nodes[0], &["localhost:27017", "mongo-node2:27017"]).await;
    println!("figures: {version:?}: a second member beside localhost: {mixed}");
    assert!(mixed.contains("localhost"), "{mixed}");

    // Its name is not known yet: the address is given to nobody.
    cluster.dns.set_both("mongo-node1", Answer::ServFail);
    let controller = cluster.controller(&[NEVER]);
    let seen = |s: &Status| s.members.iter().any(|m| m.host == "localhost:27017" && m.state == "PRIMARY");
    let status = controller.until("the member at localhost", LIMIT, seen).await;
    assert!(status.seeds.is_empty(), "{:?}", status.seeds);
    let uri = controller.run(&["uri"]).await.unwrap();
    assert_eq!(uri.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&uri.stderr).contains("local addresses (localhost:27017)"), "{uri:?}");
    assert!(controller.get("/v1/uri").await.unwrap_err().to_string().contains("localhost:27017"));
    let run = controller.run(&["exec", "--set", "X={uri}", "--wait", "1s", "--", "true"]).await.unwrap();
    assert_eq!(run.status.code(), Some(124), "{run:?}");

    cluster.tell_names();
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    assert_eq!(status.seeds, ["mongo-node1:27017", "mongo-node2:27017", "mongo-node3:27017"]);
    assert_eq!(stored_config(&cluster.nodes[0]).await.get_array("members").unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_at_localhost_gets_its_name_and_others_join() {
    localhost_grows(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_at_localhost_gets_its_name_on_4_4() {
    localhost_grows(Some("4.4.2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_at_localhost_gets_its_name_on_5_0() {
    localhost_grows(Some("5.0.4")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clones_with_one_host_name_are_named_and_nobody_is_moved_between_them() {
    if !names_work() {
        return;
    }
    let mut cluster = Cluster::named(3, None).await;
    let controller = cluster.controller(&[]);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    let before = stored_config(&cluster.nodes[0]).await;

    // A machine is cloned: its mongod is empty, and has the name of the third member.
    let (third, ip) = (cluster.nodes[2].ip(), free_ip(PORT));
    let name = Some(NamedNode { hostname: "mongo-node3".to_owned(), hosts: Vec::new() });
    cluster.nodes.push(Mongod::start(MongodOptions { name, ..MongodOptions::at(ip, PORT) }).await.unwrap());
    cluster.list_all();
    cluster.dns.set_both("mongo-node3", Answer::Records(vec![third.into(), ip.into()]));
    let named = |s: &Status| s.findings.iter().any(|f| f.text.contains("report one host name, mongo-node3:27017"));
    controller.until("the finding", LIMIT, named).await;
    // Longer than a gone member stays.
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    assert_eq!(stored_config(&cluster.nodes[0]).await, before);

    cluster.dns.set_both("mongo-node3", Answer::Records(vec![third.into()]));
    cluster.list(cluster.nodes[..3].iter().map(Mongod::ip).collect::<Vec<_>>());
    controller.until("a settled set", LIMIT, is_settled(3)).await;
}
