//! Assigns each data directory to a member, based on the addresses where the directories answer now.
//!
//! A member's vote belongs to a directory. So when a directory moves, its member gets the directory's new address.
//! There is one exception: an address in the config keeps its member, because the server refuses a permutation of
//! addresses (103, with force too). If two mongods swap addresses, each becomes the other's member without a reconfig,
//! so there the tags follow.

use super::situation::Situation;
use crate::model::{Change, DataId, Host, Member, MemberId, Process, ReplConfig};
use std::collections::BTreeMap;

/// The changes to the config after which each directory belongs to its member.
#[derive(Clone, Debug, Default)]
pub(super) struct Addressing {
    /// New addresses, for members whose directory answers at an address that no member has.
    pub(super) moves: Vec<Change>,
    /// New tags, for members at whose address another member's directory answers.
    pub(super) tags: Vec<Change>,
    /// New addresses, for members whose address leads nowhere while their mongod says which member it is.
    pub(super) nowhere: Vec<Change>,
    /// Tasks whose directory moved, and whose name does not resolve to them yet.
    pub(super) unnamed: Vec<Host>,
}

/// Returns the mongod that counts for a directory.
type WithData<'h, 'a> = &'h dyn Fn(DataId) -> Option<&'h Process<'a>>;

impl Addressing {
    /// Compares the set's config with the addresses where its directories answer.
    pub(super) fn of(now: &Situation<'_>) -> Self {
        Self::compare(now, &|data| now.process_with_data(data))
    }

    /// As [`Self::of`], but it includes directories that went back to an older state. It is for an operator who accepts
    /// the loss.
    pub(super) fn of_any_state(now: &Situation<'_>) -> Self {
        Self::compare(now, &|data| now.process_with_any_state_of(data))
    }

    fn compare<'a>(now: &Situation<'a>, with_data: WithData<'_, 'a>) -> Self {
        let Some(config) = now.config else { return Self::default() };
        let members: Vec<&Member> = config.members().iter().filter(|m| m.data.is_some() && !m.arbiter).collect();
        let assigned = assign(now, &members, with_data);
        Self { nowhere: nowhere(now, config), ..changes(now, config, &assigned, with_data) }
    }
}

/// The directory that each member has after the changes.
fn assign<'a>(now: &Situation<'a>, members: &[&Member], with_data: WithData<'_, 'a>) -> BTreeMap<MemberId, DataId> {
    let owner = |data: DataId| members.iter().copied().find(|m| m.data == Some(data));
    let may_take = |data: DataId, member: &Member| owner(data).is_some_and(|from| same_rights(from, member));
    let mut assigned: BTreeMap<MemberId, DataId> = BTreeMap::new();
    for member in members {
        let there = now.process_at(member).and_then(|p| p.probe.data);
        let there = there.filter(|data| with_data(*data).is_some() && may_take(*data, member));
        assigned.extend(there.map(|data| (member.id, data)));
    }
    // A directory without a member keeps its own member if that is free. Otherwise it gets a member whose directory
    // went to another one.
    let mut displaced = Vec::new();
    for member in members {
        let Some(own) = member.data.filter(|own| !assigned.values().any(|data| data == own)) else { continue };
        match assigned.get(&member.id) {
            None => drop(assigned.insert(member.id, own)),
            Some(_) => displaced.push(own),
        }
    }
    for data in displaced {
        let free = members.iter().find(|m| !assigned.contains_key(&m.id) && may_take(data, m));
        assigned.extend(free.map(|member| (member.id, data)));
    }
    assigned
}

fn changes<'a>(
    now: &Situation<'a>,
    config: &ReplConfig,
    assigned: &BTreeMap<MemberId, DataId>,
    with_data: WithData<'_, 'a>,
) -> Addressing {
    let mut addressing = Addressing::default();
    for member in config.members() {
        let Some(&data) = assigned.get(&member.id) else { continue };
        if member.data != Some(data) {
            addressing.tags.push(Change::Tag { id: member.id, data });
        }
        let Some(process) = with_data(data) else { continue };
        if config.members().iter().any(|m| now.process_at(m).is_some_and(|p| p.id == process.id)) {
            continue;
        }
        match now.address_of(process, now.kind_of(member)) {
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

/// Addresses for members that only their mongods' own words identify. A member that another member reaches under its name
/// stays: only rsctl's DNS does not know the name. The servers want all or none of the members on the machine itself, so
/// such members get their addresses together.
fn nowhere(now: &Situation<'_>, config: &ReplConfig) -> Vec<Change> {
    let members = || config.members().iter().filter(|m| !m.arbiter);
    let change = |m: &Member| {
        let to = now.address_of(now.process_at(m)?, now.kind_of(m))?;
        config.member_at(&to).is_none().then_some(Change::Readdress { id: m.id, to })
    };
    let is_lost_name = |m: &&Member| m.host.is_container_id() || now.is_forgotten(&m.host);
    let lost_names = members().filter(|m| now.is_by_its_word(m) && is_lost_name(m) && !now.is_reached(m));
    let local: Vec<Change> = members().filter(|m| now.leads_nowhere(m)).filter_map(change).collect();
    let all = config.members().iter().filter(|m| now.leads_nowhere(m)).count();
    let local = if local.len() == all { local } else { Vec::new() };
    lost_names.filter_map(change).chain(local).collect()
}

/// Whether two members differ only in their address, and in how much each is preferred. Only such members may exchange
/// their directories. A preference stays with the member: without the exchange, a directory whose member's address is
/// taken would stay out of the set for ever.
fn same_rights(a: &Member, b: &Member) -> bool {
    let electable = |m: &Member| m.priority > 0.0;
    a.votes == b.votes && electable(a) == electable(b) && a.hidden == b.hidden && a.delayed == b.delayed
}
