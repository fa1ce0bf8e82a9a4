//! Counters of a controller since its start, for `/metrics`.

use crate::plan::{Plan, Rule, Step};
use std::collections::BTreeMap;

/// Counters. They start at zero with the process and never decrease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    observations: u64,
    waits: u64,
    steps: BTreeMap<&'static str, u64>,
}

/// Every rule is there with a count of zero. Prometheus sees no increase in a counter that appears with its first step.
impl Default for Counts {
    fn default() -> Self {
        Self { observations: 0, waits: 0, steps: Rule::all().map(|rule| (rule.name(), 0)).collect() }
    }
}

impl Counts {
    /// Counts one observation and its plan.
    pub fn record(&mut self, plan: &Plan) {
        self.observations += 1;
        if plan.next != Step::Wait {
            *self.steps.entry(plan.rule.name()).or_default() += 1;
        } else if !plan.waiting.is_empty() {
            self.waits += 1;
        }
    }

    /// The number of observations.
    pub fn observations(&self) -> u64 {
        self.observations
    }

    /// The number of observations after which the controller waited for something.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    /// The number of started steps, by the rule that proposed them.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.steps.iter().map(|(rule, count)| (*rule, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Host;
    use crate::plan::{Reason, WaitingOn};

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
        counts.record(&plan(Rule::Wait, Step::Wait, vec![]));
        counts.record(&plan(Rule::Wait, Step::Wait, vec![WaitingOn::Election]));
        counts.record(&plan(Rule::StepUp, Step::StepUp { on: on.clone() }, vec![WaitingOn::Election]));
        counts.record(&plan(Rule::StepUp, Step::StepUp { on: on.clone() }, vec![]));
        counts.record(&plan(Rule::FinalizeMember, Step::Fsync { on }, vec![]));
        assert_eq!((counts.observations(), counts.waits()), (5, 1));
        let begun: Vec<_> = counts.steps().filter(|(_, count)| *count > 0).collect();
        assert_eq!(begun, [("finalize-member", 1), ("step-up", 2)]);
    }

    #[test]
    fn a_rule_without_a_step_counts_zero() {
        let recovered = Counts::default().steps().find(|(rule, _)| *rule == "recover");
        assert_eq!(recovered, Some(("recover", 0)));
    }
}
