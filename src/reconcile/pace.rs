//! How long to wait before the next observation, and before a refused step is tried again.

use crate::model::{Node, NodeState, Observed};
use crate::plan::{Plan, Step, WaitingOn};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// The first wait while something is unsettled.
const SOON: Duration = Duration::from_millis(20);
/// The longest wait while something is unsettled. Events and DNS changes cut every wait short.
const UNSETTLED_MAX: Duration = Duration::from_secs(1);

/// The wait after the first observation in which DNS does not list a task any more. Rules act when a second one shows the
/// same, and Swarm stops the task soon.
const AFTER_UNLISTED: Duration = Duration::from_millis(100);

/// After this many observations that wait for the same things, about a minute, no change is expected soon.
const RECENT_OBSERVATIONS: u32 = 60;

/// Change events that come within this time lead to one observation.
const COALESCE: Duration = Duration::from_millis(2);
/// A change event that comes this soon after an observation may be caused by the observation itself.
const SELF_CAUSED_WITHIN: Duration = Duration::from_millis(20);
/// This many change events in a row are followed without delay even if they may be caused by observations.
const SELF_CAUSED_ALLOWED: u32 = 8;
/// The longest time between two requests to copy from another member.
const SYNC_SOURCE_RETRY_MAX: Duration = Duration::from_secs(3600);
/// The longest time that a change event waits for an observation.
const CHANGE_EVENT_DELAY_MAX: Duration = Duration::from_millis(500);

/// The time between observations: short while a change is expected, long otherwise.
pub(super) struct Pace {
    interval: Duration,
    waits: ExponentialBackoff,
    last: Vec<WaitingOn>,
    /// A secondary copied from nobody in the last observation.
    source_missing: bool,
    /// Observations since the kinds of things waited for last changed.
    same_wait: u32,
    /// Change events in a row that came just after an observation.
    self_caused: u32,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, waits: waits(), last: Vec::new(), source_missing: false, same_wait: 0, self_caused: 0 }
    }

    /// The longest time until the next observation.
    pub(super) fn pause(&mut self, plan: &Plan, observed: &Observed) -> Duration {
        // Progress resets the waits. A duration that only grew is no progress.
        self.same_wait = self.same_wait.saturating_add(1);
        let source_missing = is_source_missing(observed);
        if !same_kinds(&self.last, &plan.waiting) || self.source_missing != source_missing {
            (self.waits, self.same_wait) = (waits(), 0);
        }
        self.last.clone_from(&plan.waiting);
        self.source_missing = source_missing;
        let source_expected = source_missing && self.same_wait < RECENT_OBSERVATIONS;
        let longest = if is_just_unlisted(observed) { self.interval.min(AFTER_UNLISTED) } else { self.interval };
        if plan.waiting.is_empty() && !source_expected {
            return longest;
        }
        let backoff = self.waits.next().unwrap_or(UNSETTLED_MAX);
        let due = plan.waiting.iter().filter_map(due_in).min().unwrap_or(Duration::MAX);
        backoff.min(due.max(Duration::from_millis(1))).min(longest)
    }

    /// Whether what the plan waits for changed recently, so that the next change may come soon.
    pub(super) fn recently_changed(&self) -> bool {
        !self.last.is_empty() && self.same_wait < RECENT_OBSERVATIONS
    }

    /// How long to wait after a change event that came `after` an observation. A node that breaks every connection
    /// causes a change event by every probe. This must not become a loop without pauses.
    pub(super) fn change_event_delay(&mut self, after: Duration) -> Duration {
        self.self_caused = if after < SELF_CAUSED_WITHIN { self.self_caused.saturating_add(1) } else { 0 };
        COALESCE
            .saturating_mul(1 << self.self_caused.saturating_sub(SELF_CAUSED_ALLOWED).min(8))
            .min(CHANGE_EVENT_DELAY_MAX)
    }
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(SOON)
        .with_max_delay(UNSETTLED_MAX)
        .with_factor(1.3)
        .without_max_times()
        .build()
}

fn same_kinds(before: &[WaitingOn], now: &[WaitingOn]) -> bool {
    let kind = std::mem::discriminant::<WaitingOn>;
    before.iter().map(kind).eq(now.iter().map(kind))
}

