//! The veto: the one place that says why a step must not be done now, whatever rule proposed it.

use super::recovery::{is_complete, newest_decides};
use super::situation::Situation;
use super::{LintedConfig, Step, WaitingOn};
use crate::model::{Change, Host, Member, MemberId, NodeState, Process, Refusal, ReplConfig, Subject};
use std::fmt;

/// Why a step that a rule proposes is not safe now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// DNS gives no good answer, so that a task may exist that is not listed.
    NoGoodDns,
    /// Fewer than half of the voters answer rsctl, so that rsctl itself may be cut off.
    FewVotersAnswer {
        /// Voters that answer.
        answering: usize,
        /// All voters.
        voters: usize,
    },
    /// The config to come has no live majority.
    NoLiveMajority {
        /// Voters of that config that are live.
        live: usize,
        /// How many a majority takes.
        need: usize,
    },
    /// A force beside a primary.
    Primary,
    /// A force without the data of a majority.
    FewDirectories {
        /// Voters whose data is found.
        found: usize,
        /// All voters.
        voters: usize,
    },
    /// A force after which a voter without the newest write could be elected.
    MayLackWrites,
    /// A force that loses writes, and no operator has accepted that.
    LossNotAccepted,
    /// A force that loses writes, while some mongod may know a primary.
    MaybePrimary {
        /// That mongod.
        witness: Host,
    },
    /// A force that loses writes, for a config with a voter that does not answer.
    VoterMissing {
        /// That voter.
        host: Host,
    },
    /// A force that loses writes, for a leader that lacks writes of this voter.
    NewerWrites {
        /// That voter.
        host: Host,
    },
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGoodDns => f.write_str("DNS gives no good answer, so some task may not be listed"),
            Self::FewVotersAnswer { answering, voters } => {
                write!(f, "only {answering} of {voters} voters answer rsctl")
            }
            Self::NoLiveMajority { live, need } => write!(f, "only {live} voters would be live, and {need} are needed"),
            Self::Primary => f.write_str("there is a primary"),
            Self::FewDirectories { found, voters } => write!(f, "the data of only {found} of {voters} voters is found"),
            Self::MayLackWrites => f.write_str("a voter without the newest write could be elected"),
            Self::LossNotAccepted => f.write_str("no operator has accepted the loss"),
            Self::MaybePrimary { witness } => write!(f, "there may be a primary, according to {witness}"),
            Self::VoterMissing { host } => write!(f, "{host} would vote, but does not answer with its data"),
            Self::NewerWrites { host } => write!(f, "{host} has newer writes"),
        }
    }
}

