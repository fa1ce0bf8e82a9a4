//! Gives the members another kind of address when an operator asks for it: one member at a time, the primary last.
//!
//! Every step is one reconfig that changes one `host`. The config shows what is left, so a request that was interrupted
//! is repeated, and goes on from there. The opposite request undoes it.

use super::address_kind::Wanted;
use super::membership::reconfig;
use super::safety::{Attempt, tried_fairly};
use super::situation::Situation;
use super::{Advice, Reason, WaitingOn};
use crate::model::{AddressKind, Change, Host, Member, MemberId, Observed, Policy, Process, Proof, ReplConfig};

/// A member that has another kind of address than an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readdressing {
    /// The member.
    pub id: MemberId,
    /// Its address in the config.
    pub from: Host,
    /// The address that it gets. None if no address of that kind is known to lead to it.
    pub to: Option<Host>,
}

/// The members that do not have this kind of address yet, in the order in which they get one. A member that is no task,
/// and an arbiter that rsctl cannot log in to, keep what they have.
pub fn readdressing(observed: &Observed, policy: &Policy, kind: AddressKind) -> Vec<Readdressing> {
    left(&Situation::new(observed, policy), kind)
}

fn left(now: &Situation<'_>, kind: AddressKind) -> Vec<Readdressing> {
    let members = now.config.map(|c| c.members()).unwrap_or_default();
    let mut others: Vec<&Member> = members.iter().filter(|m| is_task(now, m) && !has(m, kind)).collect();
    // A member that does not work comes first: the new address may be the one at which it does.
    others.sort_by_key(|m| (leads(now, m), works(now, m)));
    let to = |m: &Member| {
        let to = now.address_of(now.process_at(m)?, Wanted::Kind(kind))?;
        members.iter().all(|other| other.host != to).then_some(to)
    };
    others.into_iter().map(|m| Readdressing { id: m.id, from: m.host.clone(), to: to(m) }).collect()
}

/// The next member that gets the kind of address that an operator asked for.
pub(super) fn requested(now: &Situation<'_>, config: &ReplConfig) -> Advice {
    let Some(kind) = now.observed.readdress else { return Advice::Pass };
    let left = left(now, kind);
    let mut waiting: Vec<_> = left.iter().filter(|r| r.to.is_none()).map(|r| unknown(now, r)).collect();
    let moves = left.iter().filter_map(|r| Some(Change::Readdress { id: r.id, to: r.to.clone()? })).collect();
    let Attempt { changes, held_up } = tried_fairly(now, moves);
    waiting.extend(held_up);
    let Some(Change::Readdress { id, to }) = changes.into_iter().next() else { return Advice::of(None, waiting) };
    // The next member follows when the one before works at its new address, so that one is away at most.
    if let Some(other) = config.members().iter().find(|m| m.id != id && !works(now, m) && (m.votes || is_task(now, m)))
    {
        waiting.push(not_ready(now, other));
        return Advice::of(None, waiting);
    }
    reconfig(now, vec![Change::Readdress { id, to }], Reason::ReaddressRequested { kind }).beside(waiting)
}

fn has(member: &Member, kind: AddressKind) -> bool {
    let host = &member.host;
    let is_name = host.name().is_some();
    let lasts = !host.is_local() && !host.is_container_id();
    lasts && is_name == (kind == AddressKind::Name)
}

/// The member is a task of the service, and can say which name it has: an arbiter that rsctl cannot log in to cannot. A
/// member that does not answer now is known by its tag.
fn is_task(now: &Situation<'_>, member: &Member) -> bool {
    let speaks = |p: &Process<'_>| p.listed && p.probe.proof != Proof::None;
    now.process_at(member).map_or(member.data.is_some() || member.added, speaks)
}

fn leads(now: &Situation<'_>, member: &Member) -> bool {
    let primary = now.primary().map(|p| p.id);
    primary.is_some() && now.process_at(member).map(|p| p.id) == primary
}

fn works(now: &Situation<'_>, member: &Member) -> bool {
    now.is_live(member) && (leads(now, member) || now.healthy_at_primary(member))
}

fn unknown(now: &Situation<'_>, readdressing: &Readdressing) -> WaitingOn {
    let process = now.ours.iter().find(|p| p.is_at(&readdressing.from));
    WaitingOn::Name { host: process.map_or(&readdressing.from, |p| p.hosts[0]).clone() }
}

fn not_ready(now: &Situation<'_>, member: &Member) -> WaitingOn {
    let host = member.host.clone();
    match now.observed.node(&member.host).map(|node| &node.answer) {
        Some(Err(error)) => WaitingOn::Node { host, error: error.clone() },
        Some(Ok(probe)) => WaitingOn::Member { host, state: probe.state },
        None => WaitingOn::Election,
    }
}
