//! What one data directory held before: how a directory that went back in time is told from one that did not.

use super::{NodeState, OpTime, Probe};

/// What is remembered of a data directory from earlier observations.
///
/// **Invariant:** `held` is in the directory for ever. It is the oldest of three positions that the directory itself
/// reported in one answer:
///
/// - its commit point. Rollback undoes writes, but never one that the member knew to be committed: the server refuses
///   and stops. A member takes over a commit point only if that is of the term of its own last write, or comes from its
///   sync source, so the point is on its own line of history (`TopologyCoordinator::advanceLastCommittedOpTimeAndWallTime`).
///   The highest write that it ever had would not do: after a change of the term it may be undone.
/// - its newest durable write. What is applied and not yet in the journal is lost when a mongod is killed, even if a
///   majority of the *others* has made it durable. From then on the directory is behind, but it did not go back: it has
///   never said that it holds the write.
/// - its newest applied write, to which it is compared later. MongoDB 8.0 makes writes durable before it applies them.
///
/// So what lies before `held` can only be missing when the files were exchanged for older ones.
///
/// A write in the same position can be another one only if it is of another term, and the term comes first in the
/// order of positions. A directory that has moved on in a later term under a primary holds what was committed before.
///
/// **Not known:** a directory that went back to a point after the last observation of it, and everything that happened
/// before this controller began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Past {
    /// The newest write that it was seen to hold for good.
    pub held: OpTime,
    /// It was once seen to hold all that a primary of its set had committed.
    pub was_whole: bool,
}

impl Probe {
    /// The newest write that this directory cannot be without later; none where it does not tell.
    pub fn held_for_good(&self) -> Option<OpTime> {
        let view = self.view.as_ref()?;
        let held = view.committed.min(view.durable).min(view.applied);
        (held.seconds > 0).then_some(held)
    }

    /// Whether the directory lacks what it held for good. A member in ROLLBACK is not judged: its files are being changed.
    /// One that does not say how far it is, as after its start, is not judged either.
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
        assert_eq!(held(30, 30, 20), Some(at(4, 20)), "what is not committed can be rolled back");
        assert_eq!(held(30, 10, 20), Some(at(4, 10)), "what is not durable goes when the mongod is killed");
        assert_eq!(held(10, 30, 20), Some(at(4, 10)), "8.0 writes before it applies");
        assert_eq!(held(10, 0, 20), None, "a server that does not tell");
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
        assert!(!rewound(NodeState::Recovering, OpTime::default()), "it does not tell yet");
        let removed =
            Probe { view: None, oplog_end: Some(at(4, 19)), ..probe(NodeState::Removed, at(0, 0), at(0, 0), at(0, 0)) };
        assert!(removed.is_rewound(&past));
    }
}
