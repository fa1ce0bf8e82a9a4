//! Who may vote: *wiped*, *give-back*, *settle-in*.
//!
//! A vote is a promise to have seen what was acknowledged. It belongs to a data directory, not to an address.

use super::membership::reconfig;
use super::situation::Situation;
use super::{Proposal, Step, WaitingOn, WaitingOn as W};
use crate::model::{Change, DataId, Member, NodeState, Process};

/// A directory in a voting slot is not the one that earned the vote. In the middle of its initial sync it would help
/// to elect a primary that lacks acknowledged writes (seen to happen on 6.0.5), so the vote goes at once.
pub(super) fn wiped(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let mut slots = config.voters().filter(|m| !m.arbiter);
    let lost = slots.find(|m| now.occupant(m).is_some_and(|p| p.id != primary.id && is_wiped(now, m, p)))?;
    reconfig(now, vec![Change::TakeVote { id: lost.id }], format!("{} lost its data directory", lost.host))
}

fn is_wiped(now: &Situation<'_>, member: &Member, occupant: &Process<'_>) -> bool {
    match (member.data, occupant.probe.data) {
        // A directory without identity is not complete. STARTUP may not have opened it yet.
        (_, None) => occupant.state() != NodeState::Startup,
        (Some(tagged), Some(found)) => tagged != found && slot_of(now, found).is_none(),
        (None, Some(_)) => false,
    }
}

fn slot_of<'a>(now: &Situation<'a>, data: DataId) -> Option<&'a Member> {
    now.config?.members().iter().find(|m| m.data == Some(data))
}

/// The wiped member holds everything again that a majority has: its vote comes back.
pub(super) fn give_back(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let committed = primary.probe.view.as_ref()?.committed;
    for member in config.members().iter().filter(|m| m.was.is_some() && !m.votes) {
        let Some(occupant) = now.occupant(member) else { continue };
        let applied = occupant.probe.view.as_ref().map(|view| view.applied);
        match occupant.probe.data {
            Some(data) if occupant.state() == NodeState::Secondary && applied >= Some(committed) => {
                let because = format!("{} holds the set's data again", member.host);
                return reconfig(now, vec![Change::GiveVote { id: member.id, data }], because);
            }
            _ => waiting.push(W::Member { host: member.host.clone(), state: occupant.state() }),
        }
    }
    None
}

/// What a new member still needs: its directory's name in the config, its state on disk, a config with a term.
pub(super) fn settle_in(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (_, config) = now.writable()?;
    // The server is about to give a newcomer its vote by a reconfig of its own; a tag now would only collide with it.
    let vote_underway =
        |m: &Member| m.newly_added && now.occupant(m).is_some_and(|p| p.state() == NodeState::Secondary);
    let quiet = !config.members().iter().any(vote_underway);
    let tags: Vec<Change> = config.members().iter().filter_map(|m| tag_for(now, m)).collect();
    if quiet && !tags.is_empty() {
        return reconfig(now, tags, "the config shall say which directory holds which vote");
    }
    if config.term().is_none() {
        return reconfig(now, Vec::new(), "the config has no term, as after a forced reconfig");
    }
    // A member killed shortly after it joined can forget its config and its vote (seen on 6.0.5).
    let unsynced = config.members().iter().find_map(|member| {
        let occupant = now.occupant(member)?;
        let joined = matches!(occupant.state(), NodeState::Primary | NodeState::Secondary | NodeState::Arbiter);
        (joined && !now.look.fsynced.contains(&occupant.id)).then_some(occupant)
    })?;
    let on = unsynced.hosts[0].clone();
    Proposal::new(Step::Fsync { on }, "a member killed soon after it joined can forget its config and its vote")
}

/// The tag that a slot lacks. Only tasks are tagged: a tag means that the slot is ours to move and remove.
fn tag_for(now: &Situation<'_>, member: &Member) -> Option<Change> {
    let occupant = now.occupant(member)?;
    let data = occupant.probe.data?;
    let complete = matches!(occupant.state(), NodeState::Primary | NodeState::Secondary);
    let tag = Change::Tag { id: member.id, data };
    if !complete || !occupant.listed || member.arbiter || member.newly_added || member.was.is_some() {
        return None;
    }
    match member.data {
        None => now.holder(data).is_some().then_some(tag),
        // Two mongods swapped addresses, and the server swapped their slots: the tags follow.
        Some(tagged) => (tagged != data && slot_of(now, data).is_some_and(|other| swapped(now, other))).then_some(tag),
    }
}

/// The slot's own directory sits in another slot now.
fn swapped(now: &Situation<'_>, other: &Member) -> bool {
    let occupant = now.occupant(other);
    occupant.is_some_and(|p| p.probe.data.is_some_and(|d| other.data != Some(d) && slot_of(now, d).is_some()))
}
