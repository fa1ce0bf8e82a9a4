//! Another primary before this one leaves: *switchover*.

use super::failover::{can_lead, sync_source};
use super::safety::is_free;
use super::situation::Situation;
use super::{Advice, Context, Proposal, Reason, Step, WaitingOn};
use crate::model::{
    Host, Member, Node, NodeState, Observed, OpTime, Peer, Policy, Process, ReplConfig, SetView, SwitchoverRequest,
    SyncSourceRequest, Taken,
};
use std::fmt;
use std::time::Duration;

/// A requested switchover waits no longer than this for followers of the next primary. Two members may have to change their
/// source, and each may sleep for a second first.
const FOLLOWERS_WITHIN: Duration = Duration::from_secs(5);

/// A member heeds a request within this time, the second of sleep included, or not at all.
const HEEDED_WITHIN: Duration = Duration::from_secs(2);

/// Has another member lead when DNS drops the primary's task, because Swarm does that before it stops a task; and when an
/// operator asks for it.
pub(super) fn switchover(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    if let Some(request) = now.observed.switchover.as_ref().filter(|request| request.from == primary.id) {
        return requested(now, primary, config, request);
    }
    // If it leads again, although its task was dropped, DNS is wrong, not the primary.
    if !is_leaving(now, primary) || now.observed.switched_over.contains(&primary.id) {
        return Advice::Pass;
    }
    match successor(now, primary, config) {
        Some(Successor::Ready(on)) => {
            let because = Reason::PrimaryIsUnlisted { host: primary.hosts[0].clone() };
            Proposal::new(Step::StepUp { on }, because).into()
        }
        Some(Successor::Lags(host)) => Advice::Wait(vec![WaitingOn::CatchUp { host }]),
        None => Advice::Pass,
    }
}

/// DNS has dropped the process's task, which Swarm does shortly before it stops a task.
pub(super) fn is_leaving(now: &Situation<'_>, process: &Process<'_>) -> bool {
    let was_dropped = |node: &Node| node.ever_listed && !node.unlisted_for.is_zero();
    let dropped = process.hosts.iter().filter_map(|h| now.observed.node(h)).any(was_dropped);
    dropped && !process.listed && now.observed.tasks.is_good()
}

fn requested(now: &Situation<'_>, primary: &Process<'_>, config: &ReplConfig, request: &SwitchoverRequest) -> Advice {
    // The loop tells the operator why nobody can take over.
    let Ok(chosen) = chosen(now, primary, config, request.to.as_ref()) else { return Advice::Pass };
    let gathers = request.age < FOLLOWERS_WITHIN;
    if let Some(advice) = gathers.then(|| gather_followers(now, primary, config, &chosen)).flatten() {
        return advice;
    }
    match chosen {
        Successor::Lags(host) => Advice::Wait(vec![WaitingOn::CatchUp { host }]),
        Successor::Ready(on) => {
            let because = Reason::SwitchoverRequested { host: primary.hosts[0].clone() };
            Proposal::new(Step::StepUp { on }, because).into()
        }
    }
}

