//! Heartbeats. They report which members are up and which one is primary, and they spread configs.

use super::conf::{Conf, ConfRef};
use super::events::{Event, Msg, SenderState};
use super::node::{PeerSeen, Proc, long_silent};
use super::source::Fetch;
use super::world::World;
use bson::oid::ObjectId;
use rsctl::model::{DataId, MemberId, NodeState, OpTime};
use std::net::Ipv4Addr;
use std::sync::Arc;

pub const ELECTION_TIMEOUT: u64 = 10_000;
const HEARTBEAT_TIMEOUT: u64 = 10_000;
pub const HEARTBEAT: u64 = 500;

impl World {
    pub fn proc(&mut self, machine: usize) -> Option<&mut Proc> {
        self.machines[machine].proc.as_mut()
    }

    pub fn config(&self, machine: usize) -> Option<ConfRef> {
        self.machines[machine].dir.config.clone()
    }

    pub fn sender_state(&self, machine: usize) -> Option<SenderState> {
        let (dir, proc) = (&self.machines[machine].dir, self.machines[machine].proc.as_ref()?);
        Some(SenderState {
            process: proc.id,
            me: proc.me,
            config: dir.config.clone(),
            term: dir.term,
            state: proc.state,
            optime: if dir.data.is_some() { dir.last() } else { OpTime { term: -1, seconds: 0, counter: 0 } },
        })
    }

    /// The periodic work of one mongod.
    pub fn tick(&mut self, machine: usize) {
        let Some(id) = self.machines[machine].proc.as_ref().map(|p| p.id) else { return };
        self.after(HEARTBEAT - 20, HEARTBEAT + 20, Event::Tick(machine, id));
        self.beat(machine);
        self.liveness(machine);
        self.election_timers(machine);
        self.priority_takeover(machine);
        self.initial_sync(machine);
        self.pull(machine);
        self.clear_marks(machine);
        self.waiting_commands(machine);
        self.count_chances(machine);
    }

    /// Sends heartbeats to all other members.
    pub fn beat(&mut self, machine: usize) {
        let (Some(state), Some(config)) = (self.sender_state(machine), self.config(machine)) else { return };
        let Some(me) = state.me else { return };
        for member in config.read.members().iter().filter(|m| m.id != me) {
            self.send(machine, member.host.clone(), Msg::Beat { to: Some(member.id), state: state.clone() });
        }
    }

    fn liveness(&mut self, machine: usize) {
        let now = self.now;
        let Some(config) = self.config(machine) else { return };
        let Some(proc) = self.proc(machine) else { return };
        for peer in proc.peers.values_mut().filter(|p| p.heard_at + HEARTBEAT_TIMEOUT < now) {
            (peer.up, peer.asked) = (false, true);
        }
        if proc.leader.is_some_and(|l| Some(l) != proc.me && proc.peers.get(&l).is_some_and(|p| !p.up)) {
            proc.leader = None;
            self.notify_controllers(machine);
        }
        let Some(proc) = self.proc(machine) else { return };
        if proc.state == NodeState::Primary {
            let recent = |id: MemberId| proc.peers.get(&id).is_some_and(|p| p.heard_at + ELECTION_TIMEOUT >= now);
            let heard = config.read.voters().filter(|m| Some(m.id) == proc.me || recent(m.id)).count();
            if heard < config.read.majority() {
                self.step_down(machine, "it lost its majority");
            }
        }
    }

    /// A connection was refused or broke. This mongod then counts the member at the address as down.
    pub fn connections_broke(&mut self, from: usize, address: Ipv4Addr) {
        let Some(config) = self.config(from) else { return };
        let down: Vec<MemberId> = config
            .read
            .members()
            .iter()
            .filter(|m| self.resolve(&m.host) == Some(address) && self.machine_at(address).is_none())
            .map(|m| m.id)
            .collect();
        let Some(proc) = self.proc(from) else { return };
        let mut changed = false;
        for id in down {
            if let Some(peer) = proc.peers.get_mut(&id) {
                (peer.up, peer.asked) = (false, true);
            }
            if proc.leader == Some(id) {
                proc.leader = None;
                changed = true;
            }
        }
        if changed {
            self.notify_controllers(from);
        }
    }

    pub fn receive_from(&mut self, machine: usize, from: usize, process: ObjectId, msg: Msg) {
        match msg {
            Msg::Beat { to, state } => self.beaten(machine, from, process, to, &state),
            Msg::VoteAsked { member, term, dry, config, optime } => {
                let Some(vote) = self.vote(machine, member, term, dry, &config, optime) else { return };
                self.reply(machine, from, process, vote);
            }
            Msg::Progress { member, process, term, optime } => self.progress(machine, member, process, term, optime),
            Msg::BeatAck { .. } | Msg::Vote { .. } => {}
        }
    }

