//! Authentication on: the keyfile is all the controller needs, from the first initiate on.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use mongodb::Client;
use mongodb::bson::{Document, doc, oid::ObjectId};
use mongodb::options::{AuthMechanism, ClientOptions, Credential, ServerAddress};

use crate::cluster::{Cluster, LIMIT, PORT, blank_node, is_settled};
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions, free_ip};

/// As `openssl rand -base64` writes it: several lines, of which only the characters count.
pub const KEY: &str = "c2VjcmV0IG9mIHRoZSBtZW1iZXJzIGFtb25n\nIHRoZW1zZWx2ZXM+Lw==\n";

pub fn keyfile(text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rsctl-key-{}", ObjectId::new()));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    path
}

pub async fn locked(count: usize, key: &std::path::Path, version: Option<&'static str>) -> Cluster {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let place = MongodOptions::at(free_ip(PORT), PORT);
        let options = MongodOptions { keyfile: Some(key.to_owned()), version, ..place };
        nodes.push(Mongod::start(options).await.unwrap());
    }
    let cluster = Cluster { dns: DnsServer::start().await, nodes };
    cluster.list_all();
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_with_a_keyfile_begins_moves_a_member_and_fails_over() {
    begins_with_a_keyfile(None).await;
}

pub async fn begins_with_a_keyfile(version: Option<&'static str>) {
    let key = keyfile(KEY);
    let mut cluster = locked(3, &key, version).await;
    let controller = cluster.controller(&[("RSCTL_KEYFILE", key.to_str().unwrap())]);
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    let direct =
        controller.run_alone(&["uri", "--dns", &cluster.dns.address().to_string(), "--database", "orion"]).await;
    let uri = String::from_utf8(direct.unwrap().stdout).unwrap();
    let published = controller.get("/v1/uri?database=orion").await.unwrap();
    assert_eq!(uri.trim(), published.trim(), "an application finds the set without controller and without login");
    let moving = (cluster.primary(&status) + 1) % 3;
    cluster.nodes[moving].kill();
    cluster.nodes[moving].restart_at(free_ip(PORT), PORT).await.unwrap();
    cluster.list_all();
    let new = cluster.nodes[moving].address().to_string();
    let settled = is_settled(3);
    let arrived = |s: &rsctl::publish::Status| settled(s) && s.members.iter().any(|m| m.host == new);
    let status = controller.until("the member at its new address", LIMIT, arrived).await;
    let old = status.primary.clone();
    let primary = cluster.primary(&status);
    cluster.nodes[primary].kill();
    controller.until("another primary", LIMIT, |s| s.primary.is_some() && s.primary != old).await;
    let log = controller.log();
    assert!(!log.contains("c2VjcmV0"), "the key is in the log");
    std::fs::remove_file(key).unwrap();
}

/// The steps of MongoDB's manual, "Rotate Keys for Replica Sets". The controller has both keys from the first step to the
/// last, and works with members that know one or the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_is_changed_while_the_controller_looks_after_the_set() {
    let (old, new) = (KEY.replace('\n', ""), "YW5vdGhlciBzZWNyZXQ=".to_owned());
    let both = format!("- {old}\n- {new}\n");
    let (key, of_controller) = (keyfile(&old), keyfile(&both));
    let mut cluster = locked(3, &key, None).await;
    let controller = cluster.controller(&[("RSCTL_KEYFILE", of_controller.to_str().unwrap())]);
    let mut status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    for keys in [&both, &new] {
        let next = keyfile(keys);
        std::fs::rename(next, &key).unwrap();
        let primary = cluster.primary(&status);
        for node in [(primary + 1) % 3, (primary + 2) % 3, primary] {
            let ip = cluster.nodes[node].ip();
            cluster.nodes[node].stop().await.unwrap();
            cluster.nodes[node].restart_at(ip, PORT).await.unwrap();
            status = controller.until("the set with a restarted member", LIMIT, is_settled(3)).await;
        }
    }
    let log = controller.log();
    assert!(!log.contains("refuses our login"), "{log}");
    assert!(!log.contains("c2VjcmV0") && !log.contains("YW5vdGhl"), "a key is in the log");
    std::fs::remove_file(key).unwrap();
    std::fs::remove_file(of_controller).unwrap();
}

/// A client that logs in as the members do.
pub fn member_client(node: &Mongod) -> Client {
    let credential = Credential::builder()
        .username("__system".to_owned())
        .source("local".to_owned())
        .password(KEY.replace('\n', ""))
        .mechanism(AuthMechanism::ScramSha256)
        .build();
    let options = ClientOptions::builder()
        .hosts(vec![ServerAddress::from(node.address())])
        .direct_connection(true)
        .credential(credential)
        .build();
    Client::with_options(options).unwrap()
}

