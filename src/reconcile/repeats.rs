//! Steps that work again and again, because what they change does not last. A server with a higher priority takes the
//! lead again, another program changes the config back, or a server does not do what the step is for.
//!
//! **Invariant:** no step repeats without an end. Each time that it works, it is counted for the mongod processes that
//! it is about. When the same step has worked for the same processes several times, it must wait before the next time,
//! longer each time, for up to [`WAIT_MAX`]. A mongod that restarts is another process, so a new fault is never held up.

use crate::model::{Cause, Host, Node, NodeState, Observed, ProcessId, Refusal, ReplConfig, Subject};
use crate::plan::Step;
use std::time::Duration;
use tokio::time::Instant;

/// The first wait. Every further one is twice as long,
const WAIT_MIN: Duration = Duration::from_secs(10);
/// and none is longer.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// A step that has not worked for this long after its wait starts anew.
const DROP_AFTER: Duration = Duration::from_secs(600);
/// The maximum number of counts. If there are more, the oldest goes.
const COUNTS_MAX: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Repeats {
    counts: Vec<Count>,
    /// The process that led the set in the last observation with a primary.
    last_primary: Option<ProcessId>,
}

/// A step worked `times` times. It is not done again before `until`.
#[derive(Debug)]
struct Count {
    subjects: Vec<Subject>,
    about: Vec<ProcessId>,
    times: u32,
    until: Instant,
}

impl Repeats {
    /// Takes note of the primary.
    pub(super) fn observe(&mut self, observed: &Observed) {
        let of_the_set = |set: Option<_>| observed.known_set.is_none() || set == observed.known_set;
        let mut answers = observed.nodes.values().filter_map(Node::probe);
        let leads = answers.find(|p| {
            p.state == NodeState::Primary && of_the_set(p.config.as_ref().and_then(ReplConfig::replica_set_id))
        });
        self.last_primary = leads.map(|p| p.process).or(self.last_primary);
    }

    /// Records that a step worked.
    pub(super) fn succeeded(&mut self, step: &Step, observed: &Observed, now: Instant) {
        let subjects = step.subjects();
        let Some(free) = free_times(&subjects) else { return };
        let about = self.about(step, observed);
        let same = |c: &Count| c.subjects == subjects && c.about == about;
        let times = self.counts.iter().find(|c| same(c)).map_or(1, |c| c.times.saturating_add(1));
        self.counts.retain(|c| !same(c) && now < c.until + DROP_AFTER);
        if self.counts.len() >= COUNTS_MAX {
            self.counts.remove(0);
        }
        self.counts.push(Count { subjects, about, times, until: now + wait_after(times, free) });
    }

    /// The steps that must wait now.
    pub(super) fn refusals(&self, observed: &Observed, now: Instant) -> Vec<Refusal> {
        let answers = |process: &ProcessId| {
            let mut probes = observed.nodes.values().filter_map(Node::probe);
            probes.any(|p| p.process == *process)
        };
        // An election is about the primary that it replaces, whether that one still answers or not.
        let is_present = |c: &Count| match c.subjects.as_slice() {
            [Subject::StepUp] => c.about.iter().eq(&self.last_primary),
            _ => c.about.iter().all(answers),
        };
        let held = self.counts.iter().filter(|c| now < c.until && is_present(c));
        let refusal = |c: &Count| Refusal {
            subjects: c.subjects.clone(),
            reason: format!("it worked {} times, and did not last", c.times),
            cause: Cause::Moment,
            times: c.times,
            retry_in: c.until.saturating_duration_since(now),
        };
        held.map(refusal).collect()
    }

    /// The processes that a step is about.
    fn about(&self, step: &Step, observed: &Observed) -> Vec<ProcessId> {
        let process = |host: &Host| observed.probe(host).map(|p| p.process);
        match step {
            Step::StepUp { .. } => self.last_primary.into_iter().collect(),
            Step::Reconfig { on, next } => {
                let changed = next.config().members().iter().filter(|m| next.base().member(m.id) != Some(m));
                changed.map(|m| &m.host).chain([on]).filter_map(process).collect()
            }
            Step::TakeLock { on, .. }
            | Step::TakeOverLock { on, .. }
            | Step::Initiate { on, .. }
            | Step::ReleaseLock { on }
            | Step::Recover { on, .. }
            | Step::AcceptLoss { on, .. }
            | Step::Fsync { on }
            | Step::MarkRemoved { on }
            | Step::SetSyncSource { on, .. }
            | Step::AbortCatchUp { on } => process(on).into_iter().collect(),
            Step::Wait => Vec::new(),
        }
    }

    /// How many counts are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }
}

/// How many times such a step may work before it must wait; none for a step that is never held up.
fn free_times(subjects: &[Subject]) -> Option<u32> {
    match subjects {
        // A vote that was not earned can lose writes, so it is never left where it is.
        [] | [Subject::RevokeVote(_)] => None,
        // These requests have waits of their own.
        [Subject::SetSyncSource { .. }] => None,
        // MongoDB 4.4 with the feature version of 4.2 accepts the config, and gives it no term (seen on 4.4.2).
        [Subject::RenewTerm] => Some(0),
        [Subject::Force] => Some(3),
        _ => Some(10),
    }
}

fn wait_after(times: u32, free: u32) -> Duration {
    match times.checked_sub(free.saturating_add(1)) {
        None => Duration::ZERO,
        Some(more) => WAIT_MIN.saturating_mul(1 << more.min(12)).min(WAIT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_times_are_free_and_then_the_waits_grow_to_an_hour() {
        assert_eq!((wait_after(1, 0), wait_after(10, 10)), (WAIT_MIN, Duration::ZERO));
        let waits: Vec<_> = (11..).take(30).map(|times| wait_after(times, 10)).collect();
        assert_eq!((waits[0], waits[1], waits[29]), (WAIT_MIN, 2 * WAIT_MIN, WAIT_MAX));
        assert!(waits.is_sorted());
    }

    #[test]
    fn a_vote_that_was_not_earned_is_always_revoked() {
        assert_eq!(free_times(&[Subject::RevokeVote(crate::model::MemberId(1))]), None);
    }
}
