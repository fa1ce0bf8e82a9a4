//! Who belongs to the set, and where: *moved*, *gone*, *join*.

use super::placement::{Placement, place};
use super::safety::{Refused, was_refused};
use super::situation::Situation;
use super::{Proposal, Step, WaitingOn, WaitingOn as W};
use crate::model::{
    Change, Host, MEMBERS_MAX, Member, MemberId, NewRole, NodeState, Process, ReplConfig, UserData, VOTERS_MAX,
};
use std::time::Duration;

/// A known directory answers elsewhere: its slot follows, identity and vote stay. All moved slots go in one
/// reconfig, because the server's one-voter rule compares identities, not hosts (measured on 6.0.5).
pub(super) fn moved(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (_, config) = now.writable()?;
    let Placement { moves, tags, unnamed } = place(now, config);
    waiting.extend(unnamed.into_iter().map(|host| W::Name { host }));
    // While the primary still reaches the member at its old address, nothing has moved for the set.
    let lost = |c: &Change| member_of(config, c).is_some_and(|m| !now.healthy_at_primary(m));
    let moves = tried_fairly(now, moves.into_iter().filter(lost).collect());
    let names: Vec<_> = moves.iter().filter_map(|c| member_of(config, c)).map(|m| m.host.to_string()).collect();
    let because = format!("the data of {} answers there", names.join(", "));
    if moves.is_empty() { None } else { reconfig(now, [moves, tags].concat(), because) }
}

/// A member's task has gone for good. What helps the set is done soon; what gains nothing waits for `forget-after`,
/// because a slot that is kept is a way back.
pub(super) fn gone(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (_, config) = now.writable()?;
    let gone_for = |limit| config.members().iter().filter(move |m| ours_and_gone(now, m) >= Some(limit));
    let policy = now.policy;
    let voters: Vec<_> = gone_for(policy.remove_after).filter(|m| m.votes_now()).collect();
    if let (Some(lost), Some(spare)) = (voters.first(), ready_spare(now, config)) {
        let room = config.members().iter().filter(|m| m.votes).count() < VOTERS_MAX;
        let because = format!("{} is gone and {} holds the data", lost.host, spare.host);
        if room {
            return reconfig(now, vec![Change::Promote { id: spare.id }], because);
        }
        return reconfig(now, vec![Change::Remove { id: lost.id }], because);
    }
    // Members that replaced the gone ones have their votes already: the gone ones only cost a majority.
    let total = config.voters().count();
    let live = config.voters().filter(|m| now.is_live(m)).count();
    let slack = |voters: usize| live as i64 - (voters / 2 + 1) as i64;
    if let Some(lost) = voters.first()
        && slack(total - voters.len()) > slack(total)
    {
        let because = format!("it is gone and its vote only makes a majority harder ({live} of {total} voters live)");
        return reconfig(now, vec![Change::Remove { id: lost.id }], because);
    }
    if let Some(lost) = gone_for(policy.forget_after).find(|m| !m.hand_tuned()) {
        let because = format!("it has been gone for {} s", policy.forget_after.as_secs());
        return reconfig(now, vec![Change::Remove { id: lost.id }], because);
    }
    for member in gone_for(Duration::from_secs(1)).filter(|m| !m.hand_tuned()) {
        let since = ours_and_gone(now, member).unwrap_or_default();
        let limit = if since < policy.remove_after { policy.remove_after } else { policy.forget_after };
        waiting.push(W::Gone { host: member.host.clone(), since, limit });
    }
    None
}

/// For how long DNS, rsctl and the primary have all missed a member. None when one of them has not, or when it was
/// never a task of ours.
fn ours_and_gone(now: &Situation<'_>, member: &Member) -> Option<Duration> {
    let node = now.look.node(&member.host)?;
    let unlisted = match node.unlisted_for {
        Some(unlisted) => unlisted,
        // A tag means that it was a task in an earlier controller's life.
        None if member.data.is_some() => node.silent_for,
        None => return None,
    };
    let gone = unlisted.min(node.silent_for).min(node.unhealthy_for);
    (!gone.is_zero() && !member.arbiter).then_some(gone)
}

fn ready_spare<'a>(now: &Situation<'_>, config: &'a ReplConfig) -> Option<&'a Member> {
    config.members().iter().find(|m| m.spare && !m.votes && m.data.is_some() && now.is_live(m) && !m.hand_tuned())
}

