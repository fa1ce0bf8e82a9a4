//! Members that are REMOVED at their own addresses.
//!
//! A mongod that starts before its own name leads to it finds itself in no member of its config. It becomes REMOVED and
//! does not look again. If any member works, its heartbeats make the others look, and they are back within a second. If
//! none works, nobody sends a heartbeat, and all stay REMOVED. A force of the same config changes nothing, because a
//! mongod looks for itself only when the host in its own entry differs. All this was seen on 4.4.2, 5.0.4 and 6.0.27.
//!
//! So one force writes the host of *one* member in another form, in capitals. That leads to the same mongod. The mongod
//! looks, finds itself, and its heartbeats make the others look. The tag `rsctlSavedHost` keeps the host, and
//! *finalize-member* writes it back by an ordinary reconfig, together with the term that every forced config lacks. If a
//! controller ends in between, the set works under the other form, and any controller goes on from the tag. If all are
//! REMOVED once more before that, the saved host is the other form. Each of these is one step of one observation.
//!
//! Nothing else changes: not who votes, and not which directory answers for a member. The server counts these votes
//! itself after a restart of the mongods.

use super::super::Finding;
use super::super::situation::Situation;
use super::whole::stores;
use crate::model::{Change, Member, NodeState, Process, ReplConfig, Subject};

/// The voters that are REMOVED at their own addresses, if no member works that could make them look again, and if they
/// are a majority.
pub(super) fn stuck<'s, 'a>(
    now: &'s Situation<'a>,
    config: &'a ReplConfig,
) -> Option<Vec<(&'a Member, &'s Process<'a>)>> {
    let mut with_config = now.ours.iter().filter(|p| p.probe.config.is_some());
    let nobody_looks = with_config.all(|p| p.state() == NodeState::Removed);
    let own = |m: &'a Member| Some((m, now.process_at(m).filter(|p| is_removed_in_place(now, config, m, p))?));
    let found: Vec<_> = config.voters().filter_map(own).collect();
    (nobody_looks && found.len() >= config.majority()).then_some(found)
}

/// Whether the member's own directory answers at the member's address, REMOVED, with the newest config.
pub(super) fn is_removed_in_place(
    now: &Situation<'_>,
    config: &ReplConfig,
    member: &Member,
    process: &Process<'_>,
) -> bool {
    let probe = process.probe;
    let is_others = |data| config.members().iter().any(|m| m.id != member.id && m.data == Some(data));
    let is_own = probe.data.is_some_and(|data| {
        !now.is_copied(data) && if member.data.is_some() { member.data == Some(data) } else { !is_others(data) }
    });
    let takes_config = probe.names_that_differ().is_none();
    let is_sound = is_own && takes_config && !now.is_rewound(process);
    let is_there = now.process_at(member).is_some_and(|p| p.id == process.id) && !member.arbiter;
    probe.state == NodeState::Removed && is_there && is_sound && stores(config, process)
}

/// The change that makes this member look for itself again. It is none if its host has no other form.
pub(super) fn respelled(member: &Member) -> Option<Change> {
    let id = member.id;
    match &member.saved_host {
        Some(host) => Some(Change::Readdress { id, to: host.clone() }),
        None => Some(Change::Respell { id, to: member.host.respelled()? }),
    }
}

/// The change that brings the set back: for the member with the newest write, of those whose host has another form.
pub(super) fn wake(now: &Situation<'_>, config: &ReplConfig) -> Option<Change> {
    let found = stuck(now, config)?;
    let with_change = found.into_iter().filter_map(|(m, p)| Some((respelled(m)?, p)));
    with_change.max_by_key(|(_, p)| p.probe.newest()).map(|(change, _)| change)
}

/// What a person must do if a forced config does not bring the members back: their hosts have no other form, or the
/// server refused it, as it does while the name does not lead to the mongod on the mongod's own machine.
pub(super) fn finding(now: &Situation<'_>, config: &ReplConfig) -> Option<Finding> {
    let found = stuck(now, config)?;
    let is_refused = now.observed.refusals.iter().any(|r| r.subjects == [Subject::Force]);
    let is_hopeless = is_refused || wake(now, config).is_none();
    let hosts = found.iter().map(|(m, _)| m.host.clone()).collect();
    is_hopeless.then_some(Finding::RemovedInPlace { hosts })
}
