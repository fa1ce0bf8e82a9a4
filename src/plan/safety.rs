//! The veto: the one place that says why a step must not be done now, whatever rule proposed it.

use super::lint;
use super::situation::Situation;
use super::{Step, WaitingOn};
use crate::model::{Change, Host, Member, NodeState, Process, Refusal, ReplConfig, Subject};

/// Why the step must not be done now; none when it may.
pub(super) fn veto(situation: &Situation<'_>, step: &Step) -> Option<WaitingOn> {
    let subjects = step.subjects();
    let overtaken =
        matches!(step, Step::Reconfig { .. }).then(|| refusal_of(situation, &[Subject::AnyReconfig])).flatten();
    if let Some(refusal) = refusal_of(situation, &subjects).or(overtaken) {
        let reason = refusal.reason.clone();
        return Some(WaitingOn::Refused { subjects, reason, retry_in: refusal.retry_in });
    }
    let reason = match step {
        Step::Reconfig { base, changes, .. } => objection(situation, base, changes),
        Step::Recover { base, changes, version, .. } => objection_to_force(situation, base, changes, *version),
        Step::AcceptLoss { on, base, changes, version } => objection_to_loss(situation, on, base, changes, *version),
        Step::Wait
        | Step::TakeLock { .. }
        | Step::TakeOverLock { .. }
        | Step::Initiate { .. }
        | Step::ReleaseLock { .. }
        | Step::Fsync { .. }
        | Step::MarkRemoved { .. }
        | Step::SetSyncSource { .. }
        | Step::StepUp { .. }
        | Step::AbortCatchUp { .. } => None,
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
        if !situation.observed.tasks.is_good() {
            return Some("DNS gives no good answer, so nobody counts as gone".to_owned());
        }
        // Voters, for they are who a primary needs. Members without a vote can be gone in any number, and somebody
        // has to be able to remove them.
        let (voters, answers) = (base.voters().count(), |m: &&Member| situation.observed.probe(&m.host).is_some());
        let answering = base.voters().filter(answers).count();
        if answering * 2 < voters {
            return Some(format!("only {answering} of {voters} voters answer rsctl"));
        }
    }
    let costs_a_vote = |c: &Change| matches!(c, Change::Remove { .. } | Change::RevokeVote { .. });
    let gives_a_vote = |c: &Change| {
        matches!(c, Change::RestoreVote { .. } | Change::RestoreVoteWithoutPriority { .. } | Change::Promote { .. })
    };
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
    if !now.observed.tasks.is_good() {
        return Some("DNS gives no good answer".to_owned());
    }
    if now.primary().is_some() {
        return Some("there is a primary".to_owned());
    }
    // Voters, not members: who has no vote has vouched for nothing, and without a primary nobody can remove those
    // that are gone.
    // A tag names a voter's directory; who has none, as an arbiter, is whole where it answers.
    let holds = |p: &Process<'_>| p.probe.data.is_some() && !now.is_rewound(p);
    let whole = |m: &Member| now.process_at(m).is_some_and(|p| m.arbiter || holds(p));
    let found = |m: &&Member| m.data.map_or_else(|| whole(m), |data| now.process_with_data(data).is_some());
    let directories = base.voters().filter(found).count();
    if directories < base.majority() {
        return Some(format!("the data of only {directories} of {} voters is found", base.voters().count()));
    }
    match base.forced(changes, version) {
        Ok(next) => lint::check_forced(base, &next).err().map(|fault| fault.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// A force that takes votes can lose what a majority acknowledged, so it takes an operator's word for this set, nobody
/// who knows of a primary, and every voter of the config to come at hand, the newest of them in the lead.
fn objection_to_loss(
    now: &Situation<'_>,
    on: &Host,
    base: &ReplConfig,
    changes: &[Change],
    version: i64,
) -> Option<String> {
    if now.observed.request.as_ref().and_then(|request| request.accepts_loss_of.as_ref()) != Some(&now.policy.set) {
        return Some("no operator has accepted the loss".to_owned());
    }
    if !now.observed.tasks.is_good() {
        return Some("DNS gives no good answer".to_owned());
    }
    let leads = |p: &Process<'_>| matches!(p.state(), NodeState::Primary | NodeState::Other);
    if let Some(witness) = now.ours.iter().find(|p| leads(p) || p.probe.sees_primary.is_some()) {
        return Some(format!("there may be a primary, according to {}", witness.hosts[0]));
    }
    let next = match base.forced(changes, version) {
        Ok(next) => next,
        Err(error) => return Some(error.to_string()),
    };
    let leader = now.observed.probe(on).and_then(|p| p.newest());
    let at = |p: &Process<'_>, m: &Member| p.is_at(&m.host) || now.address_of(p, now.kind()).as_ref() == Some(&m.host);
    for voter in next.voters() {
        let whole = |p: &Process<'_>| match voter.arbiter {
            true => matches!(p.state(), NodeState::Arbiter | NodeState::Blank),
            false => p.probe.data.is_some(),
        };
        match now.ours.iter().find(|p| at(p, voter) && whole(p)) {
            None => return Some(format!("{} would have a vote and is not at hand", voter.host)),
            Some(p) if p.probe.newest() > leader => return Some(format!("{} has newer writes", voter.host)),
            Some(_) => {}
        }
    }
    lint::check_loss(base, &next).err().map(|fault| fault.to_string())
}

/// Whether a voter of the config to come is alive. Who gets a vote by this very step was shown complete by its rule.
fn lives_in(situation: &Situation<'_>, base: &ReplConfig, id: crate::model::MemberId, changes: &[Change]) -> bool {
    let given = |c: &Change| match c {
        Change::RestoreVote { id: to, .. }
        | Change::RestoreVoteWithoutPriority { id: to, .. }
        | Change::Promote { id: to } => *to == id,
        _ => false,
    };
    changes.iter().any(given) || base.member(id).is_some_and(|m| situation.is_live(m))
}

/// The first of these steps that was not refused a moment ago; else the first one, so that its refusal is told.
pub(super) fn first_free(situation: &Situation<'_>, steps: impl Iterator<Item = Step>) -> Option<Step> {
    let steps: Vec<Step> = steps.collect();
    steps.iter().find(|step| is_free(situation, step)).or(steps.first()).cloned()
}

/// It was not refused a moment ago.
pub(super) fn is_free(situation: &Situation<'_>, step: &Step) -> bool {
    refusal_of(situation, &step.subjects()).is_none()
}

/// The refusal that these subjects still have to wait out.
fn refusal_of<'a>(situation: &Situation<'a>, subjects: &[Subject]) -> Option<&'a Refusal> {
    situation.observed.refusals.iter().find(|r| r.subjects == subjects && !r.retry_in.is_zero())
}

