//! Who belongs to the set, and at which address: *readdress*, *add-member*.

use super::failover;
use super::member_id::new_ids;
use super::readdressing;
use super::safety::{Attempt, tried_fairly};
use super::situation::Situation;
use super::{Advice, Context, Draft, LintedConfig, Proposal, Reason, Step, WaitingOn};
use crate::model::{
    Change, Host, MEMBERS_MAX, Member, MemberId, NewRole, NodeState, ProbeError, Process, ReplConfig, UserData,
    VOTERS_MAX,
};

/// Gives members the addresses at which their directories answer now; identity and vote stay. All of them go in one
/// reconfig, because the server's rule of one vote a reconfig compares identities, not hosts (measured on 6.0.5).
pub(super) fn readdress(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    if let Some(hosts) = hosts_of(config, &context.addressing.nowhere) {
        return reconfig(now, context.addressing.nowhere.clone(), Reason::LeadsNowhere { hosts });
    }
    let mut waiting: Vec<_> =
        context.addressing.unnamed.iter().map(|host| WaitingOn::Name { host: host.clone() }).collect();
    let has_left = |c: &&Change| moved_member(config, c).is_some_and(|m| has_left(now, primary, config, m));
    let moves = context.addressing.moves.iter().filter(has_left).cloned().collect();
    let Attempt { changes: moves, held_up } = tried_fairly(now, moves);
    waiting.extend(held_up);
    let Some(hosts) = hosts_of(config, &moves) else {
        return readdressing::requested(now, config).beside(waiting);
    };
    let changes = [moves, context.addressing.tags.clone()].concat();
    reconfig(now, changes, Reason::Moved { hosts }).beside(waiting)
}

/// The addresses that the moved members have now. None if nothing moves.
fn hosts_of(config: &ReplConfig, moves: &[Change]) -> Option<Vec<Host>> {
    let hosts = moves.iter().filter_map(|c| moved_member(config, c)).map(|m| m.host.clone());
    (!moves.is_empty()).then(|| hosts.collect())
}

fn moved_member<'a>(config: &'a ReplConfig, change: &Change) -> Option<&'a Member> {
    match change {
        Change::Readdress { id, .. } => config.member(*id),
        _ => None,
    }
}

/// The member has left its old address for the rest of the set. As long as the primary reaches it there, it has not
/// moved. But the primary's view of an address that went silent is up to 10 s old, because it waits that long for an
/// answer (seen on Swarm). So it also counts when the primary has missed several heartbeats and the member itself says
/// that it does not work as a member.
fn has_left(now: &Situation<'_>, primary: &Process<'_>, config: &ReplConfig, member: &Member) -> bool {
    let process = member.data.and_then(|data| now.process_with_data(data));
    !now.healthy_at_primary(member)
        || process.is_some_and(|p| is_outside(now, config, p)) && failover::misses(now, config, primary, &member.host)
}

/// The mongod is REMOVED, or starts. One that starts tries the old addresses before it says REMOVED, and until then it
/// does not count towards the majority that a reconfig needs (74), so the others must be one.
fn is_outside(now: &Situation<'_>, config: &ReplConfig, process: &Process<'_>) -> bool {
    let is_reached = |m: &&Member| now.process_at(m).is_some() && now.is_live(m);
    match process.state() {
        NodeState::Removed => true,
        NodeState::Startup => config.voters().filter(is_reached).count() >= config.majority(),
        _ => false,
    }
}

/// Makes members of blank tasks, and of tasks with a directory of this set that has no member.
pub(super) fn add_member(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    if let Some(wait) = unreachable(now, config) {
        return Advice::Wait(vec![wait]);
    }
    let room = MEMBERS_MAX.saturating_sub(config.members().len());
    let mut waiting = Vec::new();
    let mut newcomers = Vec::new();
    for process in now.ours.iter().filter(|p| p.listed && p.id != primary.id && may_join(now, config, p)) {
        if newcomers.len() == room {
            break;
        }
        match now.address_of(process, now.kind_for_new()) {
            Some(host) if config.member_at(&host).is_none() => newcomers.push(host),
            Some(_) => {}
            None => waiting.push(WaitingOn::Name { host: process.hosts[0].clone() }),
        }
    }
    let Attempt { changes, held_up } = tried_fairly(now, additions(now, config, primary, newcomers));
    waiting.extend(held_up);
    if changes.is_empty() {
        return Advice::of(None, waiting);
    }
    reconfig(now, changes, Reason::NewTask).beside(waiting)
}

