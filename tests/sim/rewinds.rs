//! Volumes that are set back to an earlier snapshot of themselves.

use super::events::Event;
use super::faults::Undo;
use super::node::Dir;
use super::world::World;

impl World {
    /// A snapshot of a volume is taken, and restored some time later.
    pub fn snapshot_is_restored_later(&mut self) {
        if let Some(machine) = self.any_machine(Self::up) {
            self.take_snapshot(machine);
            self.after(2000, 9000, Event::Undo(Undo::SetBack(machine)));
        }
    }

    /// Takes a snapshot, but only of a complete directory: an incomplete one has no identity.
    pub fn take_snapshot(&mut self, machine: usize) {
        let here = &mut self.machines[machine];
        let complete = here.dir.data.is_some() && !here.dir.unsaved && !here.set_back;
        here.snapshot = complete.then(|| here.dir.clone());
        self.note(|w| format!("a snapshot of {} is taken", w.machines[machine].name));
    }

    /// The task comes back with its snapshot, under its old address or, where addresses are IPs, a new one.
    pub fn volume_is_set_back(&mut self, machine: usize) {
        if !self.faults_on || self.fragile() || !Self::up(&self.machines[machine]) || !self.may_lose(machine) {
            return;
        }
        let moves = !self.named && self.rng.percent(50);
        let dangerous = !moves && self.holds_vote(self.machines[machine].addr);
        if dangerous && !self.all_others_well(machine) || !self.snapshot_is_noticed(machine) {
            return;
        }
        self.kill(machine);
        if moves || self.named {
            self.machines[machine].addr = self.fresh_address();
        }
        self.set_back(machine);
        self.record.saw(if dangerous { "voters set back in place" } else { "volumes set back" });
        let here = &mut self.machines[machine];
        (here.wiped, here.listed) = (dangerous.then_some(0), false);
        self.after(200, 5000, Event::Undo(Undo::Start(machine)));
        self.after(10_000, 30_000, Event::Undo(Undo::Empty(machine)));
    }

    /// The volume of a mongod that is down becomes its snapshot, if it is noticed (assumption A9).
    pub fn set_back(&mut self, machine: usize) {
        if !self.snapshot_is_noticed(machine) {
            return;
        }
        if let Some(snapshot) = self.machines[machine].snapshot.take() {
            self.note(|w| format!("{} is set back to {:?}", w.machines[machine].name, snapshot.last()));
            let here = &mut self.machines[machine];
            (here.dir, here.set_back) = (snapshot, true);
        }
    }

    /// An operator empties the volume, as the finding says. A member whose address has a vote catches up by itself.
    pub fn empty_set_back(&mut self, machine: usize) {
        self.forgive_whole();
        let here = &self.machines[machine];
        if !here.set_back || here.retired || self.holds_vote(here.addr) || self.fragile() {
            return;
        }
        self.record.saw("set back volumes emptied");
        self.note(|w| format!("{} is emptied by an operator", w.machines[machine].name));
        if self.machines[machine].proc.is_some() {
            self.kill(machine);
            self.after(200, 2000, Event::Undo(Undo::Start(machine)));
        }
        let here = &mut self.machines[machine];
        (here.dir, here.set_back) = (Dir::default(), false);
    }

    /// A member that has copied every acknowledged write no longer counts as set back.
    pub fn forgive_whole(&mut self) {
        for machine in &mut self.machines {
            machine.set_back &= !machine.dir.log.starts_with(&self.checker.acked);
        }
    }
}
