//! The engine of the primary dies while writes are under way: from one moment on nothing answers at its address, not even
//! with a refusal. What a driver has sent there stays unacknowledged, and keepalive does not act on such a connection.
//!
//! Each driver runs twice, with the options that `deploy` and the guide recommend and without. What counts is the time
//! from the next primary to its next acknowledged write.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use rsctl::publish::Status;
use tokio::time::{Instant, sleep};

use super::application::Application;
use super::driver::{DRIVERS, Driver, POOLED};
use super::network::{Lodging, Network};
use super::rounds;
use super::rust::now_ms;
use crate::cluster::{Cluster, LIMIT, PORT, is_settled};
use crate::support::controller::Controller;
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions};
use crate::support::process::{DIE_WITH_US, spawn};
use crate::support::report::{Failure, Outcome};

/// The word that runs only this story.
pub const ENTER: &str = "engine";
/// The story is told once with each of these versions, side by side. Old drivers do not support new servers.
pub const VERSIONS: [Option<&str>; 2] = [None, Some("5.0.4")];
/// `tests/nemesis/network.rs` looks for this variable.
const INSIDE: &str = "RSCTL_NEMESIS_INSIDE";

/// The options of the URI.
const OPTIONS: &str = "connectTimeoutMS=1000&socketTimeoutMS=3000";
/// The values of `net.ipv4.tcp_retries2`: the kernel's, and that of the recipes.
const RETRIES: [&str; 2] = ["15", "3"];
/// With the options, every driver must be back so soon after the next primary. Let's Chat needs its recipe's edit for it.
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// Without that edit, Mongoose 4 looks at a member every 10 s (`haInterval` in lib/topologies/replset.js of mongodb-core),
/// for 1 s at most (`connectTimeoutMS`), and then a write to the dead one may take 3 s to fail (`socketTimeoutMS`). A busy
/// machine gets one more second.
const MONGOOSE_4_WITHIN: Duration = Duration::from_secs(10 + 1 + 3 + 1);
/// How long to wait for a driver without the options. The table in docs/guides/applications.md says "not back in 10".
const PATIENCE: Duration = Duration::from_secs(10);
/// The limit until the set is whole again.
const SETTLED_WITHIN: Duration = Duration::from_secs(100);
/// A secondary that is not further behind has the newest writes.
const LEVEL: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// A secondary that is far behind, and has no sync source. Without it no majority holds a new write.
fn copies_from_nobody(status: &Status) -> Option<String> {
    let far_behind = |ms: u64| Duration::from_millis(ms) > LEVEL;
    let mut secondaries = status.members.iter().filter(|m| m.state == "SECONDARY" && m.sync_source.is_none());
    secondaries.find(|m| m.lag_ms.is_some_and(far_behind)).map(|m| m.host.clone())
}

/// Whether this process is in the network namespace of the story.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The name of the story with one version.
pub fn name(version: Option<&str>) -> String {
    format!("{ENTER} of the primary dies, {}", version.unwrap_or("newest"))
}

/// Runs this program again, in a network namespace of its own. What it prints is seen.
pub fn enter(version: Option<&'static str>) -> Outcome<String> {
    let began = Instant::now();
    let mut command = Command::new(DIE_WITH_US[0]);
    command.args(&DIE_WITH_US[1..]).args(["unshare", "-n"]).arg(std::env::current_exe()?);
    command.arg(ENTER).args(version).env(INSIDE, "1").stdin(Stdio::null());
    let status = spawn(command)?.wait()?;
    if status.success() {
        Ok(format!("every driver is back in time; {:.0?}", began.elapsed()))
    } else {
        Err("a driver is not back in time (see above)".into())
    }
}

/// The story with one version, inside the namespace.
pub async fn tell(version: Option<&str>) -> Outcome {
    let version = VERSIONS.into_iter().find(|known| *known == version).ok_or("no such version")?;
    // The Rust driver refuses the options. Mongoose 8 has the same driver as Node.
    let left_out = ["rust", "mongoose"];
    let all = DRIVERS.iter().chain([&POOLED]);
    let drivers = all.filter(|driver| driver.newest == version && !left_out.contains(&driver.name));
    Story::begin(version).await?.tell(drivers).await
}

/// A set whose members have a network namespace each.
struct Story {
    cluster: Cluster,
    lodgings: Vec<Lodging>,
    controller: Controller,
}

