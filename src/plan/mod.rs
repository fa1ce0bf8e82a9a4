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
mod membership;
mod preview;
mod recovery;
mod safety;
mod situation;
mod step;
mod voting;
mod waiting;

pub use finding::{Finding, Severity};
pub use preview::{Foreseen, preview};
pub use recovery::{Directory, Evidence, Loss, Missing, Verdict, evidence};
pub use safety::ANY_RECONFIG;
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

/// Looks at a situation and proposes a step, or notes what it waits for.
type Rule = fn(&Situation<'_>, &mut Vec<WaitingOn>) -> Option<Proposal>;

/// With a PRIMARY.
const WRITABLE: &[(&str, Rule)] = &[
    ("revoke-vote", voting::revoke_vote),
    ("readdress", membership::readdress),
    ("remove-requested", membership::remove_requested),
    ("remove-dead", membership::remove_dead),
    ("restore-vote", voting::restore_vote),
    ("switchover", failover::switchover),
    ("reset-sync-source", failover::reset_sync_source),
    ("add-member", membership::add_member),
    ("finalize-member", voting::finalize_member),
    ("release-lock", bootstrap::release_lock),
    ("chain-secondary", failover::chain_secondary),
];

/// Without one.
const LEADERLESS: &[(&str, Rule)] = &[
    ("bootstrap", bootstrap::bootstrap),
    ("abort-catchup", failover::abort_catchup),
    ("step-up", failover::step_up),
    ("recover", recovery::recover),
];

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
        None => ("wait", Step::Wait, explain::rest(&situation, &waiting)),
    };
    let primary = situation.primary_host().cloned();
    Plan { rule, next, because, waiting, findings, primary, config: situation.config.cloned() }
}

fn first_allowed(situation: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<(&'static str, Proposal)> {
    let rules = if situation.primary().is_some() { WRITABLE } else { LEADERLESS };
    for (name, rule) in rules {
        let Some(proposal) = rule(situation, waiting) else { continue };
        match safety::veto(situation, &proposal.step) {
            None => return Some((name, proposal)),
            Some(objection) => waiting.push(objection),
        }
    }
    None
}
