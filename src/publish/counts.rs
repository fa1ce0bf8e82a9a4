//! What a controller has done since it started, for `/metrics`.

use crate::plan::{Plan, Step};
use std::collections::BTreeMap;

/// Numbers that only grow, from nothing at each start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    observations: u64,
    waits: u64,
    steps: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// One more observation, and what follows from it.
    pub fn looked(&mut self, plan: &Plan) {
        self.observations += 1;
        if plan.next != Step::Wait {
            *self.steps.entry(plan.rule.name()).or_default() += 1;
        } else if !plan.waiting.is_empty() {
            self.waits += 1;
        }
    }

    /// Looks at the set.
    pub fn observations(&self) -> u64 {
        self.observations
    }

    /// Looks after which there was something to wait for and nothing to do.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    /// Steps that were begun, by the rule that proposed them.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.steps.iter().map(|(rule, count)| (*rule, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Host;
    use crate::plan::{Rule, WaitingOn};

    fn plan(rule: Rule, next: Step, waiting: Vec<WaitingOn>) -> Plan {
        Plan { rule, next, because: String::new(), waiting, findings: vec![], primary: None, config: None }
    }

    #[test]
    fn looks_steps_and_waits_are_counted() {
        let mut counts = Counts::default();
        let on: Host = "a:1".parse().unwrap();
        counts.looked(&plan(Rule::Wait, Step::Wait, vec![]));
        counts.looked(&plan(Rule::Wait, Step::Wait, vec![WaitingOn::Election]));
        counts.looked(&plan(Rule::StepUp, Step::StepUp { on: on.clone() }, vec![WaitingOn::Election]));
        counts.looked(&plan(Rule::StepUp, Step::StepUp { on: on.clone() }, vec![]));
        counts.looked(&plan(Rule::FinalizeMember, Step::Fsync { on }, vec![]));
        assert_eq!((counts.observations(), counts.waits()), (5, 1));
        assert_eq!(counts.steps().collect::<Vec<_>>(), [("finalize-member", 1), ("step-up", 2)]);
    }
}
