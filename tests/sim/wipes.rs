//! Volumes that are emptied, also at the times when this is most dangerous.

use super::events::Event;
use super::faults::Undo;
use super::node::Dir;
use super::world::World;

impl World {
    /// The task comes back with an empty volume, under its old address or, where addresses are IPs, a new one.
    pub fn volume_is_wiped(&mut self) {
        if let Some(machine) = self.any_machine(Self::up) {
            let moves = !self.named && self.rng.percent(50);
            self.wipe(machine, moves);
        }
    }

    pub fn wipe(&mut self, machine: usize, moves: bool) {
        if !self.may_lose(machine) {
            return;
        }
        let address = if moves { self.fresh_address() } else { self.machines[machine].addr };
        let dangerous =
            self.holds_vote(self.machines[machine].addr) && (self.named || address == self.machines[machine].addr);
        if dangerous && !self.all_others_well(machine) {
            return;
        }
        self.kill(machine);
        self.record.saw(if dangerous { "wiped voters" } else { "wiped volumes" });
        self.note(|w| format!("{} is wiped", w.machines[machine].name));
        let fresh = if self.named { self.fresh_address() } else { address };
        let here = &mut self.machines[machine];
        (here.dir, here.set_back) = (Dir::default(), false);
        here.wiped = dangerous.then_some(0);
        here.addr = fresh;
        here.listed = false;
        self.after(200, 5000, Event::Undo(Undo::Start(machine)));
    }

    /// The case for the rule *revoke-vote*: some members lag, another is wiped and copies slowly, and then the primary
    /// dies.
    pub fn straggler_before_a_wipe(&mut self) {
        let Some(leader) = self.leader() else { return };
        let Some(config) = self.config(leader) else { return };
        let voters = config.read.voters().filter_map(|m| self.machine_of(&m.host)).filter(|p| *p != leader);
        let mut followers: Vec<usize> = voters.collect();
        if followers.len() < 2 {
            return;
        }
        let victim = followers.swap_remove(self.rng.below(followers.len()));
        // The members that form a majority with the primary and the victim do not lag.
        let until = self.now + self.rng.between(10_000, 25_000);
        for straggler in followers.into_iter().skip(config.read.majority().saturating_sub(2)) {
            self.note(|w| format!("{} stops replicating for a while", w.machines[straggler].name));
            if let Some(proc) = self.proc(straggler) {
                proc.slow_until = until;
            }
        }
        self.after(1500, 4000, Event::Undo(Undo::Wipe(victim)));
    }

    pub fn wipe_behind_stragglers(&mut self, victim: usize) {
        if !self.faults_on || self.fragile() || !Self::up(&self.machines[victim]) || self.leader() == Some(victim) {
            return;
        }
        if self.rng.percent(40) {
            self.silenced_behind_stragglers(victim);
            return;
        }
        self.wipe(victim, false);
        if self.machines[victim].wiped.is_some() {
            self.record.saw("wipes behind stragglers");
            self.machines[victim].slow_sync = true;
            self.after(4000, 14_000, Event::Undo(Undo::KillPrimary));
        }
    }

    /// The same case with a silent member instead of a wiped one, and a new task that could wrongly take its vote.
    pub fn silenced_behind_stragglers(&mut self, victim: usize) {
        self.record.saw("newcomers beside a silent voter");
        self.kill(victim);
        self.after(15_000, 25_000, Event::Undo(Undo::Start(victim)));
        if let Some(machine) = self.scale_up() {
            self.machines[machine].slow_sync = true;
        }
        self.after(2000, 9000, Event::Undo(Undo::KillPrimary));
    }

    pub fn kill_primary(&mut self) {
        if !self.faults_on || self.fragile() {
            return;
        }
        if let Some(leader) = self.leader() {
            self.kill(leader);
            self.after(5000, 20_000, Event::Undo(Undo::Start(leader)));
        }
    }
}
