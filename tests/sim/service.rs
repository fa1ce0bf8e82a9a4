//! Changes of the service: tasks are added, retired, and removed by an operator.

use super::events::Event;
use super::faults::{ControllerCommand, Undo};
use super::node::Dir;
use super::world::{Machine, World};
use rsctl::model::{Host, MemberId};
use rsctl::plan::Finding;
use std::net::Ipv4Addr;

const MACHINES_MAX: usize = 7;

/// The time between two looks of an operator at the status, in milliseconds.
const READS_EVERY_MS: u64 = 5000;

impl World {
    /// An operator asks for a node to be removed from the set before the task is retired.
    pub fn operator_removes(&mut self) {
        let Some(machine) = self.goes_for_good() else { return };
        let Some(known_at) = self.known_at(machine) else { return };
        let controller = self.rng.below(self.wakes.len());
        self.note(|w| format!("an operator wants {} out, says controller {controller}", w.machines[machine].name));
        self.record.saw("removal requests");
        let here = &mut self.machines[machine];
        (here.unwanted, here.unwanted_at) = (true, Some(known_at));
        self.controller_commands.push(ControllerCommand::Remove(controller, machine, known_at));
        self.after(500, 15_000, Event::Undo(Undo::Retire(machine)));
    }

    /// An operator does what the status says about members that are gone and that rsctl does not remove by itself, if
    /// their tasks are gone for good (assumption A8).
    pub fn operator_reads(&mut self) {
        self.at(self.now + READS_EVERY_MS, Event::OperatorReads);
        let kept = |finding: &Finding| match finding {
            Finding::GoneAndKept { host } | Finding::NameFails { host, limit: None } => Some(host.clone()),
            _ => None,
        };
        for controller in (0..self.alive.len()).filter(|controller| self.alive[*controller]).collect::<Vec<_>>() {
            let report = self.last_reports[controller].as_ref();
            let hosts: Vec<Host> = report.iter().flat_map(|r| &r.plan.findings).filter_map(kept).collect();
            for host in hosts {
                let Some(member) = self.gone_for_good(&host) else { continue };
                self.note(|_| format!("an operator removes {host} at controller {controller}"));
                self.record.saw("removals that the status asks for");
                self.checker.given_up.insert(member);
                self.controller_commands.push(ControllerCommand::RemoveNamed(controller, host));
            }
        }
    }

    /// The member at this address, if no task has its address or its directory any more.
    fn gone_for_good(&self, host: &Host) -> Option<MemberId> {
        let configs = self.configs();
        let member = configs.iter().find_map(|config| config.read.member_at(host))?;
        let address = self.last_address(member);
        let has_data = |machine: &Machine| member.data.is_some() && machine.dir.data == member.data;
        let is_its = |machine: &&Machine| Some(machine.addr) == address || has_data(machine);
        let mut tasks = self.machines.iter().filter(|machine| !machine.retired);
        (!tasks.any(|machine| is_its(&machine))).then_some(member.id)
    }

    /// An operator asks for another primary.
    pub fn operator_switches_over(&mut self) {
        let controller = self.rng.below(self.wakes.len());
        self.note(|_| format!("an operator wants another primary, says controller {controller}"));
        self.controller_commands.push(ControllerCommand::SwitchOver(controller));
    }

    /// The address by which an operator knows the node. If the node is up, this is its own address. If it is down, it
    /// is the address that the config has for its directory, unless another node answers there. The next address of the
    /// node is not known yet.
    pub fn known_at(&self, machine: usize) -> Option<Ipv4Addr> {
        let here = &self.machines[machine];
        if here.proc.is_some() {
            return Some(here.addr);
        }
        let config = self.configs().into_iter().next()?;
        let member = config.read.members().iter().find(|m| m.data.is_some() && m.data == here.dir.data)?;
        self.resolve(&member.host).filter(|at| self.machine_at(*at).is_none())
    }

    pub fn fresh_address(&mut self) -> Ipv4Addr {
        self.addresses += 1;
        Ipv4Addr::new(10, 0, (self.addresses / 250) as u8, (self.addresses % 250) as u8 + 2)
    }

    pub fn add_machine(&mut self) -> usize {
        let name = format!("mongo-{}", self.machines.len() + 1);
        let addr = self.fresh_address();
        self.machines.push(Machine {
            name,
            dir: Dir::default(),
            addr,
            proc: None,
            listed: false,
            retired: false,
            wiped: None,
            snapshot: None,
            set_back: false,
            slow_sync: false,
            died_at: None,
            unwanted: false,
            unwanted_at: None,
            unwanted_data: None,
            refuses: true,
        });
        self.machines.len() - 1
    }

    pub fn scale_up(&mut self) -> Option<usize> {
        if self.machines.iter().filter(|p| !p.retired).count() >= MACHINES_MAX {
            return None;
        }
        let machine = self.add_machine();
        self.note(|w| format!("{} is new", w.machines[machine].name));
        let at = self.machines[machine].addr;
        self.start(machine, at);
        Some(machine)
    }

    /// Retires a task and its volume.
    pub fn scale_down(&mut self) {
        if let Some(machine) = self.goes_for_good() {
            self.retire(machine);
        }
    }

    /// A task that can be retired.
    pub fn goes_for_good(&mut self) -> Option<usize> {
        let machine = self.any_machine(|p| !p.retired)?;
        let left = self.machines.iter().filter(|p| !p.retired).count() - 1;
        (left >= self.expect && self.may_lose(machine)).then_some(machine)
    }

    pub fn retire(&mut self, machine: usize) {
        let left = self.machines.iter().filter(|p| !p.retired).count() - 1;
        if !self.faults_on
            || self.machines[machine].retired
            || left < self.expect
            || !self.may_lose(machine)
            || self.fragile()
        {
            return;
        }
        self.record.saw("tasks gone for good");
        if self.machines[machine].proc.is_some() {
            self.kill(machine);
        }
        self.note(|w| format!("{} goes for good", w.machines[machine].name));
        self.machines[machine].retired = true;
    }
}
