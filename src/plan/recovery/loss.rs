//! The last option when the data of a majority is gone for good. The set continues with the directories that are left,
//! without the votes of the others. Data that only the others hold is lost. rsctl does this only on an operator's
//! request.
//!
//! **Invariant:** only arbiters are removed. An arbiter holds no data, cannot have a tag, and must have a vote. Every
//! other member that loses its vote stays, with the tag `rsctlSavedVote`. So *restore-vote* returns the vote when the
//! member holds the set's data again.

use super::super::addressing::Addressing;
use super::super::situation::Situation;
use super::super::{Finding, LintFault, LintedConfig, Step};
use super::arbiters::arbiters;
use super::{Lost, Obstacle, accepts, found_voters, in_place, newest_version};
use crate::model::{Change, ConfigError, Host, Member, NodeState, OpTime, Process, ReplConfig};

/// A recovery with a loss: the step, and what it loses.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// A [`Step::AcceptLoss`].
    pub step: Step,
    /// What is lost, or may be lost.
    pub lost: Vec<Lost>,
}

impl From<LintFault> for Obstacle {
    fn from(fault: LintFault) -> Self {
        match fault {
            LintFault::Changes(ConfigError::NoNextVersion(version)) => Self::Finding(Finding::VersionLimit { version }),
            fault => Self::Internal(fault),
        }
    }
}

impl From<ConfigError> for Obstacle {
    fn from(error: ConfigError) -> Self {
        LintFault::from(error).into()
    }
}

