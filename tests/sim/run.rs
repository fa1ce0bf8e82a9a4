//! The run of one seed: a world, its controllers, and faults for some time. After the faults, the set must become
//! healthy again.

use super::checker::{CheckScope, REMOVE_AFTER, Violation};
use super::events::Event;
use super::faults::{ControllerCommand, Undo};
use super::faulty_controller::FaultyController;
use super::mutants::Mutant;
use super::node::FAILOVER_AFTER;
use super::ports::Port;
use super::record::Record;
use super::scenarios::{Act, Scenario};
use super::world::{PlanReport, SET, Shared, Way, World};
use rsctl::admin::AdminEndpoint;
use rsctl::model::{FailoverAfter, MemberAddress, NodeState, Policy, RecoveryMode, SetName, Token, VOTERS_MAX};
use rsctl::plan::{Step, WaitingOn};
use rsctl::reconcile::{AdminRequests, Loop, Progress};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

/// The time within which a set must be healthy after the faults, in milliseconds.
const SETTLES_MS: u64 = 240_000;
/// How long a set must be right before a run ends.
const CALM_MS: u64 = 3000;

/// How long DNS hides tasks of a far set, in milliseconds.
const FAR_LIES_MS: u64 = 5_000;

/// The failure of a seed.
pub struct Failure {
    pub violation: Violation,
    pub what: String,
    pub trace: Vec<String>,
}

/// The controller, the faults, and the scope of the checks.
#[derive(Clone, Copy, Debug)]
pub struct RunConfig {
    pub mutant: Mutant,
    pub scenario: Scenario,
    pub scope: CheckScope,
    pub trace: bool,
}

/// Runs one seed.
pub fn run_seed(seed: u64, config: RunConfig) -> Result<Record, Failure> {
    on_paused_clock(async { Driver::new(seed, config).run().await })
}

/// Runs the first start of a set of this size over a slow network, while DNS hides some tasks for some time. Returns
/// the record, and the real time that each plan took.
pub fn run_far(seed: u64, tasks: usize) -> Result<(Record, Vec<Duration>), Failure> {
    on_paused_clock(async {
        let driver = Driver::far(seed, tasks);
        let costs = Arc::clone(&driver.costs);
        let record = driver.run().await?;
        let costs = std::mem::take(&mut *costs.lock().unwrap());
        Ok((record, costs))
    })
}

fn on_paused_clock<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without IO needs nothing");
    runtime.block_on(LocalSet::new().run_until(run))
}

struct Driver {
    /// The real time that each plan of a far set took.
    costs: Arc<Mutex<Vec<Duration>>>,
    shared: Shared,
    mutant: Mutant,
    controllers: Vec<Option<JoinHandle<()>>>,
    /// The admin requests to each controller since its last start.
    requests: Vec<Arc<AdminRequests>>,
    starts: u32,
    interval: Duration,
    began: Instant,
    /// When the faults end.
    faults_end_at: u64,
}

impl Driver {
    fn new(seed: u64, config: RunConfig) -> Self {
        if config.scenario != Scenario::Random {
            return Self::scripted(seed, config);
        }
        let mut rng = super::rng::Rng::new(seed.rotate_left(17));
        let named = rng.percent(50);
        let controllers = 1 + rng.below(3);
        let mut world = World::new(seed, named, controllers, config.scope, config.trace);
        world.expect = 1 + 2 * (1 + rng.below(100) / 70).min(2);
        let tasks = world.expect + if rng.percent(25) { 1 + rng.below(2) } else { 0 };
        world
            .note(|_| format!("{tasks} tasks with {}, {controllers} controllers", if named { "names" } else { "IPs" }));
        begin(&mut world, tasks, 3000);
        // DNS may give wrong answers from the start, when they are most dangerous.
        if tasks > world.expect && rng.percent(50) {
            world.dns_differs();
        }
        for controller in 0..controllers {
            if rng.percent(25) {
                world.dns_fails(controller, 3000);
            }
        }
        let first_fault = rng.between(100, 12_000);
        world.at(first_fault, Event::Fault);
        let faults_end_at = first_fault + rng.between(5_000, 45_000);
        Self::of(world, config.mutant, controllers, Duration::from_millis(rng.between(1000, 5000)), faults_end_at)
    }

