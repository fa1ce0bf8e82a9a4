//! `deploy/compose/auth.yml`: the steps of its containers, run as their users and with their capabilities.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mongodb::bson::doc;
use rsctl::publish::Status;

use super::recipe::{Service, Yaml};
use crate::cluster::{Cluster, LIMIT, PORT, is_settled};
use crate::support::controller::Controller;
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions, binary, free_ip};

const FILE: &str = "deploy/compose/auth.yml";
const MONGOD: u32 = 999;
const RSCTL: u32 = 65532;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rsctl-login-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// User, group and mode of a file.
    fn owner(&self, name: &str) -> (u32, u32, u32) {
        let file = std::fs::metadata(self.path(name)).unwrap();
        (file.uid(), file.gid(), file.mode() & 0o777)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a program as root without any capability but these.
fn with_capabilities(kept: &str, words: &[String]) -> Output {
    let mut command = Command::new("setpriv");
    command.args([&format!("--bounding-set=-all{kept}"), "--inh-caps=-all", "--no-new-privs"]).args(words);
    command.output().unwrap()
}

/// A program of this user, without any capability.
fn as_user(user: u32) -> Vec<String> {
    let id = user.to_string();
    let words = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--bounding-set=-all", "--no-new-privs"];
    words.map(str::to_owned).into()
}

fn service<'s>(services: &'s [Service], name: &str) -> &'s Service {
    services.iter().find(|service| service.name == name).unwrap()
}

/// Whether this user can run a program at this place: a folder on the way may be root's own.
fn can_run(user: u32, program: &Path) -> bool {
    let words = as_user(user);
    Command::new(&words[0]).args(&words[1..]).arg(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compose_with_login_makes_a_key_that_every_user_accepts() {
    let Some(yaml) = Yaml::reader() else { return };
    let program = Path::new(env!("CARGO_BIN_EXE_rsctl"));
    // Both need root.
    if !can_run(MONGOD, &binary(None).unwrap()) || !can_run(RSCTL, program) {
        println!("skipped: {FILE}: it needs root, and programs that other users can run");
        return;
    }
    let services = yaml.services(FILE);
    let folder = Folder::new();
    let volume = folder.path("").display().to_string();
    let make = &service(&services, "keyfile").words;
    let make: Vec<String> =
        make.iter().map(|word| word.replace("/run/keyfile", volume.trim_end_matches('/'))).collect();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let made = with_capabilities(",+chown", &make);
        assert!(made.status.success() && made.stderr.is_empty(), "{}", String::from_utf8_lossy(&made.stderr));
        keys.push(["key", "mongod", "rsctl"].map(|name| std::fs::read(folder.path(name)).unwrap()));
    }
    assert_eq!(keys[0], keys[1], "the second start keeps the key");
    assert!(keys[0].iter().all(|key| *key == keys[0][0] && key.len() > 1000));
    assert_eq!(folder.owner("key"), (0, 0, 0o400));
    assert_eq!(folder.owner("mongod"), (MONGOD, MONGOD, 0o400));
    assert_eq!(folder.owner("rsctl"), (RSCTL, RSCTL, 0o400));
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 3);
    begins(&services, &folder, program).await;
}

/// The members and rsctl log in with the key, and nobody else can.
async fn begins(services: &[Service], folder: &Folder, program: &Path) {
    let mut nodes = Vec::new();
    for name in ["mongo1", "mongo2", "mongo3"] {
        assert_eq!(service(services, name).words[2], r#"exec docker-entrypoint.sh "$@" --keyFile /run/keyfile/mongod"#);
        // What the image's entrypoint does as root.
        let dir = folder.path(name);
        std::fs::create_dir_all(dir.join("data")).unwrap();
        for path in [&dir, &dir.join("data")] {
            chown(path, Some(MONGOD), Some(MONGOD)).unwrap();
        }
        let options = MongodOptions::at(free_ip(PORT), PORT);
        let keyfile = Some(folder.path("mongod"));
        let options = MongodOptions { dir: Some(dir), keyfile, through: as_user(MONGOD), ..options };
        nodes.push(Mongod::start(options).await.unwrap());
    }
    let cluster = Cluster { dns: DnsServer::start().await, nodes };
    cluster.list_all();
    assert_eq!(service(services, "rsctl").environment["RSCTL_KEYFILE"], "/run/keyfile/rsctl");
    let start = |key: PathBuf| {
        let words = as_user(RSCTL);
        let options: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let settings = [("RSCTL_KEYFILE", key.to_str().unwrap())];
        Controller::start_through(&options, program, cluster.dns.address(), &settings).unwrap()
    };
    let controller = start(folder.path("rsctl"));
    let settled = is_settled(3);
    controller.until("a settled set", LIMIT, |status: &Status| settled(status)).await;
    let asked = cluster.nodes[0].command(doc! { "find": "system.users" }).await;
    assert!(asked.is_err(), "mongod tells its users without a login: {asked:?}");
    let mut other = start(folder.path("mongod"));
    let deadline = tokio::time::Instant::now() + LIMIT;
    while other.is_running() {
        assert!(tokio::time::Instant::now() < deadline, "rsctl can read the key of mongod");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
