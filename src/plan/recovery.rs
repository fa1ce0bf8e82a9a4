//! A majority that is alive, but at addresses that its config does not have: *recover*, by force, on evidence.
//!
//! **Invariant:** only this module proposes force. A force changes where members are, never who votes: the voters are the
//! same directories before and after. So every majority after it shares a member with every majority before it, and the
//! rule for votes elects one that holds each acknowledged write. The one exception is in `loss`. It takes an operator's
//! request that names the set, and the evidence that the operator was shown.

mod arbiters;
mod evidence;
mod loss;
mod lost;
mod obstacle;

pub use evidence::{Absence, Directory, Evidence, Missing, Verdict, evidence};
pub use loss::Loss;
pub use lost::Lost;
pub use obstacle::Obstacle;

use super::situation::{Situation, voters_but};
use super::{Advice, Context, Finding, LintFault, LintedConfig, Proposal, Reason, Step, WaitingOn};
use crate::model::{Change, DataId, Host, Member, MemberId, NodeState, Process, RecoveryMode, ReplConfig};
use std::collections::BTreeSet;
use std::time::Duration;

/// For this time after a recovery there is no other one, because its elections and heartbeats come first.
const COOLDOWN: Duration = Duration::from_secs(60);

/// Gives the members of a set without a reachable majority the addresses at which they answer now.
pub(super) fn recover(context: &Context<'_>) -> Advice {
    let mut waiting = Vec::new();
    if let Some(proposal) = requested(context) {
        match time_to_wait(&context.situation) {
            None => return proposal.into(),
            Some(wait) => waiting.push(wait),
        }
    }
    unrequested(context).beside(waiting)
}

/// What an operator requested, as long as the evidence is what the operator was shown.
fn requested(context: &Context<'_>) -> Option<Proposal> {
    let now = &context.situation;
    let request = now.observed.request.as_ref()?;
    let evidence = evidence::weigh(context);
    if evidence.id() != request.evidence {
        return None;
    }
    let is_accepted = request.accepts_loss_of.as_ref() == Some(&now.policy.set);
    match evidence.verdict {
        Verdict::Safe { step, .. } => Some(Proposal::new(step, Reason::RecoveryRequested)),
        Verdict::Loss(Loss { step, .. }) if is_accepted => Some(Proposal::new(step, Reason::LossAccepted)),
        _ => None,
    }
}

/// What the controller does without a request.
fn unrequested(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some(config) = now.config.filter(|_| !context.addressing.moves.is_empty()) else { return Advice::Pass };
    let found = found_voters(now, config);
    let (have, need) = (found.len(), config.majority());
    if have < need {
        let missing = voters_but(config, &found).map(|m| m.host.clone()).collect();
        return Advice::Wait(vec![WaitingOn::Directories { have, need, missing }]);
    }
    let unnamed = context.addressing.unnamed.iter();
    let mut waiting: Vec<_> = unnamed.map(|host| WaitingOn::Name { host: host.clone() }).collect();
    if let Some(wait) = time_to_wait(now) {
        waiting.push(wait);
        return Advice::Wait(waiting);
    }
    if now.policy.recovery == RecoveryMode::Manual || !configs_agree(config, &found) {
        return Advice::of(None, waiting);
    }
    let voters = config.voters().count();
    let proposal = |Force { step, reached }| Proposal::new(step, Reason::MajorityMoved { found: reached, voters });
    Advice::of(force(context, config, &found).map(|force| force.map(proposal)), waiting)
}

/// The step that is safe when an operator requests it.
fn by_request(context: &Context<'_>, config: &ReplConfig) -> Option<Result<Step, LintFault>> {
    let found = found_voters(&context.situation, config);
    let has_moved = !context.addressing.moves.is_empty();
    if !has_moved || found.len() < config.majority() || !configs_agree(config, &found) {
        return None;
    }
    force(context, config, &found).map(|force| force.map(|force| force.step))
}

/// What [`by_request`] finds safe, the controller does without a request.
fn by_itself(now: &Situation<'_>) -> bool {
    now.policy.recovery == RecoveryMode::Auto
}

fn newest_version(now: &Situation<'_>) -> Option<i64> {
    now.ours.iter().filter_map(|p| p.probe.config.as_ref()).map(ReplConfig::version).max()
}

