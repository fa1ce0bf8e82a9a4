//! Faults that come together on purpose: what some rules prevent takes several in the right order, which luck seldom
//! brings. Each plot waits until the set is whole.

use super::dns::DnsView;
use super::faults::Undo;
use super::world::{End, Event, Place, World};

/// What a seed's faults are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plot {
    /// Any, at any time.
    Luck,
    /// DNS hides a task from a controller for longer than it takes to be removed.
    HiddenTask,
    /// All voters get new addresses while two newcomers copy the data.
    MoveWhileCopying,
    /// A majority gets new addresses, the third voter stays away, a blank task is there instead; one of those that
    /// moved has missed writes and never meets the other, which dies when it leads again.
    StrangerInTheMove,
    /// A voter goes silent and a blank task comes, while the third has missed writes; then the primary dies too.
    NewcomerBesideSilent,
    /// From the first start on, one controller reaches none of the tasks, nor does it hear of all of them. Then a late
    /// one comes, blank and first in line, which only this controller reaches.
    TwoSides,
}

/// Every plot but luck.
pub const PLOTS: [Plot; 5] =
    [Plot::HiddenTask, Plot::MoveWhileCopying, Plot::StrangerInTheMove, Plot::NewcomerBesideSilent, Plot::TwoSides];

/// One thing that happens in a plot.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Waits for a whole set.
    Open(Plot),
    NewTask,
    /// It answers nobody from then on: silently, or its port is closed.
    Kill {
        place: usize,
        refuses: bool,
    },
    /// Where it was.
    Return(usize),
    /// At a new address.
    Move(usize),
    /// Whoever leads then, or next.
    KillLeader,
}

/// The place whose mongod comes late, at the lowest address.
const LATECOMER: usize = 0;

/// When the faults of a plot end, in milliseconds.
pub const ENDS_AT: u64 = 60_000;

impl Plot {
    /// Whether members must be known by their names, or by their IPs; none where it does not matter.
    pub fn named(self) -> Option<bool> {
        matches!(self, Self::MoveWhileCopying | Self::StrangerInTheMove).then_some(false)
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
            Act::Open(plot) => match self.leader().filter(|leader| self.whole(*leader)) {
                Some(leader) => self.begin(plot, leader),
                None => self.later(300, 600, act),
            },
            Act::NewTask => {
                if let Some(place) = self.scale_up() {
                    self.places[place].slow_sync = true;
                }
            }
            Act::Kill { place, refuses } => {
                if self.places[place].proc.is_some() {
                    self.kill_so(place, refuses);
                }
            }
            Act::Return(place) | Act::Move(place) if self.places[place].proc.is_some() => {}
            Act::Return(place) => self.start(place, self.places[place].addr),
            Act::Move(place) => {
                let at = self.fresh_address();
                self.start(place, at);
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
    fn whole(&self, leader: usize) -> bool {
        let voters = self.config(leader).map_or(0, |c| c.read.voters().count());
        let serves = |place: &&Place| place.proc.as_ref().is_some_and(|proc| proc.me.is_some());
        let serving = self.places.iter().filter(serves).count();
        voters == self.expect && self.config_on_majority(leader) && self.all_tagged() && serving == self.expect
    }

    fn begin(&mut self, plot: Plot, leader: usize) {
        let mut followers: Vec<usize> = (0..self.places.len()).filter(|place| *place != leader).collect();
        let one = followers.swap_remove(self.rng.below(followers.len()));
        let other = followers[0];
        self.note(|w| format!("{plot:?}: {} leads", w.places[leader].name));
        match plot {
            Plot::Luck => {}
            Plot::TwoSides => self.later(0, 1000, Act::Return(LATECOMER)),
            Plot::HiddenTask => {
                let controller = self.rng.below(self.wakes.len());
                let hidden = self.rng.below(self.places.len());
                self.dns[controller] = DnsView::Partial([hidden].into());
                self.after(20_000, 40_000, Event::Undo(Undo::Dns(controller)));
            }
            Plot::MoveWhileCopying => {
                self.later(0, 500, Act::NewTask);
                self.later(0, 500, Act::NewTask);
                for place in [leader, one, other] {
                    self.later(1000, 4000, Act::Kill { place, refuses: true });
                    self.later(4100, 6000, Act::Move(place));
                }
            }
            Plot::StrangerInTheMove => {
                self.cut_off(End::Place(one), End::Place(other));
                self.later(0, 10, Act::Kill { place: one, refuses: true });
                for place in [leader, other] {
                    self.later(1500, 3000, Act::Kill { place, refuses: true });
                }
                self.later(3100, 5000, Act::NewTask);
                self.later(3100, 5000, Act::Move(one));
                self.later(3100, 5000, Act::Move(other));
                self.later(6000, 9000, Act::KillLeader);
                self.later(30_000, 40_000, Act::Move(leader));
            }
            Plot::NewcomerBesideSilent => {
                self.cut_off(End::Place(one), End::Place(leader));
                self.cut_off(End::Place(one), End::Place(other));
                self.later(1000, 3000, Act::Kill { place: other, refuses: false });
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

    /// What a plot needs before anybody starts.
    pub fn prepare(&mut self, plot: Plot) {
        if plot != Plot::TwoSides {
            return;
        }
        let latecomer = self.add_place();
        debug_assert_eq!(latecomer, LATECOMER);
        let blind = self.rng.below(self.wakes.len());
        let others = LATECOMER + 1..LATECOMER + 1 + self.expect;
        for controller in 0..self.wakes.len() {
            let unreached = if controller == blind { others.clone() } else { LATECOMER..LATECOMER + 1 };
            for place in unreached {
                self.cut_off(End::Controller(controller), End::Place(place));
            }
        }
        self.dns[blind] = DnsView::Partial([LATECOMER + 1].into());
    }
}
