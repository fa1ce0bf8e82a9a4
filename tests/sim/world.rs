//! The world: machines with volumes and mongods, the network between them, and what happens next.
//!
//! Time is tokio's paused clock. Events that are due at the same instant happen in the order in which they were queued.

use super::checker::{CheckScope, Checker};
use super::dns::DnsView;
use super::events::{End, Event, Msg};
use super::node::{Answer, Dir, Proc};
use super::queue::Queue;
use super::record::Record;
use super::rng::Rng;
use bson::oid::ObjectId;
use rsctl::model::{DataId, Host, WireVersion};
use rsctl::plan::Plan;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

pub const PORT: u16 = 27017;
pub const SET: &str = "rs";
pub const V4_4: WireVersion = WireVersion(9);

/// Where a task of the service runs: a volume, and the mongod on it while there is one.
pub struct Machine {
    pub name: String,
    pub dir: Dir,
    /// The address of the task, kept while it is down.
    pub addr: Ipv4Addr,
    pub proc: Option<Proc>,
    /// Swarm's DNS names it.
    pub listed: bool,
    /// The task and its volume are gone for good.
    pub retired: bool,
    /// Its volume was emptied at an address that may have a vote. The number counts the chances to revoke that vote.
    pub wiped: Option<u32>,
    /// An earlier state of its volume, to which it may be set back.
    pub snapshot: Option<Dir>,
    /// Its volume was set back, and lacks acknowledged writes.
    pub set_back: bool,
    /// Its initial syncs take long.
    pub slow_sync: bool,
    /// When a mongod there died last.
    pub died_at: Option<u64>,
    /// An operator has asked to remove it.
    pub unwanted: bool,
    /// Its address when the operator asked.
    pub unwanted_at: Option<Ipv4Addr>,
    /// Its directory when the operator asked. The volume may be empty since.
    pub unwanted_data: Option<DataId>,
    /// Whether its address refuses connections while nobody is there, or stays silent.
    pub refuses: bool,
}

/// The network between any two.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// How long a message takes.
    pub ms: u64,
    /// Of a hundred messages so many are lost.
    pub loss: u64,
}

pub struct World {
    pub now: u64,
    pub rng: Rng,
    pub machines: Vec<Machine>,
    pub named: bool,
    /// What every mongod speaks, and behaves as.
    pub wire: WireVersion,
    /// Connections on which no message gets through.
    pub cut: BTreeSet<(End, End)>,
    /// Of a hundred messages so many are lost.
    pub loss: u64,
    pub slow_ms: u64,
    /// What the way is like when nothing is wrong with it.
    pub way: Way,
    pub dns: Vec<DnsView>,
    pub wakes: Vec<Arc<Notify>>,
    pub last_reports: Vec<Option<PlanReport>>,
    pub events: Queue,
    /// Tells the driver that an event is due earlier than the one that it waits for.
    pub sooner: Arc<Notify>,
    pub checker: Checker,
    /// Lost answers. The caller waits until its time-out.
    pub lost: Vec<Answer>,
    pub writes: u32,
    pub writing: bool,
    pub faults_on: bool,
    /// What the driver has still to do to controllers.
    pub controller_commands: Vec<super::faults::ControllerCommand>,
    /// How many addresses were ever given away.
    pub addresses: u32,
    /// Which controllers run.
    pub alive: Vec<bool>,
    /// `--expect`.
    pub expect: usize,
    pub record: Record,
    pub trace: Option<Vec<String>>,
}

/// The last plan that a controller reported.
pub struct PlanReport {
    pub at: u64,
    /// The plan has no step and waits for nothing.
    pub calm: bool,
    pub plan: Plan,
}

impl PlanReport {
    pub fn text(&self) -> String {
        let plan = &self.plan;
        let waiting: Vec<_> = plan.waiting.iter().map(ToString::to_string).collect();
        let findings: Vec<_> = plan.findings.iter().map(ToString::to_string).collect();
        format!("{}: {} ({}) [{}] {{{}}}", plan.rule, plan.next, plan.because, waiting.join("; "), findings.join("; "))
    }
}

/// What all parts of one simulation hold on to.
#[derive(Clone)]
pub struct Shared(pub Arc<Mutex<World>>);

