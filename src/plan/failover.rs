//! No primary, but a majority that could have one: *step-up*, *catch-up*, and *switchover* before it comes to that.
//!
//! MongoDB waits out its election timeout (10 s by default) before it elects again. A real election right away is
//! just as safe, the vote rule is the same, but it would also unseat a healthy primary that only rsctl cannot see.
//! So it takes evidence that none can be alive.

use super::safety::first_free;
use super::situation::{Situation, voters_but};
use super::{Proposal, Step, WaitingOn, WaitingOn as W};
use crate::model::{Host, Member, Node, NodeState, OpTime, ProbeError, Process, ReplConfig, SyncSourceRequest};
use std::time::Duration;

/// Looks in a row that must find the old primary's port closed.
const DOWN_OBSERVATIONS: u32 = 2;

/// So many heartbeats in a row must not have come before their sender counts as silent,
const HEARTBEATS_MISSED: u32 = 4;
/// or so many, where nobody is unseated,
const HEARTBEATS_LOST: u32 = 2;
/// and so long: a primary that only stumbles is quicker up again than another one is elected.
const SILENCE_MIN: Duration = Duration::from_secs(3);

/// Asks the secondary with the newest write to stand for election.
pub(super) fn step_up(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let config = now.config?;
    let (ready, told) = (electors(now, config), spread(now, config));
    for (config, there) in [(config, &ready), (told, &electors(now, told))] {
        if there.len() < config.majority() {
            let missing = voters_but(config, there).map(|m| m.host.clone()).collect();
            waiting.push(W::Majority { have: there.len(), need: config.majority(), missing });
            return None;
        }
    }
    // Elected, and catching up before it takes writes: another election would only unseat it.
    if now.ours.iter().any(|p| p.state() == NodeState::Other) {
        waiting.push(W::Election);
        return None;
    }
    if let Some(host) = maybe_alive(now, config, &ready) {
        waiting.push(W::OldPrimary { host });
        return None;
    }
    waiting.push(W::Election);
    let electable = ready.iter().filter(|(m, p)| p.state() == NodeState::Secondary && can_lead(m));
    // Whoever the others copy from can lead without a pause: they need no other source.
    let followers = |m: &Member| ready.iter().filter(|(_, p)| sync_source(p) == Some(&m.host)).count();
    let (best, _) = electable.max_by_key(|(m, p)| (applied(p), followers(m)))?;
    let because = format!("no primary is alive, and {} has the newest write of those that can lead", best.host);
    Proposal::new(Step::StepUp { on: best.host.clone() }, because)
}

/// The newest config that those go by who could elect. One that is no member by its own config tells nobody of it, be it
/// newer or not: with a vote that only this one knows of, nobody would be elected for ever (seed 887890).
pub(super) fn spread<'a>(now: &Situation<'a>, newest: &'a ReplConfig) -> &'a ReplConfig {
    let told = now.ours.iter().filter(|p| p.state() != NodeState::Removed);
    ReplConfig::newest(told.filter_map(|p| p.probe.config.as_ref())).unwrap_or(newest)
}

/// Voters that are there and could vote.
fn electors<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<(&'a Member, &'s Process<'a>)> {
    let there = config.voters().filter(|m| now.is_live(m)).filter_map(|m| now.process_at(m).map(|p| (m, p)));
    there.filter(|(_, p)| matches!(p.state(), NodeState::Secondary | NodeState::Arbiter)).collect()
}

/// An elected member asks every other one for newer writes before it takes writes itself, and waits up to 10 s for
/// one that left without a word, as a removed container does (seen on 6.0.5). When no voter that answers has a newer
/// one, there is nothing to wait for: what a majority acknowledged it has, or it had not been elected. A write that
/// only a spare has is out of its reach: members with a vote do not copy from those without (manual,
/// `replSetSyncFrom`), so it waited for such a one until the time was up (15 s on Swarm, 6.0.5).
pub(super) fn abort_catchup(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let config = now.config?;
    let elected = config.voters().filter_map(|m| now.process_at(m)).find(|p| p.state() == NodeState::Other)?;
    // Elected with the help of one that forgot what it vouched for, it may lack what a silent one holds.
    if config.voters().filter_map(|m| now.process_at(m)).any(|p| now.is_rewound(p)) {
        return None;
    }
    let silent = config.members().iter().any(|m| now.process_at(m).is_none());
    let newer = |m: &Member| now.process_at(m).is_some_and(|p| applied(p) > applied(elected));
    if !silent || config.voters().any(newer) {
        return None;
    }
    let because = format!("{} is elected, and no voter that answers has newer writes", elected.hosts[0]);
    Proposal::new(Step::AbortCatchUp { on: elected.hosts[0].clone() }, because)
}

