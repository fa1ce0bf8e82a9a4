//! The environment of the rounds: mongods, their DNS, controllers, and an application. After each round, the arena
//! checks that the set is healthy again.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use rsctl::publish::Status;
use tokio::time::{Instant, sleep};

use crate::checks::{self, Stored};
use crate::faults::Fault;
use crate::network::{Lodging, Network, PORT};
use crate::rng::Rng;
use crate::support::controller::Controller;
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions};
use crate::workload::Workload;

/// The limit until the set is right after a fault has ended. On an idle machine it takes a few seconds.
pub const LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(30);

/// A mongod, and its network namespace if namespaces are available.
pub struct Node {
    pub mongod: Mongod,
    pub lodging: Option<Lodging>,
}

impl Node {
    pub async fn start(network: &mut Network, number: usize) -> Self {
        let ip = network.fresh_ip();
        let lodging = network.lodging(number);
        let through = lodging.as_ref().map(Lodging::entrance).unwrap_or_default();
        if let Some(lodging) = &lodging {
            lodging.settle_at(ip);
        }
        let mongod = Mongod::start(MongodOptions { through, ..MongodOptions::at(ip, PORT) }).await.unwrap();
        Self { mongod, lodging }
    }

    /// Restarts the mongod with the same data at this address.
    pub async fn start_at(&mut self, ip: Ipv4Addr) {
        self.mongod.kill();
        if ip != self.mongod.ip()
            && let Some(lodging) = &self.lodging
        {
            lodging.settle_at(ip);
        }
        self.mongod.restart_at(ip, PORT).await.unwrap();
    }

    pub async fn restart(&mut self) {
        self.start_at(self.mongod.ip()).await;
    }
}

pub struct Arena {
    pub rng: Rng,
    pub network: Network,
    pub dns: DnsServer,
    pub nodes: Vec<Node>,
    pub workload: Workload,
    pub controllers_killed: usize,
    /// The index of the node that was primary when the round began.
    pub primary: usize,
    controllers: Vec<Option<Controller>>,
    stored: Stored,
    /// The actions so far.
    trace: Vec<String>,
    began: Instant,
    checked: usize,
    /// No controller is killed in this round.
    pub controllers_spared: bool,
    /// The faults that have not come yet in this block of rounds.
    pub deck: Vec<Fault>,
}

impl Arena {
    /// Starts a set, one or two controllers, and an application that writes. The set has nothing left to do.
    pub async fn new(size: usize, mut rng: Rng) -> Self {
        let mut network = Network::new();
        let mut nodes = Vec::new();
        for number in 0..size {
            nodes.push(Node::start(&mut network, number).await);
        }
        let dns = DnsServer::start().await;
        dns.tasks("mongo", nodes.iter().map(|n| n.mongod.ip()));
        let controllers: Vec<_> = (0..1 + rng.below(2)).map(|_| Some(controller(&dns, size))).collect();
        let first = controllers[0].as_ref().unwrap();
        let settled = |s: &Status| settled(s, size);
        first.until("a settled set", LIMIT, settled).await;
        let stored = checks::right(&nodes).await.expect("a set that is right");
        let workload = Workload::start(&uri(&nodes)).await;
        assert!(workload.goes_on(LIMIT).await, "writes are acknowledged");
        let primary = stored.primary;
        Self {
            rng,
            network,
            dns,
            nodes,
            workload,
            controllers_killed: 0,
            primary,
            controllers,
            stored,
            trace: Vec::new(),
            began: Instant::now(),
            checked: 0,
            controllers_spared: false,
            deck: Vec::new(),
        }
    }

    pub fn note(&mut self, what: &str) {
        self.trace.push(format!("{:>8.3} {what}", self.began.elapsed().as_secs_f64()));
    }

    pub fn begin_round(&mut self, round: u64, fault: Fault) {
        self.note(&format!("round {round}: {}", fault.name()));
        self.controllers_spared = fault == Fault::Wipe;
        self.workload.begin_round();
    }

    pub fn ips(&self) -> Vec<Ipv4Addr> {
        self.nodes.iter().map(|n| n.mongod.ip()).collect()
    }

    /// Makes DNS list every mongod at its present address.
    pub fn list_all(&self) {
        self.dns.tasks("mongo", self.ips());
    }

    /// Makes DNS list all mongods except these.
    pub fn list_without(&self, hidden: &[usize]) {
        let kept = (0..self.nodes.len()).filter(|n| !hidden.contains(n)).map(|n| self.nodes[n].mongod.ip());
        self.dns.tasks("mongo", kept);
    }

    /// Waits for a random time. A controller may be killed or restarted in it.
    pub async fn moment(&mut self, at_most: u64) {
        let time = Duration::from_millis(self.rng.between(0, at_most));
        sleep(time / 2).await;
        if !self.controllers_spared && self.rng.percent(25) {
            let which = self.rng.below(self.controllers.len());
            self.note(&format!("controller {which} dies or comes back"));
            self.controllers[which] = match self.controllers[which].take() {
                Some(_) => {
                    self.controllers_killed += 1;
                    None
                }
                None => Some(controller(&self.dns, self.nodes.len())),
            };
        }
        sleep(time / 2).await;
    }

