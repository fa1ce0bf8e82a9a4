//! Tests of the tools that other tests use: real mongods that start, stop, change address and have names; the writer.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod support;

use std::net::IpAddr;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use support::mongods::{Mongod, MongodOptions, NamedNode, can_be_named, free_ip};
use support::writer::majority_writer;
use tokio::time::{Instant, sleep};

const PORT: u16 = 27017;

async fn blank() -> Mongod {
    Mongod::start(MongodOptions::at(free_ip(PORT), PORT)).await.unwrap()
}

/// Waits until this mongod knows a primary. Returns its address.
async fn primary(mongod: &Mongod) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let hello = mongod.command(doc! { "hello": 1 }).await.unwrap_or_default();
        if let Ok(primary) = hello.get_str("primary") {
            return primary.to_owned();
        }
        assert!(Instant::now() < deadline, "no primary within 30 s, last seen: {hello}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn initiate(hosts: &[String], on: &Mongod) -> Document {
    let members: Vec<_> = (0i32..).zip(hosts).map(|(id, host)| doc! { "_id": id, "host": host }).collect();
    let settings = doc! { "electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500 };
    let config = doc! { "_id": "rs", "members": members, "settings": settings };
    on.command(doc! { "replSetInitiate": config }).await.unwrap()
}

#[tokio::test]
async fn a_mongod_starts_freezes_moves_and_leaves_nothing_behind() {
    let mut mongod = blank().await;
    mongod.freeze();
    assert!(mongod.is_running(), "a frozen process still lives");
    let asked = tokio::time::timeout(Duration::from_millis(300), mongod.command(doc! { "ping": 1 })).await;
    assert!(asked.is_err(), "a frozen process does not answer");
    mongod.thaw();
    mongod.command(doc! { "ping": 1 }).await.unwrap();

    mongod.stop().await.unwrap();
    assert!(!mongod.is_running());
    let old = mongod.ip();
    mongod.restart_at(free_ip(PORT), PORT).await.unwrap();
    assert_ne!(mongod.ip(), old);
    mongod.command(doc! { "ping": 1 }).await.unwrap();

    let log = mongod.log();
    assert!(log.exists());
    drop(mongod);
    assert!(!log.parent().unwrap().exists());
}

#[tokio::test]
async fn a_mongod_that_cannot_start_says_why() {
    let wrong = MongodOptions { args: vec!["--nonsense".into()], ..MongodOptions::at(free_ip(PORT), PORT) };
    let error = Mongod::start(wrong).await.err().unwrap().to_string();
    assert!(error.contains("nonsense"), "{error}");
}

#[tokio::test]
async fn a_write_that_was_acknowledged_survives_the_primary_and_a_lost_one_is_noticed() {
    let (a, b, c) = tokio::join!(blank(), blank(), blank());
    let mut set = [a, b, c];
    let hosts = set.each_ref().map(|m| m.address().to_string());
    initiate(&hosts, &set[0]).await;
    let uri = format!("mongodb://{}/?replicaSet=rs", hosts.join(","));
    primary(&set[0]).await;

    let writer = majority_writer(&uri).await.unwrap();
    assert!(writer.next_acknowledged(Duration::from_secs(60)).await, "{:?}", writer.tally());
    let leader = primary(&set[0]).await;
    set.iter_mut().find(|m| m.address().to_string() == leader).unwrap().kill();
    writer.reset_gap();
    assert!(writer.next_acknowledged(Duration::from_secs(60)).await, "{:?}", writer.tally());
    let (tally, missing) = writer.finish().await.unwrap();
    assert_eq!(missing, [0i64; 0]);
    assert!(tally.longest_gap > Duration::from_millis(100), "{:?}", tally.longest_gap);
    assert_eq!(support::writer::missing(&uri, &[tally.acknowledged[0], -1]).await.unwrap(), [-1]);
}

#[tokio::test]
async fn mongods_with_names_find_each_other_by_name_and_follow_a_changed_address() {
    if !can_be_named() {
        eprintln!("skipped: mount and host name namespaces need root");
        return;
    }
    let names = ["mongo-a", "mongo-b", "mongo-c"];
    let ips = names.map(|_| free_ip(PORT));
    let hosts: Vec<_> = ips.map(IpAddr::V4).into_iter().zip(names.map(String::from)).collect();
    let start = |i: usize| {
        let name = Some(NamedNode { hostname: names[i].into(), hosts: hosts.clone() });
        Mongod::start(MongodOptions { name, ..MongodOptions::at(ips[i], PORT) })
    };
    let (a, b, c) = tokio::join!(start(0), start(1), start(2));
    let mut set = [a.unwrap(), b.unwrap(), c.unwrap()];
    let info = set[1].command(doc! { "hostInfo": 1 }).await.unwrap();
    let reported = info.get_document("system").unwrap().get_str("hostname").unwrap().to_owned();
    assert!(reported.starts_with("mongo-b"), "{reported}");
    initiate(&names.map(|n| format!("{n}:{PORT}")), &set[0]).await;
    assert!(primary(&set[0]).await.starts_with("mongo-"));

    // One gets a new address. The others find it under the same name when their hosts files have it.
    let new = free_ip(PORT);
    let mut moved = hosts.clone();
    moved[2].0 = new.into();
    set[2].set_hosts(moved.clone());
    set[2].restart_at(new, PORT).await.unwrap();
    set[0].set_hosts(moved.clone());
    set[1].set_hosts(moved);
    assert!(primary(&set[2]).await.starts_with("mongo-"));
}
