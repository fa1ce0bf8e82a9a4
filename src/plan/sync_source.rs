//! Which member a secondary copies from: *reset-sync-source*, *chain-secondary*.

use super::failover::{SILENCE_MIN, can_lead, hears_nothing, sync_source};
use super::safety::is_free;
use super::situation::Situation;
use super::switchover::is_leaving;
use super::{Advice, Context, Proposal, Reason, Step};
use crate::model::{Host, Member, NodeState, Process, ReplConfig, SyncSourceRequest};
use std::cmp::Reverse;
use std::time::Duration;

/// So many heartbeats in a row of a source must be missing before it counts as lost. Fewer than for a primary, because
/// no member is unseated.
const HEARTBEATS_LOST: u32 = 2;

/// A secondary that copies from nobody looks for a source once a second (6.0.5). One that finds none in this time needs
/// help.
const FINDS_A_SOURCE: Duration = Duration::from_millis(1500);

/// A member has just come for this long.
const JUST_COME: Duration = Duration::from_secs(2);

/// Has a secondary copy from the primary when its source is lost. A source whose machine fails sends nothing more, and
/// the secondary hangs for 10 s, and for another 7 s in which the server tries to connect to the source again (6.0.5,
/// 5.0.4; 5 s and 3 s where the kernel checks idle connections, as in the stack that ships). Of three voters, with one
/// gone and one that hangs, no majority holds a new write for that time. With another source, a 6.0 saves the second
/// wait.
///
/// So it does when a secondary that lacks a write has no source at all, and when the source's task is about to stop. A
/// secondary whose source stops sleeps for a second before it takes another one. While the source still runs, a majority
/// is there without that secondary.
pub(super) fn reset_sync_source(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    let Some(host) = now.primary_host().filter(|host| config.member_at(host).is_some()) else { return Advice::Pass };
    let trouble = |m: &Member, p: &Process<'_>| {
        if p.state() != NodeState::Secondary {
            return None;
        }
        let Some(source) = sync_source(p) else {
            return copies_from_nobody(now, primary, m, p).then_some(Reason::NoSource);
        };
        if source == host {
            return None;
        }
        let leaves = || now.ours.iter().any(|p| p.is_at(source) && is_leaving(now, p));
        is_lost(now, config, p, source)
            .then_some(Reason::SourceIsLost)
            .or_else(|| leaves().then_some(Reason::SourceLeaves))
    };
    let was_requested = |p: &Process<'_>| {
        let is_such = |r: &SyncSourceRequest| r.fresh && (r.on, r.source) == (p.id, primary.id);
        now.observed.sync_source_requests.iter().any(is_such)
    };
    let voters = config.voters().filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let proposals = voters.filter(|(_, p)| !was_requested(p)).filter_map(|(m, p)| {
        let step = Step::SetSyncSource { on: m.host.clone(), source: host.clone(), primary: host.clone() };
        Some(Proposal::new(step, trouble(m, p)?))
    });
    let proposals: Vec<Proposal> = proposals.collect();
    let free = proposals.iter().position(|proposal| is_free(now, &proposal.step)).unwrap_or_default();
    proposals.into_iter().nth(free).map_or(Advice::Pass, Advice::from)
}

/// The member knows the primary, lacks a write of it, and has had time to find a source by itself. Without one it stayed so
/// for 10 s or longer (seen on 5.0.4 and 6.0.27 after the machine of a primary was lost). How far it is behind shows
/// nothing: while no majority holds a write, applications that wait for one make no more. Whether the server takes the
/// source that it is given in this state was not seen.
fn copies_from_nobody(now: &Situation<'_>, primary: &Process<'_>, member: &Member, process: &Process<'_>) -> bool {
    let sourceless_for = now.observed.node(&member.host).map(|node| node.sourceless_for).unwrap_or_default();
    let sees = process.probe.sees_primary.as_ref().is_some_and(|host| primary.is_at(host));
    sees && sourceless_for >= FINDS_A_SOURCE && process.probe.newest() < primary.probe.newest()
}

/// The source answers neither rsctl nor the process that copies from it.
fn is_lost(now: &Situation<'_>, config: &ReplConfig, process: &Process<'_>, source: &Host) -> bool {
    let answers = now.observed.node(source).is_none_or(|node| node.answer.is_ok());
    let silence = SILENCE_MIN.max(config.heartbeat_interval() * HEARTBEATS_LOST);
    !answers && hears_nothing(now, process, source, silence)
}