    /// Three tasks, with the faults of a scenario.
    fn scripted(seed: u64, config: RunConfig) -> Self {
        let mut rng = super::rng::Rng::new(seed.rotate_left(17));
        let named = config.scenario.named().unwrap_or_else(|| rng.percent(50));
        let controllers = config.scenario.controllers().max(1 + rng.below(3));
        let mut world = World::new(seed, named, controllers, config.scope, config.trace);
        world.prepare(config.scenario);
        let tasks = world.expect;
        begin(&mut world, tasks, 1000);
        world.at(0, Event::Act(Act::Open(config.scenario)));
        let interval = Duration::from_millis(rng.between(1000, 5000));
        Self::of(world, config.mutant, controllers, interval, config.scenario.ends_at())
    }

    /// A far set: a round trip takes 200 ms, one message in a hundred is lost, and `--expect` is the number of tasks.
    fn far(seed: u64, tasks: usize) -> Self {
        let mut world = World::new(seed, true, 1, CheckScope::All, false);
        world.way = Way { ms: 100, loss: 1 };
        world.expect = tasks;
        begin(&mut world, tasks, 3000);
        world.faults_on = false;
        world.dns_differs();
        Self::of(world, Mutant::None, 1, Duration::from_secs(5), FAR_LIES_MS)
    }

    fn of(world: World, mutant: Mutant, controllers: usize, interval: Duration, faults_end_at: u64) -> Self {
        Self {
            costs: Arc::default(),
            shared: Shared(Arc::new(Mutex::new(world))),
            mutant,
            controllers: (0..controllers).map(|_| None).collect(),
            requests: (0..controllers).map(|_| Arc::new(AdminRequests::new(Arc::default()))).collect(),
            starts: 0,
            interval,
            began: Instant::now(),
            faults_end_at,
        }
    }

    async fn run(mut self) -> Result<Record, Failure> {
        let (mut faults_over, mut calm_since): (bool, Option<u64>) = (false, None);
        loop {
            let (next, sooner) = {
                let world = self.shared.get();
                (world.events.next_at().unwrap_or(u64::MAX), Arc::clone(&world.sooner))
            };
            // A set that came right just before the limit is still watched for as long as any other.
            let end = calm_since.map_or(self.faults_end_at + SETTLES_MS, |since| since + CALM_MS);
            let until = self.began + Duration::from_millis(next.min(end));
            tokio::select! {
                biased;
                () = sooner.notified() => {}
                () = sleep_until(until) => {}
            }
            let now = self.began.elapsed().as_millis() as u64;
            let commands = {
                let mut world = self.shared.get();
                world.run_due(now);
                if !faults_over && now >= self.faults_end_at {
                    faults_over = true;
                    world.heal();
                }
                std::mem::take(&mut world.controller_commands)
            };
            commands.into_iter().for_each(|command| self.carry_out(command));
            let mut world = self.shared.get();
            if let Some((violation, what)) = world.checker.broken.take() {
                return Err(self.failure(&mut world, violation, what));
            }
            if world.checker.over {
                return Ok(world.take_record());
            }
            if !faults_over {
                continue;
            }
            match (world.unsettled(), calm_since) {
                (None, None) => {
                    calm_since = Some(now);
                    // Writes stop, so that the last one has time to reach every member.
                    world.writing = false;
                }
                (None, Some(since)) if now >= since + CALM_MS => return self.last_check(&mut world),
                (None, Some(_)) => {}
                (Some(why), _) => {
                    calm_since = None;
                    if now >= self.faults_end_at + SETTLES_MS {
                        let reports: Vec<_> = world.last_reports.iter().flatten().map(PlanReport::text).collect();
                        let what = format!("does not become stable: {why}; {}", reports.join(" | "));
                        return Err(self.failure(&mut world, Violation::Unsettled, what));
                    }
                }
            }
        }
    }

    fn failure(&self, world: &mut World, violation: Violation, what: String) -> Failure {
        Failure { violation, what, trace: world.trace.take().unwrap_or_default() }
    }

