//! A majority that is alive, but at addresses that its config does not know: *recover*, by force, on evidence.
//!
//! **Invariant:** this is the only place that proposes force. A force changes where members are, never who votes:
//! the voters are the same directories before and after, so every majority after meets every majority before, and the
//! vote rule elects one that holds each acknowledged write. The one exception, in `loss`, takes an operator's request
//! that names the very evidence he was shown, and the set.

mod arbiters;
mod evidence;
mod loss;

pub use evidence::{Directory, Evidence, Missing, Verdict, evidence};
pub use loss::Loss;

use super::addressing::{Addressing, addressing};
use super::situation::{Situation, voters_but};
use super::{Finding, Proposal, Step, WaitingOn, WaitingOn as W};
use crate::model::{Change, DataId, Host, Member, MemberId, NodeState, Process, RecoveryMode, ReplConfig};
use std::collections::BTreeSet;
use std::time::Duration;

/// So long after a recovery there is no other: its elections and heartbeats come first.
const COOLDOWN: Duration = Duration::from_secs(60);

/// Gives the members of a set without a reachable majority their present addresses.
pub(super) fn recover(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let config = now.config?;
    if let Some(requested) = requested(now, waiting) {
        return Some(requested);
    }
    let addressing = addressing(now, config);
    if addressing.moves.is_empty() {
        return None;
    }
    let found = found_voters(now, config);
    if found.len() < config.majority() {
        let missing = voters_but(config, &found).map(|m| m.host.clone()).collect();
        waiting.push(W::Directories { have: found.len(), need: config.majority(), missing });
        return None;
    }
    waiting.extend(addressing.unnamed.iter().map(|host| W::Name { host: host.clone() }));
    if !waits_are_over(now, waiting) || now.policy.recovery == RecoveryMode::Manual || !configs_agree(config, &found) {
        return None;
    }
    let (step, at_hand) = force(now, config, addressing, &found)?;
    let voters = config.voters().count();
    let because = format!("the data of {at_hand} of {voters} voters is at hand, at addresses the config does not know");
    Proposal::new(step, because)
}

/// What an operator ordered, as long as things are as he was shown them.
fn requested(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let request = now.observed.request.as_ref()?;
    let evidence = evidence::weigh(now);
    if evidence.id() != request.evidence {
        return None;
    }
    let accepted = request.accepts_loss_of.as_ref() == Some(&now.policy.set);
    let proposal = match evidence.verdict {
        Verdict::Safe { step, .. } => {
            Proposal::new(step, "an operator ordered it, and a majority of the data is at hand")
        }
        Verdict::Loss(loss) if accepted => loss::proposal(loss),
        _ => None,
    };
    proposal.filter(|_| waits_are_over(now, waiting))
}

/// The step that is safe on an operator's word.
fn by_request(now: &Situation<'_>, config: &ReplConfig) -> Option<Step> {
    let addressing = addressing(now, config);
    let found = found_voters(now, config);
    let possible = !addressing.moves.is_empty() && found.len() >= config.majority() && configs_agree(config, &found);
    possible.then(|| force(now, config, addressing, &found))?.map(|(step, _)| step)
}

/// What [`by_request`] found safe, the controller would do without a request.
fn by_itself(now: &Situation<'_>) -> bool {
    now.policy.recovery == RecoveryMode::Auto
}

fn newest_version(now: &Situation<'_>) -> Option<i64> {
    now.ours.iter().filter_map(|p| p.probe.config.as_ref()).map(ReplConfig::version).max()
}