/// A source whose machine is lost sends nothing, not even that it is gone, and whoever copies from it hangs: for 10 s,
/// and for 7 s more in which the server tries to connect to it again (6.0.5, 5.0.4; for 5 s and 3 s where the kernel looks
/// after idle connections, as in the stack that ships). Of three voters, with one gone and one that hangs, no majority
/// holds a new write for so long. Told to copy from the primary, a 6.0 spares itself the second wait.
pub(super) fn reset_sync_source(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let primary_host = now.primary_host().filter(|host| config.member_at(host).is_some())?;
    let silence = SILENCE_MIN.max(config.heartbeat_interval() * HEARTBEATS_LOST);
    let lost = |p: &Process<'_>, source: &Host| {
        let answers = now.observed.node(source).is_none_or(|node| node.answer.is_ok());
        source != primary_host && !answers && hears_nothing(now, p, source, silence)
    };
    let told = |p: &Process<'_>| {
        now.observed.sync_source_requests.contains(&SyncSourceRequest { on: p.id, source: primary.id, fresh: true })
    };
    let voters = config.voters().filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let hanging = voters.filter(|(_, p)| {
        p.state() == NodeState::Secondary && !told(p) && sync_source(p).is_some_and(|source| lost(p, source))
    });
    let source = primary_host;
    let requests = hanging.map(|(m, _)| Step::SetSyncSource {
        on: m.host.clone(),
        source: source.clone(),
        primary: primary_host.clone(),
    });
    let because = "whom it copies from answers neither it nor rsctl, and it would hang";
    Proposal::new(first_free(now, requests)?, because)
}

