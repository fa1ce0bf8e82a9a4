//! No primary, but a majority that could have one: *abort-catchup*, *step-up*.
//!
//! MongoDB elects by itself when its election timeout is over (10 s by default). An election right away is just as safe,
//! since the rule for votes is the same. But it would also unseat a healthy primary that only rsctl cannot see. So it
//! takes evidence that no primary is alive.

use super::situation::{Situation, voters_but};
use super::{Advice, Context, Proposal, Reason, Step, WaitingOn};
use crate::model::{FailoverAfter, Host, Member, Node, NodeState, ProbeError, Process, ReplConfig};
use std::time::Duration;

/// So many observations in a row must find the old primary's port closed.
const DOWN_OBSERVATIONS: u32 = 2;

/// A heartbeat that came in this long after the port was found closed was sent after that.
const HEARD_MARGIN: Duration = Duration::from_secs(1);

/// So many heartbeats in a row must be missing before their sender counts as silent,
const HEARTBEATS_MISSED: u32 = 4;
/// and for no less than this time: a primary that only pauses is back sooner than another one is elected.
pub(super) const SILENCE_MIN: Duration = Duration::from_secs(3);

/// Fewer heartbeats are enough from a machine that does not even answer attempts to connect: the kernel does, while a
/// mongod pauses. It takes this time, so that one lost packet is no evidence.
const UNCONNECTED_MIN: Duration = Duration::from_millis(500);
/// So many heartbeats of such a machine must be missing, for `--failover-after`.
const HEARTBEATS_UNCONNECTED: u32 = 2;

/// Has the secondary with the newest write stand for election.
pub(super) fn step_up(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some(config) = now.config else { return Advice::Pass };
    let effective = effective_config(now, config);
    let (ready, effective_ready) = (electors(now, config), electors(now, effective));
    let missing = no_majority(config, &ready).or_else(|| no_majority(effective, &effective_ready));
    if let Some(wait) = missing {
        return Advice::Wait(vec![wait]);
    }
    if now.policy.failover_after == FailoverAfter::Off {
        return Advice::Wait(vec![WaitingOn::Election]);
    }
    // A member that is elected and catches up: another election would only unseat it.
    if now.ours.iter().any(|p| p.state() == NodeState::Other) {
        return Advice::Wait(vec![WaitingOn::Election]);
    }
    if let Some(host) = maybe_alive(now, config, &ready) {
        return Advice::Wait(vec![WaitingOn::OldPrimary { host }]);
    }
    let electable = ready.iter().filter(|(m, p)| p.state() == NodeState::Secondary && can_lead(m));
    // The member that others copy from can lead without a pause: they need no other source.
    let followers = |m: &Member| ready.iter().filter(|(_, p)| sync_source(p) == Some(&m.host)).count();
    let best = electable.max_by_key(|(m, p)| (p.probe.newest(), followers(m))).map(|(m, _)| &m.host);
    let proposal =
        best.map(|best| Proposal::new(Step::StepUp { on: best.clone() }, Reason::NoLivePrimary { best: best.clone() }));
    Advice::of(proposal.map(Ok), vec![WaitingOn::Election])
}

fn no_majority(config: &ReplConfig, there: &[(&Member, &Process<'_>)]) -> Option<WaitingOn> {
    let missing = || voters_but(config, there).map(|m| m.host.clone()).collect();
    let (have, need) = (there.len(), config.majority());
    (have < need).then(|| WaitingOn::Majority { have, need, missing: missing() })
}

/// The newest config among the mongods that could take part in an election. A mongod that is no member by its own config
/// tells no other one of that config, even if it is the newest. With a vote that only such a mongod knows of, no election
/// would ever succeed (found by simulation, seed 887890).
pub(super) fn effective_config<'a>(now: &Situation<'a>, newest: &'a ReplConfig) -> &'a ReplConfig {
    let members = now.ours.iter().filter(|p| p.state() != NodeState::Removed);
    ReplConfig::newest(members.filter_map(|p| p.probe.config.as_ref())).unwrap_or(newest)
}

/// Voters that answer and could vote.
fn electors<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Vec<(&'a Member, &'s Process<'a>)> {
    let there = config.voters().filter(|m| now.is_live(m)).filter_map(|m| now.process_at(m).map(|p| (m, p)));
    there.filter(|(_, p)| matches!(p.state(), NodeState::Secondary | NodeState::Arbiter)).collect()
}

/// Has an elected member take writes now. Before it does, it asks all other members for newer writes, and waits up to
/// 10 s for one that went silent, as a removed container does (seen on 6.0.5). When no voter that answers has a newer
/// write, there is nothing to wait for: it has what a majority acknowledged, or it had not been elected. It could not get
/// a write that only a spare has, because members with a vote do not copy from those without (manual,
/// `replSetSyncFrom`); it waited for such a write until the time was up (15 s on Swarm, 6.0.5).
pub(super) fn abort_catchup(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some(config) = now.config else { return Advice::Pass };
    let mut voters = config.voters().filter_map(|m| now.process_at(m));
    let Some(elected) = voters.find(|p| p.state() == NodeState::Other) else { return Advice::Pass };
    // A voter that lost writes which it had acknowledged may have helped to elect a member that lacks them.
    if config.voters().filter_map(|m| now.process_at(m)).any(|p| now.is_rewound(p)) {
        return Advice::Pass;
    }
    let some_are_silent = config.members().iter().any(|m| now.process_at(m).is_none());
    let has_newer = |m: &Member| now.process_at(m).is_some_and(|p| p.probe.newest() > elected.probe.newest());
    if !some_are_silent || config.voters().any(has_newer) {
        return Advice::Pass;
    }
    let elected = elected.hosts[0].clone();
    Proposal::new(Step::AbortCatchUp { on: elected.clone() }, Reason::NothingToCatchUp { elected }).into()
}

/// The member that a process copies new writes from.
pub(super) fn sync_source<'a>(process: &'a Process<'_>) -> Option<&'a Host> {
    process.probe.view.as_ref()?.sync_source.as_ref()
}

/// The config lets the member be elected.
pub(super) fn can_lead(member: &Member) -> bool {
    member.priority > 0.0 && !member.hidden && !member.delayed
}

/// A primary that some mongod names and that nothing shows to be dead.
fn maybe_alive(now: &Situation<'_>, config: &ReplConfig, ready: &[(&Member, &Process<'_>)]) -> Option<Host> {
    let mut named = now.ours.iter().filter_map(|p| p.probe.sees_primary.clone());
    named.find(|host| {
        // A mongod that answers, and not as a primary, shows that the name is out of date.
        let answers = now.observed.probe(host).is_some();
        !answers && !is_closed(now, host) && !is_down_for_majority(now, config, ready, host)
    })
}

