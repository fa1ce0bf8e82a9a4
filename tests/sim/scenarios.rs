//! Faults that come together on purpose: what some rules prevent takes several in the right order, which luck seldom
//! brings. Each scenario waits until the set is complete.

use super::dns::DnsView;
use super::events::{End, Event};
use super::faults::Undo;
use super::world::{Machine, World};

/// What a seed's faults are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Any, at any time.
    Random,
    /// DNS hides a task from a controller for longer than it takes to be removed.
    HiddenTask,
    /// All voters get new addresses while two newcomers copy the data.
    ReaddressWhileCopying,
    /// A majority gets new addresses, the third voter stays away, a blank task is there instead; one of those that
    /// moved has missed writes and never meets the other, which dies when it leads again.
    BlankTaskWhileReaddressing,
    /// A voter goes silent and a blank task comes, while the third has missed writes; then the primary dies too.
    NewcomerBesideSilent,
    /// From the first start on, one controller reaches none of the tasks, nor does it hear of all of them. Then a late
    /// one comes, blank and first in line, which only this controller reaches.
    TwoSides,
    /// One voter misses writes. Then all get new addresses, one of them with an older snapshot of its volume, and the
    /// primary stays away.
    SnapshotBesideStale,
}

/// Every scenario but luck.
pub const SCENARIOS: [Scenario; 6] = [
    Scenario::HiddenTask,
    Scenario::ReaddressWhileCopying,
    Scenario::BlankTaskWhileReaddressing,
    Scenario::NewcomerBesideSilent,
    Scenario::TwoSides,
    Scenario::SnapshotBesideStale,
];

/// One thing that happens in a scenario.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Waits for a complete set.
    Open(Scenario),
    NewTask,
    /// It answers nobody from then on: silently, or its port is closed.
    Kill {
        machine: usize,
        refuses: bool,
    },
    /// Where it was.
    Return(usize),
    /// At a new address.
    Move(usize),
    /// At a new address, with its snapshot.
    MoveSetBack(usize),
    /// Whoever leads then, or next.
    KillLeader,
}

/// The machine whose mongod comes late, at the lowest address.
const LATECOMER: usize = 0;

/// When the faults of a scenario end, in milliseconds.
pub const ENDS_AT: u64 = 60_000;

impl Scenario {
    /// Whether members must be known by their names, or by their IPs; none where it does not matter.
    pub fn named(self) -> Option<bool> {
        let by_ip = [Self::ReaddressWhileCopying, Self::BlankTaskWhileReaddressing, Self::SnapshotBesideStale];
        by_ip.contains(&self).then_some(false)
    }

    /// How many controllers it takes.
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
            Act::Return(machine) | Act::Move(machine) | Act::MoveSetBack(machine)
                if self.machines[machine].proc.is_some() => {}
            Act::Return(machine) => self.start(machine, self.machines[machine].addr),
            Act::Move(machine) => {
                let at = self.fresh_address();
                self.start(machine, at);
            }
            Act::MoveSetBack(machine) => {
                self.set_back(machine);
                let at = self.fresh_address();
                self.start(machine, at);
            }
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

    /// Every task is a voter that is told by its directory.
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

    /// Until the faults end.
    fn cut_off(&mut self, one: End, other: End) {
        self.note(|_| format!("cut {one:?} and {other:?} off from each other"));
        self.cut.extend([(one, other), (other, one)]);
    }

    /// What a scenario needs before anybody starts.
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
