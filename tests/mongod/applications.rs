//! A program that `rsctl exec` starts: from before the set exists until all of its addresses have changed.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rsctl::publish::Status;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, LIMIT, PORT, blank_node, is_settled};
use crate::support::controller::{clean, free_address};
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, free_ip};

/// The limit from the primary to the start of the program. It has 50 ms to end. Polls every 2 s would take longer.
const STARTED_WITHIN: Duration = Duration::from_secs(1);

/// A program that `rsctl exec` starts, and that records its environment.
struct App {
    rsctl: Child,
    log: std::path::PathBuf,
}

impl App {
    fn start(controller: &str, dns: &DnsServer) -> Self {
        let log = std::env::temp_dir().join(format!("rsctl-app-{}-{}", std::process::id(), dns.address().port()));
        let script = "echo $HOSTS >>$LOG; trap 'exit 9' TERM; while :; do sleep 0.05; done";
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsctl"));
        clean(command.as_std_mut());
        command.args(["exec", "--set", "HOSTS={hosts}", "--on-change", "restart", "--", "sh", "-c", script]);
        command.env("LOG", &log).env("RSCTL_CONTROLLER", controller).env("RSCTL_DNS", dns.address().to_string());
        Self { rsctl: command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap(), log }
    }

    fn starts(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits for this many starts. Returns the hosts of the last one, sorted.
    async fn until_started(&self, times: usize, what: &str) -> Vec<String> {
        let deadline = Instant::now() + LIMIT;
        while self.starts().len() < times {
            assert!(Instant::now() < deadline, "waited for {what}: {:?}", self.starts());
            sleep(Duration::from_millis(20)).await;
        }
        let starts = self.starts();
        assert_eq!(starts.len(), times, "{what}: {starts:?}");
        let mut hosts: Vec<String> = starts[times - 1].split(',').map(str::to_owned).collect();
        hosts.sort();
        hosts
    }

    async fn stop(mut self) {
        kill(Pid::from_raw(self.rsctl.id().unwrap() as i32), Signal::SIGTERM).unwrap();
        let status = timeout(LIMIT, self.rsctl.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(9), "the program's own");
        let _ = std::fs::remove_file(&self.log);
    }
}

fn addresses(cluster: &Cluster) -> Vec<String> {
    let mut hosts: Vec<String> = cluster.nodes.iter().map(|node| node.address().to_string()).collect();
    hosts.sort();
    hosts
}

/// Restarts every mongod with its data at another address.
async fn move_all(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.restart_at(free_ip(PORT), PORT).await.unwrap();
    }
    cluster.list_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_first_of_all_gets_its_set_and_follows_it_to_new_addresses() {
    let mut cluster = Cluster { dns: DnsServer::start().await, nodes: Vec::new() };
    let listen = free_address().unwrap().to_string();
    let app = App::start(&format!("http://{listen}"), &cluster.dns);
    for _ in 0..3 {
        cluster.nodes.push(blank_node().await);
    }
    cluster.list_all();
    assert!(app.starts().is_empty(), "there is no set yet");
    let controller = cluster.controller(&[("RSCTL_LISTEN", &listen)]);
    assert_eq!(app.until_started(1, "the first start").await, addresses(&cluster));

    controller.until("a settled set", LIMIT, is_settled(3)).await;
    let moved = Instant::now();
    move_all(&mut cluster).await;
    let here: Vec<String> = cluster.nodes.iter().map(Mongod::host).collect();
    let led = |s: &Status| s.primary.as_ref().is_some_and(|primary| here.contains(primary));
    controller.until("a primary at a new address", LIMIT, led).await;
    let elected = Instant::now();
    assert_eq!(app.until_started(2, "the start at the new addresses").await, addresses(&cluster));
    let (since_moved, since_elected) = (moved.elapsed(), elected.elapsed());
    println!("figures: restarted {since_moved:?} after all addresses changed, {since_elected:?} after the primary");
    assert!(since_elected < STARTED_WITHIN, "{since_elected:?} from the primary to the start");

    // The same again, with only the mongods to ask.
    drop(controller);
    let elsewhere = cluster.controller(&[]);
    elsewhere.until("a settled set", LIMIT, is_settled(3)).await;
    let moved = Instant::now();
    move_all(&mut cluster).await;
    assert_eq!(app.until_started(3, "the start without a controller to ask").await, addresses(&cluster));
    println!("figures: restarted {:?} after all addresses changed, without the controller's HTTP", moved.elapsed());
    drop(elsewhere);
    app.stop().await;
}
