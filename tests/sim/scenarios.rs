//! Scripted combinations of faults. Some rules prevent a loss that needs several faults in a certain sequence, and
//! random faults rarely produce it. Each scenario waits until the set is complete.

use super::checker::Quiet;
use super::conf::ConfRef;
use super::dns::DnsView;
use super::events::{End, Event};
use super::faults::{ControllerCommand, Undo};
use super::node::Dir;
use super::world::{Machine, World};

/// The faults of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Random faults at random times.
    Random,
    /// DNS hides a task from a controller for longer than the time after which a controller removes a gone member.
    HiddenTask,
    /// All voters get new addresses while two newcomers copy the data.
    ReaddressWhileCopying,
    /// A majority gets new addresses. The third voter stays away, and a blank task runs instead. One of the two members
    /// with new addresses has missed writes and cannot reach the other. The other one dies when it is primary again.
    BlankTaskWhileReaddressing,
    /// A voter becomes silent, and a blank task starts. The third voter has missed writes. Then the primary dies too.
    NewcomerBesideSilent,
    /// From the first start on, one controller reaches no task, and DNS does not list all tasks to it. Then a late
    /// blank task starts at the lowest address. Only this controller reaches it.
    TwoSides,
    /// One voter misses writes. Then all voters get new addresses, and one of them has an older snapshot of its volume.
    /// The primary stays away.
    SnapshotBesideStale,
    /// DNS does not list the task of the member with the highest priority, and nothing else is wrong. Elections and
    /// changes of the config come to an end.
    PreferredUnlisted,
    /// One voter misses the last writes. The whole stack is removed and deployed anew: all tags are gone, as if rsctl had
    /// never been there, and every address is new. Sometimes the primary stays away, and a copy of the voter that is behind
    /// stands in for it, as the directory of a removed member could. Then the next primary dies, before others have copied
    /// from it.
    RedeployedUntagged,
}

/// Every scenario except the random one.
pub const SCENARIOS: [Scenario; 8] = [
    Scenario::HiddenTask,
    Scenario::ReaddressWhileCopying,
    Scenario::BlankTaskWhileReaddressing,
    Scenario::NewcomerBesideSilent,
    Scenario::TwoSides,
    Scenario::SnapshotBesideStale,
    Scenario::PreferredUnlisted,
    Scenario::RedeployedUntagged,
];

/// One action of a scenario.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Waits for a complete set.
    Open(Scenario),
    NewTask,
    /// Kills a mongod. Its address is then silent or refuses connections.
    Kill {
        machine: usize,
        refuses: bool,
    },
    /// Starts a task at its old address.
    Return(usize),
    /// Starts a task at a new address.
    Move(usize),
    /// Starts a task at a new address. It copies nothing for a while.
    MoveSlow(usize),
    /// Starts a task at a new address, with its volume set back to the snapshot.
    MoveSetBack(usize),
    /// Gives a member the highest priority, and hides its task from all controllers when it leads.
    Prefer(usize),
    /// Removes the whole stack and deploys it anew, without tags. A copy of this directory may stand in for another
    /// one, which stays away.
    RedeployUntagged {
        copied: usize,
        away: Option<usize>,
    },
    /// Kills the primary. If there is none, it kills the next one.
    KillLeader,
}

/// The machine whose mongod starts late, at the lowest address.
const LATECOMER: usize = 0;

/// The end of the faults of most scenarios, in milliseconds.
const ENDS_AT: u64 = 60_000;
/// The end of a scenario in which controllers and servers could unseat each other, in milliseconds.
const LOOPS_UNTIL: u64 = 180_000;

impl Scenario {
    /// Whether members must be known by name (`true`) or by IP (`false`). `None` if it makes no difference.
    pub fn named(self) -> Option<bool> {
        let by_ip = [
            Self::ReaddressWhileCopying,
            Self::BlankTaskWhileReaddressing,
            Self::SnapshotBesideStale,
            Self::RedeployedUntagged,
        ];
        by_ip.contains(&self).then_some(false)
    }

    /// When the faults end, in milliseconds.
    pub fn ends_at(self) -> u64 {
        if self == Self::PreferredUnlisted { LOOPS_UNTIL } else { ENDS_AT }
    }

    /// The number of controllers.
    pub fn controllers(self) -> usize {
        if self == Self::TwoSides { 2 } else { 1 }
    }
}