/// A blank task, or one of this set's directories that has no slot, becomes a member.
pub(super) fn join(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let room = MEMBERS_MAX.saturating_sub(config.members().len());
    let newcomers: Vec<Host> = now
        .ours
        .iter()
        .filter(|p| p.listed && p.id != primary.id && may_join(now, config, p))
        .filter_map(|p| match now.address_of(p, now.kind()) {
            Some(host) => config.member_at(&host).is_none().then_some(host),
            None => {
                waiting.push(W::Name { host: p.hosts[0].clone() });
                None
            }
        })
        .take(room)
        .collect();
    let voters = config.members().iter().filter(|m| m.votes).count();
    // Before 5.0 a new voter counts at once, with or without data: join without a vote there.
    let seats = if primary.probe.wire.guards_new_voters() { seats(voters, newcomers.len()) } else { 0 };
    let first = next_id(now, config);
    let changes = newcomers.into_iter().enumerate().map(|(nth, host)| Change::Add {
        id: MemberId(first.0 + nth as i64),
        host,
        role: if nth < seats { NewRole::Voter } else { NewRole::Spare },
    });
    let changes = tried_fairly(now, changes.collect());
    (!changes.is_empty()).then(|| reconfig(now, changes, "a task answers that is no member yet"))?
}

fn may_join(now: &Situation<'_>, config: &ReplConfig, process: &Process<'_>) -> bool {
    let copies = process.probe.data.is_some_and(|data| now.holder(data).is_none());
    let has_slot = config.members().iter().any(|m| m.data.is_some() && m.data == process.probe.data);
    let sits_in_slot = config.members().iter().any(|m| process.is_at(&m.host));
    if copies || has_slot || sits_in_slot {
        return false;
    }
    match process.state() {
        NodeState::Blank => process.probe.user_data == UserData::None,
        NodeState::Removed => process.probe.data.is_some(),
        _ => false,
    }
}

/// How many of `newcomers` get a vote: at most seven voters, and from three up an odd number.
fn seats(voters: usize, newcomers: usize) -> usize {
    let fits = |total: &usize| *total <= VOTERS_MAX && (*total < 3 || total % 2 == 1);
    (voters..=voters + newcomers).rev().find(fits).map_or(0, |total| total - voters)
}

/// Larger than any identity that a reachable config has.
fn next_id(now: &Situation<'_>, config: &ReplConfig) -> MemberId {
    let seen = now.ours.iter().filter_map(|p| p.probe.config.as_ref()).map(ReplConfig::next_id);
    seen.fold(config.next_id(), MemberId::max)
}

/// All at once, unless some of them were refused before: those go alone, and none while it waits.
fn tried_fairly(now: &Situation<'_>, changes: Vec<Change>) -> Vec<Change> {
    let fresh: Vec<_> = changes.iter().filter(|c| was_refused(now, c) == Refused::Never).cloned().collect();
    if !fresh.is_empty() {
        return fresh;
    }
    changes.into_iter().find(|c| was_refused(now, c) == Refused::Before).into_iter().collect()
}

fn member_of<'a>(config: &'a ReplConfig, change: &Change) -> Option<&'a Member> {
    match change {
        Change::Readdress { id, .. } => config.member(*id),
        _ => None,
    }
}

/// A reconfig on the primary, based on what was read there.
pub(super) fn reconfig(now: &Situation<'_>, changes: Vec<Change>, because: impl Into<String>) -> Option<Proposal> {
    let (_, config) = now.writable()?;
    let on = now.primary_host()?.clone();
    Proposal::new(Step::Reconfig { on, base: config.clone(), changes }, because)
}

#[cfg(test)]
mod tests {
    use super::seats;

    #[test]
    fn voters_stay_odd_from_three_up_and_at_most_seven() {
        let table = [((1, 1), 1), ((1, 2), 2), ((1, 3), 2), ((1, 4), 4), ((3, 1), 0), ((3, 2), 2), ((2, 1), 1)];
        for ((voters, newcomers), expected) in table {
            assert_eq!(seats(voters, newcomers), expected, "{voters} voters and {newcomers} newcomers");
        }
        assert_eq!((seats(7, 3), seats(6, 3), seats(4, 1)), (0, 1, 1));
    }
}
