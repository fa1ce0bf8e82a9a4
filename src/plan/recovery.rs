//! *Recover*: a forced reconfig, based on evidence, for a majority that is alive but not at the addresses in its
//! config.
//!
//! **Invariant:** only this module proposes a forced reconfig. It changes the addresses of members, but never who
//! votes: the voters have the same directories before and after it. So every majority after it shares a member with
//! every majority before it. The election rules then select a primary that holds each acknowledged write. There are two
//! exceptions. In `whole`, members without the newest write have no vote until they have copied it. In `loss`, votes are
//! given up. That needs an operator's request that names the set, and the evidence that the operator saw.

mod arbiters;
mod evidence;
mod in_place;
mod loss;
mod lost;
mod obstacle;
mod whole;

pub use evidence::{Absence, Directory, Evidence, Missing, Verdict, evidence};
pub use loss::Loss;
pub use lost::Lost;
pub use obstacle::Obstacle;
pub(super) use whole::{is_complete, newest_decides};

use super::situation::{Situation, voters_but};
use super::{Advice, Context, Finding, LintFault, LintedConfig, Proposal, Reason, Step, WaitingOn};
use crate::model::{Change, DataId, Host, Member, MemberId, NodeState, Process, RecoveryMode, ReplConfig};
use std::collections::BTreeSet;
use std::time::Duration;

/// The minimum time between two recoveries. The elections and heartbeats of the first one must come first.
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

/// The step that an operator requested, if the evidence is still what the operator saw.
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

/// The step that the controller takes without a request.
fn unrequested(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some(config) = now.config else { return Advice::Pass };
    let unnamed = context.addressing.unnamed.iter().cloned().chain(whole::unnamed(now, config));
    let mut waiting: Vec<_> = unnamed.map(|host| WaitingOn::Name { host }).collect();
    if !has_way(context, config) {
        return Advice::of(None, waiting);
    }
    let found = found_voters(now, config);
    let (have, need) = (found.len(), config.majority());
    if have < need {
        let missing = voters_but(config, &found).map(|m| m.host.clone()).collect();
        return Advice::Wait(vec![WaitingOn::Directories { have, need, missing }]);
    }
    if let Some(wait) = time_to_wait(now) {
        waiting.push(wait);
        return Advice::Wait(waiting);
    }
    if !by_itself(now, config) || !configs_agree(config, &found) {
        return Advice::of(None, waiting);
    }
    let voters = config.voters().count();
    let because = |found| match has_moved(context, config) {
        true => Reason::MajorityMoved { found, voters },
        false => Reason::NobodyLooks { found, voters },
    };
    let proposal = |Force { step, reached }| Proposal::new(step, because(reached));
    Advice::of(force(context, config, &found).map(|force| force.map(proposal)), waiting)
}

/// The step that is safe when an operator requests it.
fn by_request(context: &Context<'_>, config: &ReplConfig) -> Option<Result<Step, LintFault>> {
    let found = found_voters(&context.situation, config);
    if !has_way(context, config) || found.len() < config.majority() || !configs_agree(config, &found) {
        return None;
    }
    force(context, config, &found).map(|force| force.map(|force| force.step))
}

/// Whether the controller takes the step of [`by_request`] without a request.
fn by_itself(now: &Situation<'_>, config: &ReplConfig) -> bool {
    now.policy.recovery == RecoveryMode::Auto && !whole::mixes_priorities(now, config)
}

/// Whether there is a config that can bring the set back: with other addresses, or with one of them in another form.
fn has_way(context: &Context<'_>, config: &ReplConfig) -> bool {
    has_moved(context, config) || in_place::wake(&context.situation, config).is_some()
}

/// Whether a directory that belongs to a member answers at an address that no member has.
fn has_moved(context: &Context<'_>, config: &ReplConfig) -> bool {
    !context.addressing.moves.is_empty() || !whole::assigned(&context.situation, config).is_empty()
}

fn newest_version(now: &Situation<'_>) -> Option<i64> {
    now.ours.iter().filter_map(|p| p.probe.config.as_ref()).map(ReplConfig::version).max()
}

/// A forced reconfig, and the number of voters that the new config reaches.
struct Force {
    step: Step,
    reached: usize,
}

