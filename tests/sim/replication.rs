//! The oplog: writes, replication, the commit point, rollback, initial sync.
//!
//! A transfer takes no time if messages pass in both directions (`source.rs` chooses the sync source). A member reports
//! its progress in a message, which may be late or lost. A log holds what is written; in a world of 8.0, a secondary
//! applies it later.

use super::events::{End, Event, Msg};
use super::node::{Dir, Entry, at};
use super::world::World;
use bson::oid::ObjectId;
use rsctl::model::{DataId, MemberId, NodeState, OpTime};

/// The length of the common start of two logs. Each term has one primary, so equal entries mean equal entries before
/// them.
fn common(own: &[Entry], theirs: &[Entry]) -> usize {
    let (mut end, shorter) = (0, own.len().min(theirs.len()));
    if shorter > 0 && own[shorter - 1] == theirs[shorter - 1] {
        return shorter;
    }
    while end < shorter && own[end] == theirs[end] {
        end += 1;
    }
    end
}

impl World {
    /// A client writes to a mongod that reports itself as primary. It can be a stale primary.
    pub fn client_writes(&mut self) {
        if !self.writing {
            return;
        }
        self.after(50, 500, Event::Write);
        let primaries: Vec<usize> = (0..self.machines.len())
            .filter(|i| self.machines[*i].proc.as_ref().is_some_and(|p| p.state == NodeState::Primary && p.writable))
            .collect();
        let Some(machine) = self.rng.pick(&primaries) else { return };
        self.write_at(machine);
    }

    /// A primary takes one more write.
    pub fn write_at(&mut self, machine: usize) {
        self.writes += 1;
        let write = self.writes;
        let dir = &mut self.machines[machine].dir;
        let term = dir.term;
        dir.log.push(Entry { term, write });
        self.spread(machine);
        self.advance_commit(machine);
    }

    /// Makes the other members fetch soon.
    pub fn spread(&mut self, machine: usize) {
        for other in (0..self.machines.len()).filter(|o| *o != machine) {
            if let Some(id) = self.machines[other].proc.as_ref().map(|p| p.id) {
                self.after(1, 8, Event::Pull(other, id));
            }
        }
    }

    /// Copies entries from the sync source.
    pub fn pull(&mut self, machine: usize) {
        let Some(proc) = &self.machines[machine].proc else { return };
        let follows = matches!(proc.state, NodeState::Secondary | NodeState::Recovering);
        if !follows || proc.me.is_none() || proc.slow_until > self.now || self.machines[machine].dir.data.is_none() {
            return;
        }
        let Some(source) = self.copies_from(machine) else {
            self.report_progress(machine);
            return;
        };
        let own = &self.machines[machine].dir.log;
        let Dir { log, commit, .. } = &self.machines[source].dir;
        let common = common(own, log);
        let (fresh, commit) = (log[common..].to_vec(), *commit);
        let dir = &mut self.machines[machine].dir;
        if common < dir.log.len() {
            // A real server refuses to roll back entries that it knows as committed, and stops.
            let (undone, committed) = (dir.log.len() - common, dir.commit);
            dir.log.truncate(common);
            self.record.saw("rollbacks");
            self.note(|w| format!("{} rolls {undone} entries back", w.machines[machine].name));
            if common < committed {
                self.lost(format!("a committed entry was rolled back on {}", self.machines[machine].name));
            }
            let Some(id) = self.proc(machine).map(|p| p.id) else { return };
            self.set_state(machine, NodeState::Rollback);
            self.after(50, 400, Event::Recovered(machine, id));
            return;
        }
        let from = dir.log.len();
        dir.log.extend_from_slice(&fresh);
        dir.commit = dir.commit.max(commit.min(dir.log.len()));
        self.apply_later(machine, from);
        if !fresh.is_empty() {
            self.followers_fetch(machine);
        }
        self.report_progress(machine);
    }

    /// 8.0 and later write entries first, which is what counts for elections and the commit point, and apply them later.
    fn apply_later(&mut self, machine: usize, from: usize) {
        let (now, due) = (self.now, self.now + self.apply_ms);
        if let Some(proc) = self.proc(machine).filter(|_| due > now) {
            proc.unapplied.retain(|(at, _)| *at > now);
            proc.unapplied.push_back((due, from));
        }
    }

