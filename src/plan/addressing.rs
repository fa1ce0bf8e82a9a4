//! Which member each data directory belongs in, given where the directories answer now.
//!
//! A member's vote belongs to a directory, so a directory that moved takes its member along. One thing cannot be done:
//! an address that stands in the config keeps its member, since the server refuses a permutation (103, with force too).
//! mongods that swapped addresses take over each other's members by themselves, so there the tags follow.

use super::situation::Situation;
use crate::model::{Change, DataId, Host, Member, MemberId, Process, ReplConfig};
use std::collections::BTreeMap;

/// Where everything belongs.
#[derive(Clone)]
pub(super) struct Addressing {
    /// Slots whose directory answers at an address that no member has.
    pub(super) moves: Vec<Change>,
    /// Slots that another member's directory took over.
    pub(super) tags: Vec<Change>,
    /// Tasks whose directory moved, and whose name does not lead to them yet.
    pub(super) unnamed: Vec<Host>,
}

/// Compares the situation's config with where its directories answer. Several rules ask; it is worked out once.
pub(super) fn addressing(now: &Situation<'_>, config: &ReplConfig) -> Addressing {
    now.addressing.get_or_init(|| compare(now, config, &|data| now.process_with_data(data))).clone()
}

/// The same, with directories in an older state than they were seen in: for an operator who accepts the loss.
pub(super) fn addressing_of_any_state(now: &Situation<'_>, config: &ReplConfig) -> Addressing {
    compare(now, config, &|data| now.process_with_any_state_of(data))
}

/// The mongod that speaks for a directory.
type Holder<'h, 'a> = &'h dyn Fn(DataId) -> Option<&'h Process<'a>>;

fn compare<'a>(now: &Situation<'a>, config: &ReplConfig, holder: Holder<'_, 'a>) -> Addressing {
    let members: Vec<&Member> = config.members().iter().filter(|m| m.data.is_some() && !m.arbiter).collect();
    let owner = |data: DataId| members.iter().copied().find(|m| m.data == Some(data));
    let mut seats: BTreeMap<MemberId, DataId> = BTreeMap::new();
    for member in &members {
        let found = now.process_at(member).and_then(|p| p.probe.data).filter(|data| holder(*data).is_some());
        if let Some(data) = found.filter(|data| owner(*data).is_some_and(|from| same_rights(from, member))) {
            seats.insert(member.id, data);
        }
    }
    let seated = |seats: &BTreeMap<MemberId, DataId>, data: DataId| seats.values().any(|d| *d == data);
    // Whoever is seated nowhere keeps its own member if that is free, else gets one whose directory went elsewhere.
    let mut displaced = Vec::new();
    for member in &members {
        let Some(own) = member.data.filter(|own| !seated(&seats, *own)) else { continue };
        match seats.get(&member.id) {
            None => drop(seats.insert(member.id, own)),
            Some(_) => displaced.push(own),
        }
    }
    for data in displaced {
        let free = |m: &&&Member| !seats.contains_key(&m.id) && owner(data).is_some_and(|from| same_rights(from, m));
        if let Some(member) = members.iter().find(free) {
            seats.insert(member.id, data);
        }
    }
    changes(now, config, &members, &seats, holder)
}

fn changes<'a>(
    now: &Situation<'a>,
    config: &ReplConfig,
    members: &[&Member],
    seats: &BTreeMap<MemberId, DataId>,
    holder: Holder<'_, 'a>,
) -> Addressing {
    let mut addressing = Addressing { moves: Vec::new(), tags: Vec::new(), unnamed: Vec::new() };
    for member in members {
        let Some(&data) = seats.get(&member.id) else { continue };
        if member.data != Some(data) {
            addressing.tags.push(Change::Tag { id: member.id, data });
        }
        let Some(process) = holder(data) else { continue };
        if config.members().iter().any(|m| now.process_at(m).is_some_and(|p| p.id == process.id)) {
            continue;
        }
        match now.address_of(process, now.kind()) {
            Some(to) if config.member_at(&to).is_none() => {
                addressing.moves.push(Change::Readdress { id: member.id, to });
            }
            Some(_) => {}
            None if process.listed => addressing.unnamed.push(process.hosts[0].clone()),
            None => {}
        }
    }
    addressing
}

/// Directories may only exchange members that differ in nothing but the address.
fn same_rights(a: &Member, b: &Member) -> bool {
    a.votes == b.votes && a.priority == b.priority && a.hidden == b.hidden && a.delayed == b.delayed
}
