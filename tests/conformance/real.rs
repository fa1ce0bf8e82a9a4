//! Runs sequences on real mongods on loopback.

use super::run::{self, Ground, StepResult};
use super::script::Section;
use super::support::mongods::{Mongod, MongodOptions, free_ip};
use futures_util::future::join;
use mongodb::bson::doc;
use rsctl::model::Host;
use rsctl::mongo::{Access, Mongods};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Runs a sequence. `hints` say what to wait for. The results are what was observed, even if it differs from the hints.
pub fn run_section(section: &Section, hints: &[StepResult]) -> Vec<StepResult> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run::run_section(Real::new(section.nodes), section, Some(hints)))
}

pub struct Real {
    admin: Mongods,
    nodes: Vec<Option<Mongod>>,
    port: u16,
    ips: BTreeMap<char, Ipv4Addr>,
}

impl Real {
    fn new(nodes: usize) -> Self {
        // Each sequence has its own port. Sequences use the same IPs, and a mongod of another set must not answer.
        static PORTS: AtomicU16 = AtomicU16::new(27100);
        Self {
            admin: Mongods::new(Access::default(), Arc::default()),
            nodes: (0..nodes).map(|_| None).collect(),
            port: PORTS.fetch_add(1, Ordering::Relaxed),
            ips: BTreeMap::new(),
        }
    }

    /// Makes all members copy from the primary, as in the model. A member that copies from a held one would be held as
    /// well, and a held member ignores sync source requests. A request takes effect with the next batch, which comes
    /// within 5 s.
    async fn straighten(&self) {
        let deadline = Instant::now() + self.limit();
        for mongod in self.nodes.iter().flatten() {
            while let Some(primary) = passed_over(mongod).await {
                assert!(Instant::now() < deadline, "{} still does not copy from {primary}", mongod.host());
                // The server refuses or ignores it if no member is ahead. Then this mongod has no sync source.
                let _ = mongod.command(doc! { "replSetSyncFrom": &primary }).await;
                // In a set at rest no member is ahead, so the request would never be followed.
                if let Some(primary) = self.nodes.iter().flatten().find(|node| node.host() == primary) {
                    let noop = doc! { "appendOplogNote": 1, "data": {} };
                    let _ = join(primary.command(noop.clone()), primary.command(noop)).await;
                }
                sleep(Self::PAUSE).await;
            }
        }
    }
}

/// The primary, if this mongod copies from another member. `None` also if the mongod is down or has no sync source.
async fn passed_over(mongod: &Mongod) -> Option<String> {
    let source = mongod.sync_source().await.filter(|source| !source.is_empty())?;
    let hello = mongod.command(doc! { "hello": 1 }).await.ok()?;
    hello.get_str("primary").ok().filter(|primary| *primary != source).map(str::to_owned)
}

impl Ground for Real {
    type Commands = Mongods;
    const PAUSE: Duration = Duration::from_millis(40);
    const REST: Duration = Duration::from_secs(3);

    fn limit(&self) -> Duration {
        // With `UPDATE=1` the model's results may be wrong, so the wait for them is short.
        Duration::from_secs(if super::updating() { 5 } else { 20 })
    }

    fn admin(&self) -> &Mongods {
        &self.admin
    }

    fn address(&mut self, letter: char) -> SocketAddr {
        let port = self.port;
        (*self.ips.entry(letter).or_insert_with(|| free_ip(port)), port).into()
    }

    fn letter(&self, host: &Host) -> String {
        let ip = host.socket().map(|s| s.ip());
        let found = self.ips.iter().find(|(_, known)| Some(IpAddr::V4(**known)) == ip);
        found.map_or_else(|| host.to_string(), |(letter, _)| letter.to_string())
    }

    async fn start(&mut self, node: usize, at: SocketAddr) {
        let IpAddr::V4(ip) = at.ip() else { unreachable!("addresses here are IPv4") };
        // A mongod saves only what a command tells it to save, so that the length of a sequence makes no difference.
        let paused = r#"--setParameter=failpoint.pauseCheckpointThread={"mode":"alwaysOn"}"#;
        let args = vec![paused.to_owned()];
        match &mut self.nodes[node] {
            Some(mongod) => mongod.restart_at(ip, at.port()).await.unwrap(),
            none => {
                *none = Some(Mongod::start(MongodOptions { args, ..MongodOptions::at(ip, at.port()) }).await.unwrap())
            }
        }
    }

    fn kill(&mut self, node: usize) {
        if let Some(mongod) = &mut self.nodes[node] {
            mongod.kill();
        }
    }

    fn wipe(&mut self, node: usize) {
        if let Some(mongod) = &mut self.nodes[node] {
            mongod.wipe();
        }
    }

    async fn hold(&mut self, node: usize, held: bool) {
        if let Some(mongod) = &self.nodes[node] {
            if held {
                self.straighten().await;
            }
            let mode = if held { "alwaysOn" } else { "off" };
            mongod.command(doc! { "configureFailPoint": "stopReplProducer", "mode": mode }).await.unwrap();
        }
    }

    async fn write(&mut self, node: usize, _: SocketAddr) -> bool {
        let Some(mongod) = &self.nodes[node] else { return false };
        let client = mongod.client();
        let insert = doc! { "insert": "writes", "documents": [{}], "writeConcern": { "w": 1 } };
        let reply = client.database("conformance").run_command(insert).await;
        client.shutdown().immediate(true).await;
        reply.is_ok()
    }
}
