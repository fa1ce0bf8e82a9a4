//! The oplog: writes, replication, the commit point, rollback, initial sync.
//!
//! A sync source is the primary, or any member that is ahead. Transfers take no time once both ways are open; how far
//! a member has come is told in a message, which may come late or never.

use super::node::{Dir, Entry, at};
use super::world::{End, Event, Msg, World};
use bson::oid::ObjectId;
use rsctl::model::{DataId, MemberId, NodeState, OpTime};

/// How much two logs share. One leader a term, so equal ends mean equal beginnings.
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
    /// A client writes to somebody who says that he is primary: the right one or an old one.
    pub fn client_writes(&mut self) {
        if !self.writing {
            return;
        }
        self.after(50, 500, Event::Write);
        let primaries: Vec<usize> = (0..self.places.len())
            .filter(|i| self.places[*i].proc.as_ref().is_some_and(|p| p.state == NodeState::Primary && p.writable))
            .collect();
        let Some(place) = self.rng.pick(&primaries) else { return };
        self.write_at(place);
    }

    /// A primary takes one more write.
    pub fn write_at(&mut self, place: usize) {
        self.writes += 1;
        let write = self.writes;
        let dir = &mut self.places[place].dir;
        let term = dir.term;
        dir.log.push(Entry { term, write });
        self.spread(place);
        self.advance_commit(place);
    }

    /// Lets the others fetch soon.
    pub fn spread(&mut self, place: usize) {
        for other in (0..self.places.len()).filter(|o| *o != place) {
            if let Some(id) = self.places[other].proc.as_ref().map(|p| p.id) {
                self.after(1, 8, Event::Pull(other, id));
            }
        }
    }

    /// Follows whoever is ahead.
    pub fn pull(&mut self, place: usize) {
        let Some(proc) = &self.places[place].proc else { return };
        let follows = matches!(proc.state, NodeState::Secondary | NodeState::Recovering);
        if !follows || proc.me.is_none() || proc.slow_until > self.now || self.places[place].dir.data.is_none() {
            return;
        }
        let Some(source) = self.source(place) else {
            self.report_progress(place);
            return;
        };
        let own = &self.places[place].dir.log;
        let Dir { log, commit, .. } = &self.places[source].dir;
        let common = common(own, log);
        let (fresh, commit) = (log[common..].to_vec(), *commit);
        let dir = &mut self.places[place].dir;
        if common < dir.log.len() {
            // The server would refuse to undo what it knows to be committed, and stop.
            let (undone, committed) = (dir.log.len() - common, dir.commit);
            dir.log.truncate(common);
            self.record.saw("rollbacks");
            self.note(|w| format!("{} rolls {undone} entries back", w.places[place].name));
            if common < committed {
                self.lost(format!("a committed entry was rolled back on {}", self.places[place].name));
            }
            let Some(id) = self.proc(place).map(|p| p.id) else { return };
            self.set_state(place, NodeState::Rollback);
            self.after(50, 400, Event::Recovered(place, id));
            return;
        }
        dir.log.extend_from_slice(&fresh);
        dir.commit = dir.commit.max(commit.min(dir.log.len()));
        self.report_progress(place);
    }

    /// Where to fetch from: the primary, else anybody who is ahead.
    fn source(&mut self, place: usize) -> Option<usize> {
        let config = self.config(place)?;
        let (leader, me) = self.places[place].proc.as_ref().map(|p| (p.leader, p.me))?;
        let own = self.places[place].dir.last();
        let mut best: Option<(bool, OpTime, usize)> = None;
        for member in config.read.members().iter().filter(|m| Some(m.id) != me) {
            let Some(other) = self.place_of(&member.host) else { continue };
            let (dir, proc) = (&self.places[other].dir, self.places[other].proc.as_ref());
            let serves =
                proc.is_some_and(|p| matches!(p.state, NodeState::Primary | NodeState::Secondary) && p.me.is_some());
            let same = dir.config.as_ref().is_some_and(|c| c.rs == config.rs);
            let ahead = dir.data.is_some() && dir.last() > own;
            if serves && same && ahead && self.both_ways(End::Place(place), End::Place(other)) {
                let candidate = (leader == Some(member.id), dir.last(), other);
                best = best.max(Some(candidate));
            }
        }
        best.map(|(_, _, other)| other)
    }

    fn report_progress(&mut self, place: usize) {
        let Some(config) = self.config(place) else { return };
        let (term, optime) = (self.places[place].dir.term, self.places[place].dir.last());
        let Some(proc) = &self.places[place].proc else { return };
        let (Some(leader), Some(slot), process) = (proc.leader, proc.me, proc.id) else { return };
        let Some(host) = config.read.member(leader).map(|m| m.host.clone()) else { return };
        self.send(place, host, Msg::Progress { slot, process, term, optime });
    }

    pub fn progress(&mut self, place: usize, slot: MemberId, process: ObjectId, term: i64, optime: OpTime) {
        self.heard_of_term(place, term);
        if self.places[place].dir.term != term {
            return;
        }
        let Some(proc) = self.proc(place) else { return };
        if proc.state != NodeState::Primary {
            return;
        }
        if let Some(peer) = proc.peers.get_mut(&slot) {
            // A restart or a swap of addresses put another process into this slot: what was reported is void.
            if peer.process == Some(process) {
                peer.optime = peer.optime.max(optime);
            } else {
                (peer.process, peer.optime) = (Some(process), optime);
            }
        }
        self.advance_commit(place);
        self.waiting_commands(place);
    }

    /// How much of the primary's log a report vouches for.
    fn matched(log: &[Entry], optime: OpTime) -> usize {
        let length = optime.seconds as usize;
        if length > 0 && length <= log.len() && at(log, length) == optime { length } else { 0 }
    }

    /// The largest part of the primary's log that a majority of voters holds.
    pub fn held_by_majority(&self, place: usize) -> usize {
        let (Some(config), Some(proc)) = (self.config(place), &self.places[place].proc) else { return 0 };
        let log = &self.places[place].dir.log;
        let held = |id: MemberId| match proc.peers.get(&id) {
            _ if Some(id) == proc.me => log.len(),
            Some(peer) => Self::matched(log, peer.optime),
            None => 0,
        };
        let mut held: Vec<usize> = config.read.voters().map(|m| held(m.id)).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        held.get(config.read.majority() - 1).copied().unwrap_or(0)
    }

    pub fn advance_commit(&mut self, place: usize) {
        if self.places[place].proc.as_ref().is_none_or(|p| p.state != NodeState::Primary || !p.writable) {
            return;
        }
        let held = self.held_by_majority(place);
        if let Some(proc) = self.proc(place)
            && held >= proc.settled
        {
            proc.settled = 0;
        }
        let dir = &mut self.places[place].dir;
        // Only an entry of its own term commits what came before it.
        if held > dir.commit && dir.log[held - 1].term == dir.term {
            dir.commit = held;
            self.committed(place);
            self.waiting_commands(place);
        }
    }

    /// A member without complete data copies everything from another one, which takes a while.
    pub fn initial_sync(&mut self, place: usize) {
        let now = self.now;
        let Some(proc) = &self.places[place].proc else { return };
        if proc.state != NodeState::Startup2 || self.places[place].dir.data.is_some() {
            return;
        }
        let Some((source, until, length)) = proc.sync else {
            let Some(source) = self.source(place) else { return };
            let slow = self.rng.percent(20) || self.places[place].slow_sync;
            let length = self.places[source].dir.log.len();
            let until = now + if slow { self.rng.between(5000, 30_000) } else { self.rng.between(200, 4000) };
            if let Some(proc) = self.proc(place) {
                proc.sync = Some((source, until, length));
            }
            return;
        };
        let serves = self.places[source]
            .proc
            .as_ref()
            .is_some_and(|p| matches!(p.state, NodeState::Primary | NodeState::Secondary));
        if !serves || !self.both_ways(End::Place(place), End::Place(source)) {
            if let Some(proc) = self.proc(place) {
                proc.sync = None;
            }
            return;
        }
        if now < until {
            return;
        }
        let data = DataId(bson::Uuid::from_bytes(self.rng.bytes()));
        // What was there when it began; the rest it fetches as anybody does.
        let from = &self.places[source].dir;
        let log = from.log[..length.min(from.log.len())].to_vec();
        let commit = from.commit.min(log.len());
        let dir = &mut self.places[place].dir;
        (dir.data, dir.unsaved, dir.log, dir.commit) = (Some(data), true, log, commit);
        self.places[place].slow_sync = false;
        self.record.saw("initial syncs");
        let due = now + super::heartbeat::ELECTION_TIMEOUT;
        let Some(proc) = self.proc(place) else { return };
        (proc.sync, proc.election_due) = (None, due);
        self.set_state(place, NodeState::Secondary);
        self.report_progress(place);
    }
}