/// A secondary whose source dies looks for another at once, finds nobody ahead of it, and sleeps for a second before
/// it looks again (seen on 6.0.5), and so long no majority holds a new write. Whoever copies from the next primary
/// already has the right source when it is elected. So of three voters, the third copies from the second.
///
/// Not of more: there a majority is left without the head of the line, and should that one's machine die without a
/// word, everybody behind it would hang for the 10 s that the server waits on a silent source.
///
/// The server drops the request where the second is not ahead of the third at that moment (6.0.5). So the one that lags is
/// the third, the primary writes a little that changes nothing, and when all that comes to nothing, the next request is the
/// other way round.
pub(super) fn chain_secondary(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let secondaries: Vec<_> = config
        .voters()
        .filter(|m| now.is_live(m) && !now.is_removal_target(m))
        .filter_map(|m| now.process_at(m).map(|p| (m, p)))
        .filter(|(_, p)| p.state() == NodeState::Secondary)
        .collect();
    if !config.allows_chaining() || secondaries.len() != 2 || config.voters().count() != 3 {
        return None;
    }
    let both = |o: &&SyncSourceRequest| secondaries.iter().all(|(_, p)| [o.on, o.source].contains(&p.id));
    let request = now.observed.sync_source_requests.iter().rfind(both);
    if request.is_some_and(|request| request.fresh) {
        return None;
    }
    // Whoever leads the line stays there; else who could not be copied from is passed over, and the newest comes first.
    let led = |host: &Host| secondaries.iter().filter(|(_, p)| sync_source(p) == Some(host)).count();
    let in_vain = |p: &Process<'_>| request.is_some_and(|request| request.source == p.id);
    let electable = secondaries.iter().filter(|(m, _)| can_lead(m));
    let (head, leader) =
        electable.max_by_key(|(m, p)| (led(&m.host), !in_vain(p), applied(p), std::cmp::Reverse(m.id)))?;
    let primary_host = now.primary_host()?;
    let straggler = |(m, p): &&(&Member, &Process<'_>)| m.id != head.id && sync_source(p) == Some(primary_host);
    let (member, _) = secondaries.iter().find(straggler).filter(|_| primary.id != leader.id)?;
    let because = format!("it would go on without a pause should {} have to lead", head.host);
    let (on, source, primary) = (member.host.clone(), head.host.clone(), primary_host.clone());
    Proposal::new(Step::SetSyncSource { on, source, primary }, because)
}

fn sync_source<'a>(process: &'a Process<'_>) -> Option<&'a Host> {
    process.probe.view.as_ref()?.sync_source.as_ref()
}

/// Swarm takes a task out of DNS before it stops it: the primary goes, so another one leads before it does.
pub(super) fn switchover(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let leaving = |node: &Node| node.ever_listed && !node.unlisted_for.is_zero();
    let was_task = primary.hosts.iter().filter_map(|h| now.observed.node(h)).any(leaving);
    if primary.listed || !was_task || !now.observed.tasks.is_good() {
        return None;
    }
    let because = format!("DNS no longer lists the primary {}, so its task is about to stop", primary.hosts[0]);
    Proposal::new(successor(now, primary, config, waiting)?, because)
}

/// The primary leaves because an operator says so.
pub(super) fn switchover_from(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Step> {
    let (primary, config) = now.writable()?;
    let step = successor(now, primary, config, waiting);
    if step.is_none() && !matches!(waiting.last(), Some(W::CatchUp { .. })) {
        waiting.push(W::Election);
    }
    step
}

/// Has the best of those that stay lead, once it holds what is committed.
///
/// That keeps nobody from leading: a majority holds what is committed, and denies its vote to whoever lacks it. Only a
/// wiped directory, which has forgotten what it vouched for, would vote for such a one, and the writes would be lost.
fn successor(
    now: &Situation<'_>,
    primary: &Process<'_>,
    config: &ReplConfig,
    waiting: &mut Vec<WaitingOn>,
) -> Option<Step> {
    let view = primary.probe.view.as_ref()?;
    // It was asked at another moment than the primary, whose answer tells as well how far it had come by then.
    let holds = |m: &Member, p: &Process<'_>| applied(p).max(view.peers.get(&m.id).map_or(applied(p), |s| s.applied));
    let staying = config.voters().filter(|m| can_lead(m) && now.is_live(m) && !now.is_removal_target(m));
    let staying = staying.filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let ready = staying.filter(|(_, p)| p.listed && p.state() == NodeState::Secondary);
    let (best, held) = ready.map(|(m, p)| (m, holds(m, p))).max_by_key(|(_, held)| *held)?;
    if !view.knows_commit_point() || held < view.committed {
        waiting.push(W::CatchUp { host: best.host.clone() });
        return None;
    }
    Some(Step::StepUp { on: best.host.clone() })
}

fn can_lead(member: &Member) -> bool {
    member.priority > 0.0 && !member.hidden && !member.delayed
}

fn applied(process: &Process<'_>) -> OpTime {
    process.probe.view.as_ref().map_or_else(OpTime::default, |view| view.applied)
}

/// A primary that somebody names and that nothing shows to be dead.
fn maybe_alive(now: &Situation<'_>, config: &ReplConfig, ready: &[(&Member, &Process<'_>)]) -> Option<Host> {
    let named = now.ours.iter().filter_map(|p| p.probe.sees_primary.clone());
    named.into_iter().find(|host| {
        // It answers, and not as a primary: the name is out of date.
        let answers = now.observed.probe(host).is_some();
        // A primary steps down before it says that it shuts down.
        let leaving = |node: &Node| node.answer == Err(ProbeError::ShuttingDown);
        let closed =
            now.observed.node(host).is_some_and(|node| node.down_observations >= DOWN_OBSERVATIONS || leaving(node));
        !answers && !closed && !seen_down_by_majority(now, config, ready, host)
    })
}

/// A majority has given the host up, or has heard nothing of it for several heartbeats: the server itself waits 10 s for
/// an answer before it gives up a host that went without a word (`heartbeatTimeoutSecs`). Who was just started has not
/// asked anybody yet, and knows of a primary from its heartbeats alone.
fn seen_down_by_majority(
    now: &Situation<'_>,
    config: &ReplConfig,
    ready: &[(&Member, &Process<'_>)],
    host: &Host,
) -> bool {
    ready.iter().filter(|(_, p)| misses(now, config, p, host)).count() >= config.majority()
}

/// It has given the host up, or has missed several heartbeats of it.
pub(super) fn misses(now: &Situation<'_>, config: &ReplConfig, process: &Process<'_>, host: &Host) -> bool {
    hears_nothing(now, process, host, SILENCE_MIN.max(config.heartbeat_interval() * HEARTBEATS_MISSED))
}

/// It has given the host up, or has not heard of it for so long.
fn hears_nothing(now: &Situation<'_>, process: &Process<'_>, host: &Host, silence: Duration) -> bool {
    let peer = now.observed.peer(process.probe, host);
    peer.is_some_and(|peer| peer.asked && !peer.healthy || peer.unheard_for.is_some_and(|unheard| unheard >= silence))
}
