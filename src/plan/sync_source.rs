//! Which member a secondary copies from: *reset-sync-source*, *chain-secondary*.

use super::failover::{SILENCE_MIN, can_lead, hears_nothing, sync_source};
use super::safety::first_free;
use super::situation::Situation;
use super::{Advice, Context, Proposal, Reason, Step};
use crate::model::{Host, Member, NodeState, Process, ReplConfig, SyncSourceRequest};
use std::cmp::Reverse;

/// So many heartbeats in a row of a source must be missing before it counts as lost. Fewer than for a primary, because
/// no member is unseated.
const HEARTBEATS_LOST: u32 = 2;

/// Has a secondary copy from the primary when its source is lost. A source whose machine fails sends nothing more, and
/// the secondary hangs for 10 s, and for another 7 s in which the server tries to connect to the source again (6.0.5,
/// 5.0.4; 5 s and 3 s where the kernel checks idle connections, as in the stack that ships). Of three voters, with one
/// gone and one that hangs, no majority holds a new write for that time. With another source, a 6.0 saves the second
/// wait.
pub(super) fn reset_sync_source(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    let Some(host) = now.primary_host().filter(|host| config.member_at(host).is_some()) else { return Advice::Pass };
    let hangs = |p: &Process<'_>| {
        let is_lost = |source: &Host| source != host && is_lost(now, config, p, source);
        p.state() == NodeState::Secondary && sync_source(p).is_some_and(is_lost)
    };
    let was_requested = |p: &Process<'_>| {
        let request = SyncSourceRequest { on: p.id, source: primary.id, fresh: true };
        now.observed.sync_source_requests.contains(&request)
    };
    let voters = config.voters().filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let requests = voters.filter(|(_, p)| hangs(p) && !was_requested(p)).map(|(m, _)| Step::SetSyncSource {
        on: m.host.clone(),
        source: host.clone(),
        primary: host.clone(),
    });
    first_free(now, requests).map_or(Advice::Pass, |step| Proposal::new(step, Reason::SourceIsLost).into())
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
    let Some((_, config)) = now.writable() else { return Advice::Pass };
    let chain = two_secondaries(now, config).and_then(|two| chain(now, &two));
    chain.map_or(Advice::Pass, Advice::from)
}

type Secondary<'s, 'a> = (&'a Member, &'s Process<'a>);

/// The secondaries of a set with three voters that may copy from each other.
fn two_secondaries<'s, 'a>(now: &'s Situation<'a>, config: &'a ReplConfig) -> Option<[Secondary<'s, 'a>; 2]> {
    let live = config.voters().filter(|m| now.is_live(m) && !now.is_removal_target(m));
    let live = live.filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let secondaries: Vec<_> = live.filter(|(_, p)| p.state() == NodeState::Secondary).collect();
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
    let electable = secondaries.iter().filter(|(m, _)| can_lead(m));
    let rank = |(m, p): &&Secondary<'_, '_>| (followers(&m.host), !had_no_effect(p), p.probe.newest(), Reverse(m.id));
    let (source, _) = electable.max_by_key(rank)?;
    let primary = now.primary_host()?;
    let copies_from_primary = |(m, p): &&Secondary<'_, '_>| m.id != source.id && sync_source(p) == Some(primary);
    let (member, _) = secondaries.iter().find(copies_from_primary)?;
    let (on, host) = (member.host.clone(), source.host.clone());
    let step = Step::SetSyncSource { on, source: host.clone(), primary: primary.clone() };
    Some(Proposal::new(step, Reason::NextPrimary { host }))
}

/// The last request that one of the two copies from the other.
fn last_request<'s>(now: &'s Situation<'_>, secondaries: &[Secondary<'_, '_>; 2]) -> Option<&'s SyncSourceRequest> {
    let is_between = |r: &&SyncSourceRequest| secondaries.iter().all(|(_, p)| [r.on, r.source].contains(&p.id));
    now.observed.sync_source_requests.iter().rfind(is_between)
}