/// Has enough voters copy from the next primary before it leads, while that costs nothing. Those that copy from the old
/// one need another source after the election, and sleep for a second in which no majority holds a new write.
///
/// A member that is told of another source may end up without one for a second. So they are told one after the other,
/// and each must copy again before the next one is told: else the primary would be alone for that second.
fn gather_followers(
    now: &Situation<'_>,
    primary: &Process<'_>,
    config: &ReplConfig,
    chosen: &Successor,
) -> Option<Advice> {
    let (Successor::Ready(next) | Successor::Lags(next)) = chosen;
    let leads = now.primary_host()?;
    let voters = config.voters().filter(|m| m.host != *next && now.is_live(m) && !now.is_removal_target(m));
    let others = voters.filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let others: Vec<_> = others.filter(|(_, p)| p.id != primary.id && p.state() == NodeState::Secondary).collect();
    let follows = |p: &Process<'_>| sync_source(p) == Some(next) && copies(now, p);
    let have = others.iter().filter(|(_, p)| follows(p)).count();
    let need = (config.majority() - 1).min(others.len());
    if have >= need || !config.allows_chaining() {
        return None;
    }
    let heir = now.ours.iter().find(|p| p.is_at(next))?;
    // A member that copies from one of the others is never ahead of it, so nobody would copy from it.
    let is_chained = others.iter().any(|(m, _)| sync_source(heir) == Some(&m.host));
    let (on, process, source) = if is_chained || !copies(now, heir) {
        (next, heir, leads)
    } else if let Successor::Lags(_) = chosen {
        return None;
    } else {
        let told = |p: &Process<'_>| requests_to(now, p).any(|r| r.age < HEEDED_WITHIN && r.source == heir.id);
        let mut left = others.iter().filter(|(_, p)| !follows(p));
        let (member, process) = left.clone().find(|(_, p)| told(p)).or_else(|| left.next())?;
        (&member.host, *process, next)
    };
    let from = now.ours.iter().find(|p| p.is_at(source))?.id;
    let names_it = sync_source(process) == Some(source);
    let is_asleep = sync_source(process).is_none();
    // One that sleeps takes the source that it is told of meanwhile, and lags enough by then.
    let works =
        |r: &SyncSourceRequest| r.source == from && r.age < HEEDED_WITHIN && (!is_asleep || r.taken == Taken::OnWaking);
    let step = Step::SetSyncSource { on: on.clone(), source: source.clone(), primary: leads.clone() };
    if names_it || requests_to(now, process).any(works) || !is_free(now, &step) {
        return Some(Advice::Wait(vec![WaitingOn::Followers { next: next.clone(), have, need }]));
    }
    Some(Proposal::new(step, Reason::FollowersWanted { next: next.clone() }).into())
}

/// The process has a source. If it was told to take that one, it has got writes from it.
fn copies(now: &Situation<'_>, process: &Process<'_>) -> bool {
    let Some(source) = sync_source(process) else { return false };
    let is_it = |r: &SyncSourceRequest| now.ours.iter().any(|p| p.id == r.source && p.is_at(source));
    requests_to(now, process).all(|r| r.taken == Taken::Yes || !is_it(r))
}

fn requests_to<'s>(now: &'s Situation<'_>, on: &Process<'_>) -> impl Iterator<Item = &'s SyncSourceRequest> {
    let on = on.id;
    now.observed.sync_source_requests.iter().filter(move |r| r.on == on)
}

/// The best of the members that stay.
pub(super) enum Successor {
    /// It holds what is committed, so that it can lead.
    Ready(Host),
    /// It must catch up first.
    Lags(Host),
}

/// The member that is to lead instead of the primary; none when no member that stays could.
///
/// It must hold what is committed. That excludes no member that could win anyway: a majority holds what is committed,
/// and denies its vote to a member that lacks it. Only a wiped directory, which has forgotten what it acknowledged,
/// would vote for such a member, and writes would be lost.
pub(super) fn successor(now: &Situation<'_>, primary: &Process<'_>, config: &ReplConfig) -> Option<Successor> {
    best(now, primary, config, |_| true)
}

/// Of those that hold what is committed, the one from which most others copy: they need no other source when it leads.
/// While the application writes, the newest write only tells which one was asked last.
fn best(
    now: &Situation<'_>,
    primary: &Process<'_>,
    config: &ReplConfig,
    may: impl Fn(&Member) -> bool,
) -> Option<Successor> {
    let view = primary.probe.view.as_ref()?;
    let staying = config.voters().filter(|m| can_lead(m) && now.is_live(m) && !now.is_removal_target(m) && may(m));
    let staying = staying.filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let ready = staying.filter(|(_, p)| p.listed && p.state() == NodeState::Secondary);
    let is_ready = |held: Option<OpTime>| view.knows_commit_point() && held >= Some(view.committed);
    let followers = |m: &Member| now.ours.iter().filter(|p| sync_source(p) == Some(&m.host)).count();
    let rank = |m: &Member, held| (is_ready(held), followers(m), held);
    let ranked = ready.map(|(m, p)| (m, rank(m, newest_known(view, m, p))));
    let (best, (is_ready, ..)) = ranked.max_by_key(|(_, rank)| *rank)?;
    let host = best.host.clone();
    Some(if is_ready { Successor::Ready(host) } else { Successor::Lags(host) })
}

