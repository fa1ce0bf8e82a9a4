//! Who leaves the set: *remove-requested*, *remove-dead*.

use super::membership::{new_votes, reconfig};
use super::safety::{is_free, veto};
use super::situation::Situation;
use super::switchover::{Successor, successor};
use super::{Advice, Context, Finding, Proposal, Reason, Step, WaitingOn};
use crate::model::{Change, Member, Node, NodeState, ProbeError, Process, ReplConfig, VOTERS_MAX};
use std::time::Duration;

/// A member that has been gone for less is not reported as gone.
const GONE_MIN: Duration = Duration::from_secs(1);

/// Removes the members that an operator wants out, before their tasks are stopped: one at a time, the primary last.
pub(super) fn remove_requested(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    let targets: Vec<&Member> = config.members().iter().filter(|m| now.is_removal_target(m)).collect();
    if let Some(mark) = mark_removed(now, &targets) {
        return Proposal::new(mark, Reason::RemovalMustBeMarked).into();
    }
    let leads = |m: &Member| now.process_at(m).is_some_and(|p| p.id == primary.id);
    let Some(&leaving) = targets.iter().find(|m| !leads(m)).or(targets.first()) else { return Advice::Pass };
    let change = replacement(now, config, &[leaving]).filter(|_| leaving.votes_now()).map(|r| r.change);
    let change = change.unwrap_or(Change::Remove { id: leaving.id });
    let removal = reconfig(now, vec![change], Reason::RemovalRequested { host: leaving.host.clone() });
    if !leads(leaving) {
        return removal;
    }
    // Without this check the primary would be replaced for nothing, and again each time that its priority lets it lead.
    let objection = match &removal {
        Advice::Do(proposal, _) => veto(now, &proposal.step),
        _ => None,
    };
    objection.map_or_else(|| replace_primary(now, primary, config), |objection| Advice::Wait(vec![objection]))
}

/// Has another member lead, so that the primary can be removed.
fn replace_primary(now: &Situation<'_>, primary: &Process<'_>, config: &ReplConfig) -> Advice {
    match successor(now, primary, config) {
        Some(Successor::Ready(on)) => Proposal::new(Step::StepUp { on }, Reason::PrimaryRemovalRequested).into(),
        Some(Successor::Lags(host)) => Advice::Wait(vec![WaitingOn::CatchUp { host }]),
        None => Advice::Wait(vec![WaitingOn::Election]),
    }
}

/// Marks the removal on the members themselves, so that other and later controllers follow it too. Where that cannot be
/// done, the member is removed all the same.
fn mark_removed(now: &Situation<'_>, targets: &[&Member]) -> Option<Step> {
    let is_unmarked = |p: &&Process<'_>| now.left_out(p) && !p.probe.marked_removed && p.probe.config.is_some();
    let on = |m: &&Member| match now.process_at(m).filter(is_unmarked) {
        Some(_) => Some(m.host.clone()),
        None => m.data.and_then(|data| now.process_with_data(data)).filter(is_unmarked).map(|p| p.hosts[0].clone()),
    };
    let mut marks = targets.iter().filter_map(on).map(|on| Step::MarkRemoved { on });
    marks.find(|mark| is_free(now, mark))
}

/// Removes a member whose task is gone for good. After `--replace-after` where that helps the set. Where it gains
/// nothing only after `--remove-after`, because the data of a member that is kept can still come back.
pub(super) fn remove_dead(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((_, config)) = now.writable() else { return Advice::Pass };
    let voters: Vec<_> = gone_for(now, config, now.policy.replace_after).filter(|m| m.votes_now()).collect();
    if let Some(Replacement { change, because }) = replacement(now, config, &voters) {
        return reconfig(now, vec![change], because);
    }
    let count = VoterCount::of(now, config);
    if let Some(lost) = voters.first()
        && count.gains_without(voters.len())
    {
        let because = Reason::DeadWeight { host: lost.host.clone(), live: count.live, voters: count.all };
        return reconfig(now, vec![Change::Remove { id: lost.id }], because);
    }
    if let Some(lost) = gone_for(now, config, now.policy.remove_after).next() {
        let because = Reason::GoneForLong { host: lost.host.clone(), limit: now.policy.remove_after };
        return reconfig(now, vec![Change::Remove { id: lost.id }], because);
    }
    Advice::of(None, gone_members(now, config, &count))
}

