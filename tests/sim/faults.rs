//! The random faults, and the end of each fault.

use super::dns::DnsView;
use super::events::{End, Event};
use super::world::{Machine, World};
use rsctl::model::Host;
use std::net::Ipv4Addr;

/// The end of a fault.
#[derive(Clone, Debug)]
pub enum Undo {
    Start(usize),
    Heal(Vec<(End, End)>),
    Dns(usize),
    Calm,
    Controller(usize),
    Unlist(usize),
    /// Stops a task that DNS has dropped already.
    Stop(usize),
    /// Wipes the volume of this machine. Another member lags by now.
    Wipe(usize),
    /// Sets a volume back to its earlier snapshot.
    SetBack(usize),
    /// A mongod goes on that stalled.
    Stall(usize),
    /// An operator empties a volume that was set back.
    Empty(usize),
    KillPrimary,
    /// Retires a task that an operator asked to remove.
    Retire(usize),
    /// Keeps a task that an operator had asked to remove.
    Restart(usize),
}

/// An action of the driver on a simulated controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControllerCommand {
    Start(usize),
    Crash(usize),
    /// An operator asks the controller to remove the node on this machine. The operator knows it by this address.
    Remove(usize, usize, Ipv4Addr),
    /// An operator asks the controller to remove the member that its status names.
    RemoveNamed(usize, Host),
    /// An operator asks the controller for another primary.
    SwitchOver(usize),
}

impl World {
    /// Starts one fault, and schedules the next one.
    pub fn fault(&mut self) {
        if !self.faults_on {
            return;
        }
        self.after(100, 6000, Event::Fault);
        let fragile = self.fragile();
        match self.rng.below(100) {
            // No second fault comes while a wiped volume may vote (assumption A2).
            _ if fragile => {}
            n if n < 11 => self.controller_crashes(),
            n if n < 20 => {
                let controller = self.rng.below(self.wakes.len());
                self.dns_fails(controller, 25_000);
            }
            n if n < 36 => self.task_dies(),
            n if n < 44 => self.task_is_stopped(),
            n if n < 49 => self.all_tasks_die(),
            n if n < 53 && !self.named => self.tasks_swap_addresses(),
            n if n < 64 => self.partition(),
            n if n < 68 => self.mongod_stalls(),
            n if n < 73 => self.bad_network(),
            n if n < 76 => self.snapshot_is_restored_later(),
            n if n < 80 => self.slow_replication(),
            n if n < 86 => self.volume_is_wiped(),
            n if n < 90 => self.straggler_before_a_wipe(),
            n if n < 93 => drop(self.scale_up()),
            n if n < 94 => self.operator_switches_over(),
            n if n < 96 => self.operator_removes(),
            n if n < 97 => self.operator_prefers(),
            _ => self.scale_down(),
        }
    }

    /// An operator gives a voter a higher priority, if the server accepts a reconfig now.
    fn operator_prefers(&mut self) {
        if let Some(machine) = self.any_machine(Self::up) {
            let priority = self.rng.between(2, 5) as i32;
            self.prefer(machine, priority);
        }
    }

    /// Gives the member on this machine a priority. Returns whether the server accepted it.
    pub fn prefer(&mut self, machine: usize, priority: i32) -> bool {
        let Some(leader) = self.leader().filter(|leader| self.config_on_majority(*leader)) else { return false };
        let Some(config) = self.config(leader).filter(|c| c.read.term().is_some()) else { return false };
        let me = self.machines[machine].proc.as_ref().and_then(|p| p.me);
        let Some(member) = me.and_then(|me| config.read.member(me)).filter(|m| m.votes_now()) else { return false };
        let Some(next) = config.with_priority(member.id.0, priority) else { return false };
        self.record.saw("priorities");
        self.note(|w| format!("an operator gives {} priority {priority}", w.machines[machine].name));
        self.install(leader, next);
        self.beat(leader);
        true
    }

    pub fn any_machine(&mut self, wanted: impl Fn(&Machine) -> bool) -> Option<usize> {
        let fit: Vec<usize> = (0..self.machines.len()).filter(|i| wanted(&self.machines[*i])).collect();
        self.rng.pick(&fit)
    }

    pub fn up(machine: &Machine) -> bool {
        machine.proc.is_some() && !machine.retired
    }

    pub fn kill(&mut self, machine: usize) {
        let refuses = self.rng.percent(70);
        self.kill_so(machine, refuses);
    }

    /// Kills the mongod. Its address then refuses connections or is silent.
    pub fn kill_so(&mut self, machine: usize, refuses: bool) {
        let (now, address) = (self.now, self.machines[machine].addr);
        self.record.saw("kills");
        self.note(|w| format!("{} dies{}", w.machines[machine].name, if refuses { "" } else { " silently" }));
        let here = &mut self.machines[machine];
        here.proc = None;
        here.refuses = refuses;
        here.died_at = Some(now);
        here.dir.killed();
        if refuses {
            for other in (0..self.machines.len()).filter(|o| *o != machine) {
                self.after(1, 4, Event::Broken { from: other, address });
            }
            for controller in 0..self.wakes.len() {
                self.after(1, 4, Event::Wake(controller));
            }
        }
        self.after(0, 1500, Event::Undo(Undo::Unlist(machine)));
    }

