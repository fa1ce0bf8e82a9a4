//! Elections by the server's vote rules, and step-down.

use super::conf::{Conf, No};
use super::events::{Event, Msg};
use super::heartbeat::ELECTION_TIMEOUT;
use super::node::{Answer, Election, Entry};
use super::world::World;
use rsctl::model::{MemberId, NodeState, OpTime};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long a candidate waits for votes, in milliseconds.
const PATIENCE: u64 = 2000;
const LOST: No = No(125, "Election failed.");

impl World {
    pub fn heard_of_term(&mut self, machine: usize, term: i64) {
        let dir = &mut self.machines[machine].dir;
        if dir.config.is_none() || term <= dir.term {
            return;
        }
        dir.term = term;
        if self.machines[machine].proc.as_ref().is_some_and(|p| p.state == NodeState::Primary) {
            self.step_down(machine, "there is a newer term");
        }
    }

    pub fn heard_of_leader(&mut self, machine: usize, member: Option<MemberId>, state: NodeState, term: i64) {
        let due = self.now + ELECTION_TIMEOUT + self.rng.between(0, 1500);
        let known = self.machines[machine].dir.term;
        let Some(proc) = self.proc(machine) else { return };
        let Some(member) = member.filter(|s| Some(*s) != proc.me) else { return };
        if proc.state == NodeState::Primary || proc.me.is_none() {
            return;
        }
        let before = proc.leader;
        if state == NodeState::Primary && term >= known {
            proc.leader = Some(member);
            proc.election_due = due;
        } else if proc.leader == Some(member) {
            proc.leader = None;
        }
        if proc.leader != before {
            self.notify_controllers(machine);
        }
    }

    pub fn election_timers(&mut self, machine: usize) {
        let now = self.now;
        let Some(proc) = self.proc(machine) else { return };
        if proc.election.as_ref().is_some_and(|e| e.deadline < now) {
            let answer = proc.election.take().and_then(|e| e.answer);
            self.lose(machine, answer);
            return;
        }
        if proc.state == NodeState::Secondary && proc.election.is_none() && now >= proc.election_due {
            let due = now + ELECTION_TIMEOUT + self.rng.between(0, 1500);
            let Some(proc) = self.proc(machine) else { return };
            proc.election_due = due;
            if self.sees_majority(machine) {
                self.stand(machine, None);
            }
        }
    }

    /// A secondary with a higher priority than the primary stands for election after some time, as in the server
    /// (`getPriorityTakeoverDelay`). The dry run fails while it lacks writes.
    pub fn priority_takeover(&mut self, machine: usize) {
        let (delay, now) = (self.takeover_delay(machine), self.now);
        let due = self.proc(machine).and_then(|proc| proc.takeover_due);
        let next = match (delay, due) {
            (None, _) => None,
            (Some(delay), None) => Some(now + delay + self.rng.between(0, 1500)),
            (Some(_), Some(due)) => (now < due).then_some(due),
        };
        if let Some(proc) = self.proc(machine) {
            proc.takeover_due = next;
        }
        if due.is_some() && delay.is_some() && next.is_none() {
            self.note(|w| format!("{} has a higher priority than the primary", w.machines[machine].name));
            self.stand(machine, None);
        }
    }

    fn takeover_delay(&self, machine: usize) -> Option<u64> {
        let (config, proc) = (self.config(machine)?, self.machines[machine].proc.as_ref()?);
        let me = config.read.member(proc.me?)?;
        let leader = config.read.member(proc.leader?)?;
        let hears = proc.peers.get(&leader.id).is_some_and(|peer| peer.up);
        let waits = proc.state == NodeState::Secondary && proc.election.is_none();
        let higher = config.read.members().iter().filter(|m| m.priority > me.priority).count() as u64;
        (hears && waits && me.votes_now() && me.priority > leader.priority).then_some((higher + 1) * ELECTION_TIMEOUT)
    }

    fn lose(&mut self, machine: usize, answer: Option<Answer>) {
        if let Some(answer) = answer {
            self.answer(machine, answer, Err(LOST));
        }
    }

    fn sees_majority(&self, machine: usize) -> bool {
        let (Some(config), Some(proc)) = (self.config(machine), &self.machines[machine].proc) else { return false };
        let up = |id| Some(id) == proc.me || proc.peers.get(&id).is_some_and(|p| p.up);
        config.read.voters().filter(|m| up(m.id)).count() >= config.read.majority()
    }

    /// Starts an election. The dry run comes first, and does not raise the term.
    pub fn stand(&mut self, machine: usize, answer: Option<Answer>) {
        let now = self.now;
        let term = self.machines[machine].dir.term;
        let config = self.config(machine);
        let Some(proc) = self.proc(machine) else { return };
        let me = config.as_ref().and_then(|c| c.read.member(proc.me?));
        let may = me.filter(|m| m.votes_now() && m.priority > 0.0 && !m.arbiter);
        let (Some(me), NodeState::Secondary, None) = (may, proc.state, &proc.election) else {
            self.lose(machine, answer);
            return;
        };
        let yes = BTreeSet::from([me.id]);
        proc.election = Some(Election { term, dry: true, yes, deadline: now + PATIENCE, answer });
        self.note(|w| format!("{} stands for election after term {term}", w.machines[machine].name));
        self.ask_for_votes(machine);
        self.count_votes(machine);
    }

