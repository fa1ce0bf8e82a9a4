//! Networks as people have them: two address families, and names with their own ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rsctl::publish::Status;

use crate::cluster::{Cluster, LIMIT, is_settled, names_work};
use crate::support::controller::free_address;
use crate::support::dns::{Answer, DnsServer, RecordType};
use crate::support::mongods::{Mongod, MongodOptions, NamedNode, free_ip};

/// Each mongod listens on IPv4 only, as in the official image, and its name leads to an IPv6 address too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_answer_on_one_of_two_families_become_a_set() {
    let dns = DnsServer::start().await;
    let mut nodes = Vec::new();
    let mut services = Vec::new();
    for n in 1..=3 {
        let port = free_address().unwrap().port();
        let ip = free_ip(port);
        let name = format!("mongo{n}");
        dns.set_both(&name, Answer::Records(vec![IpAddr::V4(ip), IpAddr::V6(Ipv6Addr::LOCALHOST)]));
        services.push(format!("{name}:{port}"));
        nodes.push(Mongod::start(MongodOptions::at(ip, port)).await.unwrap());
    }
    let cluster = Cluster { dns, nodes };
    let controller = cluster.controller(&[("RSCTL_SERVICE", &services.join(","))]);
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    let mut expected: Vec<String> = cluster.nodes.iter().map(|node| node.address().to_string()).collect();
    let mut members: Vec<String> = status.members.iter().map(|m| m.host.clone()).collect();
    expected.sort();
    members.sort();
    assert_eq!(members, expected);
    let unused = status.findings.iter().find(|f| f.text.contains("nothing answers at [::1]:"));
    assert!(unused.is_some_and(|f| f.text.matches("[::1]:").count() == 3), "{:?}", status.findings);
    assert!(status.others.is_empty(), "{:?}", status.others);
}

/// A service of one task, whose `hostname` is the service's name: it leads to the virtual IP and to the task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_one_task_may_be_known_by_the_service_s_name() {
    if !names_work() {
        return;
    }
    let port = free_address().unwrap().port();
    let (vip, task) = (free_ip(port), free_ip(port));
    let name = Some(NamedNode { hostname: "mongo".to_owned(), hosts: vec![(task.into(), "mongo".to_owned())] });
    // It listens everywhere, so one mongod answers at both addresses.
    let options = MongodOptions { name, ..MongodOptions::at(Ipv4Addr::UNSPECIFIED, port) };
    let nodes = vec![Mongod::start(options).await.unwrap()];
    let cluster = Cluster { dns: DnsServer::start().await, nodes };
    cluster.list([task]);
    cluster.dns.set_both("mongo", Answer::Records(vec![vip.into(), task.into()]));
    let service = format!("mongo:{port}");
    let controller = cluster.controller(&[("RSCTL_SERVICE", &service), ("RSCTL_EXPECT", "1")]);
    let status = controller.until("a set of one", LIMIT, is_settled(1)).await;
    assert_eq!(status.seeds, [service]);
}

/// The network of a Compose file with `internal: true`: the DNS knows the alias of all mongods and the name of each, and
/// fails for every other name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_dns_never_says_that_a_name_does_not_exist_a_set_begins_and_a_gone_member_is_removed() {
    if !names_work() {
        return;
    }
    let mut cluster = Cluster::named(4, None).await;
    let names = |cluster: &Cluster| {
        let ips = cluster.nodes.iter().map(|node| IpAddr::V4(node.ip())).collect();
        cluster.dns.set("mongo", RecordType::A, Answer::Records(ips));
        cluster.dns.forget("tasks.mongo");
    };
    cluster.dns.fail_for_unknown();
    names(&cluster);
    let controller = cluster.controller(&[("RSCTL_EXPECT", "4")]);
    controller.until("a settled set", LIMIT, is_settled(3)).await;

    let gone = cluster.nodes.pop().unwrap().host();
    cluster.dns.forget(gone.split(':').next().unwrap());
    names(&cluster);
    let failing =
        |s: &Status| s.findings.iter().any(|f| f.text.contains("DNS fails for the name of mongo-node4:27017"));
    controller.until("the failing name", LIMIT, failing).await;
    let left = |s: &Status| s.members.len() == 3 && s.findings.is_empty() && s.waiting.is_empty();
    let status = controller.until("the set without it", LIMIT, left).await;
    assert!(status.members.iter().all(|m| m.host != gone), "{status:?}");
}
