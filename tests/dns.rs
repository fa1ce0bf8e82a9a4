//! Discovery with real DNS packets: how each kind of answer, and a missing answer, is understood.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod support;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rsctl::discovery::{Discovery, QUESTION_LIMIT, SwarmDns};
use rsctl::model::{DnsTroubleKind, Family, NameAnswer, TaskList};
use support::dns::{Answer, DnsServer, RecordType};
use tokio::time::Instant;

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

fn records(texts: &[&str]) -> Answer {
    Answer::Records(ips(texts))
}

fn discovery(server: &DnsServer, services: &[&str]) -> SwarmDns {
    let services = services.iter().map(|s| s.parse().unwrap()).collect();
    SwarmDns::new(services, 27017, Some(server.address())).unwrap()
}

/// Runs discovery, and checks that it keeps its time limit.
async fn tasks(dns: &SwarmDns) -> TaskList {
    let start = Instant::now();
    let list = dns.tasks().await;
    assert!(start.elapsed() < QUESTION_LIMIT + Duration::from_millis(500), "took {:?}", start.elapsed());
    list
}

fn hosts(list: &TaskList) -> Vec<String> {
    list.hosts.iter().map(ToString::to_string).collect()
}

/// Name and kind of every problem.
fn trouble(list: &TaskList) -> Vec<(&str, DnsTroubleKind)> {
    list.trouble.iter().map(|t| (t.name.as_str(), t.kind.clone())).collect()
}

#[tokio::test]
async fn tasks_of_a_swarm_service_are_listed_in_numeric_order() {
    let server = DnsServer::start().await;
    server.tasks("mongo", ["10.0.1.10", "10.0.1.9", "10.0.1.11"].map(|t| t.parse().unwrap()));
    let list = tasks(&discovery(&server, &["mongo"])).await;
    assert_eq!(hosts(&list), ["10.0.1.9:27017", "10.0.1.10:27017", "10.0.1.11:27017"]);
    assert!(list.is_good(), "{list:?}");
    assert_eq!(server.asked("mongo", RecordType::A), 0, "the plain name can be a virtual IP");
}

#[tokio::test]
async fn an_answer_is_never_remembered() {
    let server = DnsServer::start().await;
    let dns = discovery(&server, &["mongo"]);
    server.tasks("mongo", ["10.0.1.9".parse().unwrap()]);
    assert_eq!(hosts(&tasks(&dns).await), ["10.0.1.9:27017"]);
    server.tasks("mongo", ["10.0.1.10".parse().unwrap()]);
    assert_eq!(hosts(&tasks(&dns).await), ["10.0.1.10:27017"]);
    server.tasks("mongo", []);
    assert_eq!(trouble(&tasks(&dns).await), [("mongo", DnsTroubleKind::NoSuchService)]);
}

const OUTAGES: [(Answer, DnsTroubleKind); 3] = [
    (Answer::ServFail, DnsTroubleKind::ServFail),
    (Answer::Refused, DnsTroubleKind::Refused),
    (Answer::Silence, DnsTroubleKind::Timeout),
];

#[tokio::test]
async fn the_plain_name_is_asked_when_there_is_no_tasks_name() {
    let server = DnsServer::start().await;
    let dns = discovery(&server, &["mongo"]);
    server.set("mongo", RecordType::A, records(&["10.0.1.9"]));
    assert_eq!(hosts(&tasks(&dns).await), ["10.0.1.9:27017"]);
    server.set_both("tasks.mongo", Answer::NoData);
    assert_eq!(hosts(&tasks(&dns).await), ["10.0.1.9:27017"]);
}

