//! The decision: from one observation to one step.
//!
//! The rules stand in order; the first whose step may be done now wins. A step may not be done now when it was
//! refused a moment ago, or when `safety` forbids it; then the next rule has its turn.
//!
//! **Invariant:** [`plan`] is total and pure: no IO, no clock, no log, the same observation always gives the same plan.

mod addressing;
mod bootstrap;
mod explain;
mod failover;
mod finding;
mod lint;
mod member_id;
mod membership;
mod preview;
mod recovery;
mod rule;
mod safety;
mod situation;
mod step;
mod voting;
mod waiting;

pub use finding::{Finding, Severity};
pub use preview::{Foreseen, preview};
pub use recovery::{Directory, Evidence, Loss, Missing, Verdict, evidence};
pub use rule::{Applies, Rule};
pub use step::{Plan, Step};
pub use waiting::WaitingOn;

use crate::model::{Observed, Policy};
use situation::Situation;

/// A rule's wish.
struct Proposal {
    step: Step,
    because: String,
}

impl Proposal {
    fn new(step: Step, because: impl Into<String>) -> Option<Self> {
        Some(Self { step, because: because.into() })
    }
}

/// Decides what to do next.
pub fn plan(observed: &Observed, policy: &Policy) -> Plan {
    let mut situation = Situation::new(observed, policy);
    let mut waiting = Vec::new();
    let mut findings = std::mem::take(&mut situation.findings);
    let chosen = if situation.blocked { None } else { first_allowed(&situation, &mut waiting) };
    explain::missing(&situation, &mut waiting);
    explain::noteworthy(&situation, &mut findings);
    waiting.dedup();
    let (rule, next, because) = match chosen {
        Some((rule, Proposal { step, because })) => (rule, step, because),
        None => (Rule::Wait, Step::Wait, explain::rest(&situation, &waiting)),
    };
    let primary = situation.primary_host().cloned();
    Plan { rule, next, because, waiting, findings, primary, config: situation.config.cloned() }
}

fn first_allowed(situation: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<(Rule, Proposal)> {
    let applies = if situation.primary().is_some() { Applies::WithPrimary } else { Applies::WithoutPrimary };
    for row in rule::TABLE.iter().filter(|row| row.applies == applies) {
        let Some(proposal) = (row.ask)(situation, waiting) else { continue };
        match safety::veto(situation, &proposal.step) {
            None => return Some((row.rule, proposal)),
            Some(objection) => waiting.push(objection),
        }
    }
    None
}