    fn report_progress(&mut self, machine: usize) {
        let Some(config) = self.config(machine) else { return };
        let (term, optime) = (self.machines[machine].dir.term, self.machines[machine].dir.last());
        let Some(proc) = &self.machines[machine].proc else { return };
        let (Some(leader), Some(member), process) = (proc.leader, proc.me, proc.id) else { return };
        let Some(host) = config.read.member(leader).map(|m| m.host.clone()) else { return };
        self.send(machine, host, Msg::Progress { member, process, term, optime });
    }

    pub fn progress(&mut self, machine: usize, member: MemberId, process: ObjectId, term: i64, optime: OpTime) {
        self.heard_of_term(machine, term);
        if self.machines[machine].dir.term != term {
            return;
        }
        let Some(proc) = self.proc(machine) else { return };
        if proc.state != NodeState::Primary {
            return;
        }
        if let Some(peer) = proc.peers.get_mut(&member) {
            // After a restart or a swap of addresses, the member has another process. Earlier reports are void.
            if peer.process == Some(process) {
                peer.optime = peer.optime.max(optime);
            } else {
                (peer.process, peer.optime) = (Some(process), optime);
            }
        }
        self.advance_commit(machine);
        self.waiting_commands(machine);
    }

    /// The length of the primary's log that a report confirms.
    fn matched(log: &[Entry], optime: OpTime) -> usize {
        let length = optime.seconds as usize;
        if length > 0 && length <= log.len() && at(log, length) == optime { length } else { 0 }
    }

    /// The length of the primary's log that a majority of voters holds.
    pub fn held_by_majority(&self, machine: usize) -> usize {
        let (Some(config), Some(proc)) = (self.config(machine), &self.machines[machine].proc) else { return 0 };
        let log = &self.machines[machine].dir.log;
        let held = |id: MemberId| match proc.peers.get(&id) {
            _ if Some(id) == proc.me => log.len(),
            Some(peer) => Self::matched(log, peer.optime),
            None => 0,
        };
        let mut held: Vec<usize> = config.read.voters().map(|m| held(m.id)).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        held.get(config.read.majority() - 1).copied().unwrap_or(0)
    }

    pub fn advance_commit(&mut self, machine: usize) {
        if self.machines[machine].proc.as_ref().is_none_or(|p| p.state != NodeState::Primary || !p.writable) {
            return;
        }
        let held = self.held_by_majority(machine);
        if let Some(proc) = self.proc(machine)
            && held >= proc.settled
        {
            proc.settled = 0;
        }
        let dir = &mut self.machines[machine].dir;
        // Only an entry of its own term commits the entries before it.
        if held > dir.commit && dir.log[held - 1].term == dir.term {
            dir.commit = held;
            self.committed(machine);
            self.waiting_commands(machine);
        }
    }

    /// A member without complete data copies everything from another one. This takes time.
    pub fn initial_sync(&mut self, machine: usize) {
        let now = self.now;
        let Some(proc) = &self.machines[machine].proc else { return };
        if proc.state != NodeState::Startup2 || self.machines[machine].dir.data.is_some() {
            return;
        }
        let Some((source, until, length)) = proc.sync else {
            let Some((_, source)) = self.best_source(machine, false) else { return };
            let slow = self.rng.percent(20) || self.machines[machine].slow_sync;
            let length = self.machines[source].dir.log.len();
            let until = now + if slow { self.rng.between(5000, 30_000) } else { self.rng.between(200, 4000) };
            if let Some(proc) = self.proc(machine) {
                proc.sync = Some((source, until, length));
            }
            return;
        };
        let serves = self.machines[source]
            .proc
            .as_ref()
            .is_some_and(|p| matches!(p.state, NodeState::Primary | NodeState::Secondary));
        if !serves || !self.both_ways(End::Machine(machine), End::Machine(source)) {
            if let Some(proc) = self.proc(machine) {
                proc.sync = None;
            }
            return;
        }
        if now < until {
            return;
        }
        let data = DataId(bson::Uuid::from_bytes(self.rng.bytes()));
        // It copies the entries that the source had at the start. Normal replication brings the rest.
        let from = &self.machines[source].dir;
        let log = from.log[..length.min(from.log.len())].to_vec();
        let commit = from.commit.min(log.len());
        let dir = &mut self.machines[machine].dir;
        (dir.data, dir.unsaved, dir.log, dir.commit) = (Some(data), true, log, commit);
        self.machines[machine].slow_sync = false;
        self.record.saw("initial syncs");
        let due = now + super::heartbeat::ELECTION_TIMEOUT;
        let Some(proc) = self.proc(machine) else { return };
        (proc.sync, proc.election_due) = (None, due);
        self.set_state(machine, NodeState::Secondary);
        self.report_progress(machine);
    }
}
