//! One fixed port for the primary and one for secondaries, with the real HAProxy.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, LIMIT, PORT, blank_node, is_settled};
use crate::support::controller::{Controller, clean, free_address};
use crate::support::dns::Answer;
use crate::support::mongods::free_ip;
use crate::support::process::{DIE_WITH_US, spawn};
use crate::support::writer::majority_writer;

/// HAProxy with the configuration in `deploy/haproxy`. It ends when dropped.
struct HaProxy {
    child: Child,
    primary: String,
    readers: String,
    log: PathBuf,
}

impl HaProxy {
    /// Starts it with the names of the stack, which the test's DNS server resolves.
    fn start(cluster: &Cluster, controller: &Controller) -> Self {
        let ip = free_ip(PORT);
        let (primary, readers) = (format!("{ip}:{PORT}"), format!("{ip}:27018"));
        let log = std::env::temp_dir().join(format!("rsctl-haproxy-{}.log", std::process::id()));
        let output = File::create(&log).unwrap();
        let rsctl = controller.url().rsplit_once(':').map(|(_, port)| format!("rsctl:{port}")).unwrap();
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).args(["haproxy", "-db", "-f"]).arg(configuration());
        clean(&mut command).env("DNS", cluster.dns.address().to_string()).env("RSCTL", rsctl);
        command.env("CHECKS", free_address().unwrap().port().to_string());
        command.env("DOOR", &primary).env("DOOR_READERS", &readers);
        command.stdin(Stdio::null()).stderr(output.try_clone().unwrap()).stdout(output);
        Self { child: spawn(command).unwrap(), primary, readers, log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until a new connection through this port leads to this mongod.
    async fn leads(&self, address: &str, to: &str) {
        let deadline = Instant::now() + LIMIT;
        let mut met = Vec::new();
        while !met.contains(&to.to_owned()) {
            assert!(Instant::now() < deadline, "{address} leads to {met:?}, not to {to}\n{}", self.log());
            met.extend(behind(address).await);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until its log contains these words.
    async fn notices(&self, words: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.log().contains(words) {
            assert!(Instant::now() < deadline, "no {words:?}\n{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/haproxy/haproxy.cfg")
}

/// The member that a new connection reaches, from its `hello` answer.
async fn behind(address: &str) -> Option<String> {
    let options = ClientOptions::builder()
        .hosts(vec![ServerAddress::parse(address).unwrap()])
        .direct_connection(true)
        .server_selection_timeout(Duration::from_secs(1))
        .build();
    let client = Client::with_options(options).unwrap();
    let hello: Option<Document> = client.database("admin").run_command(doc! { "hello": 1 }).await.ok();
    client.shutdown().immediate(true).await;
    hello?.get_str("me").ok().map(str::to_owned)
}

pub fn is_there() -> bool {
    let need = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/need");
    let there = Command::new(need).arg("haproxy:haproxy").status().is_ok_and(|status| status.success());
    if !there {
        println!("skipped: HAProxy's ports: haproxy is missing");
    }
    there
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxys_doors_lead_to_the_primary_and_to_secondaries_whoever_they_are() {
    if !is_there() {
        return;
    }
    let (mut cluster, controller) = Cluster::settled(&[]).await;
    cluster.dns.set_both("rsctl", Answer::Records(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]));
    let proxy = HaProxy::start(&cluster, &controller);
    let status = controller.status().await.unwrap();
    let old = status.primary.clone().unwrap();
    proxy.leads(&proxy.primary, &old).await;

    // A client that knows nothing of replica sets survives the death of the primary.
    let writer = majority_writer(&format!("mongodb://{}/?directConnection=true", proxy.primary)).await.unwrap();
    assert!(writer.next_acknowledged(LIMIT).await, "{:?}\n{}", writer.tally(), proxy.log());
    writer.reset_gap();
    let killed = cluster.primary(&status);
    cluster.nodes[killed].kill();
    let elected = |s: &rsctl::publish::Status| s.primary.as_ref().is_some_and(|primary| *primary != old);
    let status = controller.until("another primary", LIMIT, elected).await;
    assert!(writer.next_acknowledged(LIMIT).await, "{:?}\n{}", writer.tally(), proxy.log());
    println!("figures: through HAProxy, writes out for {:?}", writer.tally().longest_gap);
    let new = status.primary.clone().unwrap();
    proxy.leads(&proxy.primary, &new).await;
    cluster.nodes[killed].restart().await.unwrap();
    controller.until("everybody well again", LIMIT, is_settled(3)).await;

    // HAProxy closes the connections to a primary that only steps down.
    let leading = cluster.position(&new);
    cluster.nodes[leading].command(doc! { "replSetStepDown": 10 }).await.unwrap();
    let elected = |s: &rsctl::publish::Status| s.primary.as_ref().is_some_and(|primary| *primary != new);
    let status = controller.until("a third primary", LIMIT, elected).await;
    proxy.leads(&proxy.primary, status.primary.as_ref().unwrap()).await;
    assert!(writer.next_acknowledged(LIMIT).await, "{:?}\n{}", writer.tally(), proxy.log());

    // HAProxy finds a new member without a change of its configuration.
    cluster.nodes.push(blank_node().await);
    cluster.list_all();
    let fourth = cluster.nodes[3].address().to_string();
    proxy.leads(&proxy.readers, &fourth).await;
    let readers: Vec<_> = behind(&proxy.readers).await.into_iter().collect();
    let status = controller.status().await.unwrap();
    assert!(!readers.contains(&status.primary.unwrap()), "the port for secondaries leads to {readers:?}");

    // Without rsctl the doors stay as they are.
    let status = controller.until("nothing left to do", LIMIT, is_settled(3)).await;
    drop(controller);
    proxy.notices("Server rsctl/rsctl is DOWN").await;
    sleep(Duration::from_secs(1)).await; // four checks of each member
    assert_eq!(behind(&proxy.primary).await, status.primary, "{}", proxy.log());
    assert!(writer.next_acknowledged(LIMIT).await, "{:?}\n{}", writer.tally(), proxy.log());

    let (tally, missing) = writer.finish().await.unwrap();
    assert!(missing.is_empty(), "{} of {} acknowledged writes are lost", missing.len(), tally.acknowledged.len());
}