/// The step that gives the members their present addresses, if that leads to a majority of the voters, and to how many.
fn force(
    now: &Situation<'_>,
    config: &ReplConfig,
    addressing: Addressing,
    found: &[(&Member, &Process<'_>)],
) -> Option<(Step, usize)> {
    let version = newest_version(now)? + 1;
    let changes = forced_changes(now, config, addressing);
    let next = config.forced(&changes, version).ok()?;
    let in_place = |m: &Member, p: &Process<'_>| m.data.is_none() && p.is_at(&m.host);
    let reached: Vec<_> = found.iter().filter(|(m, p)| in_place(m, p) || votes_in(now, p, &next)).collect();
    if reached.len() < config.majority() {
        return None;
    }
    // Any of them is safe; one that is still in place and has the newest write leads soonest.
    let at_hand = reached.len();
    let processes_with_data = reached.into_iter().filter(|(m, _)| !m.arbiter);
    let (_, target) = processes_with_data.max_by_key(|(_, p)| (accepts(p, &next), p.probe.newest()))?;
    Some((Step::Recover { on: target.hosts[0].clone(), base: config.clone(), changes, version }, at_hand))
}

/// The server compares a forced config with the one it stores, which may be older than the newest: there too an address
/// must not change its `_id` (103).
fn accepts(process: &Process<'_>, next: &ReplConfig) -> bool {
    let stored = process.probe.config.as_ref();
    let same = |m: &Member| stored.and_then(|s| s.member_at(&m.host)).is_none_or(|old| old.id == m.id);
    next.members().iter().all(same)
}

/// The config has a vote for this directory, at an address that leads to it.
fn votes_in(now: &Situation<'_>, process: &Process<'_>, config: &ReplConfig) -> bool {
    let own = now.address_of(process, now.kind());
    let mut members = config.voters().filter(|m| m.data.is_some() && m.data == process.probe.data);
    members.any(|m| process.is_at(&m.host) || own.as_ref() == Some(&m.host))
}

/// Voters whose directory answers, each known by its tag and free of any primary. What is not tagged is not guessed.
fn counted<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<(&'a Member, &'s Process<'a>)> {
    let voters = config.voters().filter(|m| !m.arbiter);
    let held = voters.filter_map(|m| Some((m, now.process_with_data(m.data?)?)));
    held.filter(|(_, p)| match p.state() {
        NodeState::Removed => true,
        NodeState::Secondary => p.probe.sees_primary.is_none(),
        _ => false,
    })
    .collect()
}

/// All of those, and voters without a tag that are where the config has them, as members. The server counts their votes
/// as they are, so a force that changes other members' hosts adds nothing to what they can decide.
fn found_voters<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<(&'a Member, &'s Process<'a>)> {
    let named = |data: DataId| config.members().iter().any(|m| m.data == Some(data)) || now.is_copied(data);
    let untagged = config.voters().filter(|m| m.data.is_none());
    let there = untagged.filter_map(|m| Some((m, now.process_at(m)?))).filter(|(m, p)| {
        let whole = p.state() == NodeState::Secondary && p.probe.data.is_some_and(|data| !named(data));
        let whole = whole && !now.is_rewound(p);
        p.probe.sees_primary.is_none() && if m.arbiter { p.state() == NodeState::Arbiter } else { whole }
    });
    counted(now, config).into_iter().chain(there).collect()
}

fn waits_are_over(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> bool {
    if let Some(left) =
        now.observed.recovered_for.and_then(|since| COOLDOWN.checked_sub(since)).filter(|d| !d.is_zero())
    {
        waiting.push(W::Cooldown { left });
        return false;
    }
    if now.observed.still_for < now.policy.stable_for {
        waiting.push(W::Stability { left: now.policy.stable_for - now.observed.still_for });
        return false;
    }
    true
}

/// The newest config, a majority of whose voters is at hand, is the one that counts.
///
/// Why a majority is enough. A reconfig changes one vote at most, and waits until a majority has the config before it.
/// So a config next to the newest one that is seen shares a voter with every majority of it, and one that is committed
/// is stored by somebody in every majority at hand: it would be the newest seen. And nothing comes after a config that
/// is not committed. Whoever stores an older one was away, for any number of votes: what it stores says nothing about
/// what the others may have decided, and the server would give it the newest as soon as it could reach it.
///
/// The server promises no such request for a config that was forced, until a primary builds on it: that gives it a term,
/// and takes a majority that has it. Before that, a majority whose configs are two votes or more from the newest is a
/// sign that a human forced it, and is left to him.
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

fn forced_changes(now: &Situation<'_>, config: &ReplConfig, addressing: Addressing) -> Vec<Change> {
    let Addressing { mut moves, tags, .. } = addressing;
    // Force would make a voter of a newcomer that does not hold the data yet.
    let newcomers = config.members().iter().filter(|m| m.newly_added);
    let silenced: Vec<_> = newcomers.map(|m| Change::RevokeVote { id: m.id }).collect();
    // Another directory at a voter's address would join with its vote: a wiped one, or one of a member without a
    // vote, or an older state of its own. The member points nowhere until its own directory is back.
    let holds = |m: &Member| tags.iter().find_map(|c| tag_of(c, m.id)).or(m.data);
    let moved = |m: &Member| moves.iter().any(|c| matches!(c, Change::Readdress { id, .. } if *id == m.id));
    let other = |m: &Member| now.process_at(m).is_some_and(|p| p.probe.data != holds(m) || now.is_rewound(p));
    let taken = config.voters().filter(|m| m.data.is_some() && !moved(m) && other(m));
    let away: Vec<_> = taken.map(|m| Change::Readdress { id: m.id, to: nowhere(config, m.id) }).collect();
    moves.extend(tags);
    moves.extend(silenced);
    moves.extend(away);
    moves
}

fn tag_of(change: &Change, member: MemberId) -> Option<DataId> {
    match change {
        Change::Tag { id, data } if *id == member => Some(*data),
        _ => None,
    }
}

/// An address that leads nowhere: TEST-NET-1 (RFC 5737), or loopback where all members are (the server wants either
/// all or none of them there).
fn nowhere(config: &ReplConfig, id: MemberId) -> Host {
    let local = config.members().iter().any(|m| m.host.socket().is_some_and(|at| at.ip().is_loopback()));
    let net = if local { [127, 0, 0] } else { [192, 0, 2] };
    let last = 1 + u8::try_from(id.0.rem_euclid(250)).unwrap_or_default();
    Host::ip([net[0], net[1], net[2], last].into(), 9)
}

/// What an operator should know about a set that could be recovered and is not.
pub(super) fn refusal(now: &Situation<'_>) -> Option<Finding> {
    let config = now.config.filter(|_| now.primary().is_none())?;
    if addressing(now, config).moves.is_empty() {
        return None;
    }
    let found = found_voters(now, config);
    let enough = found.len() >= config.majority();
    match (enough, now.policy.recovery) {
        (true, RecoveryMode::Manual) => Some(Finding::RecoveryManual),
        (true, RecoveryMode::Auto) if !configs_agree(config, &found) => Some(Finding::ConfigsDisagree),
        _ => None,
    }
}