/// What is waited for while members are gone.
fn gone_members(now: &Situation<'_>, config: &ReplConfig, count: &VoterCount) -> Vec<WaitingOn> {
    let missing = gone_for(now, config, GONE_MIN).filter(|m| m.votes_now()).count();
    let helps = !ready_spares(now, config).is_empty() || count.gains_without(missing);
    let waiting = |member: &Member| {
        let since = gone_time(now, member).unwrap_or_default();
        let soon = member.votes_now() && helps && since < now.policy.replace_after;
        let limit = if soon { now.policy.replace_after } else { now.policy.remove_after };
        WaitingOn::Gone { host: member.host.clone(), since, limit }
    };
    gone_for(now, config, GONE_MIN).map(waiting).collect()
}

/// The voters of a config, and how many of them are live.
struct VoterCount {
    all: usize,
    live: usize,
}

impl VoterCount {
    fn of(now: &Situation<'_>, config: &ReplConfig) -> Self {
        Self { all: config.voters().count(), live: config.voters().filter(|m| now.is_live(m)).count() }
    }

    /// Without so many dead voters the set survives more losses. So it is when members that replaced them have votes
    /// already: the dead ones then only raise the majority.
    fn gains_without(&self, dead: usize) -> bool {
        self.slack(self.all - dead) > self.slack(self.all)
    }

    /// How many live voters there are above the majority of so many voters; below zero when there are too few.
    fn slack(&self, voters: usize) -> i64 {
        self.live as i64 - (voters / 2 + 1) as i64
    }
}

/// A spare's part in a change of voters.
struct Replacement {
    change: Change,
    because: Reason,
}

/// Replaces a voter by a spare in two steps of one vote each: the spare gets a vote, then the voter is removed. The number
/// of voters tells which of the two is due: it is odd before, and even in between. Where there is no room for another
/// voter, the removal comes first.
///
/// Where no voter is gone, spares get the votes that they would have got had all members joined together: an odd number
/// of voters from three up. Two of them pass through an even number, which survives as many losses as the odd one below.
fn replacement(now: &Situation<'_>, config: &ReplConfig, gone: &[&Member]) -> Option<Replacement> {
    let spares = ready_spares(now, config);
    let spare = spares.first()?;
    let votes = config.members().iter().filter(|m| m.votes).count();
    let promote = Change::Promote { id: spare.id };
    let Some(lost) = gone.first() else {
        let because = growth(now, config, votes, &spares)?;
        return Some(Replacement { change: promote, because });
    };
    let because = Reason::SpareReplaces { lost: lost.host.clone(), spare: spare.host.clone() };
    let remove_first = votes % 2 == 0 || votes >= VOTERS_MAX;
    Some(Replacement { change: if remove_first { Change::Remove { id: lost.id } } else { promote }, because })
}

/// Why a spare gets a vote though no voter is gone: it makes up for voters that were removed when there was no room, or
/// before the spare was ready.
fn growth(now: &Situation<'_>, config: &ReplConfig, votes: usize, spares: &[&Member]) -> Option<Reason> {
    let all_live = config.members().iter().filter(|m| m.votes).all(|m| m.votes_now() && now.is_live(m));
    // A vote that waits until its member holds the data is not free.
    let voters = votes + config.members().iter().filter(|m| m.owed_vote()).count();
    if !all_live || new_votes(voters, spares.len()) == 0 {
        return None;
    }
    Some(match voters {
        0 | 1 => Reason::NoOtherVoter { spare: spares.first()?.host.clone() },
        even if even % 2 == 0 => Reason::EvenVoters { voters },
        _ => Reason::TwoSparesReady { voters },
    })
}

fn gone_for<'c>(now: &Situation<'_>, config: &'c ReplConfig, limit: Duration) -> impl Iterator<Item = &'c Member> {
    config.members().iter().filter(move |m| gone_time(now, m) >= Some(limit))
}

