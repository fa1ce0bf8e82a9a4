//! What a pause holds back.

use super::{Proposal, Reason, Rule, Step, WaitingOn};
use crate::model::Pause;

/// Whether a pause holds back what this rule proposes. A vote whose data directory did not earn it can elect a primary
/// that lacks acknowledged writes. It is revoked all the same, because a pause must not make the set less safe.
fn holds(rule: Rule) -> bool {
    rule != Rule::RevokeVote
}

/// Takes back a step that a pause holds back. It is said, and not done.
pub(super) fn hold(
    pause: Option<&Pause>,
    chosen: Option<(Rule, Proposal)>,
    waiting: &mut Vec<WaitingOn>,
) -> Option<(Rule, Proposal)> {
    let Some(pause) = pause else { return chosen };
    let (rule, proposal) = chosen?;
    if !holds(rule) {
        return Some((rule, proposal));
    }
    let (would, because) = (Box::new(proposal.step), Box::new(proposal.because));
    waiting.insert(0, WaitingOn::Paused { left: pause.left, would, because });
    Some((Rule::Wait, Proposal::new(Step::Wait, Reason::Paused)))
}
