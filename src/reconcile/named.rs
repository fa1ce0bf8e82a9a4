//! The addresses that mongods can make rsctl connect to.
//!
//! **Invariant:** a config names no address if it is of another set, comes without a proof of the secret, or is larger
//! than MongoDB allows. The other configs name at most [`NAMED_MAX`] addresses, whatever the number of mongods is.

use crate::model::{Host, MEMBERS_MAX, Policy, Probe, ReplConfig, SetName};
use bson::oid::ObjectId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The maximum number of addresses that configs and locks name together. A set has at most 50 members. While addresses
/// change, old configs name the old addresses.
pub(super) const NAMED_MAX: usize = 4 * MEMBERS_MAX;

/// Selects the configs of the controller's set.
pub(super) struct ConfigFilter<'p> {
    set: &'p SetName,
    /// The only `replicaSetId` that counts, once one is known.
    id: Option<ObjectId>,
}

impl<'p> ConfigFilter<'p> {
    /// Selects by the policy, or by the `replicaSetId` that the controller has seen.
    pub(super) fn new(policy: &'p Policy, known: Option<ObjectId>) -> Self {
        Self { set: &policy.set, id: policy.replica_set_id.or(known) }
    }

    /// Whether the config is of the controller's set.
    pub(super) fn counts(&self, config: &ReplConfig) -> bool {
        config.set_name() == *self.set
            && config.members().len() <= MEMBERS_MAX
            && (self.id.is_none() || config.replica_set_id() == self.id)
    }

    /// The address of every member in a config that counts.
    pub(super) fn members<'a>(&self, probes: impl Iterator<Item = &'a Probe>) -> BTreeSet<Host> {
        let configs = probes.filter_map(|p| p.config.as_ref()).filter(|config| self.counts(config));
        // Most configs name the same hosts. The hosts in most configs come first.
        let mut named: BTreeMap<&Host, usize> = BTreeMap::new();
        for member in configs.flat_map(ReplConfig::members) {
            *named.entry(&member.host).or_default() += 1;
        }
        most_named(named)
    }

    /// The address of every member in a config that counts, and of every seed in a lock.
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
    // The sort is stable, so hosts with the same count keep their order.
    hosts.sort_by_key(|(_, times)| Reverse(*times));
    hosts.into_iter().take(NAMED_MAX).map(|(host, _)| host.clone()).collect()
}
