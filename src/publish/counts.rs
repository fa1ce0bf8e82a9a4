//! Counters of a controller since its start, for `/metrics`.

use crate::model::{Observed, Refusal, Subject};
use crate::plan::{Plan, Rule, Step, WaitingOn};
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
    /// The rule of the newest step, and how often in a row each subject had failed at the newest observation.
    newest: Option<&'static str>,
    failed: BTreeMap<Vec<Subject>, u32>,
}

/// Every rule is there with a count of zero. Prometheus sees no increase in a counter that appears with its first step.
impl Default for Counts {
    fn default() -> Self {
        let none: BTreeMap<_, _> = Rule::all().map(|rule| (rule.name(), 0)).collect();
        Self {
            observations: 0,
            waits: 0,
            vetoes: 0,
            uri_changes: 0,
            steps: none.clone(),
            failures: none,
            newest: None,
            failed: BTreeMap::new(),
        }
    }
}

impl Counts {
    /// Counts one observation and its plan.
    pub fn record(&mut self, observed: &Observed, plan: &Plan) {
        self.observations += 1;
        self.record_failure(&observed.refusals);
        self.vetoes += u64::from(plan.waiting.iter().any(|waiting| matches!(waiting, WaitingOn::Veto { .. })));
        if plan.next != Step::Wait {
            *self.steps.entry(plan.rule.name()).or_default() += 1;
            self.newest = Some(plan.rule.name());
        } else if !plan.waiting.is_empty() {
            self.waits += 1;
        }
    }

    /// Counts a connection string that differs from the one before.
    pub fn record_uri(&mut self) {
        self.uri_changes += 1;
    }

    /// One step is done at a time. So a subject that has failed once more than before tells that the newest step failed.
    fn record_failure(&mut self, refusals: &[Refusal]) {
        let grown = |r: &Refusal| self.failed.get(&r.subjects).is_none_or(|times| r.times > *times);
        if let Some(rule) = self.newest.filter(|_| refusals.iter().any(grown)) {
            *self.failures.entry(rule).or_default() += 1;
        }
        self.failed = refusals.iter().map(|r| (r.subjects.clone(), r.times)).collect();
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
    use crate::model::{Cause, Host};
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
        let mut record = |rule, next, waiting| counts.record(&Observed::default(), &plan(rule, next, waiting));
        record(Rule::Wait, Step::Wait, vec![]);
        record(Rule::Wait, Step::Wait, vec![WaitingOn::Election]);
        record(Rule::StepUp, Step::StepUp { on: on.clone() }, vec![WaitingOn::Election]);
        record(Rule::StepUp, Step::StepUp { on: on.clone() }, vec![]);
        record(Rule::FinalizeMember, Step::Fsync { on }, vec![]);
        assert_eq!((counts.observations(), counts.waits()), (5, 1));
        let begun: Vec<_> = counts.steps().filter(|(_, count)| *count > 0).collect();
        assert_eq!(begun, [("finalize-member", 1), ("step-up", 2)]);
    }

    #[test]
    fn a_rule_without_a_step_counts_zero() {
        let recovered = Counts::default().steps().find(|(rule, _)| *rule == "recover");
        assert_eq!(recovered, Some(("recover", 0)));
    }

    #[test]
    fn a_failure_counts_once_for_the_rule_of_the_step() {
        let mut counts = Counts::default();
        let refused = |times| Refusal {
            subjects: vec![Subject::AnyReconfig],
            reason: String::new(),
            cause: Cause::Server,
            times,
            retry_in: std::time::Duration::ZERO,
        };
        let seen =
            |times: Option<u32>| Observed { refusals: times.map(refused).into_iter().collect(), ..Observed::default() };
        let on: Host = "n1:27017".parse().unwrap();
        let mut record = |rule, next, times| counts.record(&seen(times), &plan(rule, next, vec![]));
        record(Rule::StepUp, Step::StepUp { on: on.clone() }, None);
        record(Rule::Wait, Step::Wait, Some(1));
        record(Rule::Wait, Step::Wait, Some(1));
        record(Rule::FinalizeMember, Step::Fsync { on: on.clone() }, Some(1));
        record(Rule::Wait, Step::Wait, Some(2));
        record(Rule::Wait, Step::Wait, None);
        record(Rule::Wait, Step::Wait, Some(1));
        let failed: Vec<_> = counts.failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(failed, [("finalize-member", 2), ("step-up", 1)]);
    }
}