/// Some secondary copies from nobody, as for about a second after its start (6.0.5). Rules act on the member that it
/// chooses, no event reports the choice, and until then the death of the primary costs applications a second.
fn is_source_missing(observed: &Observed) -> bool {
    let secondaries = observed.nodes.values().filter_map(Node::probe).filter(|p| p.state == NodeState::Secondary);
    secondaries.filter_map(|p| p.view.as_ref()).any(|view| view.sync_source.is_none())
}

/// This is the first observation in which DNS does not list the task of a mongod that answers.
fn is_just_unlisted(observed: &Observed) -> bool {
    let is_such = |node: &Node| node.ever_listed && !node.listed && node.unlisted_for.is_zero() && node.answer.is_ok();
    observed.tasks.is_good() && observed.nodes.values().any(is_such)
}

/// When the wait is over by itself; `None` where it is not.
fn due_in(waiting: &WaitingOn) -> Option<Duration> {
    match waiting {
        WaitingOn::Stability { left } => Some(*left),
        WaitingOn::Refused { retry_in, .. } => Some(*retry_in),
        _ => None,
    }
}

/// The waits between attempts to connect to a closed port. A mongod that starts opens its port within a second. One
/// that is gone may never open it.
pub(super) fn connect_backoff() -> impl Iterator<Item = Duration> {
    let (first, last) = (Duration::from_millis(10), Duration::from_millis(100));
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(last)
        .with_factor(1.1)
        .without_max_times()
        .build()
}

/// How long to wait before a step is tried again that has failed `times` times in a row.
pub(super) fn retry_after(step: &Step, times: u32) -> Duration {
    let ms = |ms: u64| Duration::from_millis(ms);
    match step {
        // An election is tried for about a second. After that MongoDB's own election has its turn.
        Step::StepUp { .. } if times <= 50 => ms(20),
        Step::StepUp { .. } => ms(2000),
        _ => ms(20 << times.min(11)).min(Duration::from_secs(30)),
    }
}

