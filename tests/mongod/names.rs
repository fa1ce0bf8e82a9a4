//! Stable host names, as in the stack in `deploy/swarm`. Each mongod has its own host name and hosts file.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, LIMIT, PORT, hosts_file, is_settled, names_work, stored_config};
use crate::support::dns::Answer;
use crate::support::mongods::free_ip;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_known_by_their_names_and_keep_them_when_every_address_changes() {
    if !names_work() {
        return;
    }
    let mut cluster = Cluster::named(3, None).await;
    let controller = cluster.controller(&[]);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    let uri = controller.get("/v1/uri").await.unwrap();
    assert_eq!(uri.trim(), "mongodb://mongo-node1:27017,mongo-node2:27017,mongo-node3:27017/?replicaSet=rs");
    let before = stored_config(&cluster.nodes[0]).await;

    // The whole stack is removed and comes back with new addresses.
    for node in &mut cluster.nodes {
        node.kill();
    }
    let ips: Vec<_> = (0..3).map(|_| free_ip(PORT)).collect();
    for (node, ip) in cluster.nodes.iter_mut().zip(&ips) {
        node.set_hosts(hosts_file(&ips));
        node.restart_at(*ip, PORT).await.unwrap();
    }
    let answered = Instant::now();
    cluster.tell_names();
    controller.until("a primary", LIMIT, |s| s.primary.is_some()).await;
    println!("figures: writable {:?} after the last mongod answered", answered.elapsed());
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    assert_eq!(controller.get("/v1/uri").await.unwrap(), uri, "the URI never changes");
    let after = stored_config(&cluster.nodes[0]).await;
    assert_eq!(after.get("version"), before.get("version"), "no reconfiguration at all");
    assert!(answered.elapsed() < Duration::from_secs(8), "MongoDB alone takes 10 s to elect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_resolve_yet_is_waited_for_and_never_replaced_by_an_ip() {
    if !names_work() {
        return;
    }
    let cluster = Cluster::named(3, None).await;
    cluster.dns.set_both("mongo-node2", Answer::ServFail);
    let controller = cluster.controller(&[]);
    let waits = |s: &rsctl::publish::Status| s.waiting.iter().any(|w| w.contains("must resolve to it"));
    controller.until("the name waited for", LIMIT, waits).await;
    tokio::time::sleep(Duration::from_millis(700)).await; // more than twice `--stable-for`
    assert!(controller.status().await.unwrap().members.is_empty());
    cluster.tell_names();
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    assert_eq!(status.seeds, ["mongo-node1:27017", "mongo-node2:27017", "mongo-node3:27017"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_named_task_is_added_under_its_name() {
    if !names_work() {
        return;
    }
    let mut cluster = Cluster::named(4, None).await;
    let fourth = cluster.nodes.pop().unwrap();
    cluster.list_all();
    let controller = cluster.controller(&[]);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    cluster.nodes.push(fourth);
    cluster.list_all();
    let settled = is_settled(3);
    let joined = |s: &rsctl::publish::Status| settled(s) && s.members.iter().any(|m| m.host == "mongo-node4:27017");
    controller.until("the fourth member", LIMIT, joined).await;
}
