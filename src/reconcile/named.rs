//! Which addresses the mongods may make rsctl connect to.
//!
//! **Invariant:** a config of another set, one without a proof of the secret, or one larger than MongoDB allows names
//! nobody. The rest name at most [`NAMED_MAX`] addresses, however many mongods there are.

use crate::model::{Host, MEMBERS_MAX, Policy, Probe, ReplConfig, SetName};
use bson::oid::ObjectId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The most addresses that configs and locks may name together. A set has at most 50 members, and while addresses
/// change, old configs name their old addresses.
pub(super) const NAMED_MAX: usize = 4 * MEMBERS_MAX;

/// The set whose configs count.
pub(super) struct ConfigFilter<'p> {
    set: &'p SetName,
    /// The only generation that counts, once one is known.
    id: Option<ObjectId>,
}

impl<'p> ConfigFilter<'p> {
    /// By the policy and by the generation that the controller has settled on.
    pub(super) fn new(policy: &'p Policy, known: Option<ObjectId>) -> Self {
        Self { set: &policy.set, id: policy.replica_set_id.or(known) }
    }

    fn counts(&self, config: &ReplConfig) -> bool {
        config.set_name() == *self.set
            && config.members().len() <= MEMBERS_MAX
            && (self.id.is_none() || config.replica_set_id() == self.id)
    }

    /// The address of every member in a config that counts.
    pub(super) fn members<'a>(&self, probes: impl Iterator<Item = &'a Probe>) -> BTreeSet<Host> {
        let configs = probes.filter_map(|p| p.config.as_ref()).filter(|config| self.counts(config));
        // Most configs name the same hosts. Those that most of them name come first.
        let mut named: BTreeMap<&Host, usize> = BTreeMap::new();
        for member in configs.flat_map(ReplConfig::members) {
            *named.entry(&member.host).or_default() += 1;
        }
        most_named(named)
    }

    /// The same, and the address of every seed that a lock names.
    pub(super) fn members_and_seeds<'a>(&self, probes: impl Iterator<Item = &'a Probe> + Clone) -> BTreeSet<Host> {
        let mut hosts = self.members(probes.clone());
        for lock in probes.filter_map(|p| p.lock.as_ref()) {
            if hosts.len() == NAMED_MAX {
                break;
            }
            hosts.insert(lock.seed.clone());
        }
        hosts
    }
}

fn most_named(named: BTreeMap<&Host, usize>) -> BTreeSet<Host> {
    let mut hosts: Vec<_> = named.into_iter().collect();
    // The sort is stable, so equally often named hosts stay in order.
    hosts.sort_by_key(|(_, times)| Reverse(*times));
    hosts.into_iter().take(NAMED_MAX).map(|(host, _)| host.clone()).collect()
}
