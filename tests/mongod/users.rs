//! The users that the controller makes, on real sets with a key: `--users`.

use std::path::{Path, PathBuf};

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};
use rsctl::publish::Status;
use tokio::time::{Instant, sleep};

use crate::auth::{KEY, keyfile, locked, member_client};
use crate::cluster::{Cluster, LIMIT, is_settled};
use crate::support::controller::Controller;
use crate::support::mongods::Mongod;

/// The files that a container gets: the key, and one password for each user.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("rsctl-users-{}", ObjectId::new()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn password(&self, user: &str, text: &str) {
        let new = self.0.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.0.join(user)).unwrap();
    }

    fn remove(&self, user: &str) {
        std::fs::remove_file(self.0.join(user)).unwrap();
    }

    /// The users as they are declared, each with its file here.
    fn declared(&self, users: &[&str]) -> String {
        let file = |user: &&str| format!("{user} file={}", self.path(user.split(['@', ' ']).next().unwrap()));
        users.iter().map(file).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const USERS: [&str; 3] = ["root root", "chat", "monitoring clusterMonitor read@local"];

fn controller(cluster: &Cluster, key: &Path, users: &str) -> Controller {
    cluster.controller(&[("RSCTL_KEYFILE", key.to_str().unwrap()), ("RSCTL_USERS", users)])
}

async fn as_user(node: &Mongod, user: &str, password: &str, mechanism: &str) -> Result<Client, mongodb::error::Error> {
    let options = format!("directConnection=true&authMechanism={mechanism}&serverSelectionTimeoutMS=3000");
    let client =
        Client::with_uri_str(format!("mongodb://{user}:{password}@{}/admin?{options}", node.address())).await?;
    client.database("admin").run_command(doc! { "connectionStatus": 1 }).await?;
    Ok(client)
}

pub async fn can_log_in(node: &Mongod, user: &str, password: &str) -> bool {
    as_user(node, user, password, "SCRAM-SHA-256").await.is_ok()
}

/// Waits until the password works.
pub async fn until_login(node: &Mongod, user: &str, password: &str, controller: &Controller) {
    let deadline = Instant::now() + LIMIT;
    while !can_log_in(node, user, password).await {
        assert!(Instant::now() < deadline, "{user} cannot log in\n{}", controller.log());
        sleep(std::time::Duration::from_millis(100)).await;
    }
}

pub async fn stored(node: &Mongod) -> Vec<Document> {
    let users = member_client(node).database("admin").collection::<Document>("system.users");
    let mut cursor = users.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
    let mut found = Vec::new();
    while cursor.advance().await.unwrap() {
        found.push(cursor.deserialize_current().unwrap());
    }
    found
}

fn is(user: &Document, name: &str) -> bool {
    user.get_str("user").is_ok_and(|found| found == name)
}

fn told(text: &'static str) -> impl Fn(&Status) -> bool {
    move |status| status.primary.is_some() && status.findings.iter().any(|f| f.text.contains(text))
}

fn silent(status: &Status) -> bool {
    status.primary.is_some() && status.findings.is_empty()
}

async fn command(primary: &Mongod, command: Document) -> Document {
    member_client(primary).database("admin").run_command(command).await.unwrap()
}

async fn roles_of(primary: &Mongod, user: &str) -> Vec<Bson> {
    let users = stored(primary).await;
    let user = users.iter().find(|u| is(u, user)).unwrap();
    user.get_array("roles").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_made_once_and_get_new_passwords() {
    are_made_once_and_get_new_passwords(None).await;
}

pub async fn are_made_once_and_get_new_passwords(version: Option<&'static str>) {
    let (key, files) = (keyfile(KEY), Files::new());
    for user in ["root", "chat", "monitoring"] {
        files.password(user, &format!("{user}-pass-1\n"));
    }
    let declared = files.declared(&USERS);
    let cluster = locked(3, &key, version).await;
    // Two at once, which both begin with a set without users.
    let (one, two) = (controller(&cluster, &key, &declared), controller(&cluster, &key, &declared));
    let status = one.until("a settled set", LIMIT, is_settled(3)).await;
    let primary = &cluster.nodes[cluster.primary(&status)];
    for user in ["root", "chat", "monitoring"] {
        until_login(primary, user, &format!("{user}-pass-1"), &one).await;
    }
    // What Let's Chat's driver needs, and what an application may do.
    let chat = as_user(primary, "chat", "chat-pass-1", "SCRAM-SHA-1").await.unwrap();
    chat.database("chat").run_command(doc! { "insert": "rooms", "documents": [{}] }).await.unwrap();
    assert!(chat.database("other").run_command(doc! { "insert": "rooms", "documents": [{}] }).await.is_err());
    let monitoring = as_user(primary, "monitoring", "monitoring-pass-1", "SCRAM-SHA-256").await.unwrap();
    monitoring.database("admin").run_command(doc! { "serverStatus": 1 }).await.unwrap();
    monitoring.database("local").run_command(doc! { "find": "oplog.rs", "limit": 1 }).await.unwrap();
    one.until("nothing to report", LIMIT, silent).await;
    two.until("nothing to report", LIMIT, silent).await;

    // Other controllers find everything as it should be.
    drop((one, two));
    let before = stored(primary).await;
    let third = controller(&cluster, &key, &declared);
    third.until("a settled set", LIMIT, is_settled(3)).await;
    files.password("chat", "chat-pass-2\n");
    drop(third);
    let fourth = controller(&cluster, &key, &declared);
    until_login(primary, "chat", "chat-pass-2", &fourth).await;
    fourth.until("nothing to report", LIMIT, silent).await;
    assert!(!can_log_in(primary, "chat", "chat-pass-1").await);
    let after = stored(primary).await;
    let others = |users: &[Document]| users.iter().filter(|u| !is(u, "chat")).cloned().collect::<Vec<_>>();
    assert_eq!(others(&before), others(&after), "nobody else was changed");
    // And once more, because the new password was noted too.
    files.password("chat", "chat-pass-3\n");
    until_login(primary, "chat", "chat-pass-3", &fourth).await;
    let log = fourth.log();
    assert!(!log.contains("-pass-"), "a password is in the log");
    for path in ["/v1/status", "/metrics", "/v1/uri"] {
        assert!(!fourth.get(path).await.unwrap().contains("-pass-"), "a password is in {path}");
    }
    std::fs::remove_file(key).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_changed_stays_and_is_named() {
    let (key, files) = (keyfile(KEY), Files::new());
    files.password("root", "root-pass-1");
    files.password("chat", "chat-pass-1");
    files.password("shop", "shop-pass-1");
    let declared = files.declared(&["root root", "chat", "shop nosuchrole@shop"]);
    let cluster = locked(1, &key, None).await;
    let alone = [("RSCTL_KEYFILE", key.to_str().unwrap()), ("RSCTL_USERS", declared.as_str()), ("RSCTL_EXPECT", "1")];
    let controller = cluster.controller(&alone);
    // One user's role does not exist: the others are made all the same.
    controller
        .until("the refused user", LIMIT, told("the user shop cannot be made or changed (RoleNotFound, 31)"))
        .await;
    let primary = &cluster.nodes[0];
    until_login(primary, "chat", "chat-pass-1", &controller).await;
    until_login(primary, "root", "root-pass-1", &controller).await;
    command(primary, doc! { "createRole": "nosuchrole", "privileges": [], "roles": [] }).await;
    let create = doc! { "createRole": "nosuchrole", "privileges": [], "roles": [] };
    member_client(primary).database("shop").run_command(create).await.unwrap();
    until_login(primary, "shop", "shop-pass-1", &controller).await;
    controller.until("nothing to report", LIMIT, silent).await;

    command(primary, doc! { "grantRolesToUser": "chat", "roles": [{ "role": "read", "db": "other" }] }).await;
    let roles = roles_of(primary, "chat").await;
    controller.until("other roles", LIMIT, told("the user chat has other roles (read@other, readWrite@chat)")).await;
    assert_eq!(roles_of(primary, "chat").await, roles);

    command(primary, doc! { "updateUser": "chat", "pwd": "by hand", "customData": { "team": "blue" } }).await;
    files.password("chat", "chat-pass-2");
    controller.until("another password", LIMIT, told("the user chat has a password that is not the one in")).await;
    assert!(can_log_in(primary, "chat", "by%20hand").await && !can_log_in(primary, "chat", "chat-pass-2").await);
    // The operator puts it into the file, and from then on the file is the source again.
    files.password("chat", "by hand");
    let other = |s: &Status| s.findings.iter().any(|f| f.text.contains("has a password"));
    controller.until("the same password", LIMIT, |s| !other(s)).await;
    files.password("chat", "chat-pass-3");
    until_login(primary, "chat", "chat-pass-3", &controller).await;
    let chat = stored(primary).await.into_iter().find(|u| is(u, "chat")).unwrap();
    assert_eq!(chat.get_document("customData").unwrap().get_str("team").unwrap(), "blue");
    std::fs::remove_file(key).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_missing_or_empty_is_named_and_changes_nothing() {
    let (key, files) = (keyfile(KEY), Files::new());
    files.password("root", "root-pass-1");
    files.password("chat", "\n");
    let declared = files.declared(&["root root", "chat", "shop"]);
    let cluster = locked(1, &key, None).await;
    let alone = [("RSCTL_KEYFILE", key.to_str().unwrap()), ("RSCTL_USERS", declared.as_str()), ("RSCTL_EXPECT", "1")];
    let controller = cluster.controller(&alone);
    let status = controller.until("the empty file", LIMIT, told("the file with its password is empty")).await;
    let lines: Vec<_> = status.findings.iter().map(|f| f.text.as_str()).collect();
    assert!(lines.iter().any(|l| l.contains("is empty") && l.contains(&files.path("chat"))), "{lines:?}");
    assert!(lines.iter().any(|l| l.contains("cannot be read") && l.contains(&files.path("shop"))), "{lines:?}");
    let primary = &cluster.nodes[0];
    until_login(primary, "root", "root-pass-1", &controller).await;
    assert_eq!(stored(primary).await.len(), 1, "only the user with a password is there");
    files.password("chat", "chat-pass-1");
    files.password("shop", "shop-pass-1");
    until_login(primary, "chat", "chat-pass-1", &controller).await;
    until_login(primary, "shop", "shop-pass-1", &controller).await;
    controller.until("nothing to report", LIMIT, silent).await;
    let before = stored(primary).await;
    files.remove("chat");
    controller.until("the file that vanished", LIMIT, told("the user chat is left as it is")).await;
    assert_eq!(stored(primary).await, before);
    assert!(can_log_in(primary, "chat", "chat-pass-1").await);
    std::fs::remove_file(key).unwrap();
}
