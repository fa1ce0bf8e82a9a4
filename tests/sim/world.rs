//! The world: machines with volumes and mongods, the network between them, and the queue of events.
//!
//! Time is tokio's paused clock. Events with the same time happen in the sequence in which they were queued.

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
const V6_0: WireVersion = WireVersion(17);
pub const V8_0: WireVersion = WireVersion(25);

/// The version of a world's mongods, and how long they take to apply. Clients write at least every 500 ms, so in a life
/// of slow disks no secondary ever has applied all that is committed.
fn version(seed: u64) -> (WireVersion, u64) {
    match seed % 8 {
        1 | 5 => (V4_4, 0),
        3 => (V8_0, 700),
        7 => (V8_0, 20),
        _ => (V6_0, 0),
    }
}

/// Whether DNS fails for names that do not exist, in one life of four, of each version. So it is in a network without an
/// upstream server.
fn fails_for_unknown(seed: u64) -> bool {
    seed / 8 % 4 == 1
}

/// A machine with a task of the service: a volume, and the mongod while one runs.
pub struct Machine {
    pub name: String,
    pub dir: Dir,
    /// The address of the task, kept while it is down.
    pub addr: Ipv4Addr,
    pub proc: Option<Proc>,
    /// Whether Swarm's DNS lists it.
    pub listed: bool,
    /// Whether the task and its volume are permanently gone.
    pub retired: bool,
    /// Its volume was emptied at an address that may have a vote. The number counts the chances to revoke that vote.
    pub wiped: Option<u32>,
    /// An earlier state of its volume, to which it may be set back.
    pub snapshot: Option<Dir>,
    /// Whether its volume was set back and lacks acknowledged writes.
    pub set_back: bool,
    /// Whether its initial syncs take long.
    pub slow_sync: bool,
    /// When a mongod on this machine last died.
    pub died_at: Option<u64>,
    /// Whether an operator has asked to remove it.
    pub unwanted: bool,
    /// Its address when the operator asked.
    pub unwanted_at: Option<Ipv4Addr>,
    /// Its directory when the operator asked. The volume may be empty since.
    pub unwanted_data: Option<DataId>,
    /// Whether its address refuses connections while no mongod runs. Otherwise it is silent.
    pub refuses: bool,
}

/// The properties of the network between two ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// The transport time of a message, in milliseconds.
    pub ms: u64,
    /// Of a hundred messages so many are lost.
    pub loss: u64,
}

pub struct World {
    pub now: u64,
    pub rng: Rng,
    pub machines: Vec<Machine>,
    pub named: bool,
    /// The wire version of every mongod. The mongods behave as that version of MongoDB.
    pub wire: WireVersion,
    /// How much later than it writes an entry a secondary applies it, in milliseconds. Zero before 8.0.
    pub apply_ms: u64,
    /// Connections on which no message gets through.
    pub cut: BTreeSet<(End, End)>,
    /// The mongods that do not run for a while, as on a slow disk. Their machines still accept connections.
    pub stalled: BTreeSet<usize>,
    /// Of a hundred messages so many are lost.
    pub loss: u64,
    pub slow_ms: u64,
    /// The network without faults.
    pub way: Way,
    pub dns: Vec<DnsView>,
    /// Whether DNS answers SERVFAIL where it should answer that there is no such name.
    pub fails_for_unknown: bool,
    pub wakes: Vec<Arc<Notify>>,
    pub last_reports: Vec<Option<PlanReport>>,
    pub events: Queue,
    /// Wakes the driver when an event is due earlier than the one that it waits for.
    pub sooner: Arc<Notify>,
    pub checker: Checker,
    /// The answers that were lost. Their callers wait until their time-outs.
    pub lost: Vec<Answer>,
    pub writes: u32,
    pub writing: bool,
    pub faults_on: bool,
    /// The actions on controllers that the driver has not done yet.
    pub controller_commands: Vec<super::faults::ControllerCommand>,
    /// The number of addresses that were assigned so far.
    pub addresses: u32,
    /// Whether each controller runs.
    pub alive: Vec<bool>,
    /// `--expect`.
    pub expect: usize,
    pub record: Record,
    pub trace: Option<Vec<String>>,
}

/// The last plan that a controller reported.
pub struct PlanReport {
    pub at: u64,
    /// Whether the plan has no step and waits for nothing.
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

/// The world, shared by all parts of one simulation.
#[derive(Clone)]
pub struct Shared(pub Arc<Mutex<World>>);

impl Shared {
    pub fn get(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub fn new(seed: u64, named: bool, controllers: usize, scope: CheckScope, trace: bool) -> Self {
        let (wire, apply_ms) = version(seed);
        Self {
            now: 0,
            rng: Rng::new(seed),
            machines: Vec::new(),
            named,
            wire,
            apply_ms,
            cut: BTreeSet::new(),
            stalled: BTreeSet::new(),
            loss: 0,
            slow_ms: 0,
            way: Way::default(),
            dns: (0..controllers).map(|_| DnsView::default()).collect(),
            fails_for_unknown: fails_for_unknown(seed),
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

    /// Adds a line to the trace of the seed.
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

    /// Runs the events that are due.
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
                    // Fails if the controller has died and no longer waits.
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
            Event::OperatorReads => self.operator_reads(),
        }
    }

    pub fn is(&self, machine: usize, id: ObjectId) -> bool {
        self.machines[machine].proc.as_ref().is_some_and(|p| p.id == id)
    }

    pub fn open(&self, from: End, to: End) -> bool {
        let stalls = |end| matches!(end, End::Machine(machine) if self.stalled.contains(&machine));
        from == to || !self.cut.contains(&(from, to)) && !stalls(from) && !stalls(to)
    }

    /// Whether messages pass in both directions.
    pub fn both_ways(&self, a: End, b: End) -> bool {
        self.open(a, b) && self.open(b, a)
    }

    pub fn dropped(&mut self) -> bool {
        let loss = self.loss.max(self.way.loss);
        loss > 0 && self.rng.percent(loss)
    }

    /// DNS for mongods. Its answers are always right, because mongods only resolve the names of members.
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

    /// Whether an address without a mongod refuses connections.
    pub fn refuses(&self, address: Ipv4Addr) -> bool {
        self.machines.iter().any(|p| p.addr == address && p.proc.is_none() && p.refuses && !p.retired)
    }

    pub fn latency(&mut self) -> u64 {
        let slow = self.slow_ms;
        self.way.ms + 1 + if slow > 0 { self.rng.between(0, slow) } else { self.rng.between(0, 4) }
    }

    /// Sends a message to the mongod that has this host when the message arrives.
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
        // If the sender's process has been replaced, the answer reaches no process.
        self.receive_from(to, from, process, msg);
    }

    /// Wakes every controller that reaches this mongod, as a streaming `hello` does.
    pub fn notify_controllers(&mut self, machine: usize) {
        for controller in 0..self.wakes.len() {
            if self.both_ways(End::Machine(machine), End::Controller(controller)) {
                self.after(1, 4, Event::Wake(controller));
            }
        }
    }
}