/// All at once, unless some of them were refused before: those go alone, and none before its time.
pub(super) fn tried_fairly(
    situation: &Situation<'_>,
    changes: Vec<Change>,
    waiting: &mut Vec<WaitingOn>,
) -> Vec<Change> {
    let held_up = changes.iter().filter_map(|change| {
        let subject = Subject::of(change);
        let of_it = situation.observed.refusals.iter().filter(|r| r.subjects.contains(&subject));
        let last = of_it.max_by_key(|r| r.retry_in).filter(|r| !r.retry_in.is_zero())?;
        Some(WaitingOn::Refused { subjects: vec![subject], reason: last.reason.clone(), retry_in: last.retry_in })
    });
    waiting.extend(held_up);
    let fresh: Vec<_> = changes.iter().filter(|c| was_refused(situation, c) == Refused::Never).cloned().collect();
    if !fresh.is_empty() {
        return fresh;
    }
    changes.into_iter().find(|c| was_refused(situation, c) == Refused::Before).into_iter().collect()
}

/// A change that was refused lately is tried alone, so that one bad newcomer holds up nobody else.
fn was_refused(situation: &Situation<'_>, change: &Change) -> Refused {
    let subject = Subject::of(change);
    let of_it = situation.observed.refusals.iter().filter(|r| r.subjects.contains(&subject));
    of_it.fold(Refused::Never, |worst, r| if r.retry_in.is_zero() { worst.max(Refused::Before) } else { Refused::Now })
}

/// Whether a change has been refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refused {
    Never,
    /// Alone it may be tried again.
    Before,
    /// Not yet.
    Now,
}
