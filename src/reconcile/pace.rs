//! How long to wait before the next look, and before a refused step is tried again.

use crate::plan::{Plan, Step, WaitingOn};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// The first wait while something is unsettled.
const SOON: Duration = Duration::from_millis(20);
/// The longest wait while something is unsettled. Events and DNS changes cut every wait short.
const UNSETTLED_MAX: Duration = Duration::from_secs(1);

/// The rhythm of looks: often while something is on its way, seldom when all is calm.
pub(super) struct Pace {
    interval: Duration,
    waits: ExponentialBackoff,
    last: Vec<WaitingOn>,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, waits: waits(), last: Vec::new() }
    }

    /// The longest time until the next look.
    pub(super) fn pause(&mut self, plan: &Plan) -> Duration {
        if plan.waiting.is_empty() {
            self.waits = waits();
            return self.interval;
        }
        // Progress starts the rhythm anew; a duration that merely grew is none.
        if !same_kinds(&self.last, &plan.waiting) {
            self.waits = waits();
        }
        self.last.clone_from(&plan.waiting);
        let rhythm = self.waits.next().unwrap_or(UNSETTLED_MAX);
        let due = plan.waiting.iter().filter_map(due_in).min().unwrap_or(Duration::MAX);
        rhythm.min(due.max(Duration::from_millis(1))).min(self.interval)
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
        WaitingOn::Settle { left } => Some(*left),
        WaitingOn::Refused { retry_in, .. } => Some(*retry_in),
        _ => None,
    }
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
