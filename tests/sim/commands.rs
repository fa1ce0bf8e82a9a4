//! The commands of controllers to mongods, with the server's answers and error codes.

use super::conf::{Conf, ConfRef, No};
use super::events::{Command, End, Event};
use super::heartbeat::{ELECTION_TIMEOUT, HEARTBEAT};
use super::node::{Answer, Dir, PeerSeen, Waiting};
use super::world::{V4_4, World};
use rsctl::model::{DataId, NodeState, ReplConfig};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The error code for a lock that another controller holds.
pub const LOCK_HELD: i32 = 11000;

impl World {
    pub fn answer(&mut self, machine: usize, answer: Answer, outcome: Result<(), No>) {
        if let Err(No(code, why)) = &outcome {
            self.note(|_| format!("  controller {} is refused: {code} {why}", answer.to));
        }
        let time = self.now + self.latency();
        self.at(time, Event::Answer { from: machine, answer, outcome });
    }

    pub fn command_arrives(&mut self, to: Ipv4Addr, command: Command, answer: Answer) {
        let from = answer.to;
        let Some(machine) = self.machine_at(to) else {
            if !self.refuses(to) {
                self.lost.push(answer);
            }
            return;
        };
        if !self.open(End::Controller(from), End::Machine(machine)) || self.dropped() {
            self.lost.push(answer);
            return;
        }
        self.note(|w| format!("controller {from} tells {}: {}", w.machines[machine].name, brief(&command)));
        let outcome = match command {
            Command::Initiate(config) => self.initiate(machine, from, &config),
            Command::Reconfig { sent, force: true, .. } => self.force(machine, from, &sent),
            Command::Reconfig { sent, force: false, limit } => {
                self.reconfig(machine, sent, limit, answer);
                return;
            }
            Command::StepUp => {
                self.stepped_up(from, machine);
                if self.config(machine).is_none() {
                    Err(No(94, "not yet initialized"))
                } else if self.proc(machine).is_some_and(|p| p.state == NodeState::Primary) {
                    Ok(())
                } else {
                    self.stand(machine, Some(answer));
                    return;
                }
            }
            Command::SyncFrom(source) => self.sync_from(machine, &source),
            Command::AbortCatchUp if self.config(machine).is_none() => Err(No(94, "not yet initialized")),
            Command::AbortCatchUp => {
                self.drained(machine);
                Ok(())
            }
            Command::Fsync => {
                let dir = &mut self.machines[machine].dir;
                dir.fsynced = dir.config.is_some();
                dir.unsaved = false;
                Ok(())
            }
            Command::MarkRemoved(process) => {
                self.machines[machine].dir.leaving = Some(process);
                Ok(())
            }
            Command::TakeLock(lock) => match &mut self.machines[machine].dir.lock {
                Some(_) => Err(No(LOCK_HELD, "duplicate key")),
                none => {
                    *none = Some(lock);
                    Ok(())
                }
            },
            Command::TakeOver { stale, lock } => match &mut self.machines[machine].dir.lock {
                Some(held) if *held == stale => {
                    *held = lock;
                    Ok(())
                }
                _ => Err(No(LOCK_HELD, "another lock")),
            },
            Command::Release => {
                self.machines[machine].dir.lock = None;
                Ok(())
            }
        };
        self.answer(machine, answer, outcome);
    }

    fn initiate(&mut self, machine: usize, from: usize, sent: &ReplConfig) -> Result<(), No> {
        if self.config(machine).is_some() {
            return Err(No(23, "already initialized"));
        }
        let rs = self.object_id();
        let config = Conf::initial(sent, rs)?;
        if self.find_self(machine, &config).is_none() {
            return Err(No(93, "no host maps to this node"));
        }
        let data = DataId(bson::Uuid::from_bytes(self.rng.bytes()));
        let dir = &mut self.machines[machine].dir;
        *dir = Dir {
            data: Some(data),
            unsaved: true,
            lock: dir.lock.take(),
            log: std::mem::take(&mut dir.log),
            ..Dir::default()
        };
        self.initiated(from, rs);
        self.install(machine, config);
        self.set_state(machine, NodeState::Secondary);
        self.stand(machine, None);
        Ok(())
    }

