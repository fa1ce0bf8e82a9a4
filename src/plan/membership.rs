//! Who belongs to the set, and where: *moved*, *gone*, *join*.

use super::addressing::{Addressing, addressing};
use super::failover;
use super::member_id::new_ids;
use super::safety::{is_free, tried_fairly};
use super::situation::Situation;
use super::{Proposal, Step, WaitingOn, WaitingOn as W};
use crate::model::{Change, Host, MEMBERS_MAX, Member, NewRole, NodeState, Process, ReplConfig, UserData, VOTERS_MAX};
use std::time::Duration;

/// A known directory answers elsewhere: its member follows, identity and vote stay. All moved members go in one
/// reconfig, because the server's one-voter rule compares identities, not hosts (measured on 6.0.5).
pub(super) fn readdress(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let Addressing { moves, tags, unnamed } = addressing(now, config);
    waiting.extend(unnamed.into_iter().map(|host| W::Name { host }));
    let left = |c: &Change| member_of(config, c).is_some_and(|m| has_left(now, primary, config, m));
    let moves = tried_fairly(now, moves.into_iter().filter(left).collect(), waiting);
    let names: Vec<_> = moves.iter().filter_map(|c| member_of(config, c)).map(|m| m.host.to_string()).collect();
    let because = format!("the data of {} answers there", names.join(", "));
    if moves.is_empty() { None } else { reconfig(now, [moves, tags].concat(), because) }
}

/// While the primary still reaches the member at its old address, nothing has moved for the set. But what it says of an
/// address that went without a word is up to 10 s old, as long as it waits for an answer from there (seen on Swarm): so it
/// counts as well that nothing has come from there, where the member itself does not serve.
fn has_left(now: &Situation<'_>, primary: &Process<'_>, config: &ReplConfig, member: &Member) -> bool {
    // It tries the old addresses too before it says that it is REMOVED, and until then it is no voice for a new config (74
    // where one is needed).
    let at_hand = config.voters().filter(|m| now.process_at(m).is_some() && now.is_live(m)).count();
    let serves_not = |p: &Process<'_>| match p.state() {
        NodeState::Removed => true,
        NodeState::Startup => at_hand >= config.majority(),
        _ => false,
    };
    let is_out = member.data.and_then(|data| now.process_with_data(data)).is_some_and(serves_not);
    !now.healthy_at_primary(member) || is_out && failover::misses(now, config, primary, &member.host)
}

/// An operator wants a member out, before its task is stopped: with its vote, one at a time, the primary last.
pub(super) fn remove_requested(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let wanted: Vec<&Member> = config.members().iter().filter(|m| now.is_removal_target(m)).collect();
    if let Some(note) = marked_removed(now, &wanted) {
        return Proposal::new(note, "no other controller may let it join again while it runs");
    }
    let leads = |m: &&Member| now.process_at(m).is_some_and(|p| p.id == primary.id);
    let Some(&lost) = wanted.iter().find(|m| !leads(m)) else {
        let step = wanted.first().and_then(|_| failover::switchover_from(now, waiting));
        return Proposal::new(step?, "an operator wants the primary's node out of the set");
    };
    let because = format!("an operator wants {} out of the set", lost.host);
    if lost.votes_now()
        && let Some((change, _)) = replaced(now, config, &[lost])
    {
        return reconfig(now, vec![change], because);
    }
    reconfig(now, vec![Change::Remove { id: lost.id }], because)
}

/// The request is noted on the members themselves: other controllers, and those to come, follow it too. Where that cannot
/// be done, the request is followed all the same.
fn marked_removed(now: &Situation<'_>, wanted: &[&Member]) -> Option<Step> {
    let untold = |p: &&Process<'_>| now.left_out(p) && !p.probe.marked_removed && p.probe.config.is_some();
    let on = |m: &&Member| match now.process_at(m).filter(untold) {
        Some(_) => Some(m.host.clone()),
        None => m.data.and_then(|data| now.process_with_data(data)).filter(untold).map(|p| p.hosts[0].clone()),
    };
    let mut notes = wanted.iter().filter_map(on).map(|on| Step::MarkRemoved { on });
    notes.find(|note| is_free(now, note))
}

/// A member's task has gone for good. What helps the set is done soon; what gains nothing waits for `forget-after`,
/// because a member that is kept is a way back.
pub(super) fn remove_dead(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (_, config) = now.writable()?;
    let gone_for = |limit| config.members().iter().filter(move |m| ours_and_gone(now, m) >= Some(limit));
    let policy = now.policy;
    let voters: Vec<_> = gone_for(policy.replace_after).filter(|m| m.votes_now()).collect();
    let total = config.voters().count();
    let live = config.voters().filter(|m| now.is_live(m)).count();
    if let Some((change, because)) = replaced(now, config, &voters) {
        return reconfig(now, vec![change], because);
    }
    // Members that replaced the gone ones have their votes already: the gone ones only cost a majority.
    let slack = |voters: usize| live as i64 - (voters / 2 + 1) as i64;
    if let Some(lost) = voters.first()
        && slack(total - voters.len()) > slack(total)
    {
        let because = format!("it is gone and its vote only makes a majority harder ({live} of {total} voters live)");
        return reconfig(now, vec![Change::Remove { id: lost.id }], because);
    }
    if let Some(lost) = gone_for(policy.remove_after).next() {
        let because = format!("it has been gone for {} s", policy.remove_after.as_secs());
        return reconfig(now, vec![Change::Remove { id: lost.id }], because);
    }
    for member in gone_for(Duration::from_secs(1)) {
        let since = ours_and_gone(now, member).unwrap_or_default();
        let missing = gone_for(Duration::from_secs(1)).filter(|m| m.votes_now()).count();
        let helps = !ready_spares(now, config).is_empty() || slack(total - missing) > slack(total);
        let soon = member.votes_now() && helps && since < policy.replace_after;
        let limit = if soon { policy.replace_after } else { policy.remove_after };
        waiting.push(W::Gone { host: member.host.clone(), since, limit });
    }
    None
}

