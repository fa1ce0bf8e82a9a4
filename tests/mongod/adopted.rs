//! Sets that rsctl did not make, and sets whose mongods come back in a way in which rsctl never starts them.

use std::time::Duration;

use mongodb::bson::{Document, doc, oid::ObjectId};
use rsctl::publish::Status;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::changes::{all_there, writing};
use crate::cluster::{Cluster, LIMIT, PORT, hosts_file, is_settled, names_work, stored_config};
use crate::recovery::{every_write_is_there, has_addresses_of, recreate};
use crate::support::mongods::{Mongod, MongodOptions, can_be_named, free_ip};
use crate::support::writer::majority_writer;
use crate::versions::is_here;

const NOT_OURS: i32 = 93;

/// Makes a set as a person does: without tags, with these hosts, and with the server's defaults.
async fn initiate(cluster: &Cluster, host: impl Fn(&Mongod) -> String) {
    let member = |(n, node): (usize, &Mongod)| doc! { "_id": n as i32, "host": host(node) };
    let members: Vec<Document> = cluster.nodes.iter().enumerate().map(member).collect();
    let config = doc! { "_id": "rs", "members": members };
    cluster.nodes[0].command(doc! { "replSetInitiate": config }).await.unwrap();
    for node in &cluster.nodes {
        until("a member that serves", || async { matches!(state(node).await, Ok(1 | 2)) }).await;
    }
    until("a primary", || async { primary(cluster).await.is_some() }).await;
    // An old set is on disk. Without this, a kill so soon after the start could lose the identity of a directory.
    for node in &cluster.nodes {
        until("an fsync", || async { node.command(doc! { "fsync": 1 }).await.is_ok() }).await;
    }
}

async fn primary(cluster: &Cluster) -> Option<usize> {
    for (n, node) in cluster.nodes.iter().enumerate() {
        if takes_writes(node).await {
            return Some(n);
        }
    }
    None
}

async fn takes_writes(node: &Mongod) -> bool {
    let hello = node.command(doc! { "hello": 1 }).await;
    hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
}

/// `myState`, or the server's error code.
async fn state(node: &Mongod) -> Result<i32, i32> {
    match node.command(doc! { "replSetGetStatus": 1 }).await {
        Ok(status) => Ok(status.get_i32("myState").unwrap_or_default()),
        Err(error) => match *error.kind {
            mongodb::error::ErrorKind::Command(command) => Err(command.code),
            _ => Err(0),
        },
    }
}

pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let deadline = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} did not come");
        sleep(Duration::from_millis(50)).await;
    }
}

fn uri_by_ip(cluster: &Cluster) -> String {
    let hosts: Vec<_> = cluster.nodes.iter().map(|n| n.address().to_string()).collect();
    format!("mongodb://{}/test?replicaSet=rs", hosts.join(","))
}