#[tokio::test]
async fn where_dns_fails_for_each_name_that_it_does_not_know_the_plain_name_counts() {
    for (failure, kind) in OUTAGES {
        let server = DnsServer::start().await;
        server.set_both("tasks.mongo", failure.clone());
        server.set("mongo", RecordType::A, records(&["10.0.1.9", "10.0.1.10"]));
        let dns = discovery(&server, &["mongo"]);
        let list = tasks(&dns).await;
        assert_eq!(hosts(&list), ["10.0.1.9:27017", "10.0.1.10:27017"], "{kind:?}");
        assert!(list.is_good(), "{list:?}");
        assert!(!dns.differ(&list).await);

        // What is known of neither name is told of the first one.
        for plain in [Answer::NxDomain, failure] {
            server.set_both("mongo", plain);
            let list = tasks(&dns).await;
            assert_eq!((hosts(&list).len(), trouble(&list)), (0, vec![("tasks.mongo", kind.clone())]));
        }
    }
}

#[tokio::test]
async fn where_swarm_has_listed_the_tasks_a_failure_hides_them_and_the_plain_name_is_a_virtual_ip() {
    for (failure, kind) in OUTAGES {
        let server = DnsServer::start().await;
        let dns = discovery(&server, &["mongo"]);
        server.set("mongo", RecordType::A, records(&["10.0.1.2"]));
        server.tasks("mongo", ["10.0.1.9", "10.0.1.10"].map(|ip| ip.parse().unwrap()));
        assert_eq!(hosts(&tasks(&dns).await).len(), 2);
        server.set_both("tasks.mongo", failure);
        let list = tasks(&dns).await;
        assert_eq!((hosts(&list).len(), trouble(&list)), (0, vec![("tasks.mongo", kind)]));
        assert_eq!(server.asked("mongo", RecordType::A), 0);
    }
}

#[tokio::test]
async fn hosts_with_ports_and_addresses_are_listed_beside_services() {
    let server = DnsServer::start().await;
    server.set_both("mongo1", records(&["10.0.1.9", "fd00::9"]));
    server.set("mongo2.example", RecordType::A, records(&["10.0.1.9"]));
    let srv = "_mongodb._tcp.mongo.example";
    server.set(srv, RecordType::SRV, Answer::Srv(vec![("mongo2.example", 27020)]));
    let dns = discovery(
        &server,
        &["mongo1:27018", "mongo2.example:27019", "10.0.1.9", "[fd00::5]:27018", "mongodb+srv://mongo.example"],
    );
    let list = tasks(&dns).await;
    let expected = ["10.0.1.9:27017", "10.0.1.9:27018", "10.0.1.9:27019", "10.0.1.9:27020"];
    assert_eq!(hosts(&list), [&expected[..], &["[fd00::5]:27018", "[fd00::9]:27018"]].concat());
    assert!(list.is_good(), "{list:?}");
    assert!(!dns.differ(&list).await);

    let dns = discovery(&server, &["10.0.1.9:27018", "10.0.1.10"]);
    drop(server);
    let list = tasks(&dns).await;
    assert_eq!(hosts(&list), ["10.0.1.9:27018", "10.0.1.10:27017"]);
    assert!(list.is_good() && !dns.differ(&list).await, "addresses need no DNS server");
}