/// A spare's part in it: it gets its vote, then a gone voter goes, one voter a step. Which of the two is due shows in
/// the number of voters: it is odd before, even in between. Where there is no room, the gone one goes first.
///
/// Where nobody is gone, spares get the votes that they would have got had they come together: an odd number of voters
/// from three up. Two of them pass over an even number, which survives as many losses as the odd one before it.
fn replaced(now: &Situation<'_>, config: &ReplConfig, gone: &[&Member]) -> Option<(Change, String)> {
    let spares = ready_spares(now, config);
    let spare = spares.first()?;
    let seats = config.members().iter().filter(|m| m.votes).count();
    let whole = config.members().iter().filter(|m| m.votes).all(|m| m.votes_now() && now.is_live(m));
    // Whoever waits for its vote, because its data is not there yet, keeps its vote.
    let awaited = config.members().iter().filter(|m| m.owed_vote()).count();
    let promised = seats + awaited;
    let promote = Change::Promote { id: spare.id };
    match gone.first() {
        Some(lost) if seats % 2 == 0 || seats >= VOTERS_MAX => Some((
            Change::Remove { id: lost.id },
            format!("{} is gone and {} can take its place", lost.host, spare.host),
        )),
        Some(lost) => Some((promote, format!("{} is gone and {} holds the data", lost.host, spare.host))),
        // What was removed for want of room, or before the spare was ready, is made up for.
        None if whole && new_votes(promised, spares.len()) > 0 => {
            let because = match promised {
                0 | 1 => format!("{} holds the data", spare.host),
                even if even % 2 == 0 => format!("{even} voters survive no more losses than {}", even - 1),
                odd => format!("with two spares ready, {} voters survive one loss more than {odd}", odd + 2),
            };
            Some((promote, because))
        }
        None => None,
    }
}

/// For how long DNS, rsctl and the primary have all missed a member. None when one of them has not, when its directory
/// answers elsewhere, when it was never a task of ours, or when an operator set it up by hand.
fn ours_and_gone(now: &Situation<'_>, member: &Member) -> Option<Duration> {
    let node = now.observed.node(&member.host)?;
    if member.hand_tuned() || member.data.is_some_and(|data| now.ours.iter().any(|p| p.probe.data == Some(data))) {
        return None;
    }
    // A tag means that it was a task in an earlier controller's life.
    if !node.ever_listed && member.data.is_none() && !member.added {
        return None;
    }
    let gone = node.unlisted_for.min(node.silent_for).min(node.unhealthy_for);
    (!gone.is_zero()).then_some(gone)
}

fn ready_spares<'a>(now: &Situation<'_>, config: &'a ReplConfig) -> Vec<&'a Member> {
    let serves = |m: &Member| now.process_at(m).is_some_and(|p| p.state() == NodeState::Secondary);
    let ready = |m: &Member| serves(m) && now.is_live(m) && !now.is_removal_target(m);
    let spare = |m: &&Member| m.spare && !m.votes && m.data.is_some() && ready(m) && !m.hand_tuned();
    config.members().iter().filter(spare).collect()
}

/// A blank task, or one of this set's directories that has no member, becomes a member.
pub(super) fn add_member(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
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
    // Whose vote was taken gets it back, so its vote is not free.
    let voters = config.members().iter().filter(|m| m.votes || m.owed_vote()).count();
    let seats = new_votes(voters, newcomers.len());
    let voter = if primary.probe.guards_new_voters() { NewRole::Voter } else { NewRole::LateVoter };
    let ids = new_ids(now, config, primary, newcomers.len());
    let changes = newcomers.into_iter().zip(ids).enumerate().map(|(nth, (host, id))| Change::Add {
        id,
        host,
        role: if nth < seats { voter } else { NewRole::Spare },
    });
    let changes = tried_fairly(now, changes.collect(), waiting);
    (!changes.is_empty()).then(|| reconfig(now, changes, "a task answers that is no member yet"))?
}

fn may_join(now: &Situation<'_>, config: &ReplConfig, process: &Process<'_>) -> bool {
    let copies = process.probe.data.is_some_and(|data| now.is_copied(data));
    let has_member = process.probe.data.is_some_and(|data| config.members().iter().any(|m| m.data == Some(data)));
    let is_at_a_member = config.members().iter().any(|m| process.is_at(&m.host));
    if copies || has_member || is_at_a_member || now.left_out(process) {
        return false;
    }
    match process.state() {
        NodeState::Blank => process.probe.user_data == UserData::None,
        // One that was removed before its first sync ended has nothing of its own and may come back too.
        NodeState::Removed => true,
        // It was away when it was removed, and its own config names nobody any more who could tell it.
        NodeState::Secondary => process.probe.config.as_ref().is_some_and(|old| config.is_newer_than(old)),
        _ => false,
    }
}

/// How many of `newcomers` get a vote: at most seven voters, and from three up an odd number.
fn new_votes(voters: usize, newcomers: usize) -> usize {
    let fits = |total: &usize| *total <= VOTERS_MAX && (*total < 3 || total % 2 == 1);
    (voters..=voters + newcomers).rev().find(fits).map_or(0, |total| total - voters)
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
