//! How long to wait before the next observation, and before a refused step is tried again.

use crate::plan::{Plan, Step, WaitingOn};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// The first wait while something is unsettled.
const SOON: Duration = Duration::from_millis(20);
/// The longest wait while something is unsettled. Events and DNS changes cut every wait short.
const UNSETTLED_MAX: Duration = Duration::from_secs(1);

/// After so many observations at the same unsettled things, a minute or so, nothing is expected of the next one.
const RECENT_OBSERVATIONS: u32 = 60;

/// News that comes in a burst is looked at once.
const COALESCE: Duration = Duration::from_millis(2);
/// News that comes so soon after an observation may have been made by it.
const AT_ONCE: Duration = Duration::from_millis(20);
/// So many times in a row it is believed all the same.
const BELIEVED: u32 = 8;
/// The longest time between two requests to copy from another member.
const SYNC_SOURCE_RETRY_MAX: Duration = Duration::from_secs(3600);
/// The longest that news has to wait for an observation.
const CHANGE_EVENT_DELAY_MAX: Duration = Duration::from_millis(500);

/// The rhythm of observations: often while something is on its way, seldom when all is calm.
pub(super) struct Pace {
    interval: Duration,
    waits: ExponentialBackoff,
    last: Vec<WaitingOn>,
    /// Observations since something of another kind was waited for.
    alike: u32,
    in_a_row: u32,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, waits: waits(), last: Vec::new(), alike: 0, in_a_row: 0 }
    }

    /// The longest time until the next observation.
    pub(super) fn pause(&mut self, plan: &Plan) -> Duration {
        // Progress starts the rhythm anew; a duration that merely grew is none.
        self.alike += 1;
        if !same_kinds(&self.last, &plan.waiting) {
            (self.waits, self.alike) = (waits(), 0);
        }
        self.last.clone_from(&plan.waiting);
        if plan.waiting.is_empty() {
            return self.interval;
        }
        let rhythm = self.waits.next().unwrap_or(UNSETTLED_MAX);
        let due = plan.waiting.iter().filter_map(due_in).min().unwrap_or(Duration::MAX);
        rhythm.min(due.max(Duration::from_millis(1))).min(self.interval)
    }

    /// Something is waited for that may well come soon.
    pub(super) fn recently_changed(&self) -> bool {
        !self.last.is_empty() && self.alike < RECENT_OBSERVATIONS
    }

    /// How long news that came so long after an observation waits for the next one. A node that breaks every connection makes
    /// news by being looked at; that must not become a loop without pause.
    pub(super) fn news(&mut self, after: Duration) -> Duration {
        self.in_a_row = if after < AT_ONCE { self.in_a_row + 1 } else { 0 };
        COALESCE.saturating_mul(1 << self.in_a_row.saturating_sub(BELIEVED).min(8)).min(CHANGE_EVENT_DELAY_MAX)
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

/// When what is waited for is over by itself.
fn due_in(waiting: &WaitingOn) -> Option<Duration> {
    match waiting {
        WaitingOn::Stability { left } => Some(*left),
        WaitingOn::Refused { retry_in, .. } => Some(*retry_in),
        _ => None,
    }
}

/// The waits between connect_backoff at a endpoint that is shut: a mongod that starts is there within a second, one that is gone may
/// stay so for ever.
pub(super) fn connect_backoff() -> impl Iterator<Item = Duration> {
    let (first, last) = (Duration::from_millis(10), Duration::from_millis(100));
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(last)
        .with_factor(1.1)
        .without_max_times()
        .build()
}

/// How long a step that failed for the `times`th time in a row is left alone.
pub(super) fn retry_after(step: &Step, times: u32) -> Duration {
    let ms = |ms: u64| Duration::from_millis(ms);
    match step {
        // An election is tried for about a second; then MongoDB's own has its turn.
        Step::StepUp { .. } if times <= 50 => ms(20),
        Step::StepUp { .. } => ms(2000),
        _ => ms(20 << times.min(11)).min(Duration::from_secs(30)),
    }
}

/// How long the `times`th request to copy from another member is given. It costs its receiver a second, in which it copies
/// from nobody, and may come to nothing (seen on 6.0.5): so it is given ever more seldom.
pub(super) fn sync_source_retry_after(times: u32) -> Duration {
    Duration::from_secs(1 << times.min(12)).min(SYNC_SOURCE_RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Host;

    fn plan(waiting: Vec<WaitingOn>) -> Plan {
        let (because, findings) = (String::new(), Vec::new());
        Plan { rule: "wait", next: Step::Wait, because, waiting, findings, primary: None, config: None }
    }

    #[test]
    fn news_that_every_look_makes_is_heard_ever_later_and_real_news_at_once() {
        let mut pace = Pace::new(Duration::from_secs(5));
        let waits: Vec<_> = (0..20).map(|_| pace.news(Duration::ZERO)).collect();
        assert_eq!(waits[0], COALESCE, "the first is believed");
        assert_eq!(waits.last(), Some(&CHANGE_EVENT_DELAY_MAX), "a spinning node is not");
        assert_eq!(pace.news(Duration::from_secs(1)), COALESCE, "after a quiet second it is real again");
    }

    #[test]
    fn calm_is_looked_at_seldom_and_what_is_under_way_soon_then_ever_later() {
        let mut pace = Pace::new(Duration::from_secs(5));
        assert_eq!(pace.pause(&plan(Vec::new())), Duration::from_secs(5));
        let waiting = plan(vec![WaitingOn::Election]);
        let pauses: Vec<_> = (0..40).map(|_| pace.pause(&waiting)).collect();
        assert_eq!(pauses[0], SOON);
        assert!(pauses.is_sorted() && pauses[39] == UNSETTLED_MAX, "{pauses:?}");
        assert_eq!(pace.pause(&plan(vec![WaitingOn::Tasks { seen: 1, expect: 3 }])), SOON, "progress starts anew");
    }

    #[test]
    fn what_is_waited_for_in_vain_is_hoped_for_no_more_until_something_changes() {
        let mut pace = Pace::new(Duration::from_secs(5));
        let mut recently_changed = |waiting: Vec<WaitingOn>| {
            let waited = pace.pause(&plan(waiting));
            (pace.recently_changed(), waited)
        };
        assert!(!recently_changed(Vec::new()).0, "calm");
        let observations: Vec<_> = (0..200).map(|_| recently_changed(vec![WaitingOn::Election])).collect();
        let hoped: Duration = observations.iter().filter(|(hopes, _)| *hopes).map(|(_, waited)| *waited).sum();
        assert!((40..70).contains(&hoped.as_secs()) && !observations[199].0, "{hoped:?}");
        assert!(recently_changed(vec![WaitingOn::Tasks { seen: 1, expect: 3 }]).0, "progress");
    }

    #[test]
    fn a_pause_ends_when_a_refused_step_may_be_tried_again() {
        let mut pace = Pace::new(Duration::from_secs(5));
        let retry_in = Duration::from_millis(3);
        let refused = WaitingOn::Refused { subject: "x".into(), reason: "no".into(), retry_in };
        assert_eq!(pace.pause(&plan(vec![WaitingOn::Election, refused])), retry_in);
    }

    #[test]
    fn a_refused_step_waits_ever_longer_but_an_election_is_tried_for_a_second() {
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
