//! The past of a data directory. It shows whether a directory went back to an older state.

#[cfg(doc)]
use super::SetView;
use super::{NodeState, OpTime, Probe};

/// What earlier observations showed of a data directory.
///
/// **Invariant:** a directory that does not go back in time keeps the write `held` for ever. `held` is the oldest of
/// three positions that the directory itself reported in one answer:
///
/// - its commit point. A rollback undoes writes, but never a write that the member knew to be committed: the server
///   refuses the rollback and stops. A member accepts a commit point only if it has the term of the member's own last
///   write, or if it comes from the member's sync source. So the point is in the member's own branch of history
///   (`TopologyCoordinator::advanceLastCommittedOpTimeAndWallTime`). The highest write that the member ever had cannot
///   serve here: after a change of the term, a rollback can undo it.
/// - its newest durable write. A write that is applied but not yet in the journal is lost when a mongod is killed, even
///   if a majority of the *other* members has made it durable. After that, the directory is behind, but it did not go
///   back: it never reported that it holds the write.
/// - its newest write as [`SetView::newest`] has it, because later comparisons use that. From MongoDB 8.0 on it is the
///   newest *written* one, and a durable write need not be applied yet. It counts all the same: the server itself
///   acknowledges by it, and applies what its oplog holds when it starts again, before it reports a position.
///
/// So a write up to `held` is missing only if older files replaced the directory's files.
///
/// Two different writes at one position have different terms, and the term comes first in the order of positions. A
/// directory that continued in a later term under a primary holds everything that was committed before.
///
/// **Not known:** whether a directory went back to a point after its last observation, and what happened before this
/// controller started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Past {
    /// The newest write that the directory was seen to hold permanently.
    pub held: OpTime,
    /// Whether the directory was ever seen to hold everything that a primary of its set had committed.
    pub was_whole: bool,
}

impl Probe {
    /// The newest write that this directory cannot lose later. It is none if the node does not report its positions.
    pub fn held_for_good(&self) -> Option<OpTime> {
        let view = self.view.as_ref()?;
        let held = view.committed.min(view.durable).min(view.newest());
        (held.seconds > 0).then_some(held)
    }

    /// Whether the directory lacks a write that it held permanently. A member in ROLLBACK is not judged, because its
    /// files are changing. A member that does not report its position is not judged either, for example after its
    /// start.
    pub fn is_rewound(&self, past: &Past) -> bool {
        self.state != NodeState::Rollback && self.newest().is_some_and(|newest| newest < past.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProcessId, SetView, WireVersion};
    use bson::oid::ObjectId;

    fn at(term: i64, seconds: u32) -> OpTime {
        OpTime { term, seconds, counter: 1 }
    }

    fn probe(state: NodeState, applied: OpTime, durable: OpTime, committed: OpTime) -> Probe {
        let view = SetView { applied, durable, committed, ..SetView::default() };
        let process = ProcessId(ObjectId::from_bytes([1; 12]));
        Probe { view: Some(view), ..Probe::new(process, WireVersion::OLDEST, state) }
    }

    #[test]
    fn only_what_is_committed_durable_and_applied_is_held_for_good() {
        let held = |applied, durable, committed| {
            probe(NodeState::Secondary, at(4, applied), at(4, durable), at(4, committed)).held_for_good()
        };
        assert_eq!(held(30, 30, 20), Some(at(4, 20)), "a write that is not committed can be rolled back");
        assert_eq!(held(30, 10, 20), Some(at(4, 10)), "a write that is not durable is lost when the mongod is killed");
        assert_eq!(held(10, 30, 20), Some(at(4, 10)), "a server that reports no written write has what it applied");
        assert_eq!(held(10, 0, 20), None, "the server does not report its positions");
    }

    #[test]
    fn from_8_0_on_what_is_written_and_durable_is_held_for_good_before_it_is_applied() {
        let of_8_0 = |written, applied, durable, committed| {
            let mut probe = probe(NodeState::Secondary, at(4, applied), at(4, durable), at(4, committed));
            probe.view.as_mut().unwrap().written = Some(at(4, written));
            probe
        };
        assert_eq!(of_8_0(30, 10, 20, 25).held_for_good(), Some(at(4, 20)));
        let past = Past { held: at(4, 20), was_whole: true };
        assert!(!of_8_0(20, 10, 20, 25).is_rewound(&past), "it has yet to apply what its oplog holds");
        assert!(of_8_0(19, 19, 19, 19).is_rewound(&past));
    }

    #[test]
    fn a_directory_is_rewound_when_it_lacks_what_it_held_and_not_when_it_rolled_back_the_rest() {
        let past = Past { held: at(4, 20), was_whole: true };
        let rewound = |state, newest| probe(state, newest, newest, newest).is_rewound(&past);
        assert!(rewound(NodeState::Secondary, at(4, 19)));
        assert!(rewound(NodeState::Secondary, at(3, 99)), "the term comes first");
        assert!(!rewound(NodeState::Secondary, at(4, 20)), "everything after it may have been rolled back");
        assert!(!rewound(NodeState::Secondary, at(5, 1)), "it has moved on under a later primary");
        assert!(!rewound(NodeState::Rollback, at(4, 19)), "in between");
        assert!(!rewound(NodeState::Recovering, OpTime::default()), "it does not report its position yet");
        let removed =
            Probe { view: None, oplog_end: Some(at(4, 19)), ..probe(NodeState::Removed, at(0, 0), at(0, 0), at(0, 0)) };
        assert!(removed.is_rewound(&past));
    }
}