/// The step that gives the members their present addresses. It is none if it would not reach a majority of the voters.
fn force(
    context: &Context<'_>,
    config: &ReplConfig,
    found: &[(&Member, &Process<'_>)],
) -> Option<Result<Force, LintFault>> {
    let now = &context.situation;
    let next = match LintedConfig::forced(config, forced_changes(context, config, found), newest_version(now)?) {
        Ok(next) => next,
        Err(fault) => return Some(Err(fault)),
    };
    let stays = |m: &Member, p: &Process<'_>| m.data.is_none() && p.is_at(&m.host);
    let reached: Vec<_> = found.iter().filter(|(m, p)| stays(m, p) || is_in(now, p, next.config())).collect();
    let somebody_can_lead = next.config().voters().any(|m| m.priority > 0.0);
    if reached.len() < config.majority() || !somebody_can_lead {
        return None;
    }
    // All of these are safe. A process that accepts the config and has the newest write becomes primary soonest.
    let with_data = reached.iter().filter(|(m, _)| !m.arbiter);
    let (_, target) = with_data.max_by_key(|(_, p)| (accepts(p, next.config()), p.probe.newest()))?;
    let on = target.hosts[0].clone();
    Some(Ok(Force { step: Step::Recover { on, next }, reached: reached.len() }))
}

/// Whether the process accepts this config by force. The server compares a forced config with the config that it
/// stores, which may be older than the newest one. Compared with that one too, an address must not change its `_id`
/// (103).
fn accepts(process: &Process<'_>, next: &ReplConfig) -> bool {
    let stored = process.probe.config.as_ref();
    let same = |m: &Member| stored.and_then(|s| s.member_at(&m.host)).is_none_or(|old| old.id == m.id);
    next.members().iter().all(same)
}

/// Whether the config has a member for the process's directory, at an address that leads to the process.
fn is_in(now: &Situation<'_>, process: &Process<'_>, config: &ReplConfig) -> bool {
    let is_there = |m: &Member| now.leads_to(m.saved_host.as_ref().unwrap_or(&m.host), process);
    let mut members = config.members().iter().filter(|m| m.data.is_some() && m.data == process.probe.data);
    members.any(|m| is_there(m) || now.leads_to(&m.host, process))
}

/// Voters whose tagged directory answers and names no primary. For a voter without a tag, this function does not guess
/// the directory.
fn tagged_voters<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<(&'a Member, &'s Process<'a>)> {
    let voters = config.voters().filter(|m| !m.arbiter);
    let with_data = voters.filter_map(|m| Some((m, now.process_with_data(m.data?)?)));
    with_data
        .filter(|(_, p)| match p.state() {
            NodeState::Removed => p.probe.names_that_differ().is_none(),
            NodeState::Secondary => p.probe.sees_primary.is_none(),
            _ => false,
        })
        .collect()
}

/// The result of [`tagged_voters`], and two kinds of voters without a tag. Some work as members at their configured
/// addresses. The server counts their votes already, so a forced reconfig that changes other members' addresses does not
/// extend what they can decide. The others moved, and [`whole`] shows that all directories are there.
fn found_voters<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<(&'a Member, &'s Process<'a>)> {
    let is_named = |data: DataId| config.members().iter().any(|m| m.data == Some(data)) || now.is_copied(data);
    let is_whole = |m: &Member, p: &Process<'_>| match m.arbiter {
        true => p.state() == NodeState::Arbiter,
        false => {
            let is_own = p.probe.data.is_some_and(|data| !is_named(data));
            let is_back = || in_place::is_removed_in_place(now, config, m, p);
            is_own && !now.is_rewound(p) && (p.state() == NodeState::Secondary || is_back())
        }
    };
    let untagged = config.voters().filter(|m| m.data.is_none()).filter_map(|m| Some((m, now.process_at(m)?)));
    let there = untagged.filter(|(m, p)| p.probe.sees_primary.is_none() && is_whole(m, p));
    let moved = whole::assigned(now, config).into_iter().filter(|a| a.member.votes_now());
    let moved = moved.map(|a| (a.member, a.process));
    tagged_voters(now, config).into_iter().chain(there).chain(moved).collect()
}

/// What a safe recovery must still wait for.
fn time_to_wait(now: &Situation<'_>) -> Option<WaitingOn> {
    let cooldown = now.observed.recovered_for.and_then(|since| COOLDOWN.checked_sub(since)).filter(|d| !d.is_zero());
    if let Some(left) = cooldown {
        return Some(WaitingOn::Cooldown { left });
    }
    let left = now.policy.stable_for.saturating_sub(now.observed.still_for);
    (!left.is_zero()).then_some(WaitingOn::Stability { left })
}

/// Whether the configs allow a recovery with the newest config, when a majority of its voters is found.
///
/// Why a majority is enough: a reconfig changes at most one vote, and waits until a majority has the previous config.
/// So the next config after the newest one seen shares a voter with every majority of the newest one. If that next
/// config is committed, some member of each majority stores it, and then it would be the newest one seen. And no config
/// follows a config that is not committed. A member that stores an older config was away for any number of changes. Its
/// config shows nothing about the decisions of the others, and the server would give it the newest config as soon as it
/// could reach it.
///
/// For a forced config, the server promises none of this until a primary builds on it. The primary gives the config a
/// term, and needs a majority that has the config. Before that, the configs of a majority may differ from the newest
/// one by two votes or more. Such a difference shows that a person forced the newest config. Then the operator decides.
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

fn forced_changes(context: &Context<'_>, config: &ReplConfig, found: &[(&Member, &Process<'_>)]) -> Vec<Change> {
    let now = &context.situation;
    let (moves, tags) = (context.addressing.moves.clone(), context.addressing.tags.clone());
    let assigned: Vec<Change> = whole::assigned(now, config).iter().flat_map(whole::Assigned::changes).collect();
    // A forced reconfig would make a new member a voter before it holds the data.
    let new = config.members().iter().filter(|m| m.newly_added);
    let silenced = new.map(|m| Change::RevokeVote { id: m.id }).collect();
    let woken = if has_moved(context, config) { None } else { in_place::wake(now, config) };
    let held_back = whole::held_back(now, config, found);
    let away = lost_addresses(now, config, &moves, &tags);
    [moves, tags, assigned, woken.into_iter().collect(), silenced, held_back, away].concat()
}

