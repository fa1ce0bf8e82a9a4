//! Each kind of wrong environment is reported in one line and changes nothing. The controller continues when it is fixed.

use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use mongodb::bson::doc;
use rsctl::publish::Status;
use tokio::time::sleep;

use crate::cluster::{Cluster, LIMIT, PORT, is_settled};
use crate::support::controller::Controller;
use crate::support::dns::Answer;
use crate::support::mongods::{Mongod, MongodOptions, free_ip};

/// Waits until the status contains this text, and checks that no set exists.
async fn says(controller: &Controller, words: &str) -> Status {
    let said =
        |s: &Status| s.waiting.iter().any(|w| w.contains(words)) || s.findings.iter().any(|f| f.text.contains(words));
    let status = controller.until(words, LIMIT, said).await;
    sleep(Duration::from_millis(700)).await; // more than twice `--stable-for`
    let later = controller.status().await.unwrap();
    assert!(later.members.is_empty(), "no set may begin: {later:?}");
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_that_knows_no_such_service_fails_or_is_silent() {
    let cluster = Cluster::blank(3).await;
    cluster.list([]);
    let controller = cluster.controller(&[]);
    says(&controller, "no such service").await;
    cluster.dns.set_both("tasks.mongo", Answer::ServFail);
    says(&controller, "SERVFAIL").await;
    cluster.dns.set_both("tasks.mongo", Answer::Silence);
    says(&controller, "no answer in time").await;
    cluster.list_all();
    controller.until("a settled set once DNS is mended", LIMIT, is_settled(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_the_dns_answer_is_not_enough_to_begin() {
    use crate::support::dns::RecordType;
    let cluster = Cluster::blank(3).await;
    cluster.dns.set("tasks.mongo", RecordType::AAAA, Answer::ServFail);
    let controller = cluster.controller(&[]);
    says(&controller, "IPv6 addresses are unknown").await;
    cluster.list_all();
    controller.until("a settled set once DNS is mended", LIMIT, is_settled(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_answer_is_asked_for_over_tcp() {
    let cluster = Cluster::blank(3).await;
    let ips = cluster.nodes.iter().map(|n| IpAddr::V4(n.ip())).collect();
    cluster.dns.set_both("tasks.mongo", Answer::Truncated(ips));
    cluster.controller(&[]).until("a settled set", LIMIT, is_settled(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_no_mongods_is_named() {
    let cluster = Cluster::blank(3).await;
    let ip = free_ip(PORT);
    let not_a_controller = TcpListener::bind((ip, PORT)).unwrap();
    std::thread::spawn(move || {
        for stream in not_a_controller.incoming() {
            use std::io::Write;
            let _ = stream.and_then(|mut s| s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    cluster.list(cluster.nodes.iter().map(Mongod::ip).chain([ip]));
    let controller = cluster.controller(&[]);
    let status = says(&controller, &format!("{ip}:{PORT}")).await;
    assert!(status.others.iter().any(|o| o.host == format!("{ip}:{PORT}")), "{status:?}");
    cluster.list_all();
    controller.until("a settled set once the not_a_controller is gone", LIMIT, is_settled(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_nothing_listens_at_is_waited_for() {
    let cluster = Cluster::blank(3).await;
    let ip = free_ip(PORT);
    cluster.list(cluster.nodes.iter().map(Mongod::ip).chain([ip]));
    let controller = cluster.controller(&[]);
    says(&controller, "refuses connections").await;
    cluster.list_all();
    controller.until("a settled set", LIMIT, is_settled(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongod_without_replset_and_one_for_another_set_are_named() {
    let mut cluster = Cluster::blank(1).await;
    let other =
        |set: Option<&str>| MongodOptions { replset: set.map(str::to_owned), ..MongodOptions::at(free_ip(PORT), PORT) };
    let standalone = Mongod::start(other(None)).await.unwrap();
    let foreign = Mongod::start(other(Some("accounting"))).await.unwrap();
    cluster.list([cluster.nodes[0].ip(), standalone.ip(), foreign.ip()]);
    let controller = cluster.controller(&[]);
    says(&controller, &format!("{} is a mongod without --replSet", standalone.address())).await;
    says(&controller, &format!("{} runs for replica set accounting, not rs", foreign.address())).await;
    for _ in 0..2 {
        cluster.nodes.push(crate::cluster::blank_node().await);
    }
    cluster.list_all();
    controller.until("a settled set", LIMIT, is_settled(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_set_under_the_same_name_is_never_merged_and_stops_all_changes() {
    let (cluster, controller) = Cluster::settled(&[]).await;
    let stray = crate::cluster::blank_node().await;
    let config = doc! { "_id": "rs", "members": [{ "_id": 0, "host": stray.address().to_string() }] };
    stray.command(doc! { "replSetInitiate": config }).await.unwrap();
    cluster.list(cluster.nodes.iter().map(Mongod::ip).chain([stray.ip()]));
    let named = |s: &Status| s.findings.iter().any(|f| f.text.contains("several replica sets use this name"));
    let status = controller.until("the doubt named, our set still shown", LIMIT, named).await;
    assert_eq!((status.members.len(), status.primary.is_some()), (3, true), "{status:?}");
    assert_eq!(status.seeds.len(), 3, "the URI stays: {status:?}");
    assert!(!status.seeds.contains(&stray.address().to_string()));
    let hello = stray.command(doc! { "hello": 1 }).await.unwrap();
    assert_eq!(hello.get_array("hosts").unwrap().len(), 1, "nobody touched the stray");
    cluster.list_all();
    controller.until("calm once the stray is gone", LIMIT, |s| is_settled(3)(s) && s.findings.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_that_fails_later_takes_nothing_away() {
    let (cluster, mut controller) = Cluster::settled(&[]).await;
    cluster.list([]);
    controller.until("the trouble named", LIMIT, |s| s.waiting.iter().any(|w| w.contains("no such service"))).await;
    sleep(Duration::from_secs(3)).await; // more than `--remove-after`
    let status = controller.status().await.unwrap();
    assert_eq!((status.members.len(), status.seeds.len()), (3, 3));
    assert!(status.primary.is_some(), "{status:?}");
    assert!(controller.is_running());
}