#[tokio::test]
async fn an_outage_is_trouble_and_never_an_empty_answer() {
    for (outage, kind) in [
        (Answer::ServFail, DnsTroubleKind::ServFail),
        (Answer::Refused, DnsTroubleKind::Refused),
        (Answer::Silence, DnsTroubleKind::Timeout),
        (Answer::TruncatedAlways, DnsTroubleKind::Truncated),
        (Answer::Delay(Duration::from_secs(9), Box::new(records(&["10.0.1.9"]))), DnsTroubleKind::Timeout),
    ] {
        let server = DnsServer::start().await;
        server.set_both("tasks.mongo", outage);
        let list = tasks(&discovery(&server, &["mongo"])).await;
        assert_eq!((hosts(&list).len(), trouble(&list)), (0, vec![("tasks.mongo", kind)]));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_timeout() {
    let server = DnsServer::start().await;
    let dns = discovery(&server, &["mongo"]);
    drop(server);
    assert_eq!(trouble(&tasks(&dns).await), [("tasks.mongo", DnsTroubleKind::Timeout)]);
}

#[tokio::test]
async fn half_an_answer_lists_what_is_known_and_says_that_there_may_be_more() {
    let server = DnsServer::start().await;
    server.set("tasks.mongo", RecordType::A, records(&["10.0.1.9"]));
    server.set("tasks.mongo", RecordType::AAAA, Answer::ServFail);
    let list = tasks(&discovery(&server, &["mongo"])).await;
    assert_eq!(hosts(&list), ["10.0.1.9:27017"]);
    let why = Box::new(DnsTroubleKind::ServFail);
    assert_eq!(trouble(&list), [("tasks.mongo", DnsTroubleKind::Half { unknown: Family::V6, why })]);

    server.set("tasks.mongo", RecordType::A, Answer::Silence);
    server.set("tasks.mongo", RecordType::AAAA, records(&["fd00::9"]));
    let list = tasks(&discovery(&server, &["mongo"])).await;
    assert_eq!(hosts(&list), ["[fd00::9]:27017"]);
    let why = Box::new(DnsTroubleKind::Timeout);
    assert_eq!(trouble(&list), [("tasks.mongo", DnsTroubleKind::Half { unknown: Family::V4, why })]);
}

#[tokio::test]
async fn both_families_together_and_a_mapped_address_once() {
    let server = DnsServer::start().await;
    server.set_both("tasks.mongo", records(&["10.0.1.9", "fd00::9", "::ffff:10.0.1.9"]));
    let list = tasks(&discovery(&server, &["mongo"])).await;
    assert_eq!(hosts(&list), ["10.0.1.9:27017", "[fd00::9]:27017"]);
    assert!(list.is_good(), "{list:?}");
}

#[tokio::test]
async fn what_changes_is_seen_by_asking_for_one_family_where_all_are_of_one() {
    let server = DnsServer::start().await;
    let dns = discovery(&server, &["mongo"]);
    server.tasks("mongo", ["10.0.1.9", "10.0.1.10"].map(|ip| ip.parse().unwrap()));
    let seen = tasks(&dns).await;
    let before = server.asked("tasks.mongo", RecordType::AAAA);
    assert!(!dns.differ(&seen).await);
    assert_eq!(server.asked("tasks.mongo", RecordType::AAAA), before, "the other family costs as much");
    server.tasks("mongo", ["10.0.1.9"].map(|ip| ip.parse().unwrap()));
    assert!(dns.differ(&seen).await, "one has gone");
    server.set("tasks.mongo", RecordType::A, Answer::ServFail);
    assert!(dns.differ(&seen).await, "an outage is no answer");

    server.set_both("tasks.mongo", records(&["10.0.1.9", "fd00::9"]));
    let seen = tasks(&dns).await;
    server.set("tasks.mongo", RecordType::AAAA, records(&[]));
    assert!(dns.differ(&seen).await, "one of two families has gone");
    assert!(dns.differ(&TaskList::default()).await, "nothing was known");
}

#[tokio::test]
async fn several_services_are_one_list_and_the_trouble_of_one_is_named() {
    let server = DnsServer::start().await;
    server.set_both("tasks.a", records(&["10.0.1.9", "10.0.1.10"]));
    server.set_both("tasks.b", records(&["10.0.1.10", "10.0.1.11"]));
    let list = tasks(&discovery(&server, &["a", "b", "c"])).await;
    assert_eq!(hosts(&list), ["10.0.1.9:27017", "10.0.1.10:27017", "10.0.1.11:27017"]);
    assert_eq!(trouble(&list), [("c", DnsTroubleKind::NoSuchService)]);
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let server = DnsServer::start().await;
    let all: Vec<IpAddr> = (1..=50).map(|n| IpAddr::from([10, 0, 2, n])).collect();
    server.set("tasks.mongo", RecordType::A, Answer::Truncated(all.clone()));
    let list = tasks(&discovery(&server, &["mongo"])).await;
    assert_eq!((list.hosts.len(), list.is_good()), (50, true), "{list:?}");
    assert_eq!(server.asked("tasks.mongo", RecordType::A), 2, "once over UDP, once over TCP");
    // The same without a truncated answer that the test sets: 50 records do not fit into a plain UDP answer.
    server.set("tasks.mongo", RecordType::A, Answer::Records(all));
    assert_eq!(tasks(&discovery(&server, &["mongo"])).await, list);
}

#[tokio::test]
async fn answers_are_not_trusted() {
    let server = DnsServer::start().await;
    let dns = discovery(&server, &["mongo"]);
    server.set("tasks.mongo", RecordType::A, records(&["0.0.0.0", "224.0.0.1", "10.0.1.9"]));
    let list = tasks(&dns).await;
    assert_eq!(hosts(&list), ["10.0.1.9:27017"]);
    assert_eq!(trouble(&list), [("tasks.mongo", DnsTroubleKind::NotATask([0, 0, 0, 0].into()))]);

    let many = (0..300u16).map(|n| IpAddr::from([10, 0, (n / 256) as u8, (n % 256) as u8])).collect();
    server.set("tasks.mongo", RecordType::A, Answer::Records(many));
    let list = tasks(&dns).await;
    assert_eq!((list.hosts.len(), trouble(&list)), (256, vec![("tasks.mongo", DnsTroubleKind::TooMany(300))]));
}

#[tokio::test]
async fn srv_gives_each_target_its_own_port() {
    let server = DnsServer::start().await;
    let srv = "_mongodb._tcp.mongo";
    let dns = discovery(&server, &[srv]);
    server.set(srv, RecordType::SRV, Answer::Srv(vec![("m1.mongo", 27017), ("m2.mongo", 27018), ("m3.mongo", 27017)]));
    server.set_both("m1.mongo", records(&["10.0.1.9"]));
    server.set_both("m2.mongo", records(&["10.0.1.10", "fd00::9"]));
    let list = tasks(&dns).await;
    assert_eq!(hosts(&list), ["10.0.1.9:27017", "10.0.1.10:27018", "[fd00::9]:27018"]);
    assert_eq!(trouble(&list), [("m3.mongo", DnsTroubleKind::NoSuchService)]);

    server.set(srv, RecordType::SRV, Answer::ServFail);
    assert_eq!(trouble(&tasks(&dns).await), [(srv, DnsTroubleKind::ServFail)]);
    server.set(srv, RecordType::SRV, Answer::NxDomain);
    assert_eq!(trouble(&tasks(&dns).await), [(srv, DnsTroubleKind::NoSuchService)]);
}

#[tokio::test]
async fn a_host_name_is_known_unknown_or_in_trouble() {
    let server = DnsServer::start().await;
    let dns = discovery(&server, &["mongo"]);
    let both: BTreeSet<IpAddr> = ips(&["10.0.1.9", "fd00::9"]).into_iter().collect();
    server.set_both("mongo-node1", Answer::Records(both.iter().copied().collect()));
    server.set("mongo_node2", RecordType::A, records(&["10.0.1.9"]));
    server.set("mongo_node2", RecordType::AAAA, Answer::ServFail);
    server.set_both("mongo-node3", Answer::ServFail);
    assert_eq!(dns.name("mongo-node1").await, NameAnswer::Addresses(both));
    assert_eq!(dns.name("mongo_node2").await, NameAnswer::Addresses(ips(&["10.0.1.9"]).into_iter().collect()));
    let NameAnswer::Trouble(trouble) = dns.name("mongo-node3").await else { panic!("an outage became an answer") };
    assert_eq!((trouble.name.as_str(), trouble.kind), ("mongo-node3", DnsTroubleKind::ServFail));
    assert_eq!(dns.name("nobody").await, NameAnswer::NoSuchName);
    assert!(matches!(dns.name("no name").await, NameAnswer::Trouble(_)));
}
