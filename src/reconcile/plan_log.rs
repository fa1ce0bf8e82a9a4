//! What goes to the log: every change of plan and every step, not every observation.

use super::execute::StepError;
use crate::outcome::Chain;
use crate::plan::{Finding, Plan, Severity, Step, WaitingOn};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Level, debug, error, info, warn};

/// A calm controller says so this often.
const HEARTBEAT: Duration = Duration::from_secs(600);

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
    pub(super) fn planned(&mut self, plan: &Plan) {
        debug!(rule = %plan.rule, next = %plan.next, because = %plan.because, "planned");
        for finding in plan.findings.iter().filter(|f| !self.findings.contains(f)) {
            match finding.severity() {
                Severity::Warning => warn!(%finding, "found"),
                Severity::Error => error!(%finding, "found"),
            }
        }
        for gone in self.findings.iter().filter(|f| !plan.findings.contains(f)) {
            info!(finding = %gone, "cleared");
        }
        self.findings.clone_from(&plan.findings);
        // Nobody listens, nothing is said.
        if plan.next != Step::Wait || !tracing::enabled!(Level::INFO) {
            return;
        }
        let now = Instant::now();
        if !self.said(&plan.waiting) {
            let reasons: Vec<_> = plan.waiting.iter().map(ToString::to_string).collect();
            if reasons.is_empty() {
                info!(because = %plan.because, "nothing to do");
            } else {
                info!(waiting_for = %reasons.join("; "), because = %plan.because, "waiting");
            }
            self.waiting = Some(plan.waiting.clone());
            self.spoke_at = now;
        } else if now.duration_since(self.spoke_at) >= HEARTBEAT {
            info!(because = %plan.because, "still looking");
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
        info!(rule = %plan.rule, step = %plan.next, because = %plan.because, "doing");
    }

    /// A step was done.
    pub(super) fn done(&self, step: &Step, took: Duration) {
        info!(%step, ms = took.as_millis(), "done");
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
