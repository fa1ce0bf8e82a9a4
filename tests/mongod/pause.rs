//! A pause holds for every controller, outlives them, and ends when an operator says so.

use rsctl::publish::Status;

use crate::cluster::{Cluster, LIMIT, blank_node, is_settled};
use crate::support::controller::Controller;

async fn order(controller: &Controller, words: &[&str]) -> String {
    let admin = controller.admin_url();
    let words: Vec<&str> = words.iter().copied().chain(["--admin", &admin]).collect();
    let output = controller.run(&words).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_holds_for_every_controller_outlives_them_and_ends() {
    let (mut cluster, first) = Cluster::settled(&[]).await;
    let second = cluster.controller(&[]);
    let settled = second.until("a settled set", LIMIT, is_settled(3)).await;
    let said = order(&first, &["pause", "--for", "10m", "--reason", "new disks"]).await;
    assert!(said.starts_with("note: paused for ") && said.contains("3 members keep it"), "{said}");
    let paused = |s: &Status| s.pause.as_ref().is_some_and(|pause| pause.left_ms <= 600_000);
    second.until("the pause at the other controller", LIMIT, paused).await;

    // A member goes for good. Both say what they would do, and neither does it.
    let lost = (cluster.primary(&settled) + 1) % 3;
    let host = cluster.nodes[lost].host();
    cluster.nodes[lost].kill();
    let others: Vec<_> = (0..3).filter(|n| *n != lost).map(|n| cluster.nodes[n].ip()).collect();
    cluster.list(others.clone());
    let held = |what: String| move |s: &Status| paused(s) && s.waiting.iter().any(|w| w.contains(&what));
    let would = held(format!("without the pause: remove {host}"));
    for controller in [&first, &second] {
        let status = controller.until("what it would do", LIMIT, &would).await;
        assert_eq!((status.next.as_str(), status.config_version), ("nothing", settled.config_version));
        assert_eq!(status.members.len(), 3, "nothing is done");
    }
    let shown = String::from_utf8(first.run(&["status"]).await.unwrap().stdout).unwrap();
    let line = shown.lines().find(|line| line.starts_with("paused for ")).unwrap_or_default();
    assert!(line.contains("(new disks): `rsctl resume`") && shown.contains("; paused\n"), "{shown}");
    let refused = first.run(&["remove", &host, "--admin", &first.admin_url()]).await.unwrap();
    let refused = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.contains("the set is paused: `rsctl resume`"), "{refused}");

    // Without a controller the members tell of it. A new controller does nothing either.
    drop((first, second));
    let third = cluster.controller(&[]);
    let dns = cluster.dns.address().to_string();
    let alone = third.run_alone(&["status", "--dns", &dns]).await.unwrap();
    assert!(String::from_utf8(alone.stdout).unwrap().contains("(new disks)"));
    let status = third.until("the pause after a restart", LIMIT, &would).await;
    assert_eq!(status.config_version, settled.config_version);
    assert!(order(&third, &["resume"]).await.contains("resumed"));
    third.until("the member removed", LIMIT, |s| s.pause.is_none() && s.members.len() == 2).await;

    // A pause ends by itself.
    order(&third, &["pause", "--for", "4s"]).await;
    cluster.nodes.push(blank_node().await);
    cluster.list(others.into_iter().chain([cluster.nodes[3].ip()]));
    let added = cluster.nodes[3].host();
    third.until("what it would add", LIMIT, held(format!("without the pause: add {added}"))).await;
    let status = third.until("the member added", LIMIT, |s| s.members.len() == 3).await;
    assert!(status.pause.is_none());
    let whats: Vec<_> = third.until("its history", LIMIT, |s| s.history.len() > 4).await.history;
    assert!(whats.iter().any(|event| event.why == "the time of the pause is over"), "{whats:?}");
}
