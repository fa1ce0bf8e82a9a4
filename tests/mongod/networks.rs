//! Networks as people have them: two address families, and names with their own ports.

use std::net::{IpAddr, Ipv6Addr};

use crate::cluster::{Cluster, LIMIT, is_settled};
use crate::support::controller::free_address;
use crate::support::dns::{Answer, DnsServer};
use crate::support::mongods::{Mongod, MongodOptions, free_ip};

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
