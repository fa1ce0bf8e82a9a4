//! The way on when the data of a majority is gone for good: those that are left go on without the others' votes, and
//! whatever only the others hold is lost. Only on an operator's request.
//!
//! **Invariant:** nobody is removed but arbiters, which hold nothing and can have neither a tag nor no vote. Whoever
//! loses a vote keeps its member and `rsctlSavedVote`, so that *restore-vote* returns it when it holds the set's data again.

use super::super::addressing::{Addressing, addressing_of_any_state};
use super::super::situation::Situation;
use super::super::{Proposal, Step, lint};
use super::arbiters::arbiters;
use super::{accepts, found_voters, newest_version};
use crate::model::{Change, ConfigError, Host, Member, NodeState, OpTime, Process, ReplConfig};

/// What would be done, and what is lost by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// A [`Step::AcceptLoss`].
    pub step: Step,
    /// One sentence each.
    pub lost: Vec<String>,
}

/// The force that makes the directory with the newest write lead those that are found.
pub(super) fn loss(now: &Situation<'_>, config: &ReplConfig, committed: Option<OpTime>) -> Result<Loss, String> {
    let version = newest_version(now).unwrap_or(config.version()) + 1;
    let unfit = |error: ConfigError| error.to_string();
    let Addressing { moves, tags, unnamed } = addressing_of_any_state(now, config);
    let mut changes = [moves, tags, guesses(now, config)].concat();
    let placed = config.forced(&changes, version).map_err(unfit)?;
    let held = seats(now, &placed);
    let seated = |p: &Process<'_>| held.iter().any(|(_, q)| q.id == p.id);
    if let Some((_, p)) = found_voters(now, config).into_iter().find(|(_, p)| !seated(p)) {
        return Err(astray(p, &unnamed));
    }
    let fit = |(m, p): &&(&Member, &Process<'_>)| may_lead(m) && accepts(p, &placed);
    let best = held.iter().filter(fit).max_by_key(|(m, p)| (p.probe.newest(), m.votes));
    let Some(&(leader, process)) = best else {
        return Err("no data directory of this set is found that could lead: bring one back".to_owned());
    };
    for member in placed.members().iter().filter(|m| m.votes && !m.arbiter && m.id != leader.id) {
        let voted = config.member(member.id).is_some_and(Member::votes_now);
        if !voted || !held.iter().any(|(m, _)| m.id == member.id) {
            changes.push(Change::RevokeVote { id: member.id });
        }
    }
    match (leader.votes, leader.saved_vote, process.probe.data) {
        (true, _, _) => {}
        (false, Some(_), Some(data)) => changes.push(Change::RestoreVote { id: leader.id, data }),
        (false, _, _) => changes.push(Change::Promote { id: leader.id }),
    }
    changes.extend(arbiters(now, config, &config.forced(&changes, version).map_err(unfit)?)?);
    let next = config.forced(&changes, version).map_err(unfit)?;
    lint::check_loss(config, &next).map_err(|fault| fault.to_string())?;
    let lost = told(now, config, &changes, committed, process);
    let step = Step::AcceptLoss { on: process.hosts[0].clone(), base: config.clone(), changes, version };
    Ok(Loss { step, lost })
}

/// On an operator's word, and never else.
pub(super) fn proposal(loss: Loss) -> Option<Proposal> {
    Proposal::new(loss.step, "an operator accepts the loss of what only the missing directories hold")
}

/// Directories that no tag names, for members that name no directory and that nobody answers for. None is lost if the
/// guess is wrong: each of them is a directory of this set, and the newest of all leads.
fn guesses(now: &Situation<'_>, config: &ReplConfig) -> Vec<Change> {
    let members = || config.members().iter();
    let is_member = |p: &Process<'_>| members().any(|m| p.is_at(&m.host) || m.data.is_some() && m.data == p.probe.data);
    let whole = |p: &&Process<'_>| {
        matches!(p.state(), NodeState::Removed | NodeState::Secondary)
            && p.probe.data.is_some_and(|d| !now.is_copied(d))
    };
    let mut strays: Vec<_> = now.ours.iter().filter(whole).filter(|p| !is_member(p)).collect();
    strays.sort_by_key(|p| std::cmp::Reverse(p.probe.newest()));
    let free = |m: &&Member| m.data.is_none() && !m.arbiter && m.votes_now() && now.observed.probe(&m.host).is_none();
    let places = strays.into_iter().filter_map(|p| now.address_of(p, now.kind()));
    members().filter(free).zip(places).map(|(m, to)| Change::Readdress { id: m.id, to }).collect()
}