/// Why the step must not be done now; none when it may.
pub(super) fn veto(now: &Situation<'_>, step: &Step) -> Option<WaitingOn> {
    let subjects = step.subjects();
    let overtaken = matches!(step, Step::Reconfig { .. }).then(|| refusal_of(now, &[Subject::AnyReconfig])).flatten();
    if let Some(refusal) = refusal_of(now, &subjects).or(overtaken) {
        let reason = refusal.reason.clone();
        return Some(WaitingOn::Refused { subjects, reason, retry_in: refusal.retry_in });
    }
    let objection = match step {
        Step::Reconfig { next, .. } => objection(now, next),
        Step::Recover { next, .. } => objection_to_force(now, next),
        Step::AcceptLoss { on, next } => objection_to_loss(now, on, next.config()),
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
    Some(WaitingOn::Veto { step: Box::new(step.clone()), objection: objection? })
}

fn objection(now: &Situation<'_>, next: &LintedConfig) -> Option<Objection> {
    let (base, changes) = (next.base(), next.changes());
    if changes.iter().any(|c| matches!(c, Change::Remove { .. })) {
        if !now.observed.tasks.is_good() {
            return Some(Objection::NoGoodDns);
        }
        // Only voters count, because a primary needs only them. Any number of members without a vote can be gone, and
        // it must be possible to remove them.
        let voters = base.voters().count();
        let answering = base.voters().filter(|m| now.observed.probe(&m.host).is_some()).count();
        if answering * 2 < voters {
            return Some(Objection::FewVotersAnswer { answering, voters });
        }
    }
    if changes.iter().any(|c| takes_a_vote(c) || gives_a_vote(c).is_some()) {
        let live = next.config().voters().filter(|m| will_be_live(now, next, m.id)).count();
        let need = next.config().majority();
        if live < need {
            return Some(Objection::NoLiveMajority { live, need });
        }
    }
    None
}

fn takes_a_vote(change: &Change) -> bool {
    matches!(change, Change::Remove { .. } | Change::RevokeVote { .. })
}

/// The member that gets a vote by this change.
fn gives_a_vote(change: &Change) -> Option<MemberId> {
    match change {
        Change::RestoreVote { id, .. } | Change::RestoreVoteWithoutPriority { id, .. } | Change::Promote { id } => {
            Some(*id)
        }
        Change::Add { .. }
        | Change::Remove { .. }
        | Change::RevokeVote { .. }
        | Change::Readdress { .. }
        | Change::Respell { .. }
        | Change::Tag { .. } => None,
    }
}

/// Whether a voter of the config to come is live. The rule that gives a vote has checked that its member is complete.
fn will_be_live(now: &Situation<'_>, next: &LintedConfig, id: MemberId) -> bool {
    let gets_a_vote = next.changes().iter().any(|c| gives_a_vote(c) == Some(id));
    gets_a_vote || next.base().member(id).is_some_and(|m| now.is_live(m))
}

/// Force overrides the server's own checks, so everything that it must not do is checked here once more.
fn objection_to_force(now: &Situation<'_>, next: &LintedConfig) -> Option<Objection> {
    let base = next.base();
    if !now.observed.tasks.is_good() {
        return Some(Objection::NoGoodDns);
    }
    if now.primary().is_some() {
        return Some(Objection::Primary);
    }
    // Only voters count: a member without a vote has acknowledged no write, and without a primary no dead one can be
    // removed. A tag names a voter's directory. A voter without a tag, such as an arbiter, counts where it answers. A first
    // tag by force counts only if every directory of the set is there.
    let holds = |p: &Process<'_>| p.probe.data.is_some() && !now.is_rewound(p);
    let there = |m: &Member| now.process_at(m).filter(|p| m.arbiter || holds(p));
    let tag = |m: &Member| next.config().member(m.id).and_then(|m| m.data);
    let first_tag = |m: &Member| tag(m).filter(|_| m.data.is_none());
    let by_first_tag =
        |m: &Member| first_tag(m).filter(|_| is_complete(now, base)).and_then(|d| now.process_with_data(d));
    let found: Vec<(&Member, &Process<'_>)> = base
        .voters()
        .filter_map(|m| {
            let process = match m.data {
                Some(data) => now.process_with_data(data),
                None => there(m).or_else(|| by_first_tag(m)),
            };
            Some((m, process?))
        })
        .collect();
    if found.len() < base.majority() {
        return Some(Objection::FewDirectories { found: found.len(), voters: base.voters().count() });
    }
    // Votes are held back only beside a first tag, and nobody without the newest write may be elected then.
    let keeps = |m: &Member| next.config().member(m.id).is_some_and(|m| m.votes);
    let kept: Vec<_> = found.iter().filter(|(m, _)| keeps(m)).copied().collect();
    let decides = || newest_decides(now, next.config(), &kept);
    match base.voters().any(|m| first_tag(m).is_some()) {
        true if decides() => None,
        false if base.voters().all(keeps) => None,
        _ => Some(Objection::MayLackWrites),
    }
}

/// A force that gives up votes can lose what a majority acknowledged. So it takes an operator's acceptance for this set,
/// no mongod that knows a primary, and every voter of the config to come, with the newest of them as the leader.
fn objection_to_loss(now: &Situation<'_>, on: &Host, next: &ReplConfig) -> Option<Objection> {
    if now.observed.request.as_ref().and_then(|request| request.accepts_loss_of.as_ref()) != Some(&now.policy.set) {
        return Some(Objection::LossNotAccepted);
    }
    if !now.observed.tasks.is_good() {
        return Some(Objection::NoGoodDns);
    }
    let leads = |p: &Process<'_>| matches!(p.state(), NodeState::Primary | NodeState::Other);
    if let Some(witness) = now.ours.iter().find(|p| leads(p) || p.probe.sees_primary.is_some()) {
        return Some(Objection::MaybePrimary { witness: witness.hosts[0].clone() });
    }
    let leader = now.observed.probe(on).and_then(|p| p.newest());
    next.voters().find_map(|voter| {
        let host = voter.host.clone();
        match now.ours.iter().find(|p| fills(now, p, voter)) {
            None => Some(Objection::VoterMissing { host }),
            Some(p) if p.probe.newest() > leader => Some(Objection::NewerWrites { host }),
            Some(_) => None,
        }
    })
}

/// The process answers at the voter's address, with complete data or, for an arbiter, with what it takes to be one.
fn fills(now: &Situation<'_>, process: &Process<'_>, voter: &Member) -> bool {
    let leads = |host: &Host| now.leads_to(host, process);
    (leads(&voter.host) || voter.saved_host.as_ref().is_some_and(leads))
        && match voter.arbiter {
            true => matches!(process.state(), NodeState::Arbiter | NodeState::Blank),
            false => process.probe.data.is_some(),
        }
}

/// The first of these steps that was not refused a moment ago; else the first one, so that its refusal is reported.
pub(super) fn first_free(now: &Situation<'_>, steps: impl Iterator<Item = Step>) -> Option<Step> {
    let steps: Vec<Step> = steps.collect();
    steps.iter().find(|step| is_free(now, step)).or(steps.first()).cloned()
}

/// The step was not refused a moment ago.
pub(super) fn is_free(now: &Situation<'_>, step: &Step) -> bool {
    refusal_of(now, &step.subjects()).is_none()
}

/// The refusal that these subjects still have to wait out.
fn refusal_of<'a>(now: &Situation<'a>, subjects: &[Subject]) -> Option<&'a Refusal> {
    now.observed.refusals.iter().find(|r| r.subjects == subjects && !r.retry_in.is_zero())
}

