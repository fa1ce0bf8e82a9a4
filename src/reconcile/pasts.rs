//! What each data directory has held, for the life of the controller. This module makes no decision.
//!
//! **Invariant:** the number of entries is bounded. While a primary of the known set answers, this module keeps only
//! directories that the primary's config names, or that answer now. Without a primary it drops nothing, because an
//! outdated config may not name the directory that matters. It then learns at most [`DIRECTORIES_MAX`] directories.

use crate::model::{DataId, Node, NodeState, Observed, OpTime, Past, Probe, ReplConfig};
use bson::oid::ObjectId;
use std::collections::{BTreeMap, BTreeSet};

/// The maximum number of directories: five times as many as a set can have members. If peers invent more identities,
/// the known ones stay.
const DIRECTORIES_MAX: usize = 250;

#[derive(Debug, Default)]
pub(super) struct Pasts(BTreeMap<DataId, Past>);

impl Pasts {
    /// Writes into the observation what each directory held before it. Then it adds this observation to the history.
    pub(super) fn complete(&mut self, observed: &mut Observed, known_set: Option<ObjectId>) {
        observed.pasts = self.0.clone();
        let committed = committed_by_set(observed);
        let processes = observed.processes();
        for probe in processes.iter().map(|p| p.probe) {
            let Some(data) = probe.data else { continue };
            // If two processes report the same identity, it is unknown which answer belongs to which directory.
            if processes.iter().filter(|p| p.probe.data == Some(data)).count() == 1 {
                self.learn(data, probe, &committed);
            }
        }
        self.prune(observed, known_set);
    }

    fn learn(&mut self, data: DataId, probe: &Probe, committed: &BTreeMap<ObjectId, OpTime>) {
        let Some(held) = probe.held_for_good() else { return };
        if self.0.len() >= DIRECTORIES_MAX && !self.0.contains_key(&data) {
            return;
        }
        let past = self.0.entry(data).or_insert(Past { held, was_whole: false });
        past.held = past.held.max(held);
        let point = set_of(probe).and_then(|set| committed.get(&set));
        past.was_whole |= point.is_some_and(|point| probe.newest() >= Some(*point));
    }

    /// Clears the history, because an operator accepted that writes are lost. It no longer matters which writes a
    /// directory held.
    pub(super) fn loss_was_accepted(&mut self) {
        self.0.clear();
    }

    fn prune(&mut self, observed: &Observed, known_set: Option<ObjectId>) {
        let probes = || observed.nodes.values().filter_map(Node::probe);
        let of_it = |p: &&Probe| p.state == NodeState::Primary && known_set.is_some() && set_of(p) == known_set;
        let configs: Vec<&ReplConfig> = probes().filter(of_it).filter_map(|p| p.config.as_ref()).collect();
        if configs.is_empty() {
            return;
        }
        let named = configs.iter().flat_map(|config| config.members()).filter_map(|member| member.data);
        let kept: BTreeSet<DataId> = probes().filter_map(|probe| probe.data).chain(named).collect();
        self.0.retain(|data, _| kept.contains(data));
    }

    /// The number of directories in the history.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The commit point of each set whose primary answers and knows the point.
fn committed_by_set(observed: &Observed) -> BTreeMap<ObjectId, OpTime> {
    let mut points = BTreeMap::new();
    for probe in observed.nodes.values().filter_map(Node::probe).filter(|p| p.state == NodeState::Primary) {
        let Some(view) = probe.view.as_ref().filter(|view| view.knows_commit_point()) else { continue };
        if let Some(set) = set_of(probe) {
            let point = points.entry(set).or_insert(view.committed);
            *point = view.committed.max(*point);
        }
    }
    points
}

fn set_of(probe: &Probe) -> Option<ObjectId> {
    probe.config.as_ref().and_then(ReplConfig::replica_set_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DataId, Host, Naming, ProcessId, SetView, WireVersion};
    use bson::doc;
    use std::sync::Arc;

    const SET: [u8; 12] = [7; 12];

    fn data(n: u32) -> DataId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        DataId(bson::Uuid::from_bytes(bytes))
    }

    fn at(seconds: u32) -> OpTime {
        OpTime { term: 1, seconds, counter: 1 }
    }

    /// A member of a set whose config names these directories, with its positions in seconds.
    fn member(n: u32, state: NodeState, applied: u32, committed: u32, names: &[u32]) -> Probe {
        let entry = |n: &u32| {
            doc! { "_id": i64::from(*n), "host": format!("10.0.0.{n}:27017"), "tags": { "rsctlData": data(*n).to_string() } }
        };
        let members: Vec<_> = names.iter().map(entry).collect();
        let settings = doc! { "replicaSetId": ObjectId::from_bytes(SET) };
        let config = doc! { "_id": "rs", "version": 1, "members": members, "settings": settings };
        let (applied, committed) = (at(applied), at(committed));
        let view = SetView { term: 1, applied, durable: applied, committed, ..SetView::default() };
        let mut process = [0; 12];
        process[..4].copy_from_slice(&n.to_be_bytes());
        Probe {
            config: Some(ReplConfig::from_stored(config).unwrap()),
            data: Some(data(n)),
            view: Some(view),
            ..Probe::new(ProcessId(ObjectId::from_bytes(process)), WireVersion::OLDEST, state)
        }
    }