impl World {
    pub fn act(&mut self, act: Act) {
        if !self.faults_on {
            return;
        }
        match act {
            Act::Open(scenario) => match self.leader().filter(|leader| self.complete(*leader)) {
                Some(leader) => self.begin(scenario, leader),
                None => self.later(300, 600, act),
            },
            Act::NewTask => {
                if let Some(machine) = self.scale_up() {
                    self.machines[machine].slow_sync = true;
                }
            }
            Act::Kill { machine, refuses } => {
                if self.machines[machine].proc.is_some() {
                    self.kill_so(machine, refuses);
                }
            }
            Act::Return(machine) | Act::Move(machine) | Act::MoveSlow(machine) | Act::MoveSetBack(machine)
                if self.machines[machine].proc.is_some() => {}
            Act::Return(machine) => self.start(machine, self.machines[machine].addr),
            Act::Move(machine) => {
                let at = self.fresh_address();
                self.start(machine, at);
            }
            Act::MoveSlow(machine) => {
                let (at, until) = (self.fresh_address(), self.now + 20_000);
                self.start(machine, at);
                if let Some(proc) = self.proc(machine) {
                    proc.slow_until = until;
                }
            }
            Act::MoveSetBack(machine) => {
                self.set_back(machine);
                let at = self.fresh_address();
                self.start(machine, at);
            }
            Act::Prefer(machine) => self.prefer_and_hide(machine),
            Act::RedeployUntagged { copied, away } => self.redeploy_untagged(copied, away),
            Act::KillLeader => match self.leader() {
                Some(leader) => {
                    self.kill(leader);
                    self.later(10_000, 20_000, Act::Return(leader));
                }
                None => self.later(50, 100, act),
            },
        }
    }

    fn later(&mut self, low: u64, high: u64, act: Act) {
        self.after(low, high, Event::Act(act));
    }

    /// Whether every task is a voter with a data tag.
    fn complete(&self, leader: usize) -> bool {
        let voters = self.config(leader).map_or(0, |c| c.read.voters().count());
        let serves = |machine: &&Machine| machine.proc.as_ref().is_some_and(|proc| proc.me.is_some());
        let serving = self.machines.iter().filter(serves).count();
        voters == self.expect && self.config_on_majority(leader) && self.all_tagged() && serving == self.expect
    }

    fn begin(&mut self, scenario: Scenario, leader: usize) {
        let mut followers: Vec<usize> = (0..self.machines.len()).filter(|machine| *machine != leader).collect();
        let one = followers.swap_remove(self.rng.below(followers.len()));
        let other = followers[0];
        self.note(|w| format!("{scenario:?}: {} leads", w.machines[leader].name));
        match scenario {
            Scenario::Random => {}
            Scenario::TwoSides => self.later(0, 1000, Act::Return(LATECOMER)),
            Scenario::PreferredUnlisted => self.later(0, 1000, Act::Prefer(one)),
            Scenario::HiddenTask => {
                let controller = self.rng.below(self.wakes.len());
                let hidden = self.rng.below(self.machines.len());
                self.dns[controller] = DnsView::Partial([hidden].into());
                self.after(20_000, 40_000, Event::Undo(Undo::Dns(controller)));
            }
            Scenario::ReaddressWhileCopying => {
                self.later(0, 500, Act::NewTask);
                self.later(0, 500, Act::NewTask);
                for machine in [leader, one, other] {
                    self.later(1000, 4000, Act::Kill { machine, refuses: true });
                    self.later(4100, 6000, Act::Move(machine));
                }
            }
            Scenario::BlankTaskWhileReaddressing => {
                self.cut_off(End::Machine(one), End::Machine(other));
                self.later(0, 10, Act::Kill { machine: one, refuses: true });
                for machine in [leader, other] {
                    self.later(1500, 3000, Act::Kill { machine, refuses: true });
                }
                self.later(3100, 5000, Act::NewTask);
                self.later(3100, 5000, Act::Move(one));
                self.later(3100, 5000, Act::Move(other));
                self.later(6000, 9000, Act::KillLeader);
                self.later(30_000, 40_000, Act::Move(leader));
            }
            Scenario::SnapshotBesideStale => {
                self.take_snapshot(one);
                let until = self.now + ENDS_AT;
                if let Some(proc) = self.proc(other) {
                    proc.slow_until = until;
                }
                for machine in [leader, one, other] {
                    self.later(7000, 8000, Act::Kill { machine, refuses: true });
                }
                self.later(8100, 9000, Act::MoveSetBack(one));
                self.later(8100, 9000, Act::Move(other));
                self.later(30_000, 40_000, Act::Move(leader));
            }
            Scenario::RedeployedUntagged => {
                let until = self.now + ENDS_AT;
                if let Some(proc) = self.proc(other) {
                    proc.slow_until = until;
                }
                let away = self.rng.percent(50).then_some(leader);
                self.later(200, 900, Act::RedeployUntagged { copied: other, away });
            }
            Scenario::NewcomerBesideSilent => {
                self.cut_off(End::Machine(one), End::Machine(leader));
                self.cut_off(End::Machine(one), End::Machine(other));
                self.later(1000, 3000, Act::Kill { machine: other, refuses: false });
                self.later(3000, 4000, Act::NewTask);
                self.later(4500, 12_000, Act::KillLeader);
                self.later(30_000, 40_000, Act::Return(other));
            }
        }
    }

