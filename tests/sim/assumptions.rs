//! What the faults spare: the losses that no controller can survive. This is the one machine that excuses anything.
//!
//! 1. A majority of the voters' directories is never lost (wiped, or gone with their task): neither of the newest
//!    config's voters, nor of those that the others would still know. A config that only the lost directory had may
//!    have been in force or not: nobody can tell, and the voters of the one before are too few.
//! 2. A volume is wiped under an address that holds a vote only while every other voter is up and reachable, another
//!    member leads (or all are up to date), and the controllers are well. Nothing else fails until the directory is
//!    whole, or its vote is gone and a majority knows, or there were [`CHANCES`] to take it: the server lets such a
//!    mongod vote before anybody can act, so a second fault in that moment can lose acknowledged writes whatever a
//!    controller does. After that there is no excuse.
//! 3. A majority of voters moves to other addresses only when all voters are tagged: who is not is never guessed, and
//!    waits for a human. A newcomer that holds data stays where it is until its vote is counted: the server gives it
//!    by itself, and only then comes the tag.
//! 4. The directory of a member without a vote never starts at a voter's address, for the server lets it vote there at
//!    once, as it does a wiped one.
//! 5. A blank mongod is wiped as freely as any, but not the one that was just initiated: it is all there is.
//! 6. A controller that begins some seconds after the first start has `--bootstrap never`, as the README asks for: it
//!    cannot know of a set whose volumes are all away while there are as many blank tasks as it expects.
//! 7. For the same reason one of those that were there before may begin a second set, if it has never been told of the
//!    first and its DNS lists nobody who could tell. Blank tasks look the same on a first start and later: only that
//!    they are all that the service has would tell, and here DNS hides tasks, or there are more than `--expect`. The
//!    seed ends there, and is counted.
//! 8. An operator orders what the controller's status shows at that moment. By an IP that has passed on since he looked
//!    he would name another one, and nobody could tell.

use super::conf::ConfRef;
use super::events::End;
use super::world::{Machine, World};
use rsctl::model::{Bootstrap, Member, NodeState};

/// So many ticks of a primary (0.5 s each) in which it would have taken the reconfig, and a well controller saw both it
/// and the wiped member, are enough to take a vote.
const CHANCES: u32 = 6;

/// After so long, in milliseconds, a set counts as started.
const STARTED: u64 = 5000;

impl World {
    /// Limit 6.
    pub fn bootstrap(&self) -> Bootstrap {
        let started = self.checker.began_at.is_some_and(|began| began + STARTED < self.now);
        if started { Bootstrap::Never } else { Bootstrap::Auto }
    }

    /// The newest config that any volume holds, and that of whoever leads.
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

    /// Limit 7: whether a controller could know that there is a set already.
    pub fn could_know_of_set(&self, controller: usize) -> bool {
        let processes_with_data = self.machines.iter().filter(|p| !p.retired && p.dir.config.is_some());
        self.checker.was_told_of_set(controller, self.now, processes_with_data.map(|p| p.addr))
    }

    /// The machine that holds the directory which earned this slot's vote.
    fn vote_holder(&self, member: &Member) -> Option<usize> {
        self.machines.iter().position(|p| {
            let here = self.resolve(&member.host) == Some(p.addr);
            let its = if member.data.is_some() { member.data == p.dir.data } else { here };
            !p.retired && p.wiped.is_none() && p.dir.data.is_some() && p.dir.config.is_some() && its
        })
    }

    fn majority_left(&self, configs: &[ConfRef], keeps: impl Fn(&Self, &Member, usize) -> bool) -> bool {
        configs.iter().all(|config| {
            let kept = config.read.voters().filter(|m| self.vote_holder(m).is_some_and(|p| keeps(self, m, p))).count();
            kept >= config.read.majority()
        })
    }

    /// Limit 1: whether the directory at this machine can be lost.
    pub fn may_lose(&self, machine: usize) -> bool {
        let others_know = self.configs_of(|other| other != machine);
        let left = |configs: &[ConfRef]| self.majority_left(configs, |_, _, vote_holder| vote_holder != machine);
        left(&self.configs()) && left(&others_know) && self.may_move(machine)
    }

    /// Limit 3: whether the mongod at this machine may come back at another address.
    pub fn may_move(&self, machine: usize) -> bool {
        let others_know = self.configs_of(|other| other != machine);
        let at_home = |configs: &[ConfRef]| {
            self.majority_left(configs, |w, m, vote_holder| vote_holder != machine && w.at_home(m, vote_holder))
        };
        let left = || at_home(&self.configs()) && at_home(&others_know);
        !self.about_to_vote(machine) && (self.all_tagged() || left())
    }

    /// Whether an IP is what the set knows a member by.
    pub fn goes_by_ip(&self) -> bool {
        self.configs().iter().any(|config| config.read.members().iter().any(|m| m.host.name().is_none()))
    }

    /// The server, or under 4.4 a controller, may be about to give a newcomer its vote, whatever became of it since.
    fn about_to_vote(&self, machine: usize) -> bool {
        let soon =
            |m: &Member| (m.newly_added || m.owed_vote()) && self.resolve(&m.host) == Some(self.machines[machine].addr);
        let dir = &self.machines[machine].dir;
        (dir.data.is_some() || dir.nameless)
            && self.configs().iter().any(|config| config.read.members().iter().any(soon))
    }

    /// Limit 4: the machines between which addresses can be exchanged.
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

    /// Whether an address stands for a vote in some config that counts.
    pub fn holds_vote(&self, address: std::net::Ipv4Addr) -> bool {
        let configs = self.configs();
        configs.iter().flat_map(|c| c.read.members()).any(|m| m.votes && self.resolve(&m.host) == Some(address))
    }

    /// Limit 2: everybody but this machine is well.
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
            && self.alive.iter().all(|alive| *alive)
            && self.dns.iter().all(good)
            && self.loss == 0
            && self.machines.iter().enumerate().all(|(i, p)| i == machine || p.retired || p.proc.is_some())
            && self.configs().iter().all(|config| config.read.voters().all(well))
    }

    /// A primary's tick: whether the vote of a wiped directory could have been taken by now.
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

    /// Whether a wiped volume may still vote without holding anything.
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