    fn observed(probes: impl IntoIterator<Item = Probe>) -> Observed {
        let mut observed = Observed::default();
        for (n, probe) in (1_u32..).zip(probes) {
            let node = Node { ever_listed: true, ..Node::new(None, Ok(Arc::new(probe)), Naming::Unstable, true) };
            observed.nodes.insert(Host::ip(std::net::Ipv4Addr::from(0x0a00_0000 + n).into(), 27017), node);
        }
        observed
    }

    fn see(pasts: &mut Pasts, probes: impl IntoIterator<Item = Probe>) -> Observed {
        let mut observed = observed(probes);
        pasts.complete(&mut observed, Some(ObjectId::from_bytes(SET)));
        observed
    }

    #[test]
    fn the_highest_is_kept_and_an_observation_shows_what_was_before_it() {
        let mut pasts = Pasts::default();
        let secondary = |applied, committed| [member(2, NodeState::Secondary, applied, committed, &[2])];
        assert!(see(&mut pasts, secondary(20, 15)).pasts.is_empty());
        let later = see(&mut pasts, secondary(16, 16));
        assert_eq!(later.pasts[&data(2)].held, at(15), "what was not committed can have been rolled back");
        assert!(!later.nodes.values().filter_map(Node::probe).any(|p| later.is_rewound(p)));
        let set_back = see(&mut pasts, secondary(9, 9));
        assert!(set_back.nodes.values().filter_map(Node::probe).all(|p| set_back.is_rewound(p)));
        assert_eq!(see(&mut pasts, secondary(9, 9)).pasts[&data(2)].held, at(16), "it stays so");
        let caught_up = see(&mut pasts, secondary(16, 16));
        assert!(!caught_up.nodes.values().filter_map(Node::probe).any(|p| caught_up.is_rewound(p)));
    }

    #[test]
    fn whole_is_who_was_seen_with_all_that_a_primary_had_committed() {
        let mut pasts = Pasts::default();
        let probes = || {
            [
                member(1, NodeState::Primary, 20, 18, &[1, 2, 3]),
                member(2, NodeState::Secondary, 18, 17, &[1, 2, 3]),
                member(3, NodeState::Secondary, 17, 17, &[1, 2, 3]),
            ]
        };
        see(&mut pasts, probes().into_iter().skip(1));
        assert!(see(&mut pasts, probes()).pasts.values().all(|past| !past.was_whole), "there was no primary");
        let shown = see(&mut pasts, probes()).pasts;
        assert_eq!([1, 2, 3].map(|n| shown[&data(n)].was_whole), [true, true, false]);
    }

    #[test]
    fn copies_of_one_directory_teach_nothing() {
        let mut pasts = Pasts::default();
        let copy = Probe { data: Some(data(1)), ..member(2, NodeState::Secondary, 30, 30, &[1]) };
        see(&mut pasts, [member(1, NodeState::Secondary, 20, 20, &[1]), copy]);
        assert_eq!(pasts.len(), 0);
    }

    #[test]
    fn without_a_primary_all_is_kept_and_with_one_what_its_config_names_or_what_answers() {
        let mut pasts = Pasts::default();
        let all = [1, 2, 3].map(|n| member(n, NodeState::Secondary, 20, 20, &[1, 2, 3]));
        see(&mut pasts, all);
        see(&mut pasts, []);
        see(&mut pasts, [member(1, NodeState::Secondary, 20, 20, &[1])]);
        assert_eq!(pasts.len(), 3, "one that answers may have an old config");
        see(&mut pasts, [member(1, NodeState::Primary, 20, 20, &[1, 2])]);
        assert_eq!(pasts.len(), 2, "the third is no member any more");
        let mut foreign = observed([member(9, NodeState::Primary, 20, 20, &[9])]);
        pasts.complete(&mut foreign, Some(ObjectId::from_bytes([8; 12])));
        assert!(pasts.0.contains_key(&data(2)), "another set's primary does not decide");
        pasts.loss_was_accepted();
        assert_eq!(pasts.len(), 0);
    }

    #[test]
    fn made_up_identities_neither_fill_the_memory_nor_displace_what_is_known() {
        let mut pasts = Pasts::default();
        see(&mut pasts, [member(1, NodeState::Secondary, 20, 20, &[1])]);
        for n in 2..1_000 {
            see(&mut pasts, [member(n, NodeState::Secondary, 20, 20, &[1])]);
        }
        assert_eq!(pasts.len(), DIRECTORIES_MAX);
        assert!(pasts.0.contains_key(&data(1)));
    }
}
