//! The decision: from one observation to one step.
//!
//! The rules are asked in the order of [`Rule`]; the first whose step may be done now wins. A step may not be done now
//! when it was refused a moment ago, or when `safety` objects. Then the next rule is asked.
//!
//! **Invariant:** [`plan`] is total and pure: no IO, no clock, no log. The same observation always gives the same plan.

mod address_kind;
mod addressing;
mod advice;
mod bootstrap;
mod certificates;
mod context;
mod explain;
mod failover;
mod finding;
mod lint;
mod margin;
mod member_id;
mod membership;
mod pause;
mod preview;
mod readdressing;
mod reason;
mod recovery;
mod removal;
mod rule;
mod safety;
mod situation;
mod step;
mod switchover;
mod sync_source;
mod users;
mod voting;
mod waiting;

pub use finding::{CertificateTrouble, Finding, Severity, Urgency, Whose};
pub use lint::{LintFault, LintedConfig};
pub use margin::Margin;
pub use preview::{Foreseen, preview};
pub use readdressing::{Readdressing, readdressing};
pub use reason::Reason;
pub use recovery::{Absence, Directory, Evidence, Loss, Lost, Missing, Obstacle, Verdict, evidence};
pub use rule::{Applies, Rule};
pub use safety::Objection;
pub use step::{Plan, Step};
pub use switchover::{NoSuccessor, outranked_by, successor_for};
pub use users::{UserPlan, UserStep, plan_user};
pub use waiting::WaitingOn;

use crate::model::{Observed, Policy};
use advice::{Advice, Draft, Proposal};
use context::Context;

/// Decides what to do next.
pub fn plan(observed: &Observed, policy: &Policy) -> Plan {
    let context = Context::new(observed, policy);
    let Answers { chosen, mut waiting, bugs } = ask(&context);
    explain::missing(&context.situation, &mut waiting);
    waiting.dedup();
    let chosen = pause::hold(observed.pause.as_ref(), chosen, &mut waiting);
    let findings = [context.situation.findings.clone(), explain::noteworthy(&context), bugs].concat();
    let (rule, Proposal { step, because }) = chosen.unwrap_or_else(|| {
        let because = explain::rest(&context.situation, &waiting, &findings);
        (Rule::Wait, Proposal::new(Step::Wait, because))
    });
    let primary = context.situation.primary_host().cloned();
    let config = context.situation.config.cloned();
    let margin = Margin::of(&context.situation);
    Plan { rule, next: step, because, waiting, findings, primary, config, margin }
}

/// What the rules said.
#[derive(Default)]
struct Answers {
    chosen: Option<(Rule, Proposal)>,
    waiting: Vec<WaitingOn>,
    bugs: Vec<Finding>,
}

/// Asks the rules in order until one proposes a step that may be done now.
fn ask(context: &Context<'_>) -> Answers {
    let mut answers = Answers::default();
    if context.situation.blocked {
        return answers;
    }
    let has_primary = context.situation.primary().is_some();
    let applies = if has_primary { Applies::WithPrimary } else { Applies::WithoutPrimary };
    for row in rule::TABLE.iter().filter(|row| row.applies == applies) {
        match (row.ask)(context) {
            Advice::Pass => {}
            Advice::Wait(waiting) => answers.waiting.extend(waiting),
            // A config that a person made can be so: the one member with a priority has lost its data, or is gone.
            Advice::Bug(LintFault::NobodyElectable, waiting) => {
                answers.waiting.extend(waiting);
                answers.waiting.push(WaitingOn::Electable { rule: row.rule });
            }
            Advice::Bug(fault, waiting) => {
                answers.waiting.extend(waiting);
                answers.bugs.push(Finding::Internal { rule: row.rule, fault });
            }
            Advice::Do(proposal, waiting) => {
                answers.waiting.extend(waiting);
                match safety::veto(&context.situation, &proposal.step) {
                    None => {
                        answers.chosen = Some((row.rule, proposal));
                        break;
                    }
                    Some(objection) => answers.waiting.push(objection),
                }
            }
        }
    }
    answers
}
