//! The checks for violations. A check runs after every event that could cause its violation.

use super::evidence::Evidence;
use super::node::{Entry, Proc, long_silent};
use super::world::{Machine, World};
use bson::oid::ObjectId;
use rsctl::model::{Member, MemberId, NodeState, ReplConfig, VOTERS_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A controller may remove a member only after the member has been gone for this time in everything that the controller
/// got. The simulated controllers have it as `--replace-after`.
pub const REMOVE_AFTER: Duration = Duration::from_secs(5);

/// What the checker checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckScope {
    /// The data and the commands of controllers.
    #[default]
    All,
    /// Only the acknowledged writes, not the commands of controllers.
    DataOnly,
}

/// The kind of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An acknowledged write is lost, or two histories exist and one of them will be lost.
    Lost,
    /// A controller sent a command that is never allowed.
    Command,
    /// The set does not become healthy after the faults.
    Unsettled,
    /// The simulation panicked.
    Panic,
}

/// The longest time of an observation and the transport of a command together, in milliseconds.
pub const COMMAND_DELAY_MS: u64 = 500;
/// The longest time that a reconfig waits for the one before it, in milliseconds.
pub const RECONFIG_WAIT_MS: u64 = 5000;

#[derive(Default)]
pub struct Checker {
    pub scope: CheckScope,
    /// The first violation.
    pub broken: Option<(Violation, String)>,
    /// The entries that a majority acknowledged, in order. This is the only valid history.
    pub acked: Vec<Entry>,
    acked_in: i64,
    /// The primary of each term.
    leaders: BTreeMap<i64, ObjectId>,
    pub set: Option<ObjectId>,
    /// The run is over, because later events prove nothing (assumption A7).
    pub over: bool,
    /// The time of `replSetInitiate`.
    pub began_at: Option<u64>,
    pub evidence: Vec<Evidence>,
    /// The members that an operator asked to remove because the status names them as gone.
    pub given_up: BTreeSet<MemberId>,
    /// What has happened since the last fault, while no new one comes.
    pub quiet: Option<Quiet>,
}

/// A time without new faults, in which elections and changes of the config must come to an end.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    /// The most that is allowed of each.
    pub max: u32,
    pub elections: u32,
    pub changes: u32,
}

impl Checker {
    pub fn new(controllers: usize, scope: CheckScope) -> Self {
        Self { scope, evidence: vec![Evidence::born(0); controllers], ..Self::default() }
    }
}

impl World {
    /// Records that an acknowledged write is lost.
    pub fn lost(&mut self, what: String) {
        self.broke(Violation::Lost, what);
    }

    /// Counts an event of a time without new faults.
    pub fn counted(&mut self, count: fn(&mut Quiet) -> &mut u32) {
        let Some(quiet) = &mut self.checker.quiet else { return };
        *count(quiet) += 1;
        let Quiet { max, elections, changes } = *quiet;
        if elections.max(changes) > max {
            self.violated(format!("{elections} elections and {changes} changes of the config without a new fault"));
        }
    }

    /// Records that a controller sent a command that is never allowed.
    pub fn violated(&mut self, what: String) {
        if self.checker.scope == CheckScope::All {
            self.broke(Violation::Command, what);
        }
    }

    fn broke(&mut self, violation: Violation, what: String) {
        self.note(|_| format!("VIOLATED: {what}"));
        self.checker.broken.get_or_insert((violation, what));
    }

    /// A primary accepts writes. Checks that it is the only primary of its term.
    pub fn checker_primary(&mut self, machine: usize) {
        let dir = &self.machines[machine].dir;
        let Some(proc) = &self.machines[machine].proc else { return };
        let (term, id) = (dir.term, proc.id);
        if *self.checker.leaders.entry(term).or_insert(id) != id {
            self.lost(format!("two primaries in term {term}"));
        }
    }

    /// A primary committed entries. Checks that every entry acknowledged before is in its log.
    pub fn committed(&mut self, machine: usize) {
        let dir = &self.machines[machine].dir;
        let acked = &self.checker.acked;
        // A primary of an older term may not know of the newer term yet. It may still learn that its earlier entries
        // are acknowledged. Its other entries will be rolled back.
        let stale = dir.term < self.checker.acked_in;
        let held = if stale { dir.commit } else { acked.len() };
        let common = held.min(acked.len()).min(dir.log.len());
        if dir.log.len() < held || stale && acked.len() < held || dir.log[..common] != acked[..common] {
            let missing = acked.iter().zip(&dir.log).position(|(a, b)| a != b).unwrap_or(common);
            let entry = acked.get(missing).copied();
            self.lost(format!("{} leads without {entry:?}, which was acknowledged", self.machines[machine].name));
            return;
        }
        if dir.commit > acked.len() {
            let (from, to) = (acked.len(), dir.commit);
            let fresh = dir.log[from..to].to_vec();
            self.checker.acked_in = dir.term;
            self.checker.acked.extend(fresh);
        }
    }

