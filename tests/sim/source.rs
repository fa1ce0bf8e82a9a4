//! The sync source of a secondary: whom it copies from, for how long it hangs on a silent one, whom it avoids.

use super::conf::No;
use super::events::{End, Event};
use super::world::World;
use rsctl::model::{Host, MemberId, NodeState, OpTime};

/// A member that finds no source that is ahead looks again after this time, in milliseconds (6.0.5).
const SLEEP: u64 = 1000;
/// So long it waits for a source that went silent: the limit of the server's oplog fetcher is 5 s, and it asks twice.
const HANG: u64 = 10_000;
/// So long it avoids a source after an error (`kFetcherErrorDenylistDuration`).
const AVOID: u64 = 10_000;
/// The chance, in percent, that a member gets an error from its source when that one begins to lead. Then it copies from
/// nobody although a primary is there (seen on 5.0.4 and 6.0.27, more seldom).
const ERROR_AT_ELECTION: u64 = 10;

/// From whom a process copies.
#[derive(Clone, Debug, Default)]
pub struct Fetch {
    /// Its `syncSourceHost`.
    pub source: Option<MemberId>,
    /// Since when the source has been silent.
    silent_since: Option<u64>,
    /// It looks for a source at this time.
    asleep_until: u64,
    /// The members that it avoids, and until when.
    avoids: Vec<(MemberId, u64)>,
}

impl Fetch {
    fn has_none(&mut self, until: u64) {
        (self.source, self.silent_since, self.asleep_until) = (None, None, until);
    }

    fn avoid(&mut self, member: MemberId, until: u64) {
        self.avoids.retain(|(other, _)| *other != member);
        self.avoids.push((member, until));
    }
}

/// What a member gets from its source.
enum Supply {
    From(usize),
    /// Nothing new, or no answer yet.
    Nothing,
    /// It looks for another one.
    Ended,
    /// It looks for another one, and avoids this one.
    Failed,
}

impl World {
    /// The machine that this one copies from now. It keeps its source while that one serves.
    pub fn copies_from(&mut self, machine: usize) -> Option<usize> {
        let now = self.now;
        if let Some(id) = self.machines[machine].proc.as_ref()?.fetch.source {
            let supply = self.supply(machine, id);
            let fetch = &mut self.proc(machine)?.fetch;
            match supply {
                Supply::From(source) => return Some(source),
                Supply::Nothing => return None,
                Supply::Ended => fetch.has_none(now),
                Supply::Failed => {
                    fetch.avoid(id, now + AVOID);
                    fetch.has_none(now);
                }
            }
        }
        if self.machines[machine].proc.as_ref()?.fetch.asleep_until > now {
            return None;
        }
        let found = self.best_source(machine, true);
        let fetch = &mut self.proc(machine)?.fetch;
        fetch.has_none(now + SLEEP);
        let (id, source) = found?;
        fetch.source = Some(id);
        Some(source)
    }

    fn supply(&mut self, machine: usize, id: MemberId) -> Supply {
        let now = self.now;
        let Some(config) = self.config(machine) else { return Supply::Ended };
        let Some(host) = config.read.member(id).map(|m| m.host.clone()) else { return Supply::Ended };
        let source = self.machine_of(&host);
        let reached = source.filter(|source| self.both_ways(End::Machine(machine), End::Machine(*source)));
        let Some(source) = reached else {
            let Some(proc) = self.proc(machine) else { return Supply::Ended };
            let since = *proc.fetch.silent_since.get_or_insert(now);
            return if now >= since + HANG { Supply::Failed } else { Supply::Nothing };
        };
        if let Some(proc) = self.proc(machine) {
            proc.fetch.silent_since = None;
        }
        // A process that ended has closed its connections, and does not serve. A machine that is lost closes none.
        if !self.serves(machine, source) {
            return Supply::Ended;
        }
        match self.machines[source].dir.last().cmp(&self.machines[machine].dir.last()) {
            std::cmp::Ordering::Greater => Supply::From(source),
            std::cmp::Ordering::Equal if self.gets_nothing_new(machine, source) => Supply::Ended,
            std::cmp::Ordering::Equal => Supply::Nothing,
            std::cmp::Ordering::Less => Supply::Ended,
        }
    }

    /// A source that copies from nobody, or in a circle, will never be ahead. The server gives it up: at once where two copy
    /// from each other (`shouldChangeSyncSource`), and after 30 s in a larger circle (`maxSyncSourceLagSecs`), which counts as
    /// at once here.
    fn gets_nothing_new(&self, machine: usize, source: usize) -> bool {
        let (mut passed, mut at) = (vec![machine], source);
        loop {
            let Some(proc) = self.machines[at].proc.as_ref() else { return false };
            if proc.state == NodeState::Primary {
                return false;
            }
            if passed.contains(&at) {
                return true;
            }
            passed.push(at);
            let Some(next) = proc.fetch.source else { return true };
            let host = self.config(at).and_then(|config| config.read.member(next).map(|member| member.host.clone()));
            let Some(next) = host.and_then(|host| self.machine_of(&host)) else { return false };
            at = next;
        }
    }

