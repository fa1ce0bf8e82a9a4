//! What the faults spare: the losses that no controller can survive. This is the one place that excuses anything.
//!
//! 1. A majority of the voters' directories is never lost (wiped, or gone with their task).
//! 2. A volume is wiped under an address that holds a vote only while every other voter is up, reachable and up to
//!    date, and nothing else fails until the directory is whole again: the server lets such a mongod vote before
//!    anybody can act, so a second fault in that moment can lose acknowledged writes whatever a controller does.
//! 3. A majority of voters moves to other addresses only when all voters are tagged: who is not is never guessed, and
//!    waits for a human.
//! 4. The directory of a member without a vote never starts at a voter's address, for the server lets it vote there at
//!    once, as it does a wiped one.
//! 5. A blank mongod is wiped as freely as any, but not the one that was just initiated: it is all there is.
//! 6. A moved majority waits for a human, and says so, while less than half of all members is found: members without a
//!    vote that went for good count there too, and nobody can remove them without a primary.

use super::conf::ConfRef;
use super::world::World;
use rsctl::model::{Member, NodeState};

impl World {
    /// The newest config that any volume holds, and that of whoever leads.
    pub fn configs(&self) -> Vec<ConfRef> {
        let stored = || self.places.iter().filter(|p| !p.retired);
        let newest = stored().filter_map(|p| p.dir.config.clone()).reduce(|a, b| {
            if b.read.is_newer_than(&a.read) { b } else { a }
        });
        let leads = |p: &&super::world::Place| p.proc.as_ref().is_some_and(|p| p.state == NodeState::Primary);
        newest.into_iter().chain(stored().filter(leads).filter_map(|p| p.dir.config.clone())).collect()
    }

    /// The place that holds the directory which earned this slot's vote.
    fn keeper(&self, member: &Member) -> Option<usize> {
        self.places.iter().position(|p| {
            let here = self.resolve(&member.host) == Some(p.addr);
            let its = if member.data.is_some() { member.data == p.dir.data } else { here };
            !p.retired && !p.wiped && p.dir.data.is_some() && p.dir.config.is_some() && its
        })
    }

    fn majority_left(&self, keeps: impl Fn(&Self, &Member, usize) -> bool) -> bool {
        self.configs().iter().all(|config| {
            let kept = config.read.voters().filter(|m| self.keeper(m).is_some_and(|p| keeps(self, m, p))).count();
            kept >= config.read.majority()
        })
    }

    /// Limit 1: whether the directory at this place can be lost.
    pub fn may_lose(&self, place: usize) -> bool {
        self.majority_left(|_, _, keeper| keeper != place) && self.may_move(place)
    }

    /// Limit 3: whether the mongod at this place may come back at another address.
    pub fn may_move(&self, place: usize) -> bool {
        self.all_tagged() || self.majority_left(|w, m, keeper| keeper != place && w.at_home(m, keeper))
    }

    /// Limit 4: the places between which addresses can be exchanged.
    pub fn keepers(&self) -> Vec<usize> {
        let configs = self.configs();
        let keeps = |place: usize| {
            configs.iter().all(|c| c.read.voters().any(|m| self.keeper(m) == Some(place)))
        };
        (0..self.places.len()).filter(|p| !configs.is_empty() && keeps(*p)).collect()
    }

    pub fn all_tagged(&self) -> bool {
        let tagged = |m: &Member| m.data.is_some() && self.keeper(m).is_some();
        self.configs().iter().all(|config| config.read.voters().all(tagged))
    }

    fn at_home(&self, member: &Member, keeper: usize) -> bool {
        self.resolve(&member.host) == Some(self.places[keeper].addr)
    }

    /// Whether an address stands for a vote in some config that counts.
    pub fn holds_vote(&self, address: std::net::Ipv4Addr) -> bool {
        let configs = self.configs();
        configs.iter().flat_map(|c| c.read.members()).any(|m| m.votes && self.resolve(&m.host) == Some(address))
    }

    /// Limit 2: everybody but this place is well.
    pub fn all_others_well(&self, place: usize) -> bool {
        let well = |m: &Member| {
            self.keeper(m).is_some_and(|keeper| {
                let there = &self.places[keeper];
                let serves = there
                    .proc
                    .as_ref()
                    .is_some_and(|p| matches!(p.state, NodeState::Primary | NodeState::Secondary) && p.me == Some(m.id));
                keeper == place || (serves && there.dir.log.starts_with(&self.checker.acked))
            })
        };
        self.cut.is_empty()
            && self.loss == 0
            && self.places.iter().enumerate().all(|(i, p)| i == place || p.retired || p.proc.is_some())
            && self.configs().iter().all(|config| config.read.voters().all(well))
    }

    /// Limit 6: every controller says why it does not force.
    pub fn held_back(&self) -> bool {
        let says = |s: &super::world::Said| s.text.contains("not now: force") && s.text.contains("members is found");
        self.said.iter().all(|s| s.as_ref().is_some_and(says))
    }

    /// Whether a wiped volume is not whole yet.
    pub fn fragile(&mut self) -> bool {
        let acked = self.checker.acked.len();
        for place in &mut self.places {
            if place.wiped && (place.retired || (place.dir.data.is_some() && place.dir.log.len() >= acked)) {
                place.wiped = false;
            }
        }
        self.places.iter().any(|p| p.wiped)
    }
}
