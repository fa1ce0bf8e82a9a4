//! The answers that each controller got. The checker judges a command by these answers, not by facts that only the
//! world has.

use super::checker::{COMMAND_DELAY_MS, Checker, RECONFIG_WAIT_MS, REMOVE_AFTER};
use rsctl::model::{DataId, Host, MemberId, NodeState, OpTime, Probe};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The answers that one controller got.
#[derive(Clone)]
pub struct Evidence {
    pub born: u64,
    pub died: u64,
    /// Whether a mongod with a config answered.
    pub knows_set: bool,
    /// The addresses in the last answer of DNS.
    pub listing: BTreeSet<Ipv4Addr>,
    pub listed: BTreeMap<Ipv4Addr, u64>,
    pub answered: BTreeMap<Ipv4Addr, (u64, Option<DataId>, NodeState)>,
    /// The primary that each mongod named, and the time of its answer.
    pub named: BTreeMap<Ipv4Addr, (u64, Host)>,
    /// The newest write that each directory reported as both stored and committed.
    pub held: BTreeMap<DataId, OpTime>,
    /// When each directory last reported that it lacks that write, and whether this was its last answer.
    pub set_back: BTreeMap<DataId, (u64, bool)>,
    /// The committed writes that the primary reported, with the times.
    pub committed: Vec<(u64, OpTime)>,
    /// The next free member `_id` in the last config that the controller saw on a primary.
    pub next_id: MemberId,
    /// The evidence before its last restart: a command from before the restart may still be on its way.
    pub earlier: Option<Box<Evidence>>,
}

impl Evidence {
    pub fn born(born: u64) -> Self {
        let (listed, answered, named) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (committed, next_id, earlier) = (Vec::new(), MemberId(0), None);
        let (held, set_back) = (BTreeMap::new(), BTreeMap::new());
        let (died, knows_set, listing) = (born, false, BTreeSet::new());
        Self { born, died, knows_set, listing, listed, answered, named, held, set_back, committed, next_id, earlier }
    }

    /// Whether neither a DNS answer nor a mongod's answer had this address lately.
    pub fn gone(&self, address: Ipv4Addr, now: u64) -> bool {
        let listed = self.listed.get(&address).copied().unwrap_or(self.born);
        let answered = self.answered.get(&address).map_or(self.born, |(at, ..)| *at);
        let gone = listed.max(answered) + REMOVE_AFTER.as_millis() as u64 <= now;
        gone || self.before(now, RECONFIG_WAIT_MS).is_some_and(|e| e.gone(address, now))
    }

    /// The evidence before its last restart, while a command from before may be on its way or wait at the primary.
    pub fn before(&self, now: u64, waits: u64) -> Option<&Self> {
        self.earlier.as_deref().filter(|e| e.died + COMMAND_DELAY_MS + waits > now)
    }

    /// Whether the last answer of this directory was that it lacks a write that it held.
    pub fn is_set_back(&self, data: Option<DataId>) -> bool {
        data.and_then(|data| self.set_back.get(&data)).is_some_and(|(_, last)| *last)
    }

    /// Whether this directory reported this shortly before a command arrived.
    pub fn was_set_back(&self, data: Option<DataId>, came: u64) -> bool {
        let own = data.and_then(|data| self.set_back.get(&data)).is_some_and(|(at, _)| at + 3000 >= came);
        own || self.before(came, 0).is_some_and(|e| e.was_set_back(data, came))
    }

    fn compare(&mut self, data: DataId, probe: &Probe, now: u64) {
        let held = self.held.get(&data).copied().unwrap_or_default();
        match probe.newest() {
            Some(newest) if probe.state != NodeState::Rollback && newest < held => {
                self.set_back.insert(data, (now, true));
            }
            _ => {
                self.set_back.entry(data).and_modify(|(_, last)| *last = false);
            }
        }
        if let Some(view) = &probe.view {
            self.held.insert(data, held.max(view.committed.min(view.newest())));
        }
    }

    pub fn answer(&self, address: Ipv4Addr) -> Option<&(u64, Option<DataId>, NodeState)> {
        self.answered.get(&address).or_else(|| self.earlier.as_ref()?.answer(address))
    }
}

impl Checker {
    pub fn controller_born(&mut self, controller: usize, now: u64) {
        let before = std::mem::replace(&mut self.evidence[controller], Evidence::born(now));
        self.evidence[controller].earlier = Some(Box::new(Evidence { earlier: None, ..before }));
    }

    pub fn controller_died(&mut self, controller: usize, now: u64) {
        self.evidence[controller].died = now;
    }

    pub fn were_listed(&mut self, controller: usize, addresses: BTreeSet<Ipv4Addr>, now: u64) {
        let evidence = &mut self.evidence[controller];
        evidence.listed.extend(addresses.iter().map(|address| (*address, now)));
        evidence.listing = addresses;
    }

    /// Whether an answer showed the set to a controller, since its last restart or while its earlier commands may still
    /// be on their way. A DNS answer with the address of a mongod that has the set's config also counts.
    pub fn was_told_of_set(
        &self,
        controller: usize,
        now: u64,
        mut processes_with_data: impl Iterator<Item = Ipv4Addr>,
    ) -> bool {
        let evidence = &self.evidence[controller];
        let knew = evidence.knows_set || evidence.before(now, 0).is_some_and(|e| e.knows_set);
        knew || processes_with_data.any(|address| evidence.listing.contains(&address))
    }

    pub fn has_answered(&mut self, controller: usize, address: Ipv4Addr, now: u64, probe: &Probe) {
        let evidence = &mut self.evidence[controller];
        evidence.answered.insert(address, (now, probe.data, probe.state));
        if let Some(data) = probe.data {
            evidence.compare(data, probe, now);
        }
        evidence.knows_set |= probe.config.is_some();
        evidence.named.remove(&address);
        evidence.named.extend(probe.sees_primary.clone().map(|host| (address, (now, host))));
        if let Some(config) = probe.config.as_ref().filter(|_| probe.state == NodeState::Primary) {
            evidence.next_id = config.next_id();
            evidence.committed.extend(probe.view.as_ref().map(|v| (now, v.committed)));
        }
    }
}