/// A force, and how many voters the new config reaches.
struct Force {
    step: Step,
    reached: usize,
}

/// The step that gives the members their present addresses; none when it would not reach a majority of the voters.
fn force(
    context: &Context<'_>,
    config: &ReplConfig,
    found: &[(&Member, &Process<'_>)],
) -> Option<Result<Force, LintFault>> {
    let now = &context.situation;
    let version = newest_version(now)? + 1;
    let next = match LintedConfig::forced(config, forced_changes(context, config), version) {
        Ok(next) => next,
        Err(fault) => return Some(Err(fault)),
    };
    let stays = |m: &Member, p: &Process<'_>| m.data.is_none() && p.is_at(&m.host);
    let reached: Vec<_> = found.iter().filter(|(m, p)| stays(m, p) || votes_in(now, p, next.config())).collect();
    if reached.len() < config.majority() {
        return None;
    }
    // Any of them is safe. One that keeps its address and has the newest write leads soonest.
    let with_data = reached.iter().filter(|(m, _)| !m.arbiter);
    let (_, target) = with_data.max_by_key(|(_, p)| (accepts(p, next.config()), p.probe.newest()))?;
    let on = target.hosts[0].clone();
    Some(Ok(Force { step: Step::Recover { on, next }, reached: reached.len() }))
}

/// The process takes this config by force. The server compares a forced config with the one that it stores, which may be
/// older than the newest: there too an address must not change its `_id` (103).
fn accepts(process: &Process<'_>, next: &ReplConfig) -> bool {
    let stored = process.probe.config.as_ref();
    let same = |m: &Member| stored.and_then(|s| s.member_at(&m.host)).is_none_or(|old| old.id == m.id);
    next.members().iter().all(same)
}

/// The config has a vote for the process's directory, at an address that leads to it.
fn votes_in(now: &Situation<'_>, process: &Process<'_>, config: &ReplConfig) -> bool {
    let own = now.address_of(process, now.kind());
    let mut members = config.voters().filter(|m| m.data.is_some() && m.data == process.probe.data);
    members.any(|m| process.is_at(&m.host) || own.as_ref() == Some(&m.host))
}

/// Voters whose tagged directory answers and names no primary. A voter without a tag is not guessed.
fn tagged_voters<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<(&'a Member, &'s Process<'a>)> {
    let voters = config.voters().filter(|m| !m.arbiter);
    let with_data = voters.filter_map(|m| Some((m, now.process_with_data(m.data?)?)));
    with_data
        .filter(|(_, p)| match p.state() {
            NodeState::Removed => true,
            NodeState::Secondary => p.probe.sees_primary.is_none(),
            _ => false,
        })
        .collect()
}

/// All of those, and voters without a tag that work as members at their configured addresses. The server counts their
/// votes as they are, so a force that changes other members' addresses adds nothing to what they can decide.
fn found_voters<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<(&'a Member, &'s Process<'a>)> {
    let is_named = |data: DataId| config.members().iter().any(|m| m.data == Some(data)) || now.is_copied(data);
    let is_whole = |m: &Member, p: &Process<'_>| match m.arbiter {
        true => p.state() == NodeState::Arbiter,
        false => {
            let is_own = p.probe.data.is_some_and(|data| !is_named(data));
            p.state() == NodeState::Secondary && is_own && !now.is_rewound(p)
        }
    };
    let untagged = config.voters().filter(|m| m.data.is_none()).filter_map(|m| Some((m, now.process_at(m)?)));
    let there = untagged.filter(|(m, p)| p.probe.sees_primary.is_none() && is_whole(m, p));
    tagged_voters(now, config).into_iter().chain(there).collect()
}

/// What a recovery still has to wait for, though it is safe.
fn time_to_wait(now: &Situation<'_>) -> Option<WaitingOn> {
    let cooldown = now.observed.recovered_for.and_then(|since| COOLDOWN.checked_sub(since)).filter(|d| !d.is_zero());
    if let Some(left) = cooldown {
        return Some(WaitingOn::Cooldown { left });
    }
    let left = now.policy.stable_for.saturating_sub(now.observed.still_for);
    (!left.is_zero()).then_some(WaitingOn::Stability { left })
}

/// The newest config counts, when a majority of its voters is found.
///
/// Why a majority is enough: a reconfig changes one vote at most, and waits until a majority has the config before it. So
/// a config next to the newest one seen shares a voter with every majority of it. If it is committed, some member of each
/// majority stores it, and it would be the newest one seen. And no config comes after one that is not committed. A member
/// that stores an older config was away for any number of changes: its config says nothing about what the others decided,
/// and the server would give it the newest one as soon as it could reach it.
///
/// The server promises none of this for a forced config until a primary builds on it. That gives the config a term, and
/// takes a majority that has it. Before that, a majority whose configs differ by two votes or more from the newest shows
/// that a person forced it, and the decision is left to the operator.
fn configs_agree(config: &ReplConfig, found: &[(&Member, &Process<'_>)]) -> bool {
    if config.term().is_some() {
        return true;
    }
    let voters = |c: &ReplConfig| c.voters().map(|m| m.id).collect::<BTreeSet<MemberId>>();
    let newest = voters(config);
    let next_to = |c: &ReplConfig| newest.symmetric_difference(&voters(c)).count() <= 1;
    let near = found.iter().filter(|(_, p)| p.probe.config.as_ref().is_some_and(next_to)).count();
    near >= config.majority()
}

fn forced_changes(context: &Context<'_>, config: &ReplConfig) -> Vec<Change> {
    let (moves, tags) = (context.addressing.moves.clone(), context.addressing.tags.clone());
    // Force would make a voter of a new member that does not hold the data yet.
    let new = config.members().iter().filter(|m| m.newly_added);
    let silenced = new.map(|m| Change::RevokeVote { id: m.id }).collect();
    let away = lost_addresses(&context.situation, config, &moves, &tags);
    [moves, tags, silenced, away].concat()
}

/// An address that leads nowhere, for each voter at whose address another directory answers. That one would join with the
/// vote: a wiped directory, one of a member without a vote, or an older state of its own. The voter gets an address when its own directory is back.
fn lost_addresses(now: &Situation<'_>, config: &ReplConfig, moves: &[Change], tags: &[Change]) -> Vec<Change> {
    let own = |m: &Member| tags.iter().find_map(|c| tag_of(c, m.id)).or(m.data);
    let is_moved = |m: &Member| moves.iter().any(|c| matches!(c, Change::Readdress { id, .. } if *id == m.id));
    let is_taken = |m: &Member| now.process_at(m).is_some_and(|p| p.probe.data != own(m) || now.is_rewound(p));
    let taken = config.voters().filter(|m| m.data.is_some() && !is_moved(m) && is_taken(m));
    taken.map(|m| Change::Readdress { id: m.id, to: nowhere(config, m.id) }).collect()
}

fn tag_of(change: &Change, member: MemberId) -> Option<DataId> {
    match change {
        Change::Tag { id, data } if *id == member => Some(*data),
        _ => None,
    }
}

/// An address that leads nowhere: TEST-NET-1 (RFC 5737), or loopback where all members are there, because the server
/// wants either all or none of them on loopback.
fn nowhere(config: &ReplConfig, id: MemberId) -> Host {
    let local = config.members().iter().any(|m| m.host.socket().is_some_and(|at| at.ip().is_loopback()));
    let net = if local { [127, 0, 0] } else { [192, 0, 2] };
    let last = 1 + u8::try_from(id.0.rem_euclid(250)).unwrap_or_default();
    Host::ip([net[0], net[1], net[2], last].into(), 9)
}

/// What an operator should know about a set that could be recovered and is not.
pub(super) fn refusal(context: &Context<'_>) -> Option<Finding> {
    let now = &context.situation;
    let config = now.config.filter(|_| now.primary().is_none() && !context.addressing.moves.is_empty())?;
    let found = found_voters(now, config);
    let is_enough = found.len() >= config.majority();
    match now.policy.recovery {
        RecoveryMode::Manual if is_enough => Some(Finding::RecoveryManual),
        RecoveryMode::Auto if is_enough && !configs_agree(config, &found) => Some(Finding::ConfigsDisagree),
        RecoveryMode::Manual | RecoveryMode::Auto => None,
    }
}