    pub fn initiated(&mut self, from: usize, rs: ObjectId) {
        self.checker.began_at = Some(self.now);
        if self.checker.set.replace(rs).is_none() {
            return;
        }
        if self.could_know_of_set(from) {
            self.violated("a second set was initiated".to_owned());
        } else {
            self.note(|_| format!("a second set is initiated, and controller {from} could not know"));
            self.record.saw("second sets that no controller could know to be second");
            self.checker.over = true;
        }
    }

    /// Checks a reconfig that a controller sent, based on the config in force.
    pub fn reconfig_sent(&mut self, from: usize, old: &ReplConfig, sent: &ReplConfig) {
        if sent.version() != old.version() + 1 {
            return;
        }
        let votes = |m: &Member| sent.member(m.id).is_some_and(|n| n.votes);
        let changed = old.members().iter().filter(|m| m.votes != votes(m)).count();
        if changed > 1 {
            self.violated(format!("controller {from} changes {changed} votes at once"));
        }
        if sent.members().iter().filter(|m| m.votes).count() > VOTERS_MAX {
            self.violated(format!("controller {from} wants more than {VOTERS_MAX} voters"));
        }
    }

    /// Checks a reconfig of a controller that the server accepted. The server may accept it long after its arrival.
    pub fn reconfigured(&mut self, machine: usize, from: usize, old: &ReplConfig, new: &ReplConfig, came: u64) {
        self.counted(|quiet| &mut quiet.changes);
        for member in old.members() {
            match new.member(member.id) {
                None => self.removed(machine, from, member, came),
                Some(next) => self.changed(from, old, (member, next), came),
            }
        }
        for member in new.members().iter().filter(|m| old.member(m.id).is_none()) {
            if member.id < self.checker.evidence[from].next_id {
                self.violated(format!("controller {from} uses _id {} again", member.id));
            }
        }
    }

    /// The last address of a member's host. No mongod need run there.
    pub fn last_address(&self, member: &Member) -> Option<Ipv4Addr> {
        let by_name = |name| self.machines.iter().find(|p| Some(p.name.as_str()) == name).map(|p| p.addr);
        by_name(member.host.name()).or_else(|| self.resolve(&member.host))
    }

    /// Whether an operator asked to remove this member, which is or was on this machine. If another machine has the
    /// named address since, the request does not mean that machine.
    fn is_unwanted(&self, machine: usize, member: &Member) -> bool {
        let (here, address) = (&self.machines[machine], self.last_address(member));
        let passed_on = address.and_then(|at| self.machine_at(at)).is_some_and(|other| other != machine);
        let named = [Some(here.addr), here.unwanted_at].contains(&address) && !passed_on;
        let its = member.data.is_some() && [here.dir.data, here.unwanted_data].contains(&member.data);
        here.unwanted && (named || its)
    }

    fn removed(&mut self, machine: usize, from: usize, member: &Member, came: u64) {
        let now = self.now;
        let gone = self.last_address(member).is_some_and(|at| self.checker.evidence[from].gone(at, now));
        let peer = self.machines[machine].proc.as_ref().and_then(|p| p.peers.get(&member.id));
        // An observation takes time, and so does the transport of a command. The time that a reconfig waits at the
        // server does not count: a controller cannot withdraw a command when a member returns in the meantime.
        let well = peer.is_some_and(|p| p.up && p.up_since + 2500 < came);
        let given_up = self.checker.given_up.contains(&member.id);
        let unwanted = given_up || (0..self.machines.len()).any(|p| self.is_unwanted(p, member));
        if !unwanted && (!gone || well) {
            self.violated(format!("controller {from} removes {}, which is not gone", member.host));
        }
    }