/// The newest write that a member is known to hold. It was asked at another moment than the primary, whose answer shows
/// too how far the member had come by then.
fn newest_known(primary: &SetView, member: &Member, process: &Process<'_>) -> Option<OpTime> {
    process.probe.newest().max(primary.peers.get(&member.id).map(Peer::newest))
}

/// Why no other member can take over from the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSuccessor {
    /// No primary is known, or it is unclear which one counts.
    NoPrimary,
    /// No other member could lead.
    NobodyElse,
    /// No member has this address.
    NoMember(Host),
    /// It is the primary.
    Leads(Host),
    /// The config does not let it lead.
    NotElectable(Host),
    /// Its task is about to stop, or an operator wants it out of the set.
    Leaves(Host),
    /// It does not answer as a secondary whose data is the set's.
    NotReady(Host),
}

impl fmt::Display for NoSuccessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrimary => f.write_str("it is not known which member is the primary"),
            Self::NobodyElse => f.write_str("no other member can lead now: see `rsctl status`"),
            Self::NoMember(host) => write!(f, "{host} is no member"),
            Self::Leads(host) => write!(f, "{host} is the primary"),
            Self::NotElectable(host) => {
                write!(f, "{host} cannot lead: it has no vote, has priority 0, is hidden or is delayed")
            }
            Self::Leaves(host) => write!(f, "{host} is about to leave: DNS does not list it, or it is to be removed"),
            Self::NotReady(host) => write!(f, "{host} does not answer as a secondary with the set's data"),
        }
    }
}

/// The member that would lead if an operator asked for another primary, or for this one.
///
/// # Errors
///
/// Why nobody can take over.
pub fn successor_for(observed: &Observed, policy: &Policy, to: Option<&Host>) -> Result<Host, NoSuccessor> {
    let now = Situation::new(observed, policy);
    let (primary, config) = now.writable().filter(|_| !now.blocked).ok_or(NoSuccessor::NoPrimary)?;
    match chosen(&now, primary, config, to)? {
        Successor::Ready(host) | Successor::Lags(host) => Ok(host),
    }
}

fn chosen(
    now: &Situation<'_>,
    primary: &Process<'_>,
    config: &ReplConfig,
    to: Option<&Host>,
) -> Result<Successor, NoSuccessor> {
    let Some(to) = to else { return successor(now, primary, config).ok_or(NoSuccessor::NobodyElse) };
    let member = config.member_at(to).ok_or_else(|| NoSuccessor::NoMember(to.clone()))?;
    let process = now.process_at(member);
    if process.is_some_and(|p| p.id == primary.id) {
        return Err(NoSuccessor::Leads(to.clone()));
    }
    if !member.votes_now() || !can_lead(member) {
        return Err(NoSuccessor::NotElectable(to.clone()));
    }
    if now.is_removal_target(member) || process.is_some_and(|p| !p.listed) {
        return Err(NoSuccessor::Leaves(to.clone()));
    }
    best(now, primary, config, |m| m.id == member.id).ok_or_else(|| NoSuccessor::NotReady(to.clone()))
}

/// The member with the highest priority above that of the one at `host`, if it can lead. MongoDB gives it the lead after
/// its election timeout or later, once it has caught up.
pub fn outranked_by<'c>(config: &'c ReplConfig, host: &Host) -> Option<&'c Host> {
    let priority = config.member_at(host)?.priority;
    let above = config.voters().filter(|m| can_lead(m) && m.priority > priority);
    above.max_by(|one, other| one.priority.total_cmp(&other.priority)).map(|m| &m.host)
}