/// Has the third of three voters copy from the second. A secondary whose source dies looks for another one at once,
/// finds none that is ahead of it, and sleeps for a second (seen on 6.0.5); for that time no majority holds a new write.
/// A secondary that copies from the next primary has the right source already when that one is elected.
///
/// Larger sets are left alone. They have a majority without the second member, and if its machine failed, all members
/// that copy from it would hang for the 10 s that the server waits for a silent source.
///
/// The server ignores the request where the second is not ahead of the third at that moment (6.0.5). So the member that
/// lags is the third, the primary writes a little that changes nothing, and when a request had no effect, the next one is
/// the other way round.
pub(super) fn chain_secondary(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    // A switchover on request decides who copies from whom.
    if now.observed.switchover.is_some() {
        return Advice::Pass;
    }
    let Some((_, config)) = now.writable() else { return Advice::Pass };
    let chain = two_secondaries(now, config).and_then(|two| chain(now, &two));
    chain.map_or(Advice::Pass, Advice::from)
}

type Secondary<'s, 'a> = (&'a Member, &'s Process<'a>);

/// The secondaries of a set with three voters that may copy from each other.
fn two_secondaries<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Option<[Secondary<'s, 'a>; 2]> {
    let live = config.voters().filter(|m| now.is_live(m) && !now.is_removal_target(m));
    let live = live.filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let stay = live.filter(|(_, p)| p.state() == NodeState::Secondary && !is_leaving(now, p));
    let secondaries: Vec<_> = stay.collect();
    let secondaries = secondaries.try_into().ok()?;
    (config.allows_chaining() && config.voters().count() == 3).then_some(secondaries)
}

fn chain(now: &Situation<'_>, secondaries: &[Secondary<'_, '_>; 2]) -> Option<Proposal> {
    let request = last_request(now, secondaries);
    if request.is_some_and(|request| request.fresh) {
        return None;
    }
    let had_no_effect = |p: &Process<'_>| request.is_some_and(|request| request.source == p.id);
    // A member that the other one copies from stays the source. Else a source that the other one did not take is passed
    // over, and the one with the newest write comes first.
    let followers = |host: &Host| secondaries.iter().filter(|(_, p)| sync_source(p) == Some(host)).count();
    // One that has no source itself, as after it led, would keep the other one waiting for as long.
    let electable = secondaries.iter().filter(|(m, p)| can_lead(m) && sync_source(p).is_some());
    let rank = |(m, p): &&Secondary<'_, '_>| (followers(&m.host), !had_no_effect(p), p.probe.newest(), Reverse(m.id));
    let (source, _) = electable.max_by_key(rank)?;
    let primary = now.primary_host()?;
    let wants_a_source = |(m, p): &&Secondary<'_, '_>| {
        m.id != source.id && sync_source(p).map_or_else(|| has_just_come(now, m), |host| host == primary)
    };
    let (member, _) = secondaries.iter().find(wants_a_source)?;
    let (on, host) = (member.host.clone(), source.host.clone());
    let step = Step::SetSyncSource { on, source: host.clone(), primary: primary.clone() };
    Some(Proposal::new(step, Reason::NextPrimary { host }))
}

/// The member has been in its state for a moment only. It has no source in its first second, and takes the one that it is
/// given by then.
fn has_just_come(now: &Situation<'_>, member: &Member) -> bool {
    let state_for = in_state_for(now, member);
    !state_for.is_zero() && state_for < JUST_COME
}

fn in_state_for(now: &Situation<'_>, member: &Member) -> Duration {
    now.observed.node(&member.host).map(|node| node.state_for).unwrap_or_default()
}

/// The last request that one of the two copies from the other.
fn last_request<'s>(now: &'s Situation<'_>, secondaries: &[Secondary<'_, '_>; 2]) -> Option<&'s SyncSourceRequest> {
    let is_between = |r: &&SyncSourceRequest| secondaries.iter().all(|(_, p)| [r.on, r.source].contains(&p.id));
    now.observed.sync_source_requests.iter().rfind(is_between)
}