/// Who fills which member of the config to come, with whole data, or as an arbiter.
fn seats<'c, 's, 'a>(now: &'s Situation<'a>, next: &'c ReplConfig) -> Vec<(&'c Member, &'s Process<'a>)> {
    let at = |p: &Process<'_>, host: &Host| p.is_at(host) || now.address_of(p, now.kind()).as_ref() == Some(host);
    let sits = |p: &Process<'_>, m: &Member| {
        let once = || next.members().iter().filter(|other| at(p, &other.host)).count() == 1;
        match (m.arbiter, m.data, p.probe.data) {
            (true, _, _) => p.state() == NodeState::Arbiter && once(),
            (false, Some(tag), Some(data)) => tag == data && now.process_with_any_state_of(data).is_some() && rests(p),
            (false, None, Some(data)) => {
                let named = next.members().iter().any(|other| other.data == Some(data));
                !named && !now.is_copied(data) && once() && rests(p)
            }
            (false, _, None) => false,
        }
    };
    let seat = |m: &'c Member| Some((m, now.ours.iter().find(|p| at(p, &m.host) && sits(p, m))?));
    next.members().iter().filter_map(seat).collect()
}

fn rests(process: &Process<'_>) -> bool {
    matches!(process.state(), NodeState::Removed | NodeState::Secondary)
}

/// As a voter of the config to come: it is electable, or becomes so with a vote.
fn may_lead(member: &Member) -> bool {
    let electable = match (member.votes, member.saved_vote) {
        (true, _) => member.priority > 0.0,
        (false, Some(saved)) => saved.votes && saved.priority > 0.0,
        (false, None) => true,
    };
    electable && !member.arbiter && !member.hidden && !member.delayed
}

/// A directory with a vote that the config to come does not lead to.
fn astray(process: &Process<'_>, unnamed: &[Host]) -> String {
    let host = process.hosts[0];
    if process.hosts.iter().any(|h| unnamed.contains(h)) {
        return format!("the host name that {host} reports must resolve to it first");
    }
    format!("{host} answers at another member's address, which force cannot change: start it at a new one first")
}

fn told(
    now: &Situation<'_>,
    config: &ReplConfig,
    changes: &[Change],
    committed: Option<OpTime>,
    leader: &Process<'_>,
) -> Vec<String> {
    let losers = changes.iter().filter_map(|c| match c {
        Change::RevokeVote { id } | Change::Remove { id } => config.member(*id).filter(|m| m.votes_now()),
        _ => None,
    });
    let (arbiters, gone): (Vec<_>, Vec<_>) = losers.partition(|m| m.arbiter);
    let gone = gone.iter().map(|m| m.host.to_string()).collect::<Vec<_>>().join(", ");
    let newest = leader.probe.newest().unwrap_or_default();
    let mut lost = Vec::new();
    if !gone.is_empty() {
        let acknowledged = match committed {
            Some(at) if at > newest => format!("a majority acknowledged writes up to {at}, so some of those"),
            Some(at) => format!("what is known here to be acknowledged by a majority, up to {at}, stays"),
            None => "nobody here knows what a majority acknowledged, so it may be among them".to_owned(),
        };
        lost.push(format!("every write after {newest} that only {gone} had; {acknowledged}"));
        lost.push(format!(
            "every write that {gone} may be taking now, out of rsctl's sight: make sure that nothing runs there"
        ));
    }
    let members = config.members();
    let silent = now.observed.nodes.iter().filter(|(host, node)| {
        node.listed && node.answer.is_err() && host.name().is_none() && !members.iter().any(|m| &m.host == *host)
    });
    lost.extend(silent.map(|(host, _)| {
        format!("what the task at {host} holds, which DNS lists and which does not answer: wait for it, if it may")
    }));
    let ahead = now.ours.iter().filter(|p| p.probe.data.is_some() && p.probe.newest() > Some(newest));
    lost.extend(ahead.map(|p| {
        let at = p.probe.newest().unwrap_or_default();
        format!("perhaps what {} has after that, up to {at}: it cannot lead", p.hosts[0])
    }));
    let rewound = now.ours.iter().filter(|p| now.is_rewound(p));
    lost.extend(
        rewound.map(|p| format!("what {} held before and lacks now: its data directory is an older one", p.hosts[0])),
    );
    lost.extend(changes.iter().filter_map(|c| {
        match c {
            Change::Readdress { id, to } => config
                .member(*id)
                .filter(|m| m.data.is_none() && !m.arbiter)
                .map(|m| format!("what {0} had, should {to} not be its directory: no tag tells whose it is", m.host)),
            _ => None,
        }
    }));
    lost.extend(arbiters.iter().map(|m| format!("the arbiter {}: add it again with rs.addArb()", m.host)));
    if lost.is_empty() {
        lost.push("perhaps writes of voters that only a newer config knows: those that are stored differ".to_owned());
    }
    lost
}
