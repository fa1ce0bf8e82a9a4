//! What the entrypoint of the official image does before there is a set: a user, and data from scripts, on every node.

use std::path::PathBuf;

use mongodb::bson::oid::ObjectId;
use rsctl::publish::{Health, Status};
use tokio::time::{Instant, sleep};

use crate::auth::{KEY, keyfile};
use crate::cluster::{Cluster, LIMIT, PORT, is_settled, votes};
use crate::support::controller::Controller;
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions, free_ip};
use crate::users::{can_log_in, stored, until_login};
use crate::versions::is_here;

const ENTRYPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/docker-entrypoint.sh");
const PASSWORD: &str = "made-by-the-image";

/// The files of a container: the key, the passwords, and the scripts.
struct Container {
    dir: PathBuf,
    key: PathBuf,
}

impl Container {
    fn new(script: Option<&str>) -> Self {
        let dir = std::env::temp_dir().join(format!("rsctl-image-{}", ObjectId::new()));
        std::fs::create_dir_all(dir.join("initdb.d")).unwrap();
        for user in ["root", "chat"] {
            std::fs::write(dir.join(user), format!("{PASSWORD}-{user}\n")).unwrap();
        }
        if let Some(script) = script {
            std::fs::write(dir.join("initdb.d/fill.sh"), script).unwrap();
        }
        Self { dir, key: keyfile(KEY) }
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// A mongod that starts as in a container with `MONGO_INITDB_ROOT_USERNAME`, `_PASSWORD_FILE` and the keyfile.
    async fn start(&self, version: Option<&'static str>) -> Mongod {
        let variables = [
            ("MONGO_INITDB_ROOT_USERNAME", "root".to_owned()),
            ("MONGO_INITDB_ROOT_PASSWORD_FILE", self.file("root")),
            ("INITDB_DIR", self.file("initdb.d")),
            ("INITDB_HOST", free_ip(PORT).to_string()),
        ];
        let variables = variables.map(|(name, value)| format!("{name}={value}"));
        let entrypoint = [&["env".to_owned()], &variables[..], &[ENTRYPOINT.to_owned()]].concat();
        let place = MongodOptions::at(free_ip(PORT), PORT);
        Mongod::start(MongodOptions { keyfile: Some(self.key.clone()), version, entrypoint, ..place }).await.unwrap()
    }

    async fn cluster(&self, version: Option<&'static str>) -> Cluster {
        let mut cluster = Cluster { dns: DnsServer::start().await, nodes: Vec::new() };
        for _ in 0..3 {
            cluster.nodes.push(self.start(version).await);
        }
        cluster.list_all();
        cluster
    }

    /// The controller with the users of the shipped stack.
    fn controller(&self, cluster: &Cluster) -> Controller {
        let users = format!("root root file={}; chat file={}", self.file("root"), self.file("chat"));
        cluster.controller(&[("RSCTL_KEYFILE", self.key.to_str().unwrap()), ("RSCTL_USERS", &users)])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
        let _ = std::fs::remove_file(&self.key);
    }
}

fn says(text: &str) -> impl Fn(&Status) -> bool + '_ {
    move |status| status.findings.iter().any(|finding| finding.text.contains(text))
}

/// Each node has a user `root` of its own before there is a set. One set begins, with one `root` and the declared users.
async fn ends_as_one_set_with_one_root(version: Option<&'static str>) {
    let container = Container::new(None);
    let cluster = container.cluster(version).await;
    let controller = container.controller(&cluster);
    let began = Instant::now();
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    println!("figures: {version:?}: with a user of the image on each node, settled after {:?}", began.elapsed());
    one_root_and_chat(&cluster, &status, &controller).await;
}

async fn one_root_and_chat(cluster: &Cluster, status: &Status, controller: &Controller) {
    until_login(&cluster.nodes[cluster.primary(status)], "chat", &password("chat"), controller).await;
    let whole = |s: &Status| s.health == Health::Ok && s.findings.is_empty();
    controller.until("nothing to report", LIMIT, whole).await;
    for node in &cluster.nodes {
        assert!(can_log_in(node, "root", &password("root")).await, "{}", node.address());
        let names: Vec<_> = stored(node).await.iter().map(|u| u.get_str("_id").unwrap().to_owned()).collect();
        assert_eq!(names, ["admin.chat", "admin.root"], "{}", node.address());
    }
    assert!(!controller.log().contains(PASSWORD), "a password is in the log");
}

fn password(user: &str) -> String {
    format!("{PASSWORD}-{user}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_the_image_on_each_node_ends_as_one() {
    ends_as_one_set_with_one_root(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_the_image_on_each_node_ends_as_one_on_5_0() {
    if is_here("5.0.4") {
        ends_as_one_set_with_one_root(Some("5.0.4")).await;
    }
}

/// MongoDB 4.4 does not tell a user from user data. The advice leads to a set: without the variable, on empty directories.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_4_4_the_user_of_the_image_is_named_and_the_advice_leads_to_a_set() {
    if !is_here("4.4.2") {
        return;
    }
    let container = Container::new(None);
    let mut cluster = container.cluster(Some("4.4.2")).await;
    let controller = container.controller(&cluster);
    let status = controller.until("the cause", LIMIT, says("MONGO_INITDB_ROOT_USERNAME")).await;
    assert_eq!(votes(&status), 0);
    for node in &mut cluster.nodes {
        node.begin_without_entrypoint().await.unwrap();
    }
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    one_root_and_chat(&cluster, &status, &controller).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_fill_each_node_are_named_and_the_advice_leads_to_a_set() {
    let container = Container::new(Some("insert shop articles 1\n"));
    let mut cluster = container.cluster(None).await;
    let controller = container.controller(&cluster);
    let status = controller.until("the cause", LIMIT, says("docker-entrypoint-initdb.d")).await;
    for node in &cluster.nodes {
        assert!(says(&node.address().to_string())(&status), "{status:?}");
    }
    sleep(std::time::Duration::from_millis(800)).await; // twice `--stable-for`
    assert_eq!(votes(&controller.status().await.unwrap()), 0, "nothing is lost");
    // The first node keeps what the scripts wrote.
    for node in &mut cluster.nodes[1..] {
        node.begin_without_entrypoint().await.unwrap();
    }
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    one_root_and_chat(&cluster, &status, &controller).await;
}
