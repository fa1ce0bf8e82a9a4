//! Who may vote: *wiped*, *give-back*, *settle-in*.
//!
//! A vote is a promise to have seen what was acknowledged. It belongs to a data directory, not to an address.

use super::membership::reconfig;
use super::safety::first_free;
use super::situation::Situation;
use super::step::{Step, WaitingOn};
use super::{Proposal, WaitingOn as W};
use crate::model::{Change, DataId, Member, MemberId, NodeState, Process};

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
        // Named by another slot, the two have swapped addresses; a copy of another slot's directory has not.
        (Some(tagged), Some(found)) => tagged != found && (slot_of(now, found).is_none() || now.is_copied(found)),
        (None, Some(_)) => false,
    }
}

fn slot_of<'a>(now: &Situation<'a>, data: DataId) -> Option<&'a Member> {
    now.config?.members().iter().find(|m| m.data == Some(data))
}

/// The wiped member holds everything again that a majority has: its vote comes back. Where the vote could not be taken
/// because there is no majority without it, the danger is over by now too, and only the tag changes.
pub(super) fn give_back(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let committed = primary.probe.view.as_ref()?.committed;
    for member in config.members().iter().filter(|m| !m.arbiter) {
        let Some(occupant) = now.occupant(member).filter(|p| p.id != primary.id) else { continue };
        let taken = member.was.is_some() && !member.votes;
        let kept = member.votes_now() && is_wiped(now, member, occupant);
        if !taken && !kept {
            continue;
        }
        let applied = occupant.probe.view.as_ref().map(|view| view.applied);
        let caught_up = occupant.state() == NodeState::Secondary && applied >= Some(committed);
        match occupant.probe.data {
            Some(data) if caught_up && !now.is_copied(data) && slot_of(now, data).is_none_or(|s| s.id == member.id) => {
                let id = member.id;
                let change = if taken { Change::GiveVote { id, data } } else { Change::Tag { id, data } };
                return reconfig(now, vec![change], format!("{} holds the set's data again", member.host));
            }
            _ => waiting.push(W::Member { host: member.host.clone(), state: occupant.state() }),
        }
    }
    None
}

/// What a new member still needs: its directory's name in the config, its state on disk, a config with a term.
pub(super) fn settle_in(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (_, config) = now.writable()?;
    let mut tags = exchanged(now);
    tags.extend(config.members().iter().filter_map(|m| tag_for(now, m)));
    if !tags.is_empty() {
        return reconfig(now, tags, "the config shall say which directory holds which vote");
    }
    if config.term().is_none() {
        return reconfig(now, Vec::new(), "the config has no term, as after a forced reconfig");
    }
    // A member killed shortly after it joined can forget its config and its vote (seen on 6.0.5).
    let unsynced = config.members().iter().filter_map(|member| {
        let occupant = now.occupant(member)?;
        let joined = matches!(occupant.state(), NodeState::Primary | NodeState::Secondary | NodeState::Arbiter);
        // An arbiter that does not let us log in shows no config, and takes no commands.
        let may_be_told = occupant.probe.config.is_some();
        let on = occupant.hosts[0].clone();
        (joined && may_be_told && !now.look.fsynced.contains(&occupant.id)).then_some(Step::Fsync { on })
    });
    let step = first_free(now, unsynced)?;
    Proposal::new(step, "a member killed soon after it joined can forget its config and its vote")
}

/// The tag that a slot lacks. Only tasks are tagged: a tag means that the slot is ours to move and remove.
fn tag_for(now: &Situation<'_>, member: &Member) -> Option<Change> {
    let occupant = now.occupant(member)?;
    let data = occupant.probe.data?;
    let complete = matches!(occupant.state(), NodeState::Primary | NodeState::Secondary);
    let tag = Change::Tag { id: member.id, data };
    // A newcomer's vote comes by the server's own reconfig; tagging before that would only collide with it.
    if !complete || !occupant.listed || member.arbiter || (member.votes && member.newly_added) || member.was.is_some() {
        return None;
    }
    let free = slot_of(now, data).is_none() && !now.is_copied(data);
    match member.data {
        None => free.then_some(tag),
        // What the primary holds is the set's data by definition.
        Some(tagged) if occupant.state() == NodeState::Primary => (tagged != data && free).then_some(tag),
        Some(_) => None,
    }
}

/// Mongods that find each other's addresses take over each other's slots: the tags follow. What a slot loses that way,
/// while nobody or nobody known sits there, is made up for with the tags that are left over, so that every directory
/// keeps one slot and every slot one directory.
fn exchanged(now: &Situation<'_>) -> Vec<Change> {
    let members = now.config.map(|c| c.members()).unwrap_or_default();
    let sits_in = |m: &Member| {
        let occupant = now.occupant(m).filter(|p| matches!(p.state(), NodeState::Primary | NodeState::Secondary))?;
        let data = occupant.probe.data.filter(|data| !now.is_copied(*data))?;
        (m.data.is_some() && slot_of(now, data).is_some()).then_some(data)
    };
    let seated: Vec<(MemberId, DataId)> = members.iter().filter_map(|m| Some((m.id, sits_in(m)?))).collect();
    let is_seated = |data: &DataId| seated.iter().any(|(_, d)| d == data);
    let mut homeless = members.iter().filter_map(|m| m.data).filter(|data| !is_seated(data));
    let tags = members.iter().filter_map(|m| {
        let data = match seated.iter().find(|(id, _)| *id == m.id) {
            Some((_, data)) => *data,
            None if is_seated(&m.data?) => homeless.find(|d| !keeps_its_slot(members, &seated, *d))?,
            None => return None,
        };
        (m.data != Some(data)).then_some(Change::Tag { id: m.id, data })
    });
    tags.collect()
}

/// The slot with this tag has nobody known in it, so the tag stays there.
fn keeps_its_slot(members: &[Member], seated: &[(MemberId, DataId)], data: DataId) -> bool {
    members.iter().any(|m| m.data == Some(data) && !seated.iter().any(|(id, _)| *id == m.id))
}