/// The changes to try now, and those that must wait.
pub(super) struct Attempt {
    pub(super) changes: Vec<Change>,
    pub(super) held_up: Vec<WaitingOn>,
}

/// All changes at once, unless some were refused before: each of those is tried alone, so that one bad new member holds
/// up no other, and none is tried before its time.
pub(super) fn tried_fairly(now: &Situation<'_>, changes: Vec<Change>) -> Attempt {
    let held_up = changes.iter().filter_map(|change| held_up(now, Subject::of(change))).collect();
    let fresh: Vec<_> = changes.iter().filter(|c| was_refused(now, c) == Refused::Never).cloned().collect();
    if !fresh.is_empty() {
        return Attempt { changes: fresh, held_up };
    }
    let again = changes.into_iter().find(|c| was_refused(now, c) == Refused::Before);
    Attempt { changes: again.into_iter().collect(), held_up }
}

fn held_up(now: &Situation<'_>, subject: Subject) -> Option<WaitingOn> {
    let of_it = now.observed.refusals.iter().filter(|r| r.subjects.contains(&subject));
    let last = of_it.max_by_key(|r| r.retry_in).filter(|r| !r.retry_in.is_zero())?;
    Some(WaitingOn::Refused { subjects: vec![subject], reason: last.reason.clone(), retry_in: last.retry_in })
}

fn was_refused(now: &Situation<'_>, change: &Change) -> Refused {
    let subject = Subject::of(change);
    let of_it = now.observed.refusals.iter().filter(|r| r.subjects.contains(&subject));
    of_it.fold(Refused::Never, |worst, r| if r.retry_in.is_zero() { worst.max(Refused::Before) } else { Refused::Now })
}

/// Whether a change has been refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refused {
    Never,
    /// It may be tried again, alone.
    Before,
    /// It may not be tried yet.
    Now,
}
