//! What goes to the log: every change of plan and every step, not every observation.

use super::execute::StepError;
use crate::model::Observed;
use crate::outcome::Chain;
use crate::plan::{Finding, Plan, Severity, Step, WaitingOn};
use std::fmt::Display;
use std::time::Duration;
use tokio::time::Instant;
use tracing::field::display;
use tracing::{Level, debug, error, info, warn};

/// A controller that does nothing says why this often.
const REPEAT_AFTER: Duration = Duration::from_secs(300);

/// Remembers what was last said.
pub(super) struct PlanLog {
    /// What was waited for when it was last said; none after a step.
    waiting: Option<Vec<WaitingOn>>,
    findings: Vec<Finding>,
    spoke_at: Instant,
}

impl PlanLog {
    pub(super) fn new() -> Self {
        Self { waiting: None, findings: Vec::new(), spoke_at: Instant::now() }
    }

    /// Notes a plan; says what is new in it.
    pub(super) fn planned(&mut self, observed: &Observed, plan: &Plan) {
        debug!(
            rule = %plan.rule,
            next = %plan.next,
            because = %plan.because,
            waiting_for = joined(&plan.waiting).map(display),
            nodes = observed.nodes.len(),
            answering = observed.nodes.values().filter(|node| node.answer.is_ok()).count(),
            "planned"
        );
        for finding in plan.findings.iter().filter(|f| !self.findings.contains(f)) {
            match finding.severity() {
                Severity::Warning => warn!(%finding, "found"),
                Severity::Error => error!(%finding, "found"),
            }
        }
        let is_over = |was: &&Finding| !plan.findings.iter().any(|now| now == *was || now.renews(was));
        for gone in self.findings.iter().filter(is_over) {
            info!(finding = %gone, "cleared");
        }
        self.findings.clone_from(&plan.findings);
        // Nobody listens, nothing is said.
        if plan.next != Step::Wait || !tracing::enabled!(Level::INFO) {
            return;
        }
        let now = Instant::now();
        if !self.said(&plan.waiting) {
            match joined(&plan.waiting) {
                None => info!(because = %plan.because, "nothing to do"),
                Some(reasons) => info!(waiting_for = %reasons, because = %plan.because, "waiting"),
            }
            self.waiting = Some(plan.waiting.clone());
            self.spoke_at = now;
        } else if now.duration_since(self.spoke_at) >= REPEAT_AFTER {
            // What was found may be the reason, so it is said again, too.
            let findings = joined(&plan.findings).map(display);
            match joined(&plan.waiting) {
                None => info!(because = %plan.because, findings, "still nothing to do"),
                Some(reasons) => info!(waiting_for = %reasons, because = %plan.because, findings, "still waiting"),
            }
            self.spoke_at = now;
        }
    }

    /// Whether just this was said to be waited for, whatever its durations are now.
    fn said(&self, waiting: &[WaitingOn]) -> bool {
        let same = |said: &Vec<WaitingOn>| {
            said.len() == waiting.len() && said.iter().zip(waiting).all(|(one, other)| one.same_as(other))
        };
        self.waiting.as_ref().is_some_and(same)
    }

    /// A step is about to be done.
    pub(super) fn starting(&mut self, plan: &Plan) {
        self.waiting = None;
        let changes = joined(&plan.next.differences()).map(display);
        info!(rule = %plan.rule, step = %plan.next, because = %plan.because, changes, "doing");
    }

    /// A step was done.
    pub(super) fn done(&self, step: &Step, took: Duration) {
        // A number of 128 bits becomes a text in JSON.
        info!(%step, ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "done");
    }

    /// A step was not done. A race that was lost once or twice is no news.
    pub(super) fn failed(&self, step: &Step, failure: &StepError, times: u32) {
        // An election is often refused until the others have noticed that the primary is gone.
        if failure.is_lost_race() || (matches!(step, Step::StepUp { .. }) && times != 40) {
            debug!(%step, reason = %Chain(failure), times, "refused");
        } else {
            warn!(%step, reason = %Chain(failure), times, "refused");
        }
    }
}

/// Texts in one line. None if there are none.
fn joined(texts: &[impl Display]) -> Option<String> {
    let texts: Vec<_> = texts.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Host, ProbeError};

    fn silent(host: &str) -> WaitingOn {
        WaitingOn::Node { host: host.parse::<Host>().unwrap(), error: ProbeError::Timeout }
    }

    fn gone(host: &str, seconds: u64) -> WaitingOn {
        let (since, limit) = (Duration::from_secs(seconds), Duration::from_secs(600));
        WaitingOn::Gone { host: host.parse().unwrap(), since, limit }
    }

    #[test]
    fn a_refusal_says_why_the_connection_failed() {
        let cause = mongodb::error::Error::custom("no route to host".to_owned());
        let error = StepError::from(crate::mongo::Error::Connection(cause));
        let text = Chain(&error).to_string();
        assert!(text.starts_with("the connection failed: ") && text.contains("no route to host"), "{text}");
    }

    #[test]
    fn another_node_is_news_and_a_longer_time_is_not() {
        let mut log = PlanLog::new();
        assert!(!log.said(&[]), "nothing was said yet");
        log.waiting = Some(vec![silent("mongo-node1"), gone("mongo-node3", 5)]);
        assert!(log.said(&[silent("mongo-node1"), gone("mongo-node3", 6)]), "only the time differs");
        assert!(!log.said(&[silent("mongo-node2"), gone("mongo-node3", 6)]), "another node is silent");
        assert!(!log.said(&[silent("mongo-node1")]), "there is less to wait for");
        assert!(!log.said(&[silent("mongo-node1"), gone("mongo-node3", 6), silent("mongo-node4")]), "or more");
    }
}
