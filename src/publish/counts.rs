//! Counters of a controller since its start, for `/metrics`.

use crate::plan::{Plan, Rule, Step, WaitingOn};
use crate::reconcile::Progress;
use std::collections::BTreeMap;

/// Counters. They start at zero with the process and never decrease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    observations: u64,
    waits: u64,
    vetoes: u64,
    uri_changes: u64,
    steps: BTreeMap<&'static str, u64>,
    failures: BTreeMap<&'static str, u64>,
}

/// Every rule is there with a count of zero. Prometheus sees no increase in a counter that appears with its first step.
impl Default for Counts {
    fn default() -> Self {
        let none: BTreeMap<_, _> = Rule::all().map(|rule| (rule.name(), 0)).collect();
        Self { observations: 0, waits: 0, vetoes: 0, uri_changes: 0, steps: none.clone(), failures: none }
    }
}

impl Counts {
    /// Counts what the loop tells.
    pub fn record(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Planned { plan, .. } => self.record_plan(plan),
            // The step was counted when it began.
            Progress::InForce { .. } => {}
            Progress::Failed { plan } => *self.failures.entry(plan.rule.name()).or_default() += 1,
        }
    }

    fn record_plan(&mut self, plan: &Plan) {
        self.observations += 1;
        self.vetoes += u64::from(plan.waiting.iter().any(|waiting| matches!(waiting, WaitingOn::Veto { .. })));
        if plan.next != Step::Wait {
            *self.steps.entry(plan.rule.name()).or_default() += 1;
        } else if !plan.waiting.is_empty() {
            self.waits += 1;
        }
    }

    /// Counts a connection string that differs from the one before.
    pub fn record_uri(&mut self) {
        self.uri_changes += 1;
    }

    /// The number of observations.
    pub fn observations(&self) -> u64 {
        self.observations
    }

    /// The number of observations after which the controller waited for something.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    /// The number of observations in which a step that a rule proposed was not safe.
    pub fn vetoes(&self) -> u64 {
        self.vetoes
    }

    /// How often the connection string became another one. The first one counts, too.
    pub fn uri_changes(&self) -> u64 {
        self.uri_changes
    }

    /// The number of steps that failed, by the rule that proposed them.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.failures.iter().map(|(rule, count)| (*rule, *count))
    }

    /// The number of started steps, by the rule that proposed them.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.steps.iter().map(|(rule, count)| (*rule, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, Host, Observed, Refusal, Subject};
    use crate::plan::Reason;

    fn plan(rule: Rule, next: Step, waiting: Vec<WaitingOn>) -> Plan {
        Plan {
            rule,
            next,
            because: Reason::Healthy,
            waiting,
            findings: vec![],
            primary: None,
            config: None,
            margin: None,
        }
    }

    #[test]
    fn observations_steps_and_waits_are_counted() {
        let mut counts = Counts::default();
        let on: Host = "a:1".parse().unwrap();
        let mut record = |rule, next, waiting| {
            counts.record(Progress::Planned { observed: &Observed::default(), plan: &plan(rule, next, waiting) });
        };
        record(Rule::Wait, Step::Wait, vec![]);
        record(Rule::Wait, Step::Wait, vec![WaitingOn::Election]);
        record(Rule::StepUp, Step::StepUp { on: on.clone() }, vec![WaitingOn::Election]);
        record(Rule::StepUp, Step::StepUp { on: on.clone() }, vec![]);
        record(Rule::FinalizeMember, Step::Fsync { on }, vec![]);
        assert_eq!((counts.observations(), counts.waits()), (5, 1));
        assert_eq!(of(counts.steps()), [("finalize-member", 1), ("step-up", 2)]);
    }

    #[test]
    fn a_rule_without_a_step_counts_zero() {
        let recovered = Counts::default().steps().find(|(rule, _)| *rule == "recover");
        assert_eq!(recovered, Some(("recover", 0)));
    }

    #[test]
    fn a_step_counts_once_when_its_config_comes_into_force_before_it_is_done() {
        let (mut counts, observed) = (Counts::default(), Observed::default());
        let plan = plan(Rule::AddMember, Step::Fsync { on: "n1:27017".parse().unwrap() }, vec![WaitingOn::Election]);
        counts.record(Progress::Planned { observed: &observed, plan: &plan });
        counts.record(Progress::InForce { observed: &observed, plan: &plan });
        assert_eq!((of(counts.steps()), counts.observations()), (vec![("add-member", 1)], 1));
    }

    #[test]
    fn a_failure_counts_for_the_rule_of_the_step_and_a_refusal_that_was_no_failure_does_not() {
        let mut counts = Counts::default();
        let step_up = plan(Rule::StepUp, Step::StepUp { on: "n1:27017".parse().unwrap() }, vec![]);
        // A step that works again and again must wait, too.
        let held = Refusal {
            subjects: vec![Subject::StepUp],
            reason: "it worked 11 times, and did not last".to_owned(),
            cause: Cause::Moment,
            times: 11,
            retry_in: std::time::Duration::ZERO,
        };
        let observed = Observed { refusals: vec![held], ..Observed::default() };
        counts.record(Progress::Planned { observed: &Observed::default(), plan: &step_up });
        counts.record(Progress::Planned { observed: &observed, plan: &step_up });
        assert_eq!(of(counts.failures()), []);
        counts.record(Progress::Failed { plan: &step_up });
        counts.record(Progress::Failed { plan: &step_up });
        assert_eq!(of(counts.failures()), [("step-up", 2)]);
    }

    fn of(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
        counts.filter(|(_, count)| *count > 0).collect()
    }
}