/// The process at the host has ended, or has stepped down because it shuts down. A port that is closed for rsctl alone
/// shows neither: a firewall may refuse only this controller. Then the other members still hear the process.
fn is_closed(now: &Situation<'_>, host: &Host) -> bool {
    let shuts_down = |node: &Node| node.answer == Err(ProbeError::ShuttingDown);
    let has_ended = |node: &Node| {
        node.down_observations >= DOWN_OBSERVATIONS && !is_heard_since(now, host, node) && !is_followed(now, host)
    };
    now.observed.node(host).is_some_and(|node| has_ended(node) || shuts_down(node))
}

/// Some member has received a heartbeat from the host after its port was found closed.
fn is_heard_since(now: &Situation<'_>, host: &Host, node: &Node) -> bool {
    let heard = |p: &Process<'_>| now.observed.peer(p.probe, host).and_then(|peer| peer.unheard_for);
    now.ours.iter().filter_map(heard).any(|unheard| unheard.saturating_add(HEARD_MARGIN) < node.closed_for)
}

/// Some member copies from the host, and has received its heartbeat a moment ago. When a mongod ends, its connections
/// break, and a member that copies from it has no source within 1 ms after that (6.0.5): before the port is found closed
/// twice. The heartbeat is asked for because the end of a connection can be lost with a container's network.
fn is_followed(now: &Situation<'_>, host: &Host) -> bool {
    let Some(interval) = now.config.map(ReplConfig::heartbeat_interval) else { return false };
    let follows = |p: &&Process<'_>| sync_source(p) == Some(host);
    let heard = |p: &Process<'_>| now.observed.peer(p.probe, host).and_then(|peer| peer.unheard_for);
    let lately = interval.saturating_add(interval.min(HEARD_MARGIN));
    now.ours.iter().filter(follows).filter_map(heard).any(|unheard| unheard <= lately)
}

/// A majority sees the host down, or has missed its heartbeats for long enough. The server itself waits 10 s for an answer
/// before it sees a silent host down (`heartbeatTimeoutSecs`).
fn is_down_for_majority(
    now: &Situation<'_>,
    config: &ReplConfig,
    ready: &[(&Member, &Process<'_>)],
    host: &Host,
) -> bool {
    let silence = silence_of_a_primary(now, config, host);
    ready.iter().filter(|(_, p)| hears_nothing(now, p, host, silence)).count() >= config.majority()
}

/// For how long a majority must have missed the primary. A mongod that pauses is given longer than a machine that does
/// not answer.
fn silence_of_a_primary(now: &Situation<'_>, config: &ReplConfig, host: &Host) -> Duration {
    let patient = silence(config);
    let is_unconnected = now.observed.node(host).is_some_and(|node| node.unconnected_for >= UNCONNECTED_MIN);
    match now.policy.failover_after {
        FailoverAfter::Silence(time) if is_unconnected => {
            time.max(config.heartbeat_interval() * HEARTBEATS_UNCONNECTED)
        }
        FailoverAfter::Silence(time) => patient.max(time),
        FailoverAfter::Off => patient,
    }
}

/// The process sees the host down, or has missed several of its heartbeats.
pub(super) fn misses(now: &Situation<'_>, config: &ReplConfig, process: &Process<'_>, host: &Host) -> bool {
    hears_nothing(now, process, host, silence(config))
}

fn silence(config: &ReplConfig) -> Duration {
    SILENCE_MIN.max(config.heartbeat_interval() * HEARTBEATS_MISSED)
}

/// The process sees the host down, or no heartbeat of it came in for this time. A process that has just started has not
/// asked the host yet, so that only heartbeats which came in count.
pub(super) fn hears_nothing(now: &Situation<'_>, process: &Process<'_>, host: &Host, silence: Duration) -> bool {
    let peer = now.observed.peer(process.probe, host);
    peer.is_some_and(|peer| peer.asked && !peer.healthy || peer.unheard_for.is_some_and(|unheard| unheard >= silence))
}
