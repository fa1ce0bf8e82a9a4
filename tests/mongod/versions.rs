//! The same story on every version of MongoDB that `scripts/mongod` has, and the differences between them.

use std::sync::Arc;

use futures_util::future::join_all;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use rsctl::model::{Lock, ProcessId, Token};
use rsctl::mongo::{Access, Admin, Mongods};
use rsctl::publish::{Health, Status};
use tokio::time::Instant;

use crate::auth;
use crate::changes::{all_there, identity, writing};
use crate::cluster::{Cluster, LIMIT, PORT, is_settled, member, stored_config, votes};
use crate::first_start::{one_set, standalone_with_data};
use crate::recovery::{every_write_is_there, has_addresses_of, recreate};
use crate::support::controller::Controller;
use crate::support::mongods::{binary, free_ip};
use crate::users;

/// Whether this version is available. Prints a line if it is not.
pub fn is_here(version: &'static str) -> bool {
    let found = binary(Some(version));
    if let Err(error) = &found {
        println!("skipped: MongoDB {version}: {error}");
    }
    found.is_ok()
}

/// First start, a killed primary, a new address, an emptied directory, two new members, all addresses new.
async fn story(version: &'static str) {
    if !is_here(version) {
        return;
    }
    let began = Instant::now();
    let mut cluster = Cluster::of(version, 3).await;
    let info = cluster.nodes[0].command(doc! { "buildInfo": 1 }).await.unwrap();
    assert_eq!(info.get_str("version").unwrap(), version);
    let controller = cluster.controller(&[]);
    let status = controller.until("a settled set of three", LIMIT, is_settled(3)).await;
    println!("figures: {version}: settled after {:?}", began.elapsed());
    let told = |s: &Status| s.primary_ms.is_some() && s.members.iter().all(|m| m.oplog_ms.is_some());
    controller.until("every oplog window", LIMIT, told).await;
    let writer = writing(&controller).await;

    writer.reset_gap();
    let (old, primary) = (status.primary.clone(), cluster.primary(&status));
    cluster.nodes[primary].kill();
    controller.until("another primary", LIMIT, |s| s.primary.is_some() && s.primary != old).await;
    assert!(writer.next_acknowledged(LIMIT).await, "writes go on");
    println!("figures: {version}: writes out for {:?} when the primary was killed", writer.tally().longest_gap);
    cluster.nodes[primary].restart().await.unwrap();
    let status = controller.until("everybody well again", LIMIT, is_settled(3)).await;

    let moving = (cluster.primary(&status) + 1) % 3;
    let id = member(&status, &cluster.nodes[moving].address().to_string()).id;
    let data = identity(&cluster, moving).await;
    cluster.nodes[moving].restart_at(free_ip(PORT), PORT).await.unwrap();
    cluster.list_all();
    let (moved, settled) = (has_addresses_of(&cluster), is_settled(3));
    let status = controller.until("the member at its new address", LIMIT, |s| settled(s) && moved(s)).await;
    assert_eq!(member(&status, &cluster.nodes[moving].address().to_string()).id, id, "the member is the same");
    assert_eq!(identity(&cluster, moving).await, data, "no initial sync");

    let host = cluster.nodes[moving].address().to_string();
    cluster.nodes[moving].wipe();
    cluster.nodes[moving].restart().await.unwrap();
    let lost = |s: &Status| s.members.iter().any(|m| m.host == host && m.votes == 0);
    controller.until("the vote revoked", LIMIT, lost).await;
    controller.until("the vote restored", LIMIT, is_settled(3)).await;
    assert_ne!(identity(&cluster, moving).await, data, "a new directory");

    cluster.grow(version, 2).await;
    let status = controller.until("five voters", LIMIT, is_settled(5)).await;
    let config = stored_config(&cluster.nodes[cluster.primary(&status)]).await.to_string();
    assert!(!config.contains("rsctlSavedVote") && !config.contains("rsctlAdded"), "nothing is left over: {config}");

    assert!(writer.next_acknowledged(LIMIT).await, "writes go on");
    let (tally, lost) = writer.finish().await.unwrap();
    assert!(lost.is_empty(), "{} acknowledged writes are lost", lost.len());
    let ips: Vec<_> = (0..5).map(|_| free_ip(PORT)).collect();
    let answered = recreate(&mut cluster, &ips).await;
    let (moved, settled) = (has_addresses_of(&cluster), is_settled(5));
    controller.until("a primary at the new addresses", LIMIT, |s| s.primary.is_some() && moved(s)).await;
    println!("figures: {version}: writable {:?} after the last mongod answered", answered.elapsed());
    controller.until("a settled set at the new addresses", LIMIT, |s| settled(s) && moved(s)).await;
    every_write_is_there(&controller, &tally.acknowledged).await;
    all_there(writing(&controller).await).await;
    println!("figures: {version}: {} writes, the whole story in {:?}", tally.acknowledged.len(), began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_on_4_4() {
    story("4.4.2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_on_5_0() {
    story("5.0.4").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_on_6_0_5() {
    story("6.0.5").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_4_4_with_a_keyfile_begins() {
    if is_here("4.4.2") {
        users::are_made_once_and_get_new_passwords(Some("4.4.2")).await;
        auth::begins_with_a_keyfile(Some("4.4.2")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_4_2_cannot_do_safely_is_refused_by_name() {
    if !is_here("4.2.6") {
        return;
    }
    let cluster = Cluster::of("4.2.6", 3).await;
    let controller = cluster.controller(&[]);
    let words = "is MongoDB 4.2, and rsctl cannot keep anything before MongoDB 4.4 safe: upgrade it";
    let refused = |s: &Status| {
        let about = |node: &crate::support::mongods::Mongod| format!("{} {words}", node.address());
        cluster.nodes.iter().all(|node| s.findings.iter().any(|f| f.text.contains(&about(node))))
    };
    let status = controller.until("each of them named", LIMIT, refused).await;
    assert!(status.members.is_empty(), "{status:?}");
}

/// An empty 4.4 does not count its collections, but other answers show whether it has data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_data_of_4_4_begins_the_set_and_is_never_dropped() {
    if !is_here("4.4.2") {
        return;
    }
    let mut cluster = Cluster::of("4.4.2", 2).await;
    cluster.nodes.push(standalone_with_data(Some("4.4.2")).await);
    cluster.list_all();
    let keeper = cluster.nodes[2].address().to_string();
    let controller = cluster.controller(&[]);
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    assert_eq!(member(&status, &keeper).id, 0);
    assert!(has_user_data(&cluster, 2).await);

    cluster.nodes.push(standalone_with_data(Some("4.4.2")).await);
    cluster.list_all();
    let late = cluster.nodes[3].address().to_string();
    let named = |s: &Status| s.findings.iter().any(|f| f.text.contains(&late) && f.text.contains("may lose user data"));
    let status = controller.until("the one that would lose its data named", LIMIT, named).await;
    assert_eq!(status.members.len(), 3);
    cluster.list([cluster.nodes[3].ip()]);
    drop(controller);
    let alone = cluster.controller(&[("RSCTL_EXPECT", "1")]);
    alone.until("a set of its own", LIMIT, is_settled(1)).await;
    assert!(has_user_data(&cluster, 3).await, "its data was there all along");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_of_4_4_that_may_hold_data_begin_nothing() {
    if !is_here("4.4.2") {
        return;
    }
    let mut cluster = Cluster::of("4.4.2", 1).await;
    for _ in 0..2 {
        cluster.nodes.push(standalone_with_data(Some("4.4.2")).await);
    }
    cluster.list_all();
    let controller = cluster.controller(&[]);
    let named = |s: &Status, node: usize| {
        let address = cluster.nodes[node].address().to_string();
        s.findings.iter().any(|f| f.text.contains(&address) && f.text.contains("may lose user data"))
    };
    controller.until("both named", LIMIT, |s| named(s, 1) && named(s, 2)).await;
    tokio::time::sleep(std::time::Duration::from_millis(800)).await; // twice `--stable-for`
    assert_eq!(votes(&controller.status().await.unwrap()), 0);
}

/// During an upgrade the programs are 5.0 and behave as 4.4: a new voter counts before it has data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomers_get_their_votes_late_while_5_0_behaves_as_4_4() {
    if !is_here("5.0.4") {
        return;
    }
    let mut cluster = Cluster::of("5.0.4", 3).await;
    let controller = cluster.controller(&[]);
    let status = controller.until("a settled set of three", LIMIT, is_settled(3)).await;
    let primary = &cluster.nodes[cluster.primary(&status)];
    primary.command(doc! { "setFeatureCompatibilityVersion": "4.4" }).await.unwrap();
    cluster.grow("5.0.4", 2).await;
    controller.until("five voters", LIMIT, is_settled(5)).await;
    let log = controller.log();
    assert!(log.contains("to vote when it holds the data"), "{log}");
    raised_as_told(&cluster, &controller, "5.0").await;
}

/// Checks that the status names the feature version that is behind, and that the command in it ends that.
async fn raised_as_told(cluster: &Cluster, controller: &Controller, release: &str) {
    let behind = |s: &Status| s.findings.iter().any(|f| f.text.contains("featureCompatibilityVersion"));
    let status = controller.until("the feature version named", LIMIT, behind).await;
    let command = format!(r#"{{ setFeatureCompatibilityVersion: "{release}" }}"#);
    assert!(status.findings.iter().any(|f| f.text.contains(&command)), "{status:?}");
    assert_eq!(status.health, Health::Ok, "the set works");
    let primary = &cluster.nodes[cluster.primary(&status)];
    primary.command(doc! { "setFeatureCompatibilityVersion": release }).await.unwrap();
    let raised = |s: &Status| !behind(s) && s.feature_version.as_deref() == Some(release);
    controller.until("the feature version raised", LIMIT, raised).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_6_0_that_behaves_as_5_0_is_named_with_the_command() {
    if !is_here("6.0.27") {
        return;
    }
    let cluster = Cluster::of("6.0.27", 3).await;
    let controller = cluster.controller(&[]);
    let status = controller.until("a settled set of three", LIMIT, is_settled(3)).await;
    assert_eq!((status.feature_version.as_deref(), status.findings.len()), (Some("6.0"), 0), "{status:?}");
    let primary = &cluster.nodes[cluster.primary(&status)];
    primary.command(doc! { "setFeatureCompatibilityVersion": "5.0" }).await.unwrap();
    raised_as_told(&cluster, &controller, "6.0").await;
}

/// Why the finding matters: the next release starts on the feature version of the one before, and not on an older one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_6_0_starts_on_the_feature_version_5_0_and_not_on_4_4() {
    if !is_here("5.0.4") || !is_here("6.0.27") {
        return;
    }
    for (feature, starts) in [("5.0", true), ("4.4", false)] {
        let mut cluster = Cluster::of("5.0.4", 1).await;
        let controller = cluster.controller(&[("RSCTL_EXPECT", "1")]);
        controller.until("a set of one", LIMIT, is_settled(1)).await;
        cluster.nodes[0].command(doc! { "setFeatureCompatibilityVersion": feature }).await.unwrap();
        cluster.nodes[0].stop().await.unwrap();
        let started = cluster.nodes[0].upgrade_to("6.0.27").await;
        assert_eq!(started.is_ok(), starts, "{feature}: {:?}", started.err());
    }
}

/// One lock, many controllers: whatever the server, one of them gets it, and one of them takes it over.
async fn lock_excludes(version: &'static str) {
    if !is_here(version) {
        return;
    }
    let cluster = Cluster::of(version, 1).await;
    let at = cluster.nodes[0].address();
    let lock = |token: String| Lock {
        token: Token(token),
        seed: at.into(),
        seed_process: ProcessId(ObjectId::from_bytes([7; 12])),
    };
    let admin = || Mongods::new(Access::default(), Arc::default());
    let controllers: Vec<_> =
        (0..6).map(|n| (admin(), lock(format!("first {n}")), lock(format!("next {n}")))).collect();
    let taken = join_all(controllers.iter().map(|(admin, lock, _)| admin.take_lock(at, lock))).await;
    let winners: Vec<_> = (0..6).filter(|n| taken[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{version}: {taken:?}");
    let stale = &controllers[winners[0]].1;
    let over = join_all(controllers.iter().map(|(admin, _, lock)| admin.take_over_lock(at, stale, lock))).await;
    assert_eq!(over.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{version}: {over:?}");
    let lost = taken.into_iter().chain(over).filter_map(Result::err);
    lost.for_each(|error| assert!(error.is_lost_race(), "{version}: {error}"));
    let (mark, again) = (ProcessId(ObjectId::from_bytes([8; 12])), ProcessId(ObjectId::from_bytes([9; 12])));
    for process in [mark, again] {
        controllers[0].0.mark_removed(at, process).await.unwrap();
    }
    controllers[0].0.release_lock(at).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_has_one_owner_on_every_version() {
    for version in ["4.4.2", "5.0.4", "6.0.27"] {
        lock_excludes(version).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_controllers_make_one_set_on_older_versions() {
    for version in ["4.4.2", "5.0.4"].into_iter().filter(|version| is_here(version)) {
        one_set(&Cluster::of(version, 3).await).await;
    }
}

async fn has_user_data(cluster: &Cluster, node: usize) -> bool {
    let client = cluster.nodes[node].client();
    let kept = client.database("app").collection::<Document>("t").find_one(doc! { "_id": 1 }).await.unwrap();
    client.shutdown().immediate(true).await;
    kept.is_some()
}
