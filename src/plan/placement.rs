//! Which slot each data directory belongs in, given where the directories answer now.
//!
//! A slot's vote belongs to a directory, so a directory that moved takes its slot along. One thing cannot be done:
//! an address that stands in the config keeps its slot, since the server refuses a permutation (103, with force too).
//! mongods that swapped addresses take over each other's slots by themselves, so there the tags follow.

use super::situation::Situation;
use crate::model::{Change, DataId, Host, Member, MemberId, ReplConfig};
use std::collections::BTreeMap;

/// Where everything belongs.
#[derive(Clone)]
pub(super) struct Placement {
    /// Slots whose directory answers at an address that no slot has.
    pub(super) moves: Vec<Change>,
    /// Slots that another slot's directory took over.
    pub(super) tags: Vec<Change>,
    /// Tasks whose directory moved, and whose name does not lead to them yet.
    pub(super) unnamed: Vec<Host>,
}

/// Compares the situation's config with where its directories answer. Several rules ask; it is worked out once.
pub(super) fn place(now: &Situation<'_>, config: &ReplConfig) -> Placement {
    now.placement.get_or_init(|| compare(now, config)).clone()
}

fn compare(now: &Situation<'_>, config: &ReplConfig) -> Placement {
    let slots: Vec<&Member> = config.members().iter().filter(|m| m.data.is_some() && !m.arbiter).collect();
    let owner = |data: DataId| slots.iter().copied().find(|m| m.data == Some(data));
    let mut seats: BTreeMap<MemberId, DataId> = BTreeMap::new();
    for slot in &slots {
        let found = now.occupant(slot).and_then(|p| p.probe.data).filter(|data| now.holder(*data).is_some());
        if let Some(data) = found.filter(|data| owner(*data).is_some_and(|from| same_rights(from, slot))) {
            seats.insert(slot.id, data);
        }
    }
    let seated = |seats: &BTreeMap<MemberId, DataId>, data: DataId| seats.values().any(|d| *d == data);
    // Whoever is seated nowhere keeps its own slot if that is free, else gets one whose directory went elsewhere.
    let mut displaced = Vec::new();
    for slot in &slots {
        let Some(own) = slot.data.filter(|own| !seated(&seats, *own)) else { continue };
        match seats.get(&slot.id) {
            None => drop(seats.insert(slot.id, own)),
            Some(_) => displaced.push(own),
        }
    }
    for data in displaced {
        let free = |m: &&&Member| !seats.contains_key(&m.id) && owner(data).is_some_and(|from| same_rights(from, m));
        if let Some(slot) = slots.iter().find(free) {
            seats.insert(slot.id, data);
        }
    }
    changes(now, config, &slots, &seats)
}

fn changes(
    now: &Situation<'_>,
    config: &ReplConfig,
    slots: &[&Member],
    seats: &BTreeMap<MemberId, DataId>,
) -> Placement {
    let mut placement = Placement { moves: Vec::new(), tags: Vec::new(), unnamed: Vec::new() };
    for slot in slots {
        let Some(&data) = seats.get(&slot.id) else { continue };
        if slot.data != Some(data) {
            placement.tags.push(Change::Tag { id: slot.id, data });
        }
        let Some(process) = now.holder(data) else { continue };
        if config.members().iter().any(|m| now.occupant(m).is_some_and(|p| p.id == process.id)) {
            continue;
        }
        match now.address_of(process, now.kind()) {
            Some(to) if config.member_at(&to).is_none() => {
                placement.moves.push(Change::Readdress { id: slot.id, to });
            }
            Some(_) => {}
            None if process.listed => placement.unnamed.push(process.hosts[0].clone()),
            None => {}
        }
    }
    placement
}

/// Directories may only exchange slots that differ in nothing but the address.
fn same_rights(a: &Member, b: &Member) -> bool {
    a.votes == b.votes && a.priority == b.priority && a.hidden == b.hidden && a.delayed == b.delayed
}