    /// Ends the round: within the limit, the controller's status and the mongods themselves must show a healthy set.
    pub async fn comes_right(&mut self) {
        self.note("the fault is over");
        for which in 0..self.controllers.len() {
            if self.controllers[which].is_none() {
                self.controllers[which] = Some(controller(&self.dns, self.nodes.len()));
            }
        }
        let deadline = Instant::now() + LIMIT;
        let mut why = "no controller says that the set has settled".to_owned();
        loop {
            let status = self.first_controller().status().await;
            if status.is_some_and(|s| settled(&s, self.nodes.len())) {
                match checks::right(&self.nodes).await {
                    Ok(stored) if stored.set != self.stored.set => why = "it is another set".to_owned(),
                    Ok(stored) => {
                        self.primary = stored.primary;
                        break;
                    }
                    Err(what) => why = what,
                }
            }
            self.help_the_application().await;
            if Instant::now() > deadline {
                panic!("not right within {LIMIT:?}: {why}\n{}", self.report().await);
            }
            sleep(POLL).await;
        }
        while !self.workload.goes_on(Duration::from_secs(2)).await {
            self.help_the_application().await;
            assert!(Instant::now() < deadline, "writes do not go on\n{}", self.report().await);
        }
        self.workload.follow(&uri(&self.nodes)).await;
    }

    fn first_controller(&self) -> &Controller {
        self.controllers.iter().flatten().next().expect("a controller runs")
    }

    /// Gives the application a new URI if it cannot write. A restarted application asks for it too.
    async fn help_the_application(&self) {
        if self.workload.is_stuck()
            && let Ok(uri) = self.first_controller().get("/v1/uri?database=nemesis").await
        {
            self.workload.follow(uri.trim()).await;
        }
    }

    /// Checks that every acknowledged write is on the present primary.
    pub async fn every_write_is_there(&mut self) {
        let acknowledged = self.workload.acknowledged();
        let missing = self.missing(&acknowledged[self.checked..]).await;
        // The next round checks these again: a rollback in it can remove writes that are not the newest any more.
        self.checked = acknowledged.len().saturating_sub(2000);
        assert!(missing.is_empty(), "LOST {} acknowledged writes: {missing:?}\n{}", missing.len(), self.report().await);
    }

    /// The acknowledged writes that the primary lacks. The same node must be primary before and after the question: a
    /// primary that was cut off may step down some time after the network is whole again (seen: 2.6 s later).
    async fn missing(&mut self, acknowledged: &[i64]) -> Vec<i64> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let missing = checks::missing(&self.nodes[self.primary].mongod, acknowledged).await;
            let why = match (missing, checks::right(&self.nodes).await) {
                (Ok(missing), Ok(stored)) if stored.primary == self.primary => return missing,
                (found, Ok(stored)) => {
                    let was = std::mem::replace(&mut self.primary, stored.primary);
                    let why = format!("asked {was}, which told {found:?}, and {} leads", self.primary);
                    self.note(&why);
                    // A new primary shows all its data to readers only after it has committed a write of its own term.
                    self.workload.goes_on(LIMIT).await;
                    why
                }
                (_, Err(what)) => what,
            };
            assert!(Instant::now() < deadline, "not right any more for {LIMIT:?}: {why}\n{}", self.report().await);
            sleep(POLL).await;
        }
    }

    pub async fn all_writes_are_there(&mut self) {
        self.checked = 0;
        self.every_write_is_there().await;
    }

    /// Whether a config was forced since the last round: a force raises the version by a large random number.
    pub fn was_forced(&self, now: &Stored) -> bool {
        now.version - self.stored.version > 9000
    }

    pub async fn nothing_was_forced_without_need(&mut self, needed: bool) {
        let now = checks::stored(&self.nodes[self.primary].mongod, self.primary).await;
        assert!(
            needed || !self.was_forced(&now),
            "a config was forced, and nothing called for it\n{}",
            self.report().await
        );
        self.stored = now;
    }

    /// The report of a failure.
    pub async fn report(&self) -> String {
        let mut text = self.trace.join("\n");
        for controller in self.controllers.iter().flatten() {
            let log = controller.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            text += &format!("\n\n{:#?}\n{tail}", controller.status().await);
        }
        for node in &self.nodes {
            text += &format!("\n{}: {}", node.mongod.address(), checks::describe(&node.mongod).await);
        }
        text
    }

    /// Stops all controllers for the rest of the test.
    pub fn without_controllers(&mut self) {
        self.controllers.clear();
    }
}

fn controller(dns: &DnsServer, size: usize) -> Controller {
    let expect = size.to_string();
    // Short waiting times, so that a round does not need half a minute until a mongod counts as gone.
    let settings = [("RSCTL_REPLACE_AFTER", "2s"), ("RSCTL_REMOVE_AFTER", "6s"), ("RSCTL_EXPECT", &*expect)];
    Controller::start(Path::new(env!("CARGO_BIN_EXE_rsctl")), dns.address(), &settings).unwrap()
}

/// Whether the controller has nothing left to do, and every mongod is a voter.
fn settled(status: &Status, size: usize) -> bool {
    let well = status.members.iter().all(|m| m.healthy && m.votes == 1);
    status.primary.is_some()
        && well
        && status.members.len() == size
        && status.next == "nothing"
        && status.waiting.is_empty()
}

pub fn uri(nodes: &[Node]) -> String {
    let hosts: Vec<_> = nodes.iter().map(|n| n.mongod.address().to_string()).collect();
    format!("mongodb://{}/?replicaSet=rs", hosts.join(","))
}