    /// Checks at the end that every member has every acknowledged write.
    fn last_check(&self, world: &mut World) -> Result<Record, Failure> {
        let lacks = |p: &&super::world::Machine| !p.retired && !p.dir.log.starts_with(&world.checker.acked);
        match world.machines.iter().find(lacks).map(|p| p.name.clone()) {
            Some(name) => {
                Err(self.failure(world, Violation::Lost, format!("{name} lacks acknowledged writes at the end")))
            }
            None => Ok(world.take_record()),
        }
    }

    fn carry_out(&mut self, command: ControllerCommand) {
        match command {
            ControllerCommand::Crash(controller) => {
                if let Some(task) = self.controllers[controller].take() {
                    task.abort();
                    let mut world = self.shared.get();
                    world.alive[controller] = false;
                    let now = world.now;
                    world.checker.controller_died(controller, now);
                    world.record.saw("controller crashes");
                    world.note(|_| format!("controller {controller} dies"));
                }
            }
            ControllerCommand::Start(controller) if self.controllers[controller].is_none() => {
                self.starts += 1;
                self.controllers[controller] = Some(self.start(controller));
            }
            ControllerCommand::Start(_) => {}
            ControllerCommand::Remove(controller, machine, known_at) => self.remove(controller, machine, known_at),
            ControllerCommand::RemoveNamed(controller, host) => {
                // A refusal says that it is not clear now which node is meant. The operator asks again later.
                let _ = self.requests[controller].remove(&host.to_string());
            }
            ControllerCommand::SwitchOver(controller) => self.switch_over(controller),
        }
    }

    /// An operator asks for another primary than the one that the status shows.
    fn switch_over(&self, controller: usize) {
        let mut world = self.shared.get();
        let shown = world.last_reports[controller].as_ref().and_then(|report| report.plan.primary.clone());
        let asked = shown.and_then(|primary| self.requests[controller].switch_over(&primary.to_string(), None, false));
        if asked.is_some() {
            world.record.saw("switchover requests");
        }
    }

    /// Assumption A8: an operator names what the status shows now. If another node has the address, no request is made.
    fn remove(&self, controller: usize, at: usize, known_at: std::net::Ipv4Addr) {
        let mut world = self.shared.get();
        let named = world.named;
        let requests = &self.requests[controller];
        let machine = &mut world.machines[at];
        let by_name = rsctl::model::Host::named(&machine.name, super::world::PORT).ok().filter(|_| named);
        let ip = || rsctl::model::Host::ip(std::net::IpAddr::V4(known_at), super::world::PORT);
        let host = by_name.unwrap_or_else(ip);
        if named || requests.directory_at(&host) == Ok(machine.dir.data) {
            machine.unwanted_data = machine.dir.data;
            requests.remove(&host.to_string()).expect("it was just asked what it means");
        }
    }

    fn start(&mut self, controller: usize) -> JoinHandle<()> {
        let (shared, wake, expect) = {
            let mut world = self.shared.get();
            let now = world.now;
            world.alive[controller] = true;
            world.checker.controller_born(controller, now);
            world.note(|_| format!("controller {controller} starts"));
            (self.shared.clone(), Arc::clone(&world.wakes[controller]), world.expect)
        };
        let hasty = self.mutant == Mutant::RemovesEarly;
        let policy = Policy {
            set: SetName::new(SET),
            expect,
            member_address: MemberAddress::Auto,
            replace_after: if hasty { Duration::from_millis(200) } else { REMOVE_AFTER },
            remove_after: Duration::from_secs(if hasty { 1 } else { 15 }),
            failover_after: FailoverAfter::Silence(FAILOVER_AFTER),
            stable_for: Duration::from_millis(300),
            recovery: RecoveryMode::Auto,
            bootstrap: self.shared.get().bootstrap(),
            replica_set_id: None,
            token: Token(format!("c{controller}-{}", self.starts)),
        };
        let requests = Arc::new(AdminRequests::new(Arc::clone(&wake)));
        self.requests[controller] = Arc::clone(&requests);
        let (mutant, interval, costs) = (self.mutant, self.interval, Arc::clone(&self.costs));
        spawn_local(async move {
            let port = Port { shared: shared.clone(), controller };
            let faulty = FaultyController::new(port, mutant);
            let event_log = rsctl::reconcile::EventLog::new(format!("c{controller}"));
            let users = rsctl::reconcile::UserTroubles::new(Arc::clone(&wake));
            let one = Loop {
                users: &users,
                discovery: &faulty,
                admin: &faulty,
                policy: &policy,
                interval,
                requests: &requests,
                event_log: &event_log,
                wake: &wake,
            };
            let mut last = String::new();
            let report = |progress: Progress<'_>| {
                let (Progress::Planned { observed, plan } | Progress::InForce { observed, plan }) = progress else {
                    return;
                };
                let mut world = shared.get();
                if world.way.ms > 0 {
                    costs.lock().unwrap().push(cost(|| rsctl::plan::plan(observed, &policy)));
                }
                // Where messages are lost, hardly one observation of a large set hears every node.
                let lossy = world.way.loss > 0;
                let unheard = |waiting: &WaitingOn| lossy && matches!(waiting, WaitingOn::Node { .. });
                let calm = plan.next == Step::Wait && plan.waiting.iter().all(unheard);
                let report = PlanReport { at: world.now, calm, plan: plan.clone() };
                if world.trace.is_some() {
                    let text = if calm { String::new() } else { report.text() };
                    // A longer duration is no change.
                    let digest = text.replace(|c: char| c.is_ascii_digit(), "");
                    if digest != last {
                        last = digest;
                        world.note(|_| format!("controller {controller}: {text}"));
                    }
                }
                world.last_reports[controller] = Some(report);
            };
            one.run(report, std::future::pending()).await;
        })
    }
}

