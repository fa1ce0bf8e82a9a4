//! What the faults spare, because no controller can prevent the loss. This is the one place that excuses anything.
//!
//! The assumptions A1 to A9 are in `tests/sim/README.md`, each with the reason why it is fair.

use super::conf::ConfRef;
use super::events::End;
use super::world::{Machine, World};
use rsctl::model::{Bootstrap, Member, NodeState};

/// Assumption A2: this many ticks of a primary (0.5 s each) are enough to revoke a vote. In each of them the primary
/// would have accepted the reconfig, and a healthy controller reached both the primary and the wiped member.
const CHANCES: u32 = 6;

/// Assumption A6: this many milliseconds after `replSetInitiate` a set counts as started.
const STARTED: u64 = 5000;

impl World {
    /// Assumption A6: the bootstrap setting of a controller that starts now.
    pub fn bootstrap(&self) -> Bootstrap {
        let started = self.checker.began_at.is_some_and(|began| began + STARTED < self.now);
        if started { Bootstrap::Never } else { Bootstrap::Auto }
    }

    /// The newest config on any volume, and the config of each primary.
    pub fn configs(&self) -> Vec<ConfRef> {
        self.configs_of(|_| true)
    }

    fn configs_of(&self, counts: impl Fn(usize) -> bool) -> Vec<ConfRef> {
        let here = |(at, machine): &(usize, &Machine)| counts(*at) && !machine.retired;
        let stored = || self.machines.iter().enumerate().filter(here).map(|(_, machine)| machine);
        let newest = stored()
            .filter_map(|p| p.dir.config.clone())
            .reduce(|a, b| if b.read.is_newer_than(&a.read) { b } else { a });
        let leads = |p: &&Machine| p.proc.as_ref().is_some_and(|p| p.state == NodeState::Primary);
        newest.into_iter().chain(stored().filter(leads).filter_map(|p| p.dir.config.clone())).collect()
    }

    /// Assumption A7: whether a controller could know that a set exists already.
    pub fn could_know_of_set(&self, controller: usize) -> bool {
        let processes_with_data = self.machines.iter().filter(|p| !p.retired && p.dir.config.is_some());
        self.checker.was_told_of_set(controller, self.now, processes_with_data.map(|p| p.addr))
    }

    /// The machine whose directory holds this member's vote.
    fn vote_holder(&self, member: &Member) -> Option<usize> {
        self.machines.iter().position(|p| {
            let here = self.resolve(&member.host) == Some(p.addr);
            let its = if member.data.is_some() { member.data == p.dir.data } else { here };
            !p.retired && p.wiped.is_none() && !p.set_back && p.dir.data.is_some() && p.dir.config.is_some() && its
        })
    }

    fn majority_left(&self, configs: &[ConfRef], keeps: impl Fn(&Self, &Member, usize) -> bool) -> bool {
        configs.iter().all(|config| {
            let kept = config.read.voters().filter(|m| self.vote_holder(m).is_some_and(|p| keeps(self, m, p))).count();
            kept >= config.read.majority()
        })
    }

    /// Assumption A1: whether the directory at this machine can be lost.
    pub fn may_lose(&self, machine: usize) -> bool {
        let others_know = self.configs_of(|other| other != machine);
        let left = |configs: &[ConfRef]| self.majority_left(configs, |_, _, vote_holder| vote_holder != machine);
        left(&self.configs()) && left(&others_know) && self.may_move(machine)
    }

    /// Assumption A9: whether every controller runs, and was told that the directory held a committed write that its
    /// snapshot lacks.
    pub fn snapshot_is_noticed(&self, machine: usize) -> bool {
        let here = &self.machines[machine];
        let Some(snapshot) = here.snapshot.as_ref().filter(|s| s.data.is_some() && s.data == here.dir.data) else {
            return false;
        };
        let newest = snapshot.last();
        let knows = |e: &super::evidence::Evidence| {
            snapshot.data.and_then(|data| e.held.get(&data)).is_some_and(|held| *held > newest)
        };
        self.alive.iter().all(|alive| *alive) && self.checker.evidence.iter().all(knows)
    }

    /// Assumption A3: whether the mongod at this machine may come back at another address.
    pub fn may_move(&self, machine: usize) -> bool {
        let others_know = self.configs_of(|other| other != machine);
        let at_home = |configs: &[ConfRef]| {
            self.majority_left(configs, |w, m, vote_holder| vote_holder != machine && w.at_home(m, vote_holder))
        };
        let left = || at_home(&self.configs()) && at_home(&others_know);
        !self.about_to_vote(machine) && (self.all_tagged() || left())
    }

    /// Whether the config has an IP as the address of a member.
    pub fn goes_by_ip(&self) -> bool {
        self.configs().iter().any(|config| config.read.members().iter().any(|m| m.host.name().is_none()))
    }