/// The forced reconfig after which, of the directories that are found, the one with the newest write leads.
pub(super) fn loss(now: &Situation<'_>, config: &ReplConfig, committed: Option<OpTime>) -> Result<Loss, Obstacle> {
    let newest = newest_version(now).unwrap_or(config.version());
    let Addressing { moves, tags, unnamed, .. } = Addressing::of_any_state(now);
    let mut changes = [moves, tags, guesses(now, config)].concat();
    let readdressed = config.forced(&changes, newest)?;
    let filled = filled_members(now, &readdressed);
    let is_out = |p: &Process<'_>| !filled.iter().any(|(_, q)| q.id == p.id);
    if let Some((_, p)) = found_voters(now, config).into_iter().find(|(_, p)| is_out(p)) {
        return Err(unreached(p, &unnamed));
    }
    let fit = |(m, p): &&(&Member, &Process<'_>)| may_lead(m) && accepts(p, &readdressed);
    let best = filled.iter().filter(fit).max_by_key(|(m, p)| (p.probe.newest(), m.votes));
    let Some(&(leader, process)) = best else { return Err(Obstacle::NoLeader) };
    changes.extend(given_up_votes(config, &readdressed, leader, &filled));
    changes.extend(vote_of_leader(leader, process));
    // Otherwise it would stay REMOVED: see `in_place`.
    let removed = config.member(leader.id).filter(|m| in_place::is_removed_in_place(now, config, m, process));
    changes.extend(removed.and_then(in_place::respelled));
    changes.extend(arbiters(now, config, &config.forced(&changes, newest)?)?);
    let lost = losses(now, config, &changes, committed, process);
    let next = LintedConfig::accepting_loss(config, changes, newest)?;
    Ok(Loss { step: Step::AcceptLoss { on: process.hosts[0].clone(), next }, lost })
}

/// Revokes the votes of voters that are not found, and of members that would get a vote only by this forced reconfig.
fn given_up_votes(
    config: &ReplConfig,
    next: &ReplConfig,
    leader: &Member,
    filled: &[(&Member, &Process<'_>)],
) -> Vec<Change> {
    let keeps_vote = |m: &Member| {
        let voted = config.member(m.id).is_some_and(Member::votes_now);
        voted && filled.iter().any(|(found, _)| found.id == m.id)
    };
    let others = next.members().iter().filter(|m| m.votes && !m.arbiter && m.id != leader.id);
    others.filter(|m| !keeps_vote(m)).map(|m| Change::RevokeVote { id: m.id }).collect()
}

/// Gives the leader a vote, if it has none.
fn vote_of_leader(leader: &Member, process: &Process<'_>) -> Option<Change> {
    let id = leader.id;
    match (leader.votes, leader.saved_vote, process.probe.data) {
        (true, _, _) => None,
        (false, Some(_), Some(data)) => Some(Change::RestoreVote { id, data }),
        (false, _, _) => Some(Change::Promote { id }),
    }
}

/// Assigns directories that no tag names to members that name no directory and do not answer. A wrong guess loses
/// nothing: each is a directory of this set, and the one with the newest write leads.
fn guesses(now: &Situation<'_>, config: &ReplConfig) -> Vec<Change> {
    let members = config.members();
    let belongs = |p: &Process<'_>, m: &Member| p.is_at(&m.host) || m.data.is_some() && m.data == p.probe.data;
    let is_whole = |p: &Process<'_>| is_at_rest(p) && p.probe.data.is_some_and(|data| !now.is_copied(data));
    let is_stray = |p: &&Process<'_>| is_whole(p) && !members.iter().any(|m| belongs(p, m));
    let mut strays: Vec<_> = now.ours.iter().filter(is_stray).collect();
    strays.sort_by_key(|p| std::cmp::Reverse(p.probe.newest()));
    let is_free =
        |m: &&Member| m.data.is_none() && !m.arbiter && m.votes_now() && now.observed.probe(&m.host).is_none();
    let guessed = now.matched(config, members.iter().filter(is_free), strays);
    guessed.into_iter().map(|(m, _, to)| Change::Readdress { id: m.id, to }).collect()
}

/// The process for each member of the next config, with complete data, or as an arbiter.
fn filled_members<'c, 's, 'a>(now: &'s Situation<'a>, next: &'c ReplConfig) -> Vec<(&'c Member, &'s Process<'a>)> {
    let process = |m: &Member| now.ours.iter().find(|p| is_at(now, p, &m.host) && fills(now, next, m, p));
    next.members().iter().filter_map(|m| Some((m, process(m)?))).collect()
}

fn is_at(now: &Situation<'_>, process: &Process<'_>, host: &Host) -> bool {
    now.leads_to(host, process)
}

fn fills(now: &Situation<'_>, next: &ReplConfig, member: &Member, process: &Process<'_>) -> bool {
    let is_at_one = || next.members().iter().filter(|other| is_at(now, process, &other.host)).count() == 1;
    match (member.arbiter, member.data, process.probe.data) {
        (true, _, _) => process.state() == NodeState::Arbiter && is_at_one(),
        (false, Some(tag), Some(data)) => {
            tag == data && now.process_with_any_state_of(data).is_some() && is_at_rest(process)
        }
        (false, None, Some(data)) => {
            let is_named = next.members().iter().any(|other| other.data == Some(data));
            !is_named && !now.is_copied(data) && is_at_one() && is_at_rest(process)
        }
        (false, _, None) => false,
    }
}

fn is_at_rest(process: &Process<'_>) -> bool {
    matches!(process.state(), NodeState::Removed | NodeState::Secondary)
}

/// Whether the member can be elected as a voter of the next config, or can after it gets a vote.
fn may_lead(member: &Member) -> bool {
    let electable = match (member.votes, member.saved_vote) {
        (true, _) => member.priority > 0.0,
        (false, Some(saved)) => saved.votes && saved.priority > 0.0,
        (false, None) => true,
    };
    electable && !member.arbiter && !member.hidden && !member.delayed
}

/// Why the next config does not reach a directory that has a vote.
fn unreached(process: &Process<'_>, unnamed: &[Host]) -> Obstacle {
    let host = process.hosts[0].clone();
    match process.hosts.iter().any(|h| unnamed.contains(h)) {
        true => Obstacle::NameMustResolve { host },
        false => Obstacle::AtAnotherMember { host },
    }
}

fn losses(
    now: &Situation<'_>,
    config: &ReplConfig,
    changes: &[Change],
    committed: Option<OpTime>,
    leader: &Process<'_>,
) -> Vec<Lost> {
    let after = leader.probe.newest().unwrap_or_default();
    let losers = changes.iter().filter_map(|c| match c {
        Change::RevokeVote { id } | Change::Remove { id } => config.member(*id).filter(|m| m.votes_now()),
        _ => None,
    });
    let (arbiters, data): (Vec<_>, Vec<_>) = losers.partition(|m| m.arbiter);
    let of: Vec<Host> = data.iter().map(|m| m.host.clone()).collect();
    let mut lost = Vec::new();
    if !of.is_empty() {
        lost.push(Lost::Writes { after, of: of.clone(), committed });
        lost.push(Lost::WritesNow { of });
    }
    lost.extend(silent_tasks(now, config));
    let ahead = now.ours.iter().filter(|p| p.probe.data.is_some() && p.probe.newest() > Some(after));
    lost.extend(ahead.map(|p| Lost::Ahead { host: p.hosts[0].clone(), newest: p.probe.newest().unwrap_or_default() }));
    let rewound = now.ours.iter().filter(|p| now.is_rewound(p));
    lost.extend(rewound.map(|p| Lost::Rewound { host: p.hosts[0].clone() }));
    lost.extend(changes.iter().filter_map(|change| guessed(config, change)));
    lost.extend(arbiters.iter().map(|m| Lost::Arbiter { host: m.host.clone() }));
    if lost.is_empty() {
        lost.push(Lost::UnknownVoters);
    }
    lost
}

/// Listed tasks outside the config that do not answer.
fn silent_tasks(now: &Situation<'_>, config: &ReplConfig) -> impl Iterator<Item = Lost> {
    let silent = now.observed.nodes.iter().filter(|(host, node)| {
        let is_task = node.listed && host.name().is_none();
        is_task && node.answer.is_err() && config.member_at(host).is_none()
    });
    silent.map(|(host, _)| Lost::SilentTask { host: host.clone() })
}

/// The risk of a guess: a member without a tag gets the address of a directory.
fn guessed(config: &ReplConfig, change: &Change) -> Option<Lost> {
    let Change::Readdress { id, to } = change else { return None };
    let member = config.member(*id).filter(|m| m.data.is_none() && !m.arbiter)?;
    Some(Lost::Guessed { member: member.host.clone(), directory: to.clone() })
}