impl Story {
    async fn begin(version: Option<&'static str>) -> Outcome<Self> {
        let mut network = Network::new();
        let (mut lodgings, mut nodes) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let ip = network.fresh_ip();
            let lodging = network.lodging(ip.octets()[3].into()).ok_or("no namespaces")?;
            lodging.settle_at(ip);
            let options = MongodOptions { through: lodging.entrance(), version, ..MongodOptions::at(ip, PORT) };
            nodes.push(Mongod::start(options).await?);
            lodgings.push(lodging);
        }
        let cluster = Cluster { dns: DnsServer::start().await, nodes };
        cluster.list_all();
        let controller = cluster.controller(&[]);
        controller.until("a settled set of three", LIMIT, is_settled(3)).await;
        Ok(Self { cluster, lodgings, controller })
    }

    async fn tell(&self, drivers: impl Iterator<Item = &'static Driver>) -> Outcome {
        let mut applications = Vec::new();
        for driver in drivers {
            let words = driver.program()?;
            for variant in [driver.with("", ""), driver.with(SET, OPTIONS)] {
                applications.push(Application::start(variant, &words, &self.controller, None)?);
            }
        }
        for application in &applications {
            let wrote = application.writes_again(LIMIT).await;
            let complaints = || format!("{} never wrote: {:?}", application.driver.name, application.told().complaints);
            wrote.ok_or_else(|| Failure::from(complaints()))?;
        }
        for retries in RETRIES.into_iter().cycle().take(RETRIES.len() * rounds()) {
            std::fs::write("/proc/sys/net/ipv4/tcp_retries2", retries)?;
            self.primary_dies(retries, &applications).await?;
        }
        Ok(())
    }

    /// Cuts the primary off, and judges how soon each application is back. Then the member comes back.
    async fn primary_dies(&self, retries: &str, applications: &[Application]) -> Outcome {
        let status = self.at_rest().await?;
        let (dead, began) = (self.cluster.primary(&status), Instant::now());
        let others = || self.cluster.nodes.iter().map(Mongod::ip).filter(|ip| *ip != self.cluster.nodes[dead].ip());
        others().for_each(|ip| self.lodgings[dead].cut(ip));
        self.lodgings[dead].cut_outside();
        self.cluster.list(others());
        let another = |s: &Status| s.primary.is_some() && s.primary != status.primary;
        self.controller.until("another primary", LIMIT, another).await;
        let (since, elected) = (now_ms()?, Instant::now());
        println!("figures: the primary's engine dies, tcp_retries2 {retries}: another after {:.1?}", began.elapsed());
        let judged = || applications.iter().filter(|app| app.driver.name.ends_with(SET));
        await_all(judged(), since, elected + MONGOOSE_4_WITHIN).await;
        await_all(applications.iter(), since, elected + PATIENCE).await;
        let late: Vec<_> = applications.iter().filter_map(|app| is_late(app, since)).collect();
        if !late.is_empty() {
            let status = self.controller.status().await;
            if let Some(idle) = status.as_ref().and_then(copies_from_nobody) {
                // It is no fault of a driver. docs/concepts/limitations.md has it.
                let why = self.why_from_nobody(&idle);
                println!(
                    "skipped: the primary's engine dies, tcp_retries2 {retries}: {idle} copies from nobody: {why}"
                );
                self.lodgings[dead].mend();
                self.cluster.list_all();
                return Ok(());
            }
            let log = self.controller.log();
            return Err(format!("{}\nthe set: {:?}\n{log}", late.join("\n"), status.map(|s| s.members)).into());
        }
        self.lodgings[dead].mend();
        self.cluster.list_all();
        Ok(())
    }
}

impl Story {
    /// What rsctl asked of the member, and what that one wrote of its sync source, in one line.
    fn why_from_nobody(&self, host: &str) -> String {
        let mongod = self.cluster.nodes.iter().find(|node| node.host() == host);
        let told = mongod.and_then(|node| std::fs::read_to_string(node.log()).ok()).unwrap_or_default();
        let of_source = told.lines().filter(|line| line.contains("ync source") || line.contains("sync from"));
        let log = self.controller.log();
        let asked = log.lines().filter(|line| line.contains("reset-sync-source"));
        let last = |lines: Vec<&str>, n: usize| lines[lines.len().saturating_sub(n)..].join(" | ");
        format!("rsctl: {}; mongod: {}", last(asked.collect(), 3), last(of_source.collect(), 10))
    }

    /// Waits until a member that came back has the newest writes, and the third member copies from the second. A member
    /// that still copies from the dead primary hangs for 10 s and more, and of three no majority holds a write for that
    /// time (docs/concepts/failover.md). That is not what this story is about.
    async fn at_rest(&self) -> Outcome<Status> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        let is_level = |s: &Status| s.members.iter().all(|m| m.lag_ms.is_none_or(|lag| lag < LEVEL.as_millis() as u64));
        loop {
            let status = self.controller.until("a settled set", SETTLED_WITHIN, is_settled(3)).await;
            let leads = |node: &Mongod| Some(node.host()) == status.primary;
            let secondaries: Vec<_> = self.cluster.nodes.iter().filter(|node| !leads(node)).collect();
            let sources = join_all(secondaries.iter().map(|node| node.sync_source())).await;
            let is_chained = secondaries.iter().any(|node| sources.contains(&Some(node.host())));
            if is_level(&status) && is_chained {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("no rest: {sources:?} {:?}\n{}", status.members, self.controller.log()).into());
            }
            sleep(POLL).await;
        }
    }
}

/// What the name of an application with the options ends with.
const SET: &str = "-set";

/// Waits until all of them are back, but not longer than the deadline.
async fn await_all<'a>(applications: impl Iterator<Item = &'a Application>, since: u64, deadline: Instant) {
    for application in applications {
        while back(application, since).is_none() && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }
}

/// The time from `since` to its next acknowledged write. `None` if there is none yet.
fn back(application: &Application, since: u64) -> Option<Duration> {
    let told = application.told();
    // The list is sorted, and the newest are the last.
    let first = told.acknowledged.partition_point(|(_, at)| *at <= since);
    told.acknowledged.get(first).map(|(_, at)| Duration::from_millis(at - since))
}

/// Says when the application was back. Returns a complaint if that was too late.
fn is_late(application: &Application, since: u64) -> Option<String> {
    let name = application.driver.name;
    let limit = if name == "mongoose-4-set" { MONGOOSE_4_WITHIN } else { BACK_WITHIN };
    let back = back(application, since);
    let text = back.map_or_else(|| "not back".to_owned(), |back| format!("{back:.1?}"));
    println!("figures:   {name}: {text}");
    let is_late = name.ends_with(SET) && back.is_none_or(|back| back > limit);
    let complaints = application.told().complaints.iter().rev().take(3).cloned().collect::<Vec<_>>().join(" | ");
    is_late.then(|| format!("{name} is back after {back:.1?}, not within {limit:?}; it last said: {complaints}"))
}
