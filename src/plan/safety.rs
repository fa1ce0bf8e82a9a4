//! The veto: the one place that says why a step must not be done now, whatever rule wished for it.

use super::lint;
use super::situation::Situation;
use super::step::subject_of;
use super::{Step, WaitingOn};
use crate::model::{Change, ReplConfig};

/// Why the step must not be done now; none when it may.
pub(super) fn veto(situation: &Situation<'_>, step: &Step) -> Option<WaitingOn> {
    let subjects = step.subjects();
    let mut refusals = situation.look.refusals.iter();
    if let Some(refusal) = refusals.find(|r| r.subjects == subjects && !r.retry_in.is_zero()) {
        let reason = refusal.reason.clone();
        return Some(WaitingOn::Refused { subject: subjects.join(", "), reason, retry_in: refusal.retry_in });
    }
    let reason = match step {
        Step::Reconfig { base, changes, .. } => objection(situation, base, changes),
        Step::Recover { base, changes, version, .. } => objection_to_force(situation, base, changes, *version),
        Step::Wait
        | Step::TakeLock { .. }
        | Step::TakeOverLock { .. }
        | Step::Initiate { .. }
        | Step::ReleaseLock { .. }
        | Step::Fsync { .. }
        | Step::StepUp { .. } => None,
    };
    Some(WaitingOn::Veto { step: step.to_string(), reason: reason? })
}

fn objection(situation: &Situation<'_>, base: &ReplConfig, changes: &[Change]) -> Option<String> {
    let next = match base.with(changes) {
        Ok(next) => next,
        Err(error) => return Some(error.to_string()),
    };
    if let Err(fault) = lint::check(base, &next) {
        return Some(fault.to_string());
    }
    if changes.iter().any(|c| matches!(c, Change::Remove { .. })) {
        if !situation.look.tasks.is_good() {
            return Some("DNS gives no good answer, so nobody counts as gone".to_owned());
        }
        let members = base.members();
        let answering = members.iter().filter(|m| situation.look.probe(&m.host).is_some()).count();
        if answering * 2 < members.len() {
            return Some(format!("only {answering} of {} members answer rsctl", members.len()));
        }
    }
    let costs_a_vote = |c: &Change| matches!(c, Change::Remove { .. } | Change::TakeVote { .. });
    let gives_a_vote = |c: &Change| matches!(c, Change::GiveVote { .. } | Change::Promote { .. });
    if changes.iter().any(|c| costs_a_vote(c) || gives_a_vote(c)) {
        let live = next.voters().filter(|m| lives_in(situation, base, m.id, changes)).count();
        if live < next.majority() {
            return Some(format!("{live} live voters would be left, {} are needed", next.majority()));
        }
    }
    None
}

/// Force overrides the server's own checks, so everything it must not do is checked here once more.
fn objection_to_force(now: &Situation<'_>, base: &ReplConfig, changes: &[Change], version: i64) -> Option<String> {
    if !now.look.tasks.is_good() {
        return Some("DNS gives no good answer".to_owned());
    }
    if now.primary().is_some() {
        return Some("there is a primary".to_owned());
    }
    let directories = base.members().iter().filter_map(|m| m.data).filter(|data| now.holder(*data).is_some()).count();
    if directories * 2 < base.members().len() {
        return Some(format!("the data of only {directories} of {} members is found", base.members().len()));
    }
    match base.forced(changes, version) {
        Ok(next) => lint::check_forced(base, &next).err().map(|fault| fault.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Whether a voter of the config to come is alive. Who gets a vote by this very step was shown complete by its rule.
fn lives_in(situation: &Situation<'_>, base: &ReplConfig, id: crate::model::MemberId, changes: &[Change]) -> bool {
    let given = |c: &Change| matches!(c, Change::GiveVote { id: to, .. } | Change::Promote { id: to } if *to == id);
    changes.iter().any(given) || base.member(id).is_some_and(|m| situation.is_live(m))
}

/// A change that was refused lately is tried alone, so that one bad newcomer holds up nobody else.
pub(super) fn was_refused(situation: &Situation<'_>, change: &Change) -> Refused {
    let subject = subject_of(change);
    let of_it = situation.look.refusals.iter().filter(|r| r.subjects.contains(&subject));
    of_it.fold(Refused::Never, |worst, r| if r.retry_in.is_zero() { worst.max(Refused::Before) } else { Refused::Now })
}

/// Whether a change has been refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refused {
    Never,
    /// Alone it may be tried again.
    Before,
    /// Not yet.
    Now,
}