    pub fn task_dies(&mut self) {
        let Some(machine) = self.any_machine(Self::up) else { return };
        self.kill(machine);
        self.after(200, 15_000, Event::Undo(Undo::Start(machine)));
    }

    /// A task stops as in Swarm: DNS drops it first. A primary steps down when it gets the signal to stop.
    pub fn task_is_stopped(&mut self) {
        let Some(machine) = self.any_machine(|p| Self::up(p) && p.listed) else { return };
        self.note(|w| format!("{} is about to be stopped", w.machines[machine].name));
        self.record.saw("planned stops");
        self.machines[machine].listed = false;
        self.after(100, 3000, Event::Undo(Undo::Stop(machine)));
    }

    pub fn stop(&mut self, machine: usize) {
        if self.machines[machine].listed || self.machines[machine].proc.is_none() {
            return;
        }
        if !self.faults_on || self.fragile() {
            self.machines[machine].listed = true;
            return;
        }
        self.step_down(machine, "it shuts down");
        self.kill(machine);
        self.after(200, 8000, Event::Undo(Undo::Start(machine)));
    }

    pub fn all_tasks_die(&mut self) {
        self.record.saw("all killed at once");
        for machine in 0..self.machines.len() {
            if Self::up(&self.machines[machine]) {
                self.kill(machine);
                self.after(300, 4000, Event::Undo(Undo::Start(machine)));
            }
        }
    }

    /// A recreated network hands out the same addresses, but not to the same tasks.
    pub fn tasks_swap_addresses(&mut self) {
        if !self.all_tagged() {
            return;
        }
        self.record.saw("swapped addresses");
        let mut movers = self.vote_holders();
        if self.rng.percent(50) {
            movers.truncate(2);
        }
        let mut addresses: Vec<Ipv4Addr> = movers.iter().map(|i| self.machines[*i].addr).collect();
        for machine in movers {
            if self.machines[machine].proc.is_some() {
                self.kill(machine);
            }
            let chosen = addresses.swap_remove(self.rng.below(addresses.len()));
            let at = if self.rng.percent(25) { self.fresh_address() } else { chosen };
            self.machines[machine].addr = at;
            self.machines[machine].listed = false;
            self.after(200, 6000, Event::Undo(Undo::Start(machine)));
        }
    }

    pub fn ends(&self) -> Vec<End> {
        let machines = (0..self.machines.len()).filter(|i| !self.machines[*i].retired).map(End::Machine);
        machines.chain((0..self.wakes.len()).map(End::Controller)).collect()
    }

    pub fn partition(&mut self) {
        let ends = self.ends();
        let (Some(one), Some(other)) = (self.rng.pick(&ends), self.rng.pick(&ends)) else { return };
        let mut cuts = Vec::new();
        let one_way = self.rng.percent(30);
        self.record.saw(if one_way { "one-way partitions" } else { "partitions" });
        let whole = self.rng.percent(50);
        for end in ends.into_iter().filter(|e| *e != one && (whole || *e == other)) {
            cuts.push((one, end));
            if !one_way {
                cuts.push((end, one));
            }
        }
        self.note(|_| format!("cut {cuts:?}"));
        self.cut.extend(cuts.iter().copied());
        self.after(300, 20_000, Event::Undo(Undo::Heal(cuts)));
    }

    /// A mongod stalls for a while, often the primary.
    fn mongod_stalls(&mut self) {
        let any = self.any_machine(Self::up);
        let Some(machine) = self.leader().filter(|_| self.rng.percent(60)).or(any) else { return };
        self.record.saw("stalls");
        self.note(|w| format!("{} stalls", w.machines[machine].name));
        self.stalled.insert(machine);
        self.after(300, 3000, Event::Undo(Undo::Stall(machine)));
    }

    pub fn bad_network(&mut self) {
        (self.loss, self.slow_ms) = (self.rng.between(0, 30), self.rng.between(0, 300));
        self.record.saw("lossy networks");
        self.note(|w| format!("network: {} % lost, up to {} ms late", w.loss, w.slow_ms));
        self.after(500, 8000, Event::Undo(Undo::Calm));
    }

    pub fn slow_replication(&mut self) {
        let Some(machine) = self.any_machine(Self::up) else { return };
        let until = self.now + self.rng.between(500, 15_000);
        self.note(|w| format!("{} stops replicating for a while", w.machines[machine].name));
        if let Some(proc) = self.proc(machine) {
            proc.slow_until = until;
        }
    }