    fn force(&mut self, machine: usize, from: usize, sent: &ReplConfig) -> Result<(), No> {
        let own = self.config(machine).ok_or(No(94, "not yet initialized"))?;
        let jump = self.rng.between(10_000, 100_000) as i64;
        let next = own.forced(sent, jump)?;
        let hosts = |c: &ReplConfig| c.members().iter().map(|m| m.host.clone()).collect::<BTreeSet<_>>();
        // Seen on 6.0.5: a mongod outside the config may raise its version if the config names the same hosts as
        // before.
        if self.find_self(machine, &next).is_none() && hosts(sent) != hosts(&own.read) {
            return Err(No(74, "no host maps to this node"));
        }
        self.forced(from, &next.read);
        self.record.saw("forced configs");
        self.install(machine, next);
        self.beat(machine);
        Ok(())
    }

    fn reconfig(&mut self, machine: usize, sent: ReplConfig, limit: u64, answer: Answer) {
        let (came, deadline) = (self.now, self.now + limit);
        if let Some(proc) = self.proc(machine) {
            proc.waiting.push(Waiting { sent: Some(sent), came, deadline, answer });
        }
        self.waiting_commands(machine);
    }

    /// Continues the reconfigs that wait: for the commitment of the config before, or of their own config.
    pub fn waiting_commands(&mut self, machine: usize) {
        let Some(proc) = self.proc(machine) else { return };
        for mut one in std::mem::take(&mut proc.waiting) {
            let outcome = match one.sent.take() {
                Some(sent) if self.may_reconfig(machine) => {
                    match self.try_reconfig(machine, one.answer.to, &sent, one.came) {
                        Ok(()) => None,
                        Err(no) => Some(Err(no)),
                    }
                }
                Some(_) if self.not_writable(machine).is_some() => self.not_writable(machine).map(Err),
                Some(_) if self.now >= one.deadline => Some(Err(No(308, "current config not committed yet"))),
                Some(sent) => {
                    one.sent = Some(sent);
                    None
                }
                None if self.config_on_majority(machine) => Some(Ok(())),
                None if self.now >= one.deadline => Some(Err(No(50, "failed to propagate to a majority"))),
                None => None,
            };
            match outcome {
                Some(outcome) => self.answer(machine, one.answer, outcome),
                None => {
                    if let Some(proc) = self.proc(machine) {
                        proc.waiting.push(one);
                    }
                }
            }
        }
    }

    fn not_writable(&self, machine: usize) -> Option<No> {
        let proc = self.machines[machine].proc.as_ref()?;
        match proc.state {
            NodeState::Primary if proc.writable => None,
            NodeState::Blank | NodeState::Startup => Some(No(94, "not yet initialized")),
            _ => Some(No(10107, "not primary")),
        }
    }

    /// Whether a majority of the voters has the config in force and every entry that was committed before it.
    pub fn may_reconfig(&self, machine: usize) -> bool {
        let settled = self.machines[machine].proc.as_ref().map_or(0, |p| p.settled);
        self.not_writable(machine).is_none() && self.config_on_majority(machine) && settled == 0
    }

    pub fn config_on_majority(&self, machine: usize) -> bool {
        let (Some(config), Some(proc)) = (self.config(machine), &self.machines[machine].proc) else { return false };
        let wanted = (config.read.term(), config.read.version());
        let has = |id| Some(id) == proc.me || proc.peers.get(&id).is_some_and(|p| p.config == wanted);
        config.read.voters().filter(|m| has(m.id)).count() >= config.read.majority()
    }

