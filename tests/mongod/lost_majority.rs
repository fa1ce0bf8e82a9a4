//! `rsctl recover`: a majority has new addresses and recovery is manual, or a majority of the data is lost.

use std::process::Output;

use mongodb::bson::doc;
use rsctl::publish::{RecoveryStatus, Status, VerdictWord};

use crate::changes::{all_there, writing};
use crate::cluster::{Cluster, LIMIT, PORT, blank_node, is_settled, member, votes};
use crate::recovery::{every_write_is_there, has_addresses_of, recreate};
use crate::support::controller::Controller;
use crate::support::mongods::{Mongod, free_ip};
use crate::support::writer::{insert, missing};

/// Runs `rsctl recover …` while the controller runs.
async fn recover(controller: &Controller, arguments: &[&str]) -> (i32, String, String) {
    let admin = controller.admin_url();
    let all: Vec<&str> = ["recover", "--admin", &admin].iter().chain(arguments).copied().collect();
    told(controller.run(&all).await.unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    println!("{}{}", text(output.stdout.clone()), text(output.stderr.clone()));
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn verdict(wanted: VerdictWord) -> impl Fn(&Status) -> bool {
    move |status| status.recovery.as_ref().is_some_and(|r| r.verdict == wanted)
}

fn evidence(status: &Status) -> &RecoveryStatus {
    status.recovery.as_ref().unwrap()
}

/// Kills all mongods. Those in `left` come back with their data at other addresses, and DNS lists only them.
async fn leave(cluster: &mut Cluster, left: &[usize]) {
    for node in &mut cluster.nodes {
        node.kill();
    }
    for &node in left {
        cluster.nodes[node].restart_at(free_ip(PORT), PORT).await.unwrap();
    }
    cluster.list(left.iter().map(|&node| cluster.nodes[node].ip()));
}

/// Waits until every member has all writes of this primary in its journal.
async fn everybody_has_all(primary: &Mongod) {
    let journalled = doc! { "w": 3, "j": true, "wtimeout": LIMIT.as_millis() as i64 };
    let write = doc! { "insert": "last", "documents": [{ "_id": 1 }], "writeConcern": journalled };
    let answer = primary.client().database("test").run_command(write).await.unwrap();
    assert!(!answer.contains_key("writeConcernError"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_recovery_waits_for_an_admin_request() {
    let (mut cluster, controller) = Cluster::settled(&[("RSCTL_RECOVERY", "manual")]).await;
    let (tally, _) = writing(&controller).await.finish().await.unwrap();
    let (code, _, err) = recover(&controller, &[]).await;
    assert_eq!((code, err.contains("nothing to recover")), (0, true), "{err}");
    recreate(&mut cluster, &[free_ip(PORT), free_ip(PORT), free_ip(PORT)]).await;
    let status = controller.until("the evidence", LIMIT, verdict(VerdictWord::Safe)).await;
    let newest: Vec<_> = evidence(&status).directories.iter().filter_map(|d| d.newest.as_ref()).collect();
    assert_eq!(newest.len(), 3, "a REMOVED node's oplog can be read: {status:?}");
    assert!(status.findings.iter().any(|f| f.text.contains("--recovery manual")), "{status:?}");
    let (code, out, _) = recover(&controller, &["--dry-run"]).await;
    assert_eq!((code, out.contains("safe: no acknowledged write is lost")), (3, true), "{out}");
    let after = controller.status().await.unwrap();
    assert_eq!((after.config_version, after.primary), (status.config_version, None), "only shown");
    let (code, _, err) = recover(&controller, &[]).await;
    assert_eq!((code, err.contains(" is primary")), (0, true), "{err}");
    let (moved, settled) = (has_addresses_of(&cluster), is_settled(3));
    controller.until("a settled set", LIMIT, |s| settled(s) && moved(s)).await;
    every_write_is_there(&controller, &tally.acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_three_continues_when_the_loss_is_accepted_and_the_others_get_their_votes_back() {
    let (mut cluster, controller) = Cluster::settled(&[("RSCTL_REMOVE_AFTER", "10m")]).await;
    let status = controller.status().await.unwrap();
    let (tally, _) = writing(&controller).await.finish().await.unwrap();
    let left = cluster.primary(&status);
    let lost: Vec<usize> = (0..3).filter(|n| *n != left).collect();
    leave(&mut cluster, &[left]).await;
    let status = controller.until("the evidence", LIMIT, verdict(VerdictWord::Loss)).await;
    assert_eq!((evidence(&status).votes, evidence(&status).missing.len()), (1, 2));
    let shown = evidence(&status).evidence.clone();

    // Without the flag, with a wrong name, or with other evidence, nothing is done.
    let typed = format!("rsctl recover --accept-data-loss rs --evidence {shown}");
    let (code, out, err) = recover(&controller, &[]).await;
    assert_eq!(code, 5, "{err}");
    assert!(out.contains(&typed) && out.contains("would lose: every write after"), "{out}");
    let (code, _, err) = recover(&controller, &["--accept-data-loss", "rx", "--evidence", &shown]).await;
    assert_eq!(
        (code, err.as_str()),
        (5, "error: the name of the replica set is rs, so nothing is done: give this name to accept\n")
    );
    let (code, _, _) = recover(&controller, &["--accept-data-loss", "rs"]).await;
    assert_eq!(code, 5, "nothing was shown");
    let (code, _, err) = recover(&controller, &["--accept-data-loss", "rs", "--evidence", "000000000000"]).await;
    assert_eq!((code, err.contains("has changed since it was shown")), (5, true), "{err}");
    let after = controller.status().await.unwrap();
    assert_eq!((after.config_version, after.primary), (status.config_version, None));

    let (code, _, err) = recover(&controller, &["--accept-data-loss", "rs", "--evidence", &shown]).await;
    assert_eq!((code, err.contains(" is primary")), (0, true), "{err}\n{}", controller.log());
    let status = controller.until("one voter", LIMIT, |s| s.primary.is_some() && votes(s) == 1).await;
    assert_eq!(status.members.len(), 3, "nobody is removed");
    let writer = writing(&controller).await;

    // One comes back at its old address, one at another. Both have all data.
    cluster.nodes[lost[0]].restart().await.unwrap();
    cluster.nodes[lost[1]].restart_at(free_ip(PORT), PORT).await.unwrap();
    cluster.list_all();
    let (moved, settled) = (has_addresses_of(&cluster), is_settled(3));
    let status = controller.until("three voters again", LIMIT, |s| settled(s) && moved(s)).await;
    assert!(status.members.iter().all(|m| m.priority == 1.0), "{status:?}");
    every_write_is_there(&controller, &tally.acknowledged).await;
    all_there(writer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_are_left_of_five_the_one_with_the_newest_write_leads() {
    let mut cluster = Cluster::blank(5).await;
    let controller =
        cluster.controller(&[("RSCTL_EXPECT", "5"), ("RSCTL_REPLACE_AFTER", "10m"), ("RSCTL_REMOVE_AFTER", "10m")]);
    let status = controller.until("five voters", LIMIT, is_settled(5)).await;
    let newest = cluster.primary(&status);
    let stale = (newest + 1) % 5;
    cluster.nodes[stale].kill();
    let (tally, _) = writing(&controller).await.finish().await.unwrap();
    leave(&mut cluster, &[stale, newest]).await;
    let status = controller.until("the evidence", LIMIT, verdict(VerdictWord::Loss)).await;
    let found = &evidence(&status).directories;
    assert_eq!(found[0].host, cluster.nodes[newest].address().to_string(), "the newest first: {found:?}");
    assert!(found[0].newest > found[1].newest, "{found:?}");
    let shown = evidence(&status).evidence.clone();
    let (code, _, err) = recover(&controller, &["--accept-data-loss", "rs", "--evidence", &shown]).await;
    assert_eq!(code, 0, "{err}\n{}", controller.log());
    let status = controller.until("two voters", LIMIT, |s| s.primary.is_some() && votes(s) == 2).await;
    assert_eq!(cluster.primary(&status), newest, "with its newer writes it leads");
    let follows = cluster.nodes[stale].address().to_string();
    controller.until("the other one beside it", LIMIT, |s| member(s, &follows).state == "SECONDARY").await;
    every_write_is_there(&controller, &tally.acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_refused_while_somebody_still_knows_a_primary() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let status = controller.status().await.unwrap();
    let primary = cluster.primary(&status);
    // The primary hangs, so rsctl cannot observe it. The remaining member accepts it as primary for ten more seconds.
    cluster.nodes[(primary + 1) % 3].kill();
    cluster.nodes[primary].freeze();
    let status = controller.until("a refusal", LIMIT, verdict(VerdictWord::Refused)).await;
    let shown = evidence(&status).evidence.clone();
    let (code, out, err) = recover(&controller, &["--accept-data-loss", "rs", "--evidence", &shown]).await;
    assert_eq!((code, err.contains("as primary")), (5, true), "{out}{err}");
    cluster.nodes[primary].thaw();
    let after = controller.until("the same primary", LIMIT, |s| s.primary.is_some()).await;
    assert!(after.config_version < Some(1000), "nothing was forced: {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_controller_the_command_does_it_itself() {
    let (mut cluster, mut controller) = Cluster::settled(&[]).await;
    let (tally, _) = writing(&controller).await.finish().await.unwrap();
    let status = controller.status().await.unwrap();
    let left = cluster.primary(&status);
    controller.kill();
    leave(&mut cluster, &[left]).await;
    let dns = cluster.dns.address().to_string();
    let alone = ["recover", "--admin", "http://127.0.0.1:9", "--dns", &dns];
    let with = |more: &[&'static str]| alone.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    let (code, out, err) = told(controller.run_alone(&with(&[])).await.unwrap());
    assert_eq!(code, 5, "{err}");
    let shown = out.split("--evidence ").nth(1).unwrap().trim().to_owned();
    let accepted: Vec<&str> = alone.iter().copied().chain(["--accept-data-loss", "rs", "--evidence", &shown]).collect();
    let (code, _, err) = told(controller.run_alone(&accepted).await.unwrap());
    assert_eq!((code, err.contains(" is primary")), (0, true), "{err}");

    // The others come back at new addresses, before a controller runs again.
    for node in (0..3).filter(|n| *n != left) {
        cluster.nodes[node].restart_at(free_ip(PORT), PORT).await.unwrap();
    }
    cluster.list_all();
    let next = cluster.controller(&[]);
    let (moved, settled) = (has_addresses_of(&cluster), is_settled(3));
    next.until("three voters again", LIMIT, |s| settled(s) && moved(s)).await;
    every_write_is_there(&next, &tally.acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arbiter_that_is_lost_too_is_replaced_by_an_empty_mongod() {
    let mut cluster = Cluster::blank(3).await;
    let host = |n: usize| cluster.nodes[n].address().to_string();
    let members = vec![
        doc! { "_id": 0, "host": host(0), "priority": 2 },
        doc! { "_id": 1, "host": host(1) },
        doc! { "_id": 2, "host": host(2), "arbiterOnly": true },
    ];
    let config = doc! { "_id": "rs", "members": members, "settings": { "heartbeatIntervalMillis": 500 } };
    cluster.nodes[0].command(doc! { "replSetInitiate": config }).await.unwrap();
    let controller = cluster.controller(&[("RSCTL_REMOVE_AFTER", "10m"), ("RSCTL_BOOTSTRAP", "never")]);
    let first = |s: &Status, host: &str| s.primary.as_deref() == Some(host) && is_settled(3)(s);
    let primary = cluster.nodes[0].address().to_string();
    controller.until("the set with its arbiter", LIMIT, |s| first(s, &primary)).await;
    let (tally, _) = writing(&controller).await.finish().await.unwrap();
    leave(&mut cluster, &[0]).await;
    let status = controller.until("a refusal", LIMIT, verdict(VerdictWord::Refused)).await;
    assert!(evidence(&status).reasons[0].contains("start an empty mongod in its place"), "{status:?}");
    assert_eq!(recover(&controller, &[]).await.0, 5);

    cluster.nodes.push(blank_node().await);
    cluster.list([cluster.nodes[0].ip(), cluster.nodes[3].ip()]);
    let status = controller.until("the evidence", LIMIT, verdict(VerdictWord::Loss)).await;
    let shown = evidence(&status).evidence.clone();
    let (code, _, err) = recover(&controller, &["--accept-data-loss", "rs", "--evidence", &shown]).await;
    assert_eq!(code, 0, "{err}\n{}", controller.log());
    let arbiter = cluster.nodes[3].address().to_string();
    controller.until("the new arbiter", LIMIT, |s| member(s, &arbiter).state == "ARBITER").await;
    cluster.nodes[1].restart().await.unwrap();
    cluster.list([0, 1, 3].map(|n| cluster.nodes[n].ip()));
    controller.until("its vote restored", LIMIT, |s| votes(s) == 3).await;
    every_write_is_there(&controller, &tally.acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_lost_had_is_undone_when_they_come_back_and_nothing_else_is() {
    let (mut cluster, controller) =
        Cluster::settled(&[("RSCTL_REMOVE_AFTER", "10m"), ("RSCTL_REPLACE_AFTER", "10m")]).await;
    let status = controller.status().await.unwrap();
    let primary = cluster.primary(&status);
    let left = (primary + 1) % 3;
    let (before, _) = writing(&controller).await.finish().await.unwrap();
    // A majority acknowledges these writes. The remaining member must have them on its disk before it is killed.
    everybody_has_all(&cluster.nodes[primary]).await;
    cluster.nodes[left].kill();
    // A majority acknowledges more writes, which the remaining member never gets.
    let uri = controller.get("/v1/uri?database=test").await.unwrap();
    let more: Vec<i64> = (1_000_000..1_000_050).collect();
    insert(uri.trim(), &more).await.unwrap();
    leave(&mut cluster, &[left]).await;
    let status = controller.until("the evidence", LIMIT, verdict(VerdictWord::Loss)).await;
    let shown = evidence(&status).evidence.clone();
    let (code, _, err) = recover(&controller, &["--accept-data-loss", "rs", "--evidence", &shown]).await;
    assert_eq!(code, 0, "{err}\n{}", controller.log());
    let uri = controller.get("/v1/uri?database=test").await.unwrap();
    let after: Vec<i64> = (2_000_000..2_000_050).collect();
    insert(uri.trim(), &after).await.unwrap();
    for node in (0..3).filter(|n| *n != left) {
        cluster.nodes[node].restart().await.unwrap();
    }
    cluster.list_all();
    controller.until("three voters again", LIMIT, is_settled(3)).await;
    every_write_is_there(&controller, &before.acknowledged).await;
    every_write_is_there(&controller, &after).await;
    let uri = controller.get("/v1/uri?database=test").await.unwrap();
    assert_eq!(missing(uri.trim(), &more).await.unwrap(), more, "what was accepted to be lost is gone everywhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_that_changes_before_the_request_is_refused_and_shown_again() {
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    let (tally, _) = writing(&controller).await.finish().await.unwrap();
    let mut nodes = [0, 1, 2];
    let status = controller.status().await.unwrap();
    nodes.rotate_left(cluster.primary(&status));
    leave(&mut cluster, &nodes[..1]).await;
    let status = controller.until("the evidence", LIMIT, verdict(VerdictWord::Loss)).await;
    let shown = evidence(&status).evidence.clone();
    // Another member comes back in the meantime, so that no data is lost.
    cluster.nodes[nodes[1]].restart_at(free_ip(PORT), PORT).await.unwrap();
    cluster.list([cluster.nodes[nodes[0]].ip(), cluster.nodes[nodes[1]].ip()]);
    let found = |s: &Status| s.primary.is_some() || s.recovery.as_ref().is_some_and(|r| r.evidence != shown);
    controller.until("other evidence", LIMIT, found).await;
    let (code, _, err) = recover(&controller, &["--accept-data-loss", "rs", "--evidence", &shown]).await;
    assert!(code == 5 || code == 0 && !err.contains("accepting loss"), "{code}: {err}");
    let status = controller.until("a primary", LIMIT, |s| s.primary.is_some()).await;
    assert_eq!(votes(&status), 3, "nobody lost a vote: {status:?}");
    every_write_is_there(&controller, &tally.acknowledged).await;
}