    fn changed(&mut self, from: usize, base: &ReplConfig, (old, new): (&Member, &Member), came: u64) {
        let seen = |w: &Self, m: &Member| {
            let address = w.last_address(m)?;
            w.checker.evidence[from].answer(address).map(|(_, data, state)| (*data, *state))
        };
        let Some((data, state)) = seen(self, new) else {
            // A name may lead to another task when the command arrives.
            if new.host.name().is_none() && (old.votes != new.votes || old.host != new.host) {
                self.violated(format!("controller {from} changes {} unseen", new.host));
            }
            return;
        };
        // Directories may exchange member entries, as the server itself allows, but no directory comes in from outside.
        let known = base.members().iter().any(|m| m.data == data && m.votes == old.votes);
        if old.host != new.host && (data.is_none() || data != new.data || !known) {
            self.violated(format!("controller {from} gives the member {} to another directory", old.host));
        }
        if old.host != new.host && self.checker.evidence[from].is_set_back(data) {
            self.violated(format!("controller {from} follows {}, whose directory was set back", old.host));
        }
        let set_back = self.checker.evidence[from].was_set_back(data, came);
        if old.votes && !new.votes && !set_back && data.is_some() && (old.data.is_none() || data == old.data) {
            self.violated(format!("controller {from} takes the vote of {}, which is whole", old.host));
        }
        if !old.votes && new.votes && (data.is_none() || state != NodeState::Secondary) {
            self.violated(format!("controller {from} gives a vote to {}, which is {state}", old.host));
        }
        // The controller decided before the command arrived, so later answers do not count. Neither do entries that
        // were committed while the command waited at the server.
        let told = self.checker.evidence[from].committed.iter().rev();
        let told = told.clone().find(|(at, _)| at + COMMAND_DELAY_MS <= came);
        let committed = told.map(|(_, at)| *at).unwrap_or_default();
        let behind = self.machine_of(&new.host).is_some_and(|p| self.machines[p].dir.last() < committed);
        if old.saved_vote.is_some() && !old.votes && new.votes && behind {
            self.violated(format!(
                "controller {from} gives {} its vote back before it has what is committed",
                old.host
            ));
        }
    }

    /// A forced reconfig may change where members are, and nothing else: the same directories vote before and after,
    /// and a majority of them has answered the controller.
    pub fn forced(&mut self, from: usize, new: &ReplConfig) {
        let Some(newest) = self.configs().into_iter().next() else { return };
        let ids = |c: &ReplConfig| c.voters().map(|m| m.id).collect::<BTreeSet<_>>();
        if new.voters().any(|m| newest.read.member(m.id).is_some_and(|old| old.newly_added)) {
            self.violated(format!("controller {from} forces votes upon newcomers"));
        }
        let (before, after) = (ids(&newest.read), ids(new));
        // Beside members without tags, those that lack the newest write have no vote for a while.
        let lengths = self.machines.iter().filter(|p| p.proc.is_some() && p.dir.data.is_some()).map(|p| p.dir.last());
        let newest_write = lengths.max();
        let has_newest =
            |m: &Member| self.machine_of(&m.host).is_some_and(|p| Some(self.machines[p].dir.last()) == newest_write);
        let untagged = newest.read.voters().any(|m| m.data.is_none());
        let holds_back = untagged && after.is_subset(&before) && new.voters().all(has_newest);
        if before.symmetric_difference(&after).count() > 1 && !holds_back {
            self.violated(format!("controller {from} forces other voters: {after:?} instead of {before:?}"));
        }
        let now = self.now;
        let answered = |w: &Self, m: &Member| {
            let answers = w.checker.evidence[from].answered.values();
            let mut fresh = answers.filter(|(at, ..)| at + 5000 >= now);
            let tagged = fresh.any(|(_, data, state)| {
                data.is_some() && *data == m.data && matches!(state, NodeState::Removed | NodeState::Secondary)
            });
            // A member without a tag is identified by its address, as the server does.
            let there = w.resolve(&m.host).and_then(|at| w.checker.evidence[from].answered.get(&at));
            let at_its_address = there
                .is_some_and(|(at, data, state)| at + 5000 >= now && data.is_some() && *state == NodeState::Secondary);
            let set_back = w.checker.evidence[from].is_set_back(m.data);
            tagged && !set_back || m.data.is_none() && at_its_address
        };
        let at_hand = new.voters().filter(|m| answered(self, m)).count();
        if at_hand < new.majority() {
            self.violated(format!("controller {from} forces with {at_hand} voters at hand"));
        }
        // A voter's directory may be at another voter's address: the server itself allows this. If the controller
        // cannot see a member and does not change its address, the server has already given it the vote.
        let seen_or_moved = |w: &Self, m: &Member| {
            let moved = newest.read.member(m.id).is_none_or(|old| old.host != m.host);
            let heard = |at| w.checker.evidence[from].answer(at).is_some_and(|(when, ..)| when + 5000 >= now);
            moved || w.resolve(&m.host).is_some_and(heard)
        };
        let outsiders = new.voters().filter(|m| seen_or_moved(self, m)).filter(|m| {
            let found = self.machine_of(&m.host).map(|p| self.machines[p].dir.data);
            found.is_some_and(|data| {
                // A member without a tag must not get a new address.
                data.is_none() || (m.data.is_some() && !new.voters().any(|v| v.data == data))
            })
        });
        if let Some(host) = outsiders.map(|m| m.host.clone()).next() {
            self.violated(format!("controller {from} forces a vote upon another directory at {host}"));
        }
    }