impl Shared {
    pub fn get(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub fn new(seed: u64, named: bool, controllers: usize, scope: CheckScope, trace: bool) -> Self {
        Self {
            now: 0,
            rng: Rng::new(seed),
            machines: Vec::new(),
            named,
            wire: if seed % 4 == 1 { V4_4 } else { WireVersion(17) },
            cut: BTreeSet::new(),
            loss: 0,
            slow_ms: 0,
            way: Way::default(),
            dns: (0..controllers).map(|_| DnsView::default()).collect(),
            wakes: (0..controllers).map(|_| Arc::default()).collect(),
            last_reports: (0..controllers).map(|_| None).collect(),
            events: Queue::default(),
            sooner: Arc::default(),
            checker: Checker::new(controllers, scope),
            lost: Vec::new(),
            writes: 0,
            writing: true,
            faults_on: true,
            controller_commands: Vec::new(),
            addresses: 0,
            alive: vec![false; controllers],
            expect: 3,
            record: Record::default(),
            trace: trace.then(Vec::new),
        }
    }

    /// Notes an event for the reader of a failed seed.
    pub fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>7.3} {}", self.now as f64 / 1000.0, line(self));
            if let Some(trace) = &mut self.trace {
                trace.push(line);
            }
        }
    }

    pub fn at(&mut self, time: u64, event: Event) {
        if self.events.next_at().is_none_or(|first| time < first) {
            self.sooner.notify_one();
        }
        self.events.push(time, event);
    }

    pub fn after(&mut self, low: u64, high: u64, event: Event) {
        let time = self.now + self.rng.between(low, high);
        self.at(time, event);
    }

    pub fn object_id(&mut self) -> ObjectId {
        ObjectId::from_bytes(self.rng.bytes())
    }

    /// Runs what is due.
    pub fn run_due(&mut self, now: u64) {
        self.now = now;
        while let Some(event) = self.events.pop(now) {
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick(machine, id) if self.is(machine, id) => self.tick(machine),
            Event::Pull(machine, id) if self.is(machine, id) => self.pull(machine),
            Event::Drained(machine, id) if self.is(machine, id) => self.drained(machine),
            Event::Recovered(machine, id) if self.is(machine, id) => self.recovered(machine),
            Event::Tick(..) | Event::Pull(..) | Event::Drained(..) | Event::Recovered(..) => {}
            Event::ToHost { from, process, host, msg } => self.arrive_at(from, process, &host, msg),
            Event::ToProc { from, to, process, msg } => {
                if self.open(End::Machine(from), End::Machine(to)) && self.is(to, process) {
                    self.receive(to, from, msg);
                }
            }
            Event::Broken { from, address } => self.connections_broke(from, address),
            Event::Command { to, command, answer } => self.command_arrives(to, command, answer),
            Event::Answer { from, answer, outcome } => {
                if self.open(End::Machine(from), End::Controller(answer.to)) && !self.dropped() {
                    // Nobody may be waiting any more: the controller died.
                    let _ = answer.way.send(outcome);
                } else {
                    self.lost.push(answer);
                }
            }
            Event::Wake(controller) => self.wakes[controller].notify_one(),
            Event::Write => self.client_writes(),
            Event::Fault => self.fault(),
            Event::Undo(undo) => self.undo(undo),
            Event::Act(act) => self.act(act),
        }
    }

    pub fn is(&self, machine: usize, id: ObjectId) -> bool {
        self.machines[machine].proc.as_ref().is_some_and(|p| p.id == id)
    }

    pub fn open(&self, from: End, to: End) -> bool {
        from == to || !self.cut.contains(&(from, to))
    }

    /// A question and its answer get through.
    pub fn both_ways(&self, a: End, b: End) -> bool {
        self.open(a, b) && self.open(b, a)
    }

    pub fn dropped(&mut self) -> bool {
        let loss = self.loss.max(self.way.loss);
        loss > 0 && self.rng.percent(loss)
    }

    /// Swarm's name service as mongods see it: always right, since they only ask it for members' names.
    pub fn resolve(&self, host: &Host) -> Option<Ipv4Addr> {
        match host.name() {
            Some(name) => self.machines.iter().find(|p| p.name == name && !p.retired).map(|p| p.addr),
            None => match host.socket()?.ip() {
                std::net::IpAddr::V4(ip) => Some(ip),
                std::net::IpAddr::V6(_) => None,
            },
        }
    }

    /// The machine whose mongod answers at an address.
    pub fn machine_at(&self, address: Ipv4Addr) -> Option<usize> {
        self.machines.iter().position(|p| p.proc.as_ref().is_some_and(|proc| proc.at == address))
    }

    pub fn machine_of(&self, host: &Host) -> Option<usize> {
        self.machine_at(self.resolve(host)?)
    }

    /// Whether an address without a mongod says so.
    pub fn refuses(&self, address: Ipv4Addr) -> bool {
        self.machines.iter().any(|p| p.addr == address && p.proc.is_none() && p.refuses && !p.retired)
    }

    pub fn latency(&mut self) -> u64 {
        let slow = self.slow_ms;
        self.way.ms + 1 + if slow > 0 { self.rng.between(0, slow) } else { self.rng.between(0, 4) }
    }

    /// Sends to whoever is at the host when the message comes there.
    pub fn send(&mut self, from: usize, host: Host, msg: Msg) {
        let Some(process) = self.machines[from].proc.as_ref().map(|p| p.id) else { return };
        let time = self.now + self.latency();
        self.at(time, Event::ToHost { from, process, host, msg });
    }

    pub fn reply(&mut self, from: usize, to: usize, process: ObjectId, msg: Msg) {
        let time = self.now + self.latency();
        self.at(time, Event::ToProc { from, to, process, msg });
    }

    fn arrive_at(&mut self, from: usize, process: ObjectId, host: &Host, msg: Msg) {
        let Some(address) = self.resolve(host) else { return };
        let Some(to) = self.machine_at(address) else {
            if self.refuses(address) {
                self.connections_broke(from, address);
            }
            return;
        };
        if self.dropped() || !self.open(End::Machine(from), End::Machine(to)) {
            return;
        }
        // The sender may be another process by now; then the answer finds nobody.
        self.receive_from(to, from, process, msg);
    }

    /// A streaming `hello` tells every controller that has a way to this mongod.
    pub fn notify_controllers(&mut self, machine: usize) {
        for controller in 0..self.wakes.len() {
            if self.both_ways(End::Machine(machine), End::Controller(controller)) {
                self.after(1, 4, Event::Wake(controller));
            }
        }
    }
}