    /// Assumption A3: whether the server, or a controller under 4.4, may be about to give a new member its vote.
    fn about_to_vote(&self, machine: usize) -> bool {
        let soon =
            |m: &Member| (m.newly_added || m.owed_vote()) && self.resolve(&m.host) == Some(self.machines[machine].addr);
        let dir = &self.machines[machine].dir;
        (dir.data.is_some() || dir.nameless)
            && self.configs().iter().any(|config| config.read.members().iter().any(soon))
    }

    /// Assumption A4: the machines between which addresses can be exchanged.
    pub fn vote_holders(&self) -> Vec<usize> {
        let configs = self.configs();
        let keeps =
            |machine: usize| configs.iter().all(|c| c.read.voters().any(|m| self.vote_holder(m) == Some(machine)));
        (0..self.machines.len()).filter(|p| !configs.is_empty() && keeps(*p)).collect()
    }

    pub fn all_tagged(&self) -> bool {
        let tagged = |m: &Member| m.data.is_some() && self.vote_holder(m).is_some();
        self.configs().iter().all(|config| config.read.voters().all(tagged))
    }

    fn at_home(&self, member: &Member, vote_holder: usize) -> bool {
        self.resolve(&member.host) == Some(self.machines[vote_holder].addr)
    }

    /// Whether a config in force has a vote for this address.
    pub fn holds_vote(&self, address: std::net::Ipv4Addr) -> bool {
        let configs = self.configs();
        configs.iter().flat_map(|c| c.read.members()).any(|m| m.votes && self.resolve(&m.host) == Some(address))
    }

    /// Assumption A2: whether everything except this machine is healthy.
    pub fn all_others_well(&self, machine: usize) -> bool {
        let leads = |p: &Machine| p.proc.as_ref().is_some_and(|p| p.writable);
        let follows = !leads(&self.machines[machine]) && self.machines.iter().filter(|p| leads(p)).count() == 1;
        let good = |view: &super::dns::DnsView| matches!(view, super::dns::DnsView::Good);
        let well = |m: &Member| {
            self.vote_holder(m).is_some_and(|vote_holder| {
                let there = &self.machines[vote_holder];
                let serves = there.proc.as_ref().is_some_and(|p| {
                    matches!(p.state, NodeState::Primary | NodeState::Secondary) && p.me == Some(m.id)
                });
                vote_holder == machine || (serves && (follows || there.dir.log.starts_with(&self.checker.acked)))
            })
        };
        self.cut.is_empty()
            && self.stalled.is_empty()
            && self.alive.iter().all(|alive| *alive)
            && self.dns.iter().all(good)
            && self.loss == 0
            && self.machines.iter().enumerate().all(|(i, p)| i == machine || p.retired || p.proc.is_some())
            && self.configs().iter().all(|config| config.read.voters().all(well))
    }

    /// Counts a tick of the primary in which the vote of a wiped directory could have been revoked.
    pub fn count_chances(&mut self, leader: usize) {
        if self.machines.iter().all(|p| p.wiped.is_none()) || !self.may_reconfig(leader) {
            return;
        }
        let Some(config) = self.config(leader) else { return };
        for machine in 0..self.machines.len() {
            let (wiped, me) = (self.machines[machine].wiped, self.machines[machine].proc.as_ref().and_then(|p| p.me));
            let votes = me.and_then(|me| config.read.member(me)).is_some_and(Member::votes_now);
            if let Some(chances) = wiped.filter(|_| votes && self.somebody_sees(leader, machine)) {
                self.machines[machine].wiped = Some(chances + 1);
            }
        }
    }

    fn somebody_sees(&self, leader: usize, machine: usize) -> bool {
        (0..self.alive.len()).any(|controller| {
            let reaches = |to| self.both_ways(End::Controller(controller), End::Machine(to));
            let knows = matches!(self.dns[controller], super::dns::DnsView::Good);
            self.alive[controller] && knows && reaches(leader) && reaches(machine)
        })
    }

    /// Whether the mongod on a wiped volume may still have a vote although it lacks acknowledged writes.
    pub fn fragile(&mut self) -> bool {
        let acked = self.checker.acked.len();
        let leads = |p: &Machine| p.proc.as_ref().is_some_and(|p| p.writable);
        let leader = self.machines.iter().position(leads);
        let settled = leader.is_some_and(|leader| self.config_on_majority(leader));
        for machine in 0..self.machines.len() {
            let Some(chances) = self.machines[machine].wiped else { continue };
            let here = &self.machines[machine];
            let whole = here.dir.data.is_some() && here.dir.log.len() >= acked;
            let silent = here.proc.is_some() && settled && !self.holds_vote(here.addr);
            if here.retired || whole || silent || chances >= CHANCES {
                self.machines[machine].wiped = None;
            }
        }
        self.machines.iter().any(|p| p.wiped.is_some())
    }
}