/// Starts this many tasks within this many milliseconds, the controllers within three seconds, and the client's writes.
fn begin(world: &mut World, tasks: usize, within: u64) {
    for _ in 0..tasks {
        let machine = world.add_machine();
        world.after(1, within, Event::Undo(Undo::Start(machine)));
    }
    for controller in 0..world.wakes.len() {
        world.after(1, 3000, Event::Undo(Undo::Controller(controller)));
    }
    world.at(100, Event::Write);
    world.at(1000, Event::OperatorReads);
}

/// The real time that a call takes.
#[expect(clippy::disallowed_methods, reason = "the one thing here that is not about simulated time")]
fn cost<T>(of: impl FnOnce() -> T) -> Duration {
    let began = std::time::Instant::now();
    std::hint::black_box(of());
    began.elapsed()
}

impl World {
    fn take_record(&mut self) -> Record {
        let written = self.checker.acked.iter().filter(|e| e.write > 0).count();
        (self.record.acknowledged, self.record.simulated_ms) = (written as u64, self.now);
        std::mem::take(&mut self.record)
    }

    /// The reason why the set is not healthy. `None` if it is.
    pub fn unsettled(&self) -> Option<String> {
        let leads =
            |p: &super::world::Machine| p.proc.as_ref().is_some_and(|p| p.state == NodeState::Primary && p.writable);
        let mut primaries = self.machines.iter().filter(|p| leads(p));
        let Some(config) = primaries.next().and_then(|p| p.dir.config.clone()) else {
            return Some("no primary".to_owned());
        };
        if primaries.next().is_some() {
            return Some("two primaries".to_owned());
        }
        let tasks = || self.machines.iter().filter(|p| !p.retired);
        for machine in tasks() {
            let Some(proc) = &machine.proc else { return Some(format!("{} is down", machine.name)) };
            let serves = matches!(proc.state, NodeState::Primary | NodeState::Secondary);
            let member = proc.me.and_then(|me| config.read.member(me));
            let same = machine.dir.config.as_ref().is_some_and(|c| c.read.version() == config.read.version());
            if !serves || member.is_none_or(|m| m.newly_added || m.saved_vote.is_some()) || !same {
                return Some(format!("{} is {} as {:?}", machine.name, proc.state, proc.me));
            }
        }
        if config.read.members().len() != tasks().count() {
            return Some("members that are no tasks".to_owned());
        }
        let voters = config.read.voters().count();
        let odd = |n: &usize| *n <= VOTERS_MAX && (*n < 3 || n % 2 == 1);
        if (voters + 1..=config.read.members().len()).any(|more| odd(&more)) {
            return Some(format!("only {voters} voters of {}", config.read.members().len()));
        }
        let calm = self.last_reports.iter().all(|s| s.as_ref().is_some_and(|s| s.calm && s.at + 12_000 > self.now));
        if calm { None } else { Some("controllers have something to do".to_owned()) }
    }
}