    pub fn controller_crashes(&mut self) {
        self.forgive_whole();
        // No controller restarts now (assumption A9).
        if self.machines.iter().any(|p| p.set_back && !p.retired) {
            return;
        }
        let controller = self.rng.below(self.wakes.len());
        self.controller_commands.push(ControllerCommand::Crash(controller));
        self.after(10, 8000, Event::Undo(Undo::Controller(controller)));
    }

    /// DNS hides a different task from each controller. Each controller still sees enough tasks to bootstrap.
    pub fn dns_differs(&mut self) {
        for controller in 0..self.wakes.len() {
            self.dns[controller] = DnsView::Partial([controller].into());
            self.after(4000, 8000, Event::Undo(Undo::Dns(controller)));
        }
    }

    pub fn dns_fails(&mut self, controller: usize, limit: u64) {
        self.record.saw("lying DNS");
        let view = match self.rng.below(6) {
            0 => DnsView::Stale(self.listing()),
            1 => {
                let hidden = (0..self.machines.len()).filter(|_| self.rng.percent(40)).collect();
                DnsView::Partial(hidden)
            }
            2 => DnsView::NoSuchService,
            3 => DnsView::ServFail,
            4 => DnsView::Silent,
            _ => DnsView::Foreign(Ipv4Addr::new(10, 9, 9, 9)),
        };
        self.note(|_| format!("DNS of controller {controller}: {view:?}"));
        self.dns[controller] = view;
        self.after(300, limit, Event::Undo(Undo::Dns(controller)));
    }

    pub fn leader(&self) -> Option<usize> {
        self.machines.iter().position(|p| p.proc.as_ref().is_some_and(|p| p.writable))
    }

    pub fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Start(machine) => self.restart(machine),
            Undo::Heal(cuts) => {
                for cut in cuts {
                    self.cut.remove(&cut);
                }
                self.note(|_| "a cut heals".to_owned());
            }
            Undo::Dns(controller) => self.dns[controller] = DnsView::Good,
            Undo::Stall(machine) => {
                self.stalled.remove(&machine);
                self.note(|w| format!("{} goes on", w.machines[machine].name));
            }
            Undo::Calm => (self.loss, self.slow_ms) = (0, 0),
            Undo::Controller(controller) => self.controller_commands.push(ControllerCommand::Start(controller)),
            Undo::Stop(machine) => self.stop(machine),
            Undo::Wipe(machine) => self.wipe_behind_stragglers(machine),
            Undo::SetBack(machine) => self.volume_is_set_back(machine),
            Undo::Empty(machine) => self.empty_set_back(machine),
            Undo::KillPrimary => self.kill_primary(),
            Undo::Retire(machine) => self.retire(machine),
            Undo::Restart(machine) => self.take_back(machine),
            Undo::Unlist(machine) => {
                if self.machines[machine].proc.is_none() {
                    self.machines[machine].listed = false;
                }
            }
        }
    }

    pub fn restart(&mut self, machine: usize) {
        if self.machines[machine].proc.is_some() || self.machines[machine].retired {
            return;
        }
        // With names, each task gets a new IP behind its name. With IPs, the address of the member changes. If DNS does
        // not have a name at the start, the config has IPs in both cases (seed 108759).
        let moves = if self.named {
            !self.goes_by_ip() || self.may_move(machine)
        } else {
            self.rng.percent(30) && self.may_move(machine)
        };
        let at = if moves { self.fresh_address() } else { self.machines[machine].addr };
        self.start(machine, at);
    }

    /// An operator keeps a task after all. The mongod restarts, which ends the removal request.
    pub fn take_back(&mut self, machine: usize) {
        if self.fragile() {
            self.after(500, 1000, Event::Undo(Undo::Restart(machine)));
        } else {
            if self.machines[machine].proc.is_some() {
                self.kill(machine);
            }
            self.after(200, 2000, Event::Undo(Undo::Start(machine)));
        }
    }

    /// Ends all faults, and repairs everything that can be repaired.
    pub fn heal(&mut self) {
        self.note(|_| "all faults end".to_owned());
        self.faults_on = false;
        self.cut.clear();
        self.stalled.clear();
        (self.loss, self.slow_ms) = (0, 0);
        for view in &mut self.dns {
            *view = DnsView::Good;
        }
        for machine in 0..self.machines.len() {
            self.empty_set_back(machine);
            self.restart(machine);
            self.machines[machine].listed |= self.machines[machine].proc.is_some();
            if let Some(proc) = self.proc(machine) {
                proc.slow_until = 0;
            }
        }
        let kept: Vec<usize> =
            (0..self.machines.len()).filter(|i| self.machines[*i].unwanted && !self.machines[*i].retired).collect();
        for controller in 0..self.wakes.len() {
            // A restart of the controller drops its removal requests for tasks that stay.
            if !kept.is_empty() {
                self.controller_commands.push(ControllerCommand::Crash(controller));
            }
            self.controller_commands.push(ControllerCommand::Start(controller));
        }
        for machine in kept {
            self.take_back(machine);
        }
    }
}