    fn ask_for_votes(&mut self, machine: usize) {
        let (Some(config), optime) = (self.config(machine), self.machines[machine].dir.last()) else { return };
        let Some(proc) = self.proc(machine) else { return };
        let (Some(election), me) = (&proc.election, proc.me) else { return };
        let (term, dry) = (election.term, election.dry);
        let others: Vec<_> = config.read.voters().filter(|m| Some(m.id) != me).collect();
        for member in others {
            let msg = Msg::VoteAsked { member: member.id, term, dry, config: Arc::clone(&config), optime };
            self.send(machine, member.host.clone(), msg);
        }
    }

    /// Whether this mongod votes for the candidate. A mongod votes during its initial sync too. If its volume was
    /// wiped, it no longer has the writes that it acknowledged.
    pub fn vote(
        &mut self,
        machine: usize,
        member: MemberId,
        term: i64,
        dry: bool,
        config: &Conf,
        optime: OpTime,
    ) -> Option<Msg> {
        let own = self.config(machine)?;
        if !dry && own.rs == config.rs {
            self.heard_of_term(machine, term);
        }
        let due = self.now + ELECTION_TIMEOUT + self.rng.between(0, 1500);
        let dir = &mut self.machines[machine].dir;
        let own_optime = if dir.data.is_some() { dir.last() } else { OpTime { term: -1, seconds: 0, counter: 0 } };
        let voter_term = dir.term;
        let in_set = self.machines[machine].proc.as_ref()?.me.is_some();
        let dir = &mut self.machines[machine].dir;
        let granted = in_set
            && own.rs == config.rs
            && term >= voter_term
            && !own.read.is_newer_than(&config.read)
            && optime >= own_optime
            && (dry || dir.voted_in < term);
        if granted && !dry {
            dir.voted_in = term;
            if let Some(proc) = self.proc(machine) {
                proc.election_due = due;
            }
        }
        Some(Msg::Vote { from: member, term, dry, granted, voter_term })
    }

    pub fn vote_came(&mut self, machine: usize, from: MemberId, term: i64, dry: bool, granted: bool, voter_term: i64) {
        self.heard_of_term(machine, voter_term);
        let Some(proc) = self.proc(machine) else { return };
        let Some(election) = proc.election.as_mut().filter(|e| e.term == term && e.dry == dry) else { return };
        if granted {
            election.yes.insert(from);
        }
        self.count_votes(machine);
    }

    fn count_votes(&mut self, machine: usize) {
        let now = self.now;
        let Some(config) = self.config(machine) else { return };
        let term = self.machines[machine].dir.term;
        let Some(proc) = self.proc(machine) else { return };
        let Some(election) = &mut proc.election else { return };
        let votes = config.read.voters().filter(|m| election.yes.contains(&m.id)).count();
        if votes < config.read.majority() {
            return;
        }
        let stale = if election.dry { election.term != term } else { election.term < term };
        if stale || proc.state != NodeState::Secondary {
            let answer = proc.election.take().and_then(|e| e.answer);
            self.lose(machine, answer);
        } else if election.dry {
            let next = term + 1;
            let me = proc.me;
            (election.dry, election.term) = (false, next);
            election.yes = me.into_iter().collect();
            election.deadline = now + PATIENCE;
            let dir = &mut self.machines[machine].dir;
            (dir.term, dir.voted_in) = (next, next);
            self.ask_for_votes(machine);
            self.count_votes(machine);
        } else {
            self.win(machine);
        }
    }

    fn win(&mut self, machine: usize) {
        let now = self.now;
        let Some(proc) = self.proc(machine) else { return };
        let answer = proc.election.take().and_then(|e| e.answer);
        proc.leader = proc.me;
        proc.writable = false;
        for peer in proc.peers.values_mut() {
            peer.heard_at = now;
            peer.optime = OpTime::default();
        }
        let id = proc.id;
        self.set_state(machine, NodeState::Primary);
        self.fails_some_followers(machine);
        if let Some(answer) = answer {
            self.answer(machine, answer, Ok(()));
        }
        self.after(5, 25, Event::Drained(machine, id));
        self.beat(machine);
    }

    /// The new primary starts to accept writes. It writes its first entry, and stores the config with its term.
    pub fn drained(&mut self, machine: usize) {
        if self.machines[machine].proc.as_ref().is_none_or(|p| p.state != NodeState::Primary || p.writable) {
            return;
        }
        let now = self.now;
        self.record.saw("elections");
        self.counted(|quiet| &mut quiet.elections);
        let dir = &mut self.machines[machine].dir;
        let term = dir.term;
        dir.log.push(Entry { term, write: 0 });
        let length = dir.log.len();
        if let Some(config) = dir.config.as_ref().and_then(|c| c.in_term(term)) {
            dir.config = Some(config);
        }
        let Some(proc) = self.proc(machine) else { return };
        proc.writable = true;
        proc.leads_since = now;
        proc.settled = length;
        self.note(|w| format!("{} takes writes in term {term}", w.machines[machine].name));
        self.checker_primary(machine);
        self.notify_controllers(machine);
        self.beat(machine);
        self.spread(machine);
        self.advance_commit(machine);
    }

    pub fn step_down(&mut self, machine: usize, why: &'static str) {
        let due = self.now + ELECTION_TIMEOUT + self.rng.between(0, 1500);
        let Some(proc) = self.proc(machine) else { return };
        if proc.state != NodeState::Primary {
            return;
        }
        proc.leader = None;
        proc.writable = false;
        proc.election_due = due;
        let waiting = std::mem::take(&mut proc.waiting);
        self.note(|w| format!("{} steps down: {why}", w.machines[machine].name));
        self.set_state(machine, NodeState::Secondary);
        for one in waiting {
            self.answer(machine, one.answer, Err(No(11602, "interrupted by a step-down")));
        }
    }
}