/// An address that leads nowhere, for each voter at whose address another directory answers. Otherwise that directory
/// would join with the vote: an empty directory, the directory of a member without a vote, or an older state of the
/// voter's own directory. The voter gets an address when its own directory is back.
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

/// An address that leads nowhere. It is in TEST-NET-1 (RFC 5737). If the members are on loopback, it is on loopback
/// too, because the server requires all or none of the members on loopback.
fn nowhere(config: &ReplConfig, id: MemberId) -> Host {
    let local = config.members().iter().any(|m| m.host.socket().is_some_and(|at| at.ip().is_loopback()));
    let net = if local { [127, 0, 0] } else { [192, 0, 2] };
    let last = 1 + u8::try_from(id.0.rem_euclid(250)).unwrap_or_default();
    Host::ip([net[0], net[1], net[2], last].into(), 9)
}

/// What an operator should know about a set that rsctl could recover but does not.
pub(super) fn refusal(context: &Context<'_>) -> Option<Finding> {
    let now = &context.situation;
    let config = now.config.filter(|_| now.primary().is_none() && !now.blocked)?;
    let found = found_voters(now, config);
    let is_enough = found.len() >= config.majority() && has_way(context, config);
    match now.policy.recovery {
        RecoveryMode::Manual if is_enough => return Some(Finding::RecoveryManual),
        RecoveryMode::Auto if is_enough && !configs_agree(config, &found) => return Some(Finding::ConfigsDisagree),
        RecoveryMode::Manual | RecoveryMode::Auto => {}
    }
    in_place::finding(now, config).or_else(|| {
        let has_lasted = now.observed.still_for >= now.policy.replace_after;
        let helps = match evidence::weigh(context).verdict {
            Verdict::Safe { by_itself, .. } => !by_itself,
            Verdict::Loss(_) => has_lasted,
            Verdict::Primary(_) | Verdict::Electing | Verdict::Refused(_) | Verdict::Unknown(_) => false,
        };
        helps.then_some(Finding::RecoveryOnRequest)
    })
}