    pub fn receive(&mut self, machine: usize, from: usize, msg: Msg) {
        match msg {
            Msg::BeatAck { member, state } => self.beat_answered(machine, from, member, &state),
            Msg::Vote { from, term, dry, granted, voter_term } => {
                self.vote_came(machine, from, term, dry, granted, voter_term);
            }
            Msg::Beat { .. } | Msg::VoteAsked { .. } | Msg::Progress { .. } => {}
        }
    }

    /// Handles a heartbeat from another mongod. It is answered unless it comes from another set. The mongod asks for a
    /// newer config. A blank mongod asks for any config, and so does a mongod that its own config does not name.
    fn beaten(&mut self, machine: usize, from: usize, process: ObjectId, to: Option<MemberId>, sender: &SenderState) {
        let Some(own) = self.sender_state(machine) else { return };
        let mine = &own.config;
        let Some(theirs) = &sender.config else {
            // A blank mongod asks for the config that names it.
            self.reply(machine, from, process, Msg::BeatAck { member: None, state: own });
            return;
        };
        if mine.as_ref().is_some_and(|mine| mine.rs != theirs.rs) {
            return;
        }
        let now = self.now;
        // Only a sender with the same config version counts as a member.
        if mine.as_ref().is_some_and(|mine| mine.read.version() == theirs.read.version())
            && let Some(from) = sender.me
            && let Some(seen) = self.proc(machine).and_then(|p| p.peers.get_mut(&from))
        {
            if seen.asked_us_at.is_some_and(|then| then + long_silent(&theirs.read) <= now) {
                seen.back_at = Some(now);
            }
            seen.asked_us_at = Some(now);
        }
        self.heard_of_term(machine, sender.term);
        self.heard_of_leader(machine, sender.me, sender.state, sender.term);
        let Some(own) = self.sender_state(machine) else { return };
        self.reply(machine, from, process, Msg::BeatAck { member: to, state: own.clone() });
        let wants = own.config.as_ref().is_none_or(|mine| theirs.read.is_newer_than(&mine.read)) || own.me.is_none();
        if wants {
            let host = self.host_of(from, theirs, sender.me);
            if let Some(host) = host {
                self.send(machine, host, Msg::Beat { to: None, state: own });
            }
        }
    }

    fn host_of(&self, _from: usize, config: &Conf, me: Option<MemberId>) -> Option<rsctl::model::Host> {
        Some(config.read.member(me?)?.host.clone())
    }

    fn beat_answered(&mut self, machine: usize, _from: usize, member: Option<MemberId>, sender: &SenderState) {
        let Some(own) = self.config(machine) else {
            // This mongod is blank. The answer may have a config that names it.
            if let Some(theirs) = &sender.config {
                self.learn(machine, theirs);
            }
            return;
        };
        if let Some(theirs) = &sender.config
            && theirs.rs != own.rs
        {
            return;
        }
        self.heard_of_term(machine, sender.term);
        let now = self.now;
        if let Some(member) = member
            && let Some(proc) = self.proc(machine)
            && own.read.member(member).is_some()
        {
            let before = proc.peers.get(&member).copied();
            // A report of another process says nothing about this one. (Real servers keep the higher optime of a member
            // across a swap of addresses. No controller can change that, so the simulation leaves it out.)
            let optime = before.filter(|b| b.process == Some(sender.process)).map_or(sender.optime, |b| {
                if sender.optime.term < b.optime.term { sender.optime } else { b.optime.max(sender.optime) }
            });
            let config = sender.config.as_ref().map_or((None, 0), |c| (c.read.term(), c.read.version()));
            let seen = PeerSeen {
                up: true,
                asked: true,
                up_since: before.filter(|b| b.up).map_or(now, |b| b.up_since),
                heard_at: now,
                asked_us_at: before.and_then(|b| b.asked_us_at),
                back_at: before.and_then(|b| b.back_at),
                state: sender.state,
                optime,
                config,
                process: Some(sender.process),
            };
            proc.peers.insert(member, seen);
            self.heard_of_leader(machine, Some(member), sender.state, sender.term);
        }
        if let Some(theirs) = &sender.config {
            self.learn(machine, theirs);
        }
        self.advance_commit(machine);
        self.waiting_commands(machine);
    }

