//! `rsctl readdress` on a running set under load.

use std::path::Path;
use std::time::Duration;

use rsctl::publish::Status;

use crate::cluster::{Cluster, LIMIT, PORT, hosts_file, is_settled, stored_config};
use crate::support::controller::Controller;
use crate::support::mongods::{Mongod, write_hosts};
use crate::support::private_network::in_private_network;
use crate::support::writer::majority_writer;

async fn readdress(cluster: &Cluster, controller: &Controller, more: &[&str]) -> std::process::Output {
    let (dns, admin) = (cluster.dns.address().to_string(), controller.admin_url());
    let fixed = ["readdress", "--admin", &admin, "--service", "mongo", "--dns", &dns];
    controller.run(&[&fixed, more].concat()).await.unwrap()
}

fn has(hosts: &[String]) -> impl Fn(&Status) -> bool + '_ {
    let settled = is_settled(3);
    move |status| settled(status) && hosts.iter().all(|host| status.members.iter().any(|m| m.host == *host))
}

async fn there_and_back(test: &str, version: Option<&'static str>) {
    if !in_private_network(test) {
        return;
    }
    let cluster = Cluster::named(3, version).await;
    let ips: Vec<_> = cluster.nodes.iter().map(Mongod::ip).collect();
    // The application resolves the names too.
    write_hosts(Path::new("/etc/hosts"), &hosts_file(&ips));
    let by_ip: Vec<String> = ips.iter().map(|ip| format!("{ip}:{PORT}")).collect();
    let by_name: Vec<String> = cluster.nodes.iter().map(Mongod::host).collect();
    let mut controller = cluster.controller(&[("RSCTL_MEMBER_ADDRESS", "ip")]);
    controller.until("a settled set by IP", LIMIT, has(&by_ip)).await;
    controller.kill();
    let controller = cluster.controller(&[("RSCTL_BOOTSTRAP", "never")]);
    controller.until("a settled set by IP", LIMIT, has(&by_ip)).await;
    let before = stored_config(&cluster.nodes[0]).await;

    let shown = readdress(&cluster, &controller, &["--to", "names", "--dry-run"]).await;
    assert_eq!(shown.status.code(), Some(3), "{shown:?}");
    let moves = String::from_utf8(shown.stdout).unwrap();
    assert!(moves.contains(&format!("move {} to {}", by_ip[1], by_name[1])), "{moves}");
    assert_eq!(moves.lines().count(), 3, "{moves}");
    assert_eq!(stored_config(&cluster.nodes[0]).await, before, "a dry run changes nothing");

    let uri = controller.get("/v1/uri").await.unwrap();
    let writer = majority_writer(uri.trim()).await.unwrap();
    assert!(writer.next_acknowledged(LIMIT).await);
    for (to, hosts) in [("names", &by_name), ("ips", &by_ip)] {
        writer.reset_gap();
        let done = readdress(&cluster, &controller, &["--to", to]).await;
        assert!(done.status.success(), "{done:?}\n{}", controller.log());
        controller.until("the new addresses", LIMIT, has(hosts)).await;
        assert!(writer.next_acknowledged(LIMIT).await);
        let tally = writer.tally();
        println!("figures: {version:?} to {to}: longest gap {:?}, {} failed", tally.longest_gap, tally.failed);
        assert!(tally.longest_gap < Duration::from_secs(8), "{tally:?}");
        let again = readdress(&cluster, &controller, &["--to", to]).await;
        assert!(again.status.success() && again.stdout.is_empty(), "{again:?}");
    }
    let (tally, missing) = writer.finish().await.unwrap();
    println!("figures: {} acknowledged writes", tally.acknowledged.len());
    assert!(missing.is_empty(), "lost {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_get_names_and_ips_again_without_a_lost_write() {
    there_and_back("readdress::members_get_names_and_ips_again_without_a_lost_write", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_get_names_and_ips_again_on_4_4() {
    there_and_back("readdress::members_get_names_and_ips_again_on_4_4", Some("4.4.2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_a_controller_took_with_it_is_repeated_and_goes_on() {
    if !in_private_network("readdress::a_request_that_a_controller_took_with_it_is_repeated_and_goes_on") {
        return;
    }
    let cluster = Cluster::named(3, None).await;
    let by_name: Vec<String> = cluster.nodes.iter().map(Mongod::host).collect();
    let mut controller = cluster.controller(&[("RSCTL_MEMBER_ADDRESS", "ip")]);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    let started = readdress(&cluster, &controller, &["--to", "names", "--wait", "0s"]).await;
    assert_eq!(started.status.code(), Some(124), "{started:?}");
    let one = |s: &Status| by_name.iter().any(|host| s.members.iter().any(|m| m.host == *host));
    controller.until("the first member", LIMIT, one).await;
    controller.kill();
    let controller = cluster.controller(&[("RSCTL_BOOTSTRAP", "never")]);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    let done = readdress(&cluster, &controller, &["--to", "names"]).await;
    assert!(done.status.success(), "{done:?}");
    controller.until("all by name", LIMIT, has(&by_name)).await;
}