    /// Checks that a controller does not ask for an election against a healthy primary, unless that primary is about to
    /// stop.
    pub fn stepped_up(&mut self, from: usize, candidate: usize) {
        let (now, evidence) = (self.now, &self.checker.evidence[from]);
        let well = |machine: usize| {
            let here = &self.machines[machine];
            let (Some(proc), Some(config)) = (&here.proc, &here.dir.config) else { return false };
            let heard = |m: &&Member| proc.peers.get(&m.id).is_some_and(|p| p.up && p.heard_at + 1500 > now);
            let leads = proc.writable && proc.leads_since + 3000 < now;
            leads && config.read.voters().filter(heard).count() + 1 >= config.read.majority()
        };
        let unseen =
            |machine: usize| evidence.answer(self.machines[machine].addr).is_none_or(|(at, ..)| at + 3000 < now);
        // A member named this primary to the controller within the last second.
        let told = |machine: usize| {
            let mut named = evidence.named.values();
            named.any(|(at, host)| at + 1000 > now && self.machine_of(host) == Some(machine))
        };
        // No mongod died on this machine since the controller started, so no connection to this primary broke.
        let quiet = |machine: usize| self.machines[machine].died_at.is_none_or(|at| at < evidence.born);
        // The observation began before the primary's heartbeats arrived again, so the controller could not know of
        // them.
        let missed = |machine: usize| {
            let (Some(proc), Some(config)) = (&self.machines[machine].proc, &self.machines[machine].dir.config) else {
                return false;
            };
            let missed_by = |other: &Machine| {
                // This voter may be primary by now, at the request of another controller (seed 101275).
                let could_vote = |p: &&Proc| matches!(p.state, NodeState::Secondary | NodeState::Primary);
                let voter = other.proc.as_ref().filter(could_vote)?;
                config.read.voters().find(|m| Some(m.id) == voter.me)?;
                evidence.answer(other.addr).filter(|(at, ..)| at + 3000 > now)?;
                let seen = voter.peers.get(&proc.me?)?;
                let silent = seen.asked_us_at.is_some_and(|at| at + long_silent(&config.read) <= now);
                Some(silent || seen.back_at.is_some_and(|at| at + 1500 > now))
            };
            self.machines.iter().filter(|other| missed_by(other) == Some(true)).count() >= config.read.majority()
        };
        let leads = self.leader().filter(|p| *p != candidate);
        let stays = |machine: usize| self.machines[machine].listed;
        let unseated = leads.filter(|p| well(*p) && unseen(*p) && told(*p) && quiet(*p) && stays(*p) && !missed(*p));
        if let Some(name) = unseated.map(|p| self.machines[p].name.clone()) {
            self.violated(format!("controller {from} unseats {name}, which the others see"));
        }
    }

    /// Records which kinds of change a reconfig made.
    pub fn record_changes(&mut self, old: &ReplConfig, new: &ReplConfig) {
        let votes = |c: &ReplConfig, id| c.member(id).is_some_and(|m| m.votes);
        for member in old.members() {
            let what = match new.member(member.id) {
                None => "removals",
                Some(next) if next.host != member.host => "moves",
                Some(next) if next.saved_vote.is_some() && member.saved_vote.is_none() => "votes taken",
                Some(next) if next.saved_vote.is_none() && member.saved_vote.is_some() => "votes given back",
                Some(next) if votes(new, next.id) && !member.votes => "spares promoted",
                Some(_) => continue,
            };
            self.record.saw(what);
        }
        if new.members().iter().any(|m| old.member(m.id).is_none()) {
            self.record.saw("joins");
        }
    }
}