    fn serves(&self, machine: usize, source: usize) -> bool {
        let (dir, proc) = (&self.machines[source].dir, self.machines[source].proc.as_ref());
        let works =
            proc.is_some_and(|p| matches!(p.state, NodeState::Primary | NodeState::Secondary) && p.me.is_some());
        let same = |rs| dir.config.as_ref().is_some_and(|c| c.rs == rs);
        works && dir.data.is_some() && self.config(machine).is_some_and(|c| same(c.rs))
    }

    /// The best source: the primary, else any member that is ahead. A voter does not copy from a member without a vote
    /// (manual, `replSetSyncFrom`).
    pub fn best_source(&self, machine: usize, avoids: bool) -> Option<(MemberId, usize)> {
        let (config, now) = (self.config(machine)?, self.now);
        let proc = self.machines[machine].proc.as_ref()?;
        let (leader, me) = (proc.leader, proc.me);
        let avoided: Vec<_> =
            proc.fetch.avoids.iter().filter(|(_, until)| avoids && *until > now).map(|(id, _)| *id).collect();
        let votes = |id| config.read.voters().any(|voter| voter.id == id);
        let is_voter = me.is_some_and(votes);
        let own = self.machines[machine].dir.last();
        let mut best: Option<(bool, OpTime, usize, MemberId)> = None;
        for member in config.read.members().iter().filter(|m| Some(m.id) != me && !avoided.contains(&m.id)) {
            let Some(other) = self.machine_of(&member.host) else { continue };
            let ahead = self.machines[other].dir.last() > own;
            let may = !is_voter || votes(member.id);
            if ahead && may && self.serves(machine, other) && self.both_ways(End::Machine(machine), End::Machine(other))
            {
                let candidate = (leader == Some(member.id), self.machines[other].dir.last(), other, member.id);
                best = best.max(Some(candidate));
            }
        }
        best.map(|(_, _, other, id)| (id, other))
    }

    /// The members that copy from this one fetch what it has got.
    pub fn followers_fetch(&mut self, machine: usize) {
        let Some(me) = self.machines[machine].proc.as_ref().and_then(|p| p.me) else { return };
        for other in 0..self.machines.len() {
            let proc = self.machines[other].proc.as_ref().filter(|p| p.fetch.source == Some(me));
            if let Some(id) = proc.map(|p| p.id) {
                self.after(1, 8, Event::Pull(other, id));
            }
        }
    }

    /// A member begins to lead. Some of those that copy from it get an error, and avoid it.
    pub fn fails_some_followers(&mut self, machine: usize) {
        let Some(me) = self.machines[machine].proc.as_ref().and_then(|p| p.me) else { return };
        let now = self.now;
        for other in 0..self.machines.len() {
            let follows = self.machines[other].proc.as_ref().is_some_and(|p| p.fetch.source == Some(me));
            if follows && self.rng.percent(ERROR_AT_ELECTION) {
                self.record.saw("fetch errors");
                if let Some(proc) = self.proc(other) {
                    proc.fetch.avoid(me, now + AVOID);
                    proc.fetch.has_none(now);
                }
            }
        }
    }

    /// `replSetSyncFrom`. The member takes the source if it is ahead, also one that it avoids. If not, it sleeps.
    pub fn sync_from(&mut self, machine: usize, source: &Host) -> Result<(), No> {
        let (Some(config), Some(proc)) = (self.config(machine), &self.machines[machine].proc) else {
            return Err(No(94, "not yet initialized"));
        };
        if matches!(proc.state, NodeState::Primary | NodeState::Removed) {
            return Err(No(95, "primaries and nodes without a set do not sync"));
        }
        let Some(member) = config.read.member_at(source) else { return Err(No(74, "not a member")) };
        if Some(member.id) == proc.me {
            return Err(No(72, "I cannot sync from myself"));
        }
        if !proc.peers.get(&member.id).is_some_and(|p| p.up) {
            return Err(No(6, "it is not reachable"));
        }
        let (id, now) = (member.id, self.now);
        let is_ahead = self
            .machine_of(source)
            .is_some_and(|other| self.machines[other].dir.last() > self.machines[machine].dir.last());
        let Some(proc) = self.proc(machine) else { return Ok(()) };
        proc.fetch.has_none(now + SLEEP);
        proc.fetch.source = Some(id).filter(|_| is_ahead);
        Ok(())
    }
}