    /// Handles a config from a heartbeat. If a mongod is not in its config, a config that is not newer makes it search
    /// for itself again.
    fn learn(&mut self, machine: usize, theirs: &ConfRef) {
        let own = self.config(machine);
        let newer = own.as_ref().is_none_or(|mine| theirs.rs == mine.rs && theirs.read.is_newer_than(&mine.read));
        let blank = own.is_none();
        if newer {
            if blank && self.find_self(machine, theirs).is_none() {
                return;
            }
            self.install(machine, Arc::clone(theirs));
        } else if self.machines[machine].proc.as_ref().is_some_and(|p| p.me.is_none())
            && let Some(own) = own
            && self.find_self(machine, &own).is_some()
        {
            self.install(machine, own);
        }
    }

    pub fn find_self(&self, machine: usize, config: &Conf) -> Option<MemberId> {
        let at = self.machines[machine].proc.as_ref()?.at;
        config.read.members().iter().find(|m| self.resolve(&m.host) == Some(at)).map(|m| m.id)
    }

    /// Stores a config, and finds the member of this mongod in it.
    pub fn install(&mut self, machine: usize, config: ConfRef) {
        let me = self.find_self(machine, &config);
        let now = self.now;
        self.note(|w| {
            let read = &config.read;
            let members: Vec<_> = read.members().iter().map(describe).collect();
            let (term, version) = (read.term().unwrap_or(-1), read.version());
            format!("{} has config v{version} t{term} as {me:?}: {}", w.machines[machine].name, members.join(" "))
        });
        let name = DataId(bson::Uuid::from_bytes(self.rng.bytes()));
        let dir = &mut self.machines[machine].dir;
        let before_it = dir.config.replace(Arc::clone(&config));
        if dir.nameless && me.is_some() {
            (dir.data, dir.unsaved, dir.nameless) = (Some(name), true, false);
        }
        let complete = self.machines[machine].dir.data.is_some();
        let due = now + ELECTION_TIMEOUT + self.rng.between(0, 1500);
        let Some(proc) = self.proc(machine) else { return };
        let before = (proc.me, proc.state);
        proc.me = me;
        proc.peers.retain(|id, _| config.read.member(*id).is_some());
        // Nothing is known yet about a member with a new address.
        let host_of = |config: &ConfRef, id| config.read.member(id).map(|m| m.host.clone());
        for (id, seen) in &mut proc.peers {
            if before_it.as_ref().and_then(|old| host_of(old, *id)) != host_of(&config, *id) {
                seen.asked_us_at = None;
            }
        }
        for member in config.read.members() {
            let unheard = PeerSeen {
                up: false,
                asked: false,
                up_since: now,
                // A primary allows a new member one election timeout until its first answer.
                heard_at: now,
                asked_us_at: None,
                back_at: None,
                state: NodeState::Other,
                optime: OpTime::default(),
                config: (None, 0),
                process: None,
            };
            proc.peers.entry(member.id).or_insert(unheard);
        }
        match (me, before.1) {
            (None, NodeState::Primary) => {
                self.step_down(machine, "it is not in its config");
                self.set_state(machine, NodeState::Removed);
            }
            (None, _) => self.set_state(machine, NodeState::Removed),
            (Some(id), NodeState::Primary) => {
                let leads = config.read.member(id).is_some_and(|m| m.votes && m.priority > 0.0);
                if !leads || before.0 != Some(id) {
                    self.step_down(machine, "its member entry cannot lead");
                }
            }
            (Some(_), NodeState::Startup | NodeState::Blank | NodeState::Removed) => {
                proc.election_due = due;
                let id = proc.id;
                if complete {
                    self.set_state(machine, NodeState::Recovering);
                    self.after(10, 50, Event::Recovered(machine, id));
                } else {
                    self.set_state(machine, NodeState::Startup2);
                }
            }
            (Some(_), _) => {}
        }
        self.notify_controllers(machine);
    }

    pub fn set_state(&mut self, machine: usize, state: NodeState) {
        let Some(proc) = self.proc(machine) else { return };
        if proc.state == state {
            return;
        }
        proc.state = state;
        if state == NodeState::Removed {
            (proc.leader, proc.election, proc.sync) = (None, None, None);
        }
        if !matches!(state, NodeState::Secondary | NodeState::Recovering) {
            proc.fetch = Fetch::default();
        }
        self.note(|w| format!("{} is {state}", w.machines[machine].name));
        self.notify_controllers(machine);
    }

    pub fn recovered(&mut self, machine: usize) {
        let state = self.machines[machine].proc.as_ref().map(|p| p.state);
        if matches!(state, Some(NodeState::Recovering | NodeState::Rollback)) {
            self.set_state(machine, NodeState::Secondary);
        }
    }
}

pub fn describe(member: &rsctl::model::Member) -> String {
    let mark = match (member.votes, member.newly_added) {
        (false, _) => "-",
        (true, true) => "*",
        (true, false) => "",
    };
    format!("{}={}{mark}", member.id, member.host)
}