/// How long to wait after the request number `times` to copy from another member. Such a request costs its receiver a
/// second in which it copies from no member, and it may have no effect (seen on 6.0.5). So each wait is longer than the
/// one before.
pub(super) fn sync_source_retry_after(times: u32) -> Duration {
    Duration::from_secs(1 << times.min(12)).min(SYNC_SOURCE_RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Host, Naming, Probe, ProcessId, SetView, WireVersion};
    use crate::plan::{Reason, Rule};
    use bson::oid::ObjectId;
    use std::sync::Arc;

    fn plan(waiting: Vec<WaitingOn>) -> Plan {
        let (because, findings) = (Reason::Healthy, Vec::new());
        Plan {
            rule: Rule::Wait,
            next: Step::Wait,
            because,
            waiting,
            findings,
            primary: None,
            config: None,
            margin: None,
        }
    }

    fn a_secondary(sync_source: Option<Host>) -> Observed {
        let probe = Probe::new(ProcessId(ObjectId::from_bytes([1; 12])), WireVersion::OLDEST, NodeState::Secondary);
        let probe = Probe { view: Some(SetView { sync_source, ..SetView::default() }), ..probe };
        let node = Node::new(None, Ok(Arc::new(probe)), Naming::Unknown, true);
        Observed { nodes: [("10.0.0.2".parse().unwrap(), node)].into(), ..Observed::default() }
    }

    #[test]
    fn change_events_caused_by_observations_wait_longer_and_others_do_not() {
        let mut pace = Pace::new(Duration::from_secs(5));
        let waits: Vec<_> = (0..20).map(|_| pace.change_event_delay(Duration::ZERO)).collect();
        assert_eq!(waits[0], COALESCE, "the first is followed at once");
        assert_eq!(waits.last(), Some(&CHANGE_EVENT_DELAY_MAX), "a node that causes an event with every probe is not");
        assert_eq!(
            pace.change_event_delay(Duration::from_secs(1)),
            COALESCE,
            "after a quiet second an event is followed at once again"
        );
    }

    #[test]
    fn a_calm_set_is_observed_seldom_and_a_change_in_progress_often_at_first() {
        let (mut pace, calm) = (Pace::new(Duration::from_secs(5)), Observed::default());
        assert_eq!(pace.pause(&plan(Vec::new()), &calm), Duration::from_secs(5));
        let waiting = plan(vec![WaitingOn::Election]);
        let pauses: Vec<_> = (0..40).map(|_| pace.pause(&waiting, &calm)).collect();
        assert_eq!(pauses[0], SOON);
        assert!(pauses.is_sorted() && pauses[39] == UNSETTLED_MAX, "{pauses:?}");
        assert_eq!(
            pace.pause(&plan(vec![WaitingOn::Tasks { seen: 1, expect: 3 }]), &calm),
            SOON,
            "progress resets the waits"
        );
    }

    #[test]
    fn a_secondary_without_a_sync_source_is_observed_often_for_a_minute_at_most() {
        let mut pace = Pace::new(Duration::from_secs(5));
        let mut after = |observed: &Observed| pace.pause(&plan(Vec::new()), observed);
        let (seeking, copying) = (a_secondary(None), a_secondary(Some("10.0.0.1".parse().unwrap())));
        assert_eq!(after(&copying), Duration::from_secs(5));
        assert_eq!(after(&seeking), SOON);
        assert_eq!(after(&copying), Duration::from_secs(5));
        let pauses: Vec<_> = (0..100).map(|_| after(&seeking)).collect();
        assert!(pauses[..60].iter().all(|pause| *pause <= UNSETTLED_MAX), "{pauses:?}");
        assert_eq!(pauses[99], Duration::from_secs(5), "it may never find one");
    }

    #[test]
    fn a_task_that_dns_has_just_dropped_is_looked_at_again_soon() {
        let mut pace = Pace::new(Duration::from_secs(5));
        let mut observed = a_secondary(Some("10.0.0.1".parse().unwrap()));
        let mut after = |listed: bool, unlisted_for: Duration| {
            for node in observed.nodes.values_mut() {
                (node.ever_listed, node.listed, node.unlisted_for) = (true, listed, unlisted_for);
            }
            pace.pause(&plan(Vec::new()), &observed)
        };
        assert_eq!(after(true, Duration::ZERO), Duration::from_secs(5));
        assert_eq!(after(false, Duration::ZERO), AFTER_UNLISTED);
        assert_eq!(after(false, AFTER_UNLISTED), Duration::from_secs(5), "the rules have seen it");
    }

    #[test]
    fn a_wait_without_progress_is_no_longer_a_recent_change() {
        let (mut pace, calm) = (Pace::new(Duration::from_secs(5)), Observed::default());
        let mut after_waiting = |waiting: Vec<WaitingOn>| {
            let waited = pace.pause(&plan(waiting), &calm);
            (pace.recently_changed(), waited)
        };
        assert!(!after_waiting(Vec::new()).0, "calm");
        let observations: Vec<_> = (0..200).map(|_| after_waiting(vec![WaitingOn::Election])).collect();
        let recent: Duration = observations.iter().filter(|(recent, _)| *recent).map(|(_, waited)| *waited).sum();
        assert!((40..70).contains(&recent.as_secs()) && !observations[199].0, "{recent:?}");
        assert!(after_waiting(vec![WaitingOn::Tasks { seen: 1, expect: 3 }]).0, "progress");
    }

    #[test]
    fn a_pause_ends_when_a_refused_step_may_be_tried_again() {
        let mut pace = Pace::new(Duration::from_secs(5));
        let retry_in = Duration::from_millis(3);
        let refused =
            WaitingOn::Refused { subjects: vec![crate::model::Subject::StepUp], reason: "no".into(), retry_in };
        assert_eq!(pace.pause(&plan(vec![WaitingOn::Election, refused]), &Observed::default()), retry_in);
    }

    #[test]
    fn a_refused_step_waits_longer_each_time_but_an_election_is_tried_for_a_second() {
        let on: Host = "10.0.0.1".parse().unwrap();
        let fsync = Step::Fsync { on: on.clone() };
        let waits: Vec<_> = (1..40).map(|times| retry_after(&fsync, times)).collect();
        assert!(waits.is_sorted() && waits[38] == Duration::from_secs(30), "{waits:?}");
        let step_up = Step::StepUp { on };
        let first_second: Duration = (1..=50).map(|times| retry_after(&step_up, times)).sum();
        assert_eq!(first_second, Duration::from_secs(1));
        assert_eq!(retry_after(&step_up, 51), Duration::from_secs(2));
    }
}