/// A member that no new member could reach. The servers refuse a new member beside one that every machine takes for
/// itself.
fn unreachable(now: &Situation<'_>, config: &ReplConfig) -> Option<WaitingOn> {
    let wait = |m: &Member, error| Some(WaitingOn::Node { host: m.host.clone(), error });
    config.members().iter().find_map(|m| {
        if now.leads_nowhere(m) {
            wait(m, ProbeError::Local)
        } else if now.is_by_its_word(m) && !now.is_reached(m) {
            wait(m, ProbeError::NoSuchName)
        } else {
            None
        }
    })
}

/// One change for each new member, with the role that it joins in.
fn additions(now: &Situation<'_>, config: &ReplConfig, primary: &Process<'_>, newcomers: Vec<Host>) -> Vec<Change> {
    // A vote that is to be restored is not free.
    let voters = config.members().iter().filter(|m| m.votes || m.owed_vote()).count();
    let votes = new_votes(voters, newcomers.len());
    let voter = if primary.probe.guards_new_voters() { NewRole::Voter } else { NewRole::LateVoter };
    let ids = new_ids(now, config, primary, newcomers.len());
    let addition = |(nth, (host, id)): (usize, (Host, MemberId))| Change::Add {
        id,
        host,
        role: if nth < votes { voter } else { NewRole::Spare },
    };
    newcomers.into_iter().zip(ids).enumerate().map(addition).collect()
}

fn may_join(now: &Situation<'_>, config: &ReplConfig, process: &Process<'_>) -> bool {
    let is_copy = process.probe.data.is_some_and(|data| now.is_copied(data));
    let has_member = process.probe.data.is_some_and(|data| config.members().iter().any(|m| m.data == Some(data)));
    let is_at_a_member = config.members().iter().any(|m| process.is_at(&m.host));
    if is_copy || has_member || is_at_a_member || now.left_out(process) {
        return false;
    }
    match process.state() {
        NodeState::Blank => process.probe.user_data == UserData::None,
        // One that was removed before its first sync ended holds nothing of its own, and may come back too.
        NodeState::Removed => true,
        // It was away when it was removed, and no member in its own config can tell it.
        NodeState::Secondary => process.probe.config.as_ref().is_some_and(|old| config.is_newer_than(old)),
        _ => false,
    }
}

/// How many of `newcomers` get a vote: at most seven voters, and from three up an odd number.
pub(super) fn new_votes(voters: usize, newcomers: usize) -> usize {
    let fits = |total: &usize| *total <= VOTERS_MAX && (*total < 3 || total % 2 == 1);
    (voters..=voters + newcomers).rev().find(fits).map_or(0, |total| total - voters)
}

/// A reconfig on the primary, based on the config that was read there.
pub(super) fn reconfig(now: &Situation<'_>, changes: Vec<Change>, because: Reason) -> Advice {
    let (Some((_, config)), Some(on)) = (now.writable(), now.primary_host()) else { return Advice::Pass };
    let draft: Draft = LintedConfig::reconfig(config, changes)
        .map(|next| Proposal::new(Step::Reconfig { on: on.clone(), next }, because));
    draft.into()
}

#[cfg(test)]
mod tests {
    use super::new_votes;

    #[test]
    fn voters_stay_odd_from_three_up_and_at_most_seven() {
        let table = [((1, 1), 1), ((1, 2), 2), ((1, 3), 2), ((1, 4), 4), ((3, 1), 0), ((3, 2), 2), ((2, 1), 1)];
        for ((voters, newcomers), expected) in table {
            assert_eq!(new_votes(voters, newcomers), expected, "{voters} voters and {newcomers} newcomers");
        }
        assert_eq!((new_votes(7, 3), new_votes(6, 3), new_votes(4, 1)), (0, 1, 1));
    }
}