    fn try_reconfig(&mut self, machine: usize, from: usize, sent: &ReplConfig, came: u64) -> Result<(), No> {
        let own = self.config(machine).ok_or(No(94, "not yet initialized"))?;
        self.reconfig_sent(from, &own.read, sent);
        let next = own.next(sent, self.machines[machine].dir.term, self.wire != V4_4)?;
        let Some(me) = self.find_self(machine, &next) else { return Err(No(74, "no host maps to this node")) };
        if next.read.member(me).is_some_and(|m| m.priority == 0.0) {
            return Err(No(104, "would make itself unelectable"));
        }
        self.quorum_check(machine, &next)?;
        self.reconfigured(machine, from, &own.read, &next.read, came);
        self.record_changes(&own.read, &next.read);
        self.install_as_primary(machine, next);
        Ok(())
    }

    /// The quorum check of a new config: a majority of its voters must answer, and no answer may come from another set.
    fn quorum_check(&self, machine: usize, next: &Conf) -> Result<(), No> {
        // A mongod that is a majority by itself waits for no answer, so no veto counts either.
        if next.read.majority() == 1 {
            return Ok(());
        }
        let mut answering = 0;
        for member in next.read.members() {
            let Some(other) = self.machine_of(&member.host) else { continue };
            if !self.both_ways(End::Machine(machine), End::Machine(other)) {
                continue;
            }
            if self.config(other).is_some_and(|c| c.rs != next.rs) {
                return Err(No(103, "replica set IDs do not match"));
            }
            answering += usize::from(member.votes_now());
        }
        if answering < next.read.majority() { Err(No(74, "not enough voting nodes responded")) } else { Ok(()) }
    }

    fn install_as_primary(&mut self, machine: usize, next: ConfRef) {
        let commit = self.machines[machine].dir.commit;
        if let Some(proc) = self.proc(machine) {
            proc.settled = proc.settled.max(commit);
        }
        self.install(machine, next);
        self.beat(machine);
        // A single voter commits at once.
        self.advance_commit(machine);
    }

    /// The primary's own reconfig: it lets one newcomer vote when the newcomer has data.
    pub fn clear_marks(&mut self, machine: usize) {
        if !self.may_reconfig(machine) {
            return;
        }
        let (Some(config), Some(proc)) = (self.config(machine), &self.machines[machine].proc) else { return };
        // Real servers do this when a newcomer answers a heartbeat.
        let heard = |p: &PeerSeen| p.up && p.heard_at + 2 * HEARTBEAT >= self.now;
        let ready = |id| proc.peers.get(&id).is_some_and(|p| heard(p) && p.state == NodeState::Secondary);
        let Some(member) = config.read.members().iter().find(|m| m.newly_added && ready(m.id)) else { return };
        if let Some(next) = config.without_mark(member.id.0) {
            self.install_as_primary(machine, next);
        }
    }

    /// Starts a mongod on the volume of this machine.
    pub fn start(&mut self, machine: usize, at: Ipv4Addr) {
        let id = self.object_id();
        let due = self.now + ELECTION_TIMEOUT + self.rng.between(0, 1500);
        let here = &mut self.machines[machine];
        here.addr = at;
        here.listed = true;
        if here.wiped.is_some() {
            here.wiped = Some(0);
        }
        let mut proc = super::node::Proc::new(id, at);
        proc.election_due = due;
        here.proc = Some(proc);
        let blank = here.dir.config.is_none();
        self.note(|w| format!("{} starts at {at}{}", w.machines[machine].name, if blank { ", blank" } else { "" }));
        match self.config(machine) {
            Some(config) => self.install(machine, config),
            None => self.set_state(machine, NodeState::Blank),
        }
        self.after(1, 500, Event::Tick(machine, id));
        self.notify_controllers(machine);
    }
}

fn brief(command: &Command) -> String {
    match command {
        Command::Initiate(config) => format!("initiate {}", config.members()[0].host),
        Command::Reconfig { sent, force, .. } => {
            let members: Vec<_> = sent.members().iter().map(super::heartbeat::describe).collect();
            format!("reconfig{} v{} {}", if *force { " by force" } else { "" }, sent.version(), members.join(" "))
        }
        Command::TakeLock(lock) => format!("lock for {}", lock.seed),
        Command::TakeOver { lock, .. } => format!("take the lock over for {}", lock.seed),
        other => format!("{other:?}"),
    }
}