/// For how long DNS, rsctl and the primary have all missed a member. None when one of them has not, when its directory
/// answers elsewhere, when it was never a task, or when an operator configured it by hand.
fn gone_time(now: &Situation<'_>, member: &Member) -> Option<Duration> {
    let node = now.observed.node(&member.host)?;
    let is_elsewhere = member.data.is_some_and(|data| now.ours.iter().any(|p| p.probe.data == Some(data)));
    if is_elsewhere || is_removed_on_request_only(member, node) {
        return None;
    }
    let gone = missed_time(now, member, node);
    (!gone.is_zero()).then_some(gone)
}

fn missed_time(now: &Situation<'_>, member: &Member, node: &Node) -> Duration {
    let unlisted = node.unlisted_for.max(unresolved_time(now, member, node).unwrap_or_default());
    unlisted.min(node.silent_for).min(node.unhealthy_for)
}

/// An operator configured the member by hand, or it was never a task. A tag shows that it was one in an earlier
/// controller's life.
fn is_removed_on_request_only(member: &Member, node: &Node) -> bool {
    member.hand_tuned() || !node.ever_listed && member.data.is_none() && !member.added
}

/// Members that have been gone for as long as others are before they are removed, and that only an operator removes.
pub(super) fn kept_for_the_operator(now: &Situation<'_>, config: &ReplConfig) -> Vec<Finding> {
    let is_kept = |member: &&Member| {
        let node = now.observed.node(&member.host).filter(|node| is_removed_on_request_only(member, node));
        let is_target = now.is_removal_target(member);
        !is_target && node.is_some_and(|node| missed_time(now, member, node) >= now.policy.remove_after)
    };
    let kept = config.members().iter().filter(|_| now.primary().is_some()).filter(is_kept);
    kept.map(|member| Finding::GoneAndKept { host: member.host.clone() }).collect()
}

/// For how long DNS has failed for a member's name, once that is long enough to mean that the name does not exist.
///
/// A failure is no answer: the name may be that of a mongod which lives. But the DNS of some networks never answers that a
/// name does not exist. So it counts after `--remove-after` without one other answer. All that time the same DNS listed the
/// tasks well, and each of them answered with another directory, so this member is none of them. Nothing answered where
/// its name led before. And as for any name that does not exist, the primary, which resolves it by itself, must miss the
/// member for as long. A member without a tag could be any of the tasks, so it has to be removed by request.
fn unresolved_time(now: &Situation<'_>, member: &Member, node: &Node) -> Option<Duration> {
    member.data?;
    Some(node.unresolved_for).filter(|time| *time >= now.policy.remove_after)
}

/// Members that are down, and whose names DNS fails for instead of answering that they do not exist.
pub(super) fn failing_names(now: &Situation<'_>, config: &ReplConfig) -> Vec<Finding> {
    let fails = |member: &&Member| {
        let node = now.observed.node(&member.host);
        let is_down = |node: &Node| node.unhealthy_for >= GONE_MIN && !now.healthy_at_primary(member);
        node.is_some_and(|node| node.answer.as_ref().err() == Some(&ProbeError::NameUnknown) && is_down(node))
    };
    let finding = |member: &Member| {
        let by_itself = !member.hand_tuned() && member.data.is_some();
        Finding::NameFails { host: member.host.clone(), limit: by_itself.then_some(now.policy.remove_after) }
    };
    let is_seen = now.observed.tasks.is_good() && now.primary().is_some();
    config.members().iter().filter(|_| is_seen).filter(fails).map(finding).collect()
}

/// Spares that hold the data and work.
fn ready_spares<'c>(now: &Situation<'_>, config: &'c ReplConfig) -> Vec<&'c Member> {
    let serves = |m: &Member| now.process_at(m).is_some_and(|p| p.state() == NodeState::Secondary);
    let is_ready = |m: &Member| serves(m) && now.is_live(m) && !now.is_removal_target(m);
    let is_spare = |m: &Member| m.spare && !m.votes && m.data.is_some() && !m.hand_tuned();
    config.members().iter().filter(|m| is_spare(m) && is_ready(m)).collect()
}