/// `root`, and `keeper` with the role that the documentation shows.
async fn make_users(primary: &Mongod) {
    let create = |name: &str, role: &str| doc! { "createUser": name, "pwd": "hush%/:@", "roles": [role] };
    // A client on the same machine may create the first user, and may do nothing else.
    primary.command(create("root", "root")).await.unwrap();
    let page = include_str!("../../docs/guides/login-and-tls.md");
    let role = page.split("```json\n").find_map(|text| text.split("```").next().filter(|t| t.contains("createRole")));
    let role: Document = serde_json::from_str(role.unwrap()).unwrap();
    let uri = format!("mongodb://root:hush%25%2F%3A%40@{}/?directConnection=true", primary.address());
    let admin = Client::with_uri_str(uri).await.unwrap().database("admin");
    admin.run_command(role).await.unwrap();
    admin.run_command(create("keeper", "rsctl")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_with_a_user_s_password_looks_after_a_set_that_has_one() {
    let (key, password) = (keyfile(KEY), keyfile("hush%/:@\n"));
    let mut cluster = locked(3, &key, None).await;
    let first = cluster.controller(&[("RSCTL_KEYFILE", key.to_str().unwrap())]);
    let status = first.until("a settled set", LIMIT, is_settled(3)).await;
    let primary = cluster.primary(&status);
    make_users(&cluster.nodes[primary]).await;
    drop(first);
    let weak = cluster.controller(&[("RSCTL_USERNAME", "root"), ("RSCTL_PASSWORD_FILE", password.to_str().unwrap())]);
    let denied = |s: &rsctl::publish::Status| s.findings.iter().any(|f| f.text.contains("does not let rsctl's user"));
    weak.until("what the user lacks", LIMIT, denied).await;
    drop(weak);
    let by_password = [("RSCTL_USERNAME", "keeper"), ("RSCTL_PASSWORD_FILE", password.to_str().unwrap())];
    let second = cluster.controller(&by_password);
    let status = second.until("the same set", LIMIT, is_settled(3)).await;
    let (old, primary) = (status.primary.clone(), cluster.primary(&status));
    cluster.nodes[primary].kill();
    second.until("another primary", LIMIT, |s| s.primary.is_some() && s.primary != old).await;
    assert!(!second.log().contains("hush"), "the password is in the log");
    std::fs::remove_file(key).unwrap();
    std::fs::remove_file(password).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_and_no_key_are_named_and_nothing_begins() {
    let (key, wrong) = (keyfile(KEY), keyfile("d3Jvbmcga2V5"));
    let cluster = locked(3, &key, None).await;
    for settings in [vec![], vec![("RSCTL_KEYFILE", wrong.to_str().unwrap())]] {
        let controller = cluster.controller(&settings);
        let named = |s: &rsctl::publish::Status| s.findings.iter().any(|f| f.text.contains("refuses our login"));
        let status = controller.until("the login named", LIMIT, named).await;
        assert!(status.members.is_empty() && status.primary.is_none(), "{status:?}");
    }
    let controller = cluster.controller(&[("RSCTL_KEYFILE", key.to_str().unwrap())]);
    controller.until("a settled set with the right key", LIMIT, is_settled(3)).await;
    std::fs::remove_file(key).unwrap();
    std::fs::remove_file(wrong).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_nobody_asks_for_does_no_harm() {
    let key = keyfile(KEY);
    let mut cluster = Cluster::blank(2).await;
    cluster.nodes.push(blank_node().await);
    cluster.list_all();
    let controller = cluster.controller(&[("RSCTL_KEYFILE", key.to_str().unwrap())]);
    let outcome = controller
        .until("a set, or the login named", LIMIT, |s| {
            is_settled(3)(s) || s.findings.iter().any(|f| f.text.contains("login"))
        })
        .await;
    println!("mongods without a keyfile, a controller with one: {:?}", outcome.health);
    std::fs::remove_file(key).unwrap();
}

/// Users are stored in the data. An arbiter has no data, so it knows no user. It knows the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arbiter_counts_with_a_key_and_with_a_password_and_a_fake_one_does_not() {
    let (key, password) = (keyfile(KEY), keyfile("hush%/:@\n"));
    let mut cluster = locked(3, &key, None).await;
    let host = |n: usize| cluster.nodes[n].host();
    let members = [
        doc! { "_id": 0, "host": host(0), "priority": 2 },
        doc! { "_id": 1, "host": host(1) },
        doc! { "_id": 2, "host": host(2), "arbiterOnly": true },
    ];
    let arbiter = host(2);
    let config = doc! { "_id": "rs", "members": members, "settings": { "electionTimeoutMillis": 30_000 } };
    let client = member_client(&cluster.nodes[0]);
    client.database("admin").run_command(doc! { "replSetInitiate": config }).await.unwrap();
    let votes = |s: &rsctl::publish::Status| {
        let counts = |m: &rsctl::publish::MemberStatus| m.host == arbiter && m.healthy && m.state == "ARBITER";
        is_settled(3)(s) && s.members.iter().any(counts)
    };
    let by_key = cluster.controller(&[("RSCTL_KEYFILE", key.to_str().unwrap())]);
    by_key.until("an arbiter that knows the key", LIMIT, votes).await;
    drop(by_key);
    make_users(&cluster.nodes[0]).await;
    // The fake claims to be an arbiter, and to be the same process as the primary.
    let hello = cluster.nodes[0].command(doc! { "hello": 1 }).await.unwrap();
    let fake = crate::hostile::arbiter(&hello).await;
    cluster.list(cluster.nodes.iter().map(Mongod::ip).chain([fake.ip]));
    let by_password = [("RSCTL_USERNAME", "keeper"), ("RSCTL_PASSWORD_FILE", password.to_str().unwrap())];
    let controller = cluster.controller(&by_password);
    let told = |s: &rsctl::publish::Status| {
        let unproven = |o: &rsctl::publish::OtherStatus| {
            o.host == fake.host() && o.note.as_deref().is_some_and(|note| note.contains("does not prove"))
        };
        let believed = s.members.iter().any(|m| m.host == arbiter && m.healthy && m.state == "ARBITER");
        believed && s.primary.is_some() && s.others.iter().any(unproven)
    };
    let status = controller.until("the arbiter believed, the fake one not", LIMIT, told).await;
    assert_eq!(status.members.len(), 3, "{status:#?}");
    cluster.list_all();
    let old = status.primary.clone();
    cluster.nodes[0].kill();
    // Long before the servers' own election: the arbiter's vote is counted.
    controller.until("another primary", LIMIT / 2, |s| s.primary.is_some() && s.primary != old).await;
    std::fs::remove_file(key).unwrap();
    std::fs::remove_file(password).unwrap();
}