    fn prefer_and_hide(&mut self, machine: usize) {
        let is_preferred = |c: ConfRef| c.read.members().iter().any(|m| m.priority > 1.0);
        let preferred = self.leader().and_then(|leader| self.config(leader)).is_some_and(is_preferred);
        if !preferred {
            self.prefer(machine, 5);
        }
        if self.leader() != Some(machine) || !preferred {
            return self.later(100, 500, Act::Prefer(machine));
        }
        self.note(|w| format!("DNS hides {}", w.machines[machine].name));
        self.dns.iter_mut().for_each(|view| *view = DnsView::Partial([machine].into()));
        // Each controller does one switchover, and the member takes the lead back. In the moment without a primary a
        // controller may have another one elected, and then it takes the lead once more.
        let max = 3 * self.wakes.len() as u32 + 4;
        self.checker.quiet = Some(Quiet { max, elections: 0, changes: 0 });
        (0..self.wakes.len()).for_each(|controller| self.wakes[controller].notify_one());
    }

    fn redeploy_untagged(&mut self, copied: usize, away: Option<usize>) {
        self.note(|_| format!("the stack is deployed anew without tags, and {away:?} stays away"));
        for controller in 0..self.wakes.len() {
            self.controller_commands.push(ControllerCommand::Crash(controller));
            self.after(500, 3000, Event::Undo(Undo::Controller(controller)));
        }
        for machine in 0..self.machines.len() {
            if self.machines[machine].proc.is_some() {
                self.kill_so(machine, true);
            }
            let dir = &mut self.machines[machine].dir;
            dir.config = dir.config.as_ref().and_then(|config| config.untagged());
            let act = if machine == copied { Act::MoveSlow(machine) } else { Act::Move(machine) };
            let (low, high) = if away == Some(machine) { (30_000, 40_000) } else { (1000, 4000) };
            self.later(low, high, act);
        }
        if away.is_some() {
            let stand_in = self.add_machine();
            let data = rsctl::model::DataId(bson::Uuid::from_bytes(self.rng.bytes()));
            self.machines[stand_in].dir = Dir { data: Some(data), ..self.machines[copied].dir.clone() };
            self.later(1000, 4000, Act::MoveSlow(stand_in));
        }
        self.later(4000, 5000, Act::KillLeader);
    }

    /// Cuts two ends off from each other until the faults end.
    fn cut_off(&mut self, one: End, other: End) {
        self.note(|_| format!("cut {one:?} and {other:?} off from each other"));
        self.cut.extend([(one, other), (other, one)]);
    }

    /// Sets up the faults that a scenario needs before anything starts.
    pub fn prepare(&mut self, scenario: Scenario) {
        if scenario != Scenario::TwoSides {
            return;
        }
        let latecomer = self.add_machine();
        debug_assert_eq!(latecomer, LATECOMER);
        let blind = self.rng.below(self.wakes.len());
        let others = LATECOMER + 1..LATECOMER + 1 + self.expect;
        for controller in 0..self.wakes.len() {
            let unreached = if controller == blind { others.clone() } else { LATECOMER..LATECOMER + 1 };
            for machine in unreached {
                self.cut_off(End::Controller(controller), End::Machine(machine));
            }
        }
        self.dns[blind] = DnsView::Partial([LATECOMER + 1].into());
    }
}