/// A set by IP without tags. Its whole stack is killed under load and comes back with new addresses, and only now rsctl
/// comes. `shapes.rs` has the same with host names on 6.0.
async fn deployed_anew(version: &'static str, count: usize) {
    if !is_here(version) {
        return;
    }
    let mut cluster = Cluster::of(version, count).await;
    initiate(&cluster, |node| node.address().to_string()).await;
    let writer = majority_writer(&uri_by_ip(&cluster)).await.unwrap();
    assert!(writer.next_acknowledged(LIMIT).await, "writes are acknowledged");
    sleep(Duration::from_secs(1)).await; // load
    let ips: Vec<_> = (0..count).map(|_| free_ip(PORT)).collect();
    let answered = recreate(&mut cluster, &ips).await;
    let acknowledged = writer.tally().acknowledged;
    writer.rest().await;
    assert!(acknowledged.len() > 20, "there was load: {}", acknowledged.len());
    let controller = cluster.controller(&[("RSCTL_EXPECT", if count == 1 { "1" } else { "3" })]);
    controller.until("a primary", LIMIT, |s| s.primary.is_some()).await;
    println!("figures: {version}: writable {:?} after the last of {count} mongods answered", answered.elapsed());
    let (settled, moved) = (is_settled(count), has_addresses_of(&cluster));
    let status = controller.until("a settled set", LIMIT, |s| settled(s) && moved(s)).await;
    assert!(status.findings.is_empty(), "{:?}", status.findings);
    let log = controller.log();
    assert!(!log.contains("run three mongods"), "{log}");
    every_write_is_there(&controller, &acknowledged).await;
    all_there(writing(&controller).await).await;
    let config = stored_config(&cluster.nodes[0]).await;
    assert_eq!(config.to_string().matches("rsctlData").count(), count, "{config}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untagged_set_by_ip_that_is_deployed_anew_is_recovered_whole_on_4_4() {
    deployed_anew("4.4.2", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untagged_set_by_ip_that_is_deployed_anew_is_recovered_whole_on_5_0() {
    deployed_anew("5.0.4", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untagged_set_of_one_that_is_deployed_anew_is_recovered_on_6_0() {
    deployed_anew("6.0.27", 1).await;
}

/// A removed member stores the config that removed it, and goes on to copy. It stands in for a member that is away, and no
/// acknowledged write is lost by that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_directory_in_the_place_of_a_member_costs_no_acknowledged_write() {
    let mut cluster = Cluster::of("6.0.27", 4).await;
    initiate(&cluster, |node| node.address().to_string()).await;
    let leader = primary(&cluster).await.unwrap();
    let removed = (leader + 1) % 4;
    let reply = cluster.nodes[leader].command(doc! { "replSetGetConfig": 1 }).await.unwrap();
    let mut config = reply.get_document("config").unwrap().clone();
    config.insert("version", config.get_i32("version").unwrap() + 1);
    config.get_array_mut("members").unwrap().remove(removed);
    cluster.nodes[leader].command(doc! { "replSetReconfig": config }).await.unwrap();
    until("the member removed", || async { state(&cluster.nodes[removed]).await == Err(NOT_OURS) }).await;
    let versions = async |n: usize| stored_config(&cluster.nodes[n]).await.get_i32("version").unwrap();
    assert_eq!(versions(removed).await, versions(leader).await, "it stores the config that removed it");
    // One member falls behind, so that the leader and the third alone acknowledge what follows.
    let stale = (leader + 2) % 4;
    cluster.nodes[stale].freeze();
    cluster.nodes[removed].freeze();
    let writer = majority_writer(&uri_by_ip(&cluster)).await.unwrap();
    assert!(writer.next_acknowledged(LIMIT).await, "writes are acknowledged");
    sleep(Duration::from_secs(1)).await; // load
    for node in &mut cluster.nodes {
        node.kill();
    }
    let acknowledged = writer.tally().acknowledged;
    writer.rest().await;
    // The leader's directory stays away. Of those who are back, only the third has what was acknowledged.
    let away = cluster.nodes.remove(leader);
    let ips = [free_ip(PORT), free_ip(PORT), free_ip(PORT)];
    recreate(&mut cluster, &ips).await;
    let controller = cluster.controller(&[]);
    let (settled, moved) = (is_settled(3), has_addresses_of(&cluster));
    controller.until("a settled set", LIMIT, |s| settled(s) && moved(s)).await;
    assert!(controller.log().contains("revoke the vote"), "those without the newest write had no vote");
    every_write_is_there(&controller, &acknowledged).await;
    drop(away);
}

/// Every mongod starts before its own name leads to it.
async fn started_before_its_name(version: &'static str, count: usize, tagged: bool) {
    if !is_here(version) || !can_be_named() {
        println!("skipped: {version}");
        return;
    }
    let mut cluster = Cluster::named(count, Some(version)).await;
    let expect = [("RSCTL_EXPECT", if count == 1 { "1" } else { "3" })];
    let mut first = tagged.then(|| cluster.controller(&expect));
    match &first {
        Some(controller) => drop(controller.until("a settled set", LIMIT, is_settled(count)).await),
        None => initiate(&cluster, Mongod::host).await,
    }
    let before = stored_config(&cluster.nodes[0]).await;
    let ids: Vec<i64> = (0..20).collect();
    let leader = primary(&cluster).await.unwrap();
    let client = cluster.nodes[leader].client();
    let documents: Vec<_> = ids.iter().map(|id| doc! { "_id": id }).collect();
    let insert = doc! { "insert": "kept", "documents": documents, "writeConcern": { "w": "majority" } };
    client.database("test").run_command(insert).await.unwrap();
    client.shutdown().immediate(true).await;
    // A 4.4.2 that is killed just after it created a collection can abort when it applies that again.
    for node in &cluster.nodes {
        until("an fsync", || async { node.command(doc! { "fsync": 1 }).await.is_ok() }).await;
    }
    if let Some(controller) = &mut first {
        controller.kill();
    }
    let ips: Vec<_> = cluster.nodes.iter().map(Mongod::ip).collect();
    for node in &mut cluster.nodes {
        node.kill();
        node.set_hosts(Vec::new());
    }
    for node in &mut cluster.nodes {
        node.restart().await.unwrap();
    }
    for node in &mut cluster.nodes {
        until("REMOVED", || async { state(node).await == Err(NOT_OURS) }).await;
        node.set_hosts(hosts_file(&ips));
    }
    let answered = Instant::now();
    let controller = cluster.controller(&expect);
    controller.until("a primary", LIMIT, |s| s.primary.is_some()).await;
    println!("figures: {version}: {count} REMOVED in place, writable after {:?}", answered.elapsed());
    let status = controller.until("a settled set", LIMIT, is_settled(count)).await;
    assert!(status.findings.is_empty(), "{:?}", status.findings);
    let after = stored_config(&cluster.nodes[0]).await;
    let hosts = |config: &Document| {
        let members = config.get_array("members").unwrap().iter();
        members.map(|m| m.as_document().unwrap().get_str("host").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hosts(&after), hosts(&before), "the names are as they were");
    assert!(!after.to_string().contains("rsctlSavedHost"), "{after}");
    let leader = primary(&cluster).await.unwrap();
    let client = cluster.nodes[leader].client();
    let kept = client.database("test").collection::<Document>("kept").count_documents(doc! {}).await.unwrap();
    assert_eq!(kept, 20, "nothing is lost");
    client.shutdown().immediate(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongods_that_started_before_their_names_are_brought_back_on_4_4() {
    started_before_its_name("4.4.2", 3, false).await;
    started_before_its_name("4.4.2", 1, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongods_that_started_before_their_names_are_brought_back_on_5_0() {
    started_before_its_name("5.0.4", 3, true).await;
    started_before_its_name("5.0.4", 1, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongods_that_started_before_their_names_are_brought_back_on_6_0() {
    started_before_its_name("6.0.27", 3, true).await;
    started_before_its_name("6.0.27", 3, false).await;
    started_before_its_name("6.0.27", 1, true).await;
    started_before_its_name("6.0.27", 1, false).await;
}

/// A mongod with the data of `rs` that is started for another set.
async fn started_for_another_set(version: &'static str) {
    if !is_here(version) {
        return;
    }
    let dir = std::env::temp_dir().join(format!("rsctl-names-{}-{version}", std::process::id()));
    let place =
        MongodOptions { dir: Some(dir.clone()), version: Some(version), ..MongodOptions::at(free_ip(PORT), PORT) };
    let cluster = Cluster::of(version, 0).await;
    let mut node = Mongod::start(place.clone()).await.unwrap();
    let members = [doc! { "_id": 0, "host": node.address().to_string() }];
    node.command(doc! { "replSetInitiate": { "_id": "rs", "members": members } }).await.unwrap();
    until("a primary", || async { state(&node).await == Ok(1) }).await;
    node.stop().await.unwrap();
    drop(node);
    let node = Mongod::start(MongodOptions { replset: Some("other".into()), ..place }).await.unwrap();
    assert_eq!(state(&node).await, Err(NOT_OURS), "the server says only that it is no member");
    cluster.list([node.ip()]);
    for (wanted, all) in [
        (
            "rs",
            "was started with --replSet other, but its data belongs to replica set rs, and a set keeps its name: start it with --replSet rs",
        ),
        ("other", "start it with --replSet rs, and rsctl with --replica-set rs"),
    ] {
        let controller = cluster.controller(&[("RSCTL_REPLICA_SET", wanted), ("RSCTL_EXPECT", "1")]);
        let said = |s: &Status| s.findings.iter().any(|f| f.text.contains(all));
        controller.until("both names", LIMIT, said).await;
        sleep(Duration::from_secs(1)).await; // several times `--stable-for`
        let status = controller.status().await.unwrap();
        assert!(status.primary.is_none() && status.config_version.is_none_or(|v| v < 1000), "{status:?}");
    }
    drop(node);
    let _ = std::fs::remove_dir_all(dir);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_set_name_on_the_command_line_is_named_beside_the_one_in_the_data() {
    for version in ["4.4.2", "5.0.4", "6.0.27"] {
        started_for_another_set(version).await;
    }
}

/// What many compose files have in their healthcheck: `rs.initiate()` without a config, again and again.
fn healthcheck(node: &Mongod) -> JoinHandle<()> {
    let client = node.client();
    tokio::spawn(async move {
        loop {
            // It is refused as soon as the node has a config.
            let _ = client.database("admin").run_command(doc! { "replSetInitiate": {} }).await;
            sleep(Duration::from_millis(50)).await;
        }
    })
}

async fn set_id(node: &Mongod) -> ObjectId {
    let config = stored_config(node).await;
    config.get_document("settings").unwrap().get_object_id("replicaSetId").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthcheck_that_initiates_one_node_makes_no_second_set() {
    if !names_work() {
        return;
    }
    // The healthcheck comes first: its set is adopted. Then rsctl comes first: the healthcheck is refused.
    for healthcheck_first in [true, false] {
        let cluster = Cluster::named(3, None).await;
        let mut checks = Vec::new();
        if healthcheck_first {
            checks.push(healthcheck(&cluster.nodes[1]));
            until("its set", || async { state(&cluster.nodes[1]).await == Ok(1) }).await;
        }
        let controller = cluster.controller(&[]);
        controller.until("a settled set", LIMIT, is_settled(3)).await;
        if !healthcheck_first {
            checks.extend(cluster.nodes.iter().map(healthcheck));
            sleep(Duration::from_secs(1)).await; // twenty times the healthcheck's interval
        }
        let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
        assert!(status.findings.is_empty(), "{:?}", status.findings);
        for node in &cluster.nodes {
            assert_eq!(Some(set_id(node).await.to_hex()), status.replica_set_id, "one set");
            // A bare initiate names its member by `--bind_ip`, and the others get the same kind of address.
            let host = if healthcheck_first { node.address().to_string() } else { node.host() };
            assert!(status.seeds.contains(&host), "{healthcheck_first}: {:?}", status.seeds);
        }
        checks.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthchecks_that_initiate_every_node_are_explained_and_one_set_can_be_chosen() {
    if !names_work() {
        return;
    }
    let mut cluster = Cluster::named(3, None).await;
    let checks: Vec<_> = cluster.nodes.iter().map(healthcheck).collect();
    for node in &cluster.nodes {
        until("its own set", || async { takes_writes(node).await }).await;
    }
    let kept = set_id(&cluster.nodes[2]).await.to_hex();
    let insert = doc! { "insert": "kept", "documents": [{ "_id": 1 }] };
    let client = cluster.nodes[2].client();
    client.database("test").run_command(insert).await.unwrap();
    client.shutdown().immediate(true).await;
    {
        let controller = cluster.controller(&[]);
        let told = |s: &Status| {
            let all = |text: &str| cluster.nodes.iter().all(|n| text.contains(&n.address().to_string()));
            s.findings.iter().any(|f| f.text.contains("rs.initiate()") && f.text.contains(&kept) && all(&f.text))
        };
        controller.until("the three sets named", LIMIT, told).await;
        sleep(Duration::from_secs(1)).await; // several times `--stable-for`
        for node in &cluster.nodes {
            assert_eq!(stored_config(node).await.get_array("members").unwrap().len(), 1, "nothing is changed");
        }
    }
    // What the message says: no more healthcheck, one set chosen, the others emptied.
    checks.iter().for_each(JoinHandle::abort);
    let controller = cluster.controller(&[("RSCTL_REPLICA_SET_ID", &kept)]);
    for node in &mut cluster.nodes[..2] {
        node.wipe();
        node.restart().await.unwrap();
    }
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    assert_eq!(status.replica_set_id, Some(kept));
    assert!(status.findings.is_empty(), "{:?}", status.findings);
    let client = cluster.nodes[2].client();
    let found = client.database("test").collection::<Document>("kept").count_documents(doc! {}).await.unwrap();
    assert_eq!(found, 1, "its data is kept");
    client.shutdown().immediate(true).await;
}
