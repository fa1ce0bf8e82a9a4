//! The engine of the primary dies while writes are under way: from one moment on nothing answers at its address, not even
//! with a refusal. What a driver has sent there stays unacknowledged, and keepalive does not act on such a connection.
//!
//! Each driver runs twice, with the options that `deploy` and the guide recommend and without. What counts is the time
//! from the next primary to its next acknowledged write.

use std::process::{Command, Stdio};
use std::time::Duration;

use rsctl::publish::Status;
use tokio::time::{Instant, sleep};

use super::application::Application;
use super::driver::{DRIVERS, Driver};
use super::network::{Lodging, Network};
use super::rust::now_ms;
use crate::cluster::{Cluster, LIMIT, PORT, is_settled};
use crate::support::controller::Controller;
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions};
use crate::support::process::{DIE_WITH_US, spawn};
use crate::support::report::{Failure, Outcome};

/// The word that runs only this story.
pub const ENTER: &str = "engine";
/// `tests/nemesis/network.rs` looks for this variable.
const INSIDE: &str = "RSCTL_NEMESIS_INSIDE";

/// The options of the URI.
const OPTIONS: &str = "connectTimeoutMS=1000&socketTimeoutMS=3000";
/// The values of `net.ipv4.tcp_retries2`: the kernel's, and that of the recipes.
const RETRIES: [&str; 2] = ["15", "3"];
/// With the options, every driver but Mongoose 4 must be back so soon after the next primary.
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// Mongoose 4 looks at the members every 10 s, and no option of a URI changes that.
const MONGOOSE_4_WITHIN: Duration = Duration::from_secs(12);
/// How long to wait for a driver without the options.
const PATIENCE: Duration = Duration::from_secs(30);
/// The limit until the set is whole again.
const SETTLED_WITHIN: Duration = Duration::from_secs(100);

/// Whether this process is in the network namespace of the story.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program again, in a network namespace of its own. What it prints is seen.
pub fn enter() -> Outcome<String> {
    let mut command = Command::new(DIE_WITH_US[0]);
    command.args(&DIE_WITH_US[1..]).args(["unshare", "-n"]).arg(std::env::current_exe()?);
    command.arg(ENTER).env(INSIDE, "1").stdin(Stdio::null());
    let status = spawn(command)?.wait()?;
    if status.success() {
        Ok("every driver is back in time".to_owned())
    } else {
        Err("a driver is not back in time".into())
    }
}

/// The story, inside the namespace.
pub async fn tell() -> Outcome {
    let mut network = Network::new();
    for version in [None, Some("5.0.4")] {
        let drivers = DRIVERS.iter().filter(|driver| driver.newest == version && driver.name != "rust");
        Story::begin(&mut network, version).await?.tell(drivers).await?;
    }
    Ok(())
}

/// A set whose members have a network namespace each.
struct Story {
    cluster: Cluster,
    lodgings: Vec<Lodging>,
    controller: Controller,
}

impl Story {
    async fn begin(network: &mut Network, version: Option<&'static str>) -> Outcome<Self> {
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
            for variant in [driver.with("", ""), driver.with("-set", OPTIONS)] {
                applications.push(Application::start(variant, &words, &self.controller, None)?);
            }
        }
        for application in &applications {
            let wrote = application.writes_again(LIMIT).await;
            let complaints = || format!("{} never wrote: {:?}", application.driver.name, application.told().complaints);
            wrote.ok_or_else(|| Failure::from(complaints()))?;
        }
        for retries in RETRIES {
            std::fs::write("/proc/sys/net/ipv4/tcp_retries2", retries)?;
            self.primary_dies(retries, &applications).await?;
        }
        Ok(())
    }

    /// Cuts the primary off, and judges how soon each application is back. Then the member comes back.
    async fn primary_dies(&self, retries: &str, applications: &[Application]) -> Outcome {
        let status = self.controller.until("a settled set", SETTLED_WITHIN, is_settled(3)).await;
        let (dead, began) = (self.cluster.primary(&status), Instant::now());
        let others = || self.cluster.nodes.iter().map(Mongod::ip).filter(|ip| *ip != self.cluster.nodes[dead].ip());
        others().for_each(|ip| self.lodgings[dead].cut(ip));
        self.lodgings[dead].cut_outside();
        self.cluster.list(others());
        let another = |s: &Status| s.primary.is_some() && s.primary != status.primary;
        self.controller.until("another primary", LIMIT, another).await;
        let since = now_ms()?;
        println!("figures: the primary's engine dies, tcp_retries2 {retries}: another after {:.1?}", began.elapsed());
        sleep(PATIENCE).await;
        let late: Vec<_> = applications.iter().filter_map(|app| is_late(app, since)).collect();
        self.lodgings[dead].mend();
        self.cluster.list_all();
        if late.is_empty() { Ok(()) } else { Err(late.join("; ").into()) }
    }
}

/// Says when the application was back. Returns a complaint if that was too late.
fn is_late(application: &Application, since: u64) -> Option<String> {
    let name = application.driver.name;
    let limit = if name.starts_with("mongoose-4") { MONGOOSE_4_WITHIN } else { BACK_WITHIN };
    let back = application.told().acknowledged.iter().map(|(_, at)| *at).find(|at| *at > since);
    let back = back.map(|at| Duration::from_millis(at - since));
    println!(
        "figures:   {name}: {}",
        back.map_or_else(|| format!("not within {PATIENCE:?}"), |back| format!("{back:.1?}"))
    );
    let is_set = name.ends_with("-set");
    (is_set && back.is_none_or(|back| back > limit)).then(|| format!("{name} is back after {back:.1?}"))
}
