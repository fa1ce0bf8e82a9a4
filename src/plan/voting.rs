//! Who may vote: *revoke-vote*, *restore-vote*, *finalize-member*.
//!
//! A vote is a promise to have seen what was acknowledged. It belongs to a data directory, not to an address.

use super::addressing::addressing;
use super::membership::reconfig;
use super::safety::{first_free, is_free};
use super::situation::Situation;
use super::{Proposal, Step, WaitingOn, WaitingOn as W};
use crate::model::{Change, DataId, Member, NodeState, Process, ReplConfig};

/// A directory in a voting member is not the one that earned the vote. In the middle of its initial sync it would help
/// to elect a primary that lacks acknowledged writes (seen to happen on 6.0.5), so the vote goes at once.
pub(super) fn revoke_vote(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let members = config.voters().filter(|m| !m.arbiter);
    let mut followers = members.filter_map(|m| Some((m, now.process_at(m).filter(|p| p.id != primary.id)?)));
    let (lost, process) = followers.find(|(m, p)| is_wiped(now, m, p))?;
    let because = match now.is_rewound(process) {
        true => format!("the data directory at {} lacks writes that it held before", lost.host),
        false => format!("the data directory at {} is not the one that earned the vote", lost.host),
    };
    reconfig(now, vec![Change::RevokeVote { id: lost.id }], because)
}

fn is_wiped(now: &Situation<'_>, member: &Member, process: &Process<'_>) -> bool {
    // An older state of a directory has forgotten what it vouched for, as an empty one has.
    if now.is_rewound(process) {
        return true;
    }
    match (member.data, process.probe.data) {
        // A directory without identity is not complete. STARTUP may not have opened it yet.
        (_, None) => process.state() != NodeState::Startup,
        // Named by another voter's member, the two have swapped addresses. A non-voter's directory, or a copy of any,
        // has not earned this vote.
        (Some(tagged), Some(found)) => {
            let earned = member_with_data(now, found).is_some_and(Member::votes_now) && !now.is_copied(found);
            tagged != found && !earned
        }
        (None, Some(_)) => false,
    }
}

fn member_with_data<'a>(now: &Situation<'a>, data: DataId) -> Option<&'a Member> {
    now.config?.members().iter().find(|m| m.data == Some(data))
}

/// The wiped member holds everything again that a majority has: its vote comes back. So does the vote of a newcomer
/// that had to wait for it. Where the vote could not be taken because there is no majority without it, the danger is
/// over by now too, and only the tag changes.
pub(super) fn restore_vote(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (primary, config) = now.writable()?;
    let view = primary.probe.view.as_ref()?;
    for member in config.members().iter().filter(|m| !m.arbiter) {
        let Some(process) = now.process_at(member).filter(|p| p.id != primary.id) else { continue };
        let bare = member.votes && member.priority == 0.0;
        let taken = member.saved_vote.is_some_and(|saved| !member.votes || bare && saved.priority > 0.0);
        let kept = member.votes_now() && is_wiped(now, member, process);
        if !taken && !kept {
            continue;
        }
        let applied = process.probe.view.as_ref().map(|view| view.applied);
        // Writes of a term that the primary has not heard of are another line of history, which is about to be undone.
        let same_line = applied.map(|at| at.term) <= Some(view.term);
        let whole = applied >= Some(view.committed) && same_line && !now.is_rewound(process);
        let caught_up = process.state() == NodeState::Secondary && view.knows_commit_point() && whole;
        match process.probe.data {
            Some(data)
                if caught_up
                    && !now.is_copied(data)
                    && member_with_data(now, data).is_none_or(|s| s.id == member.id) =>
            {
                let id = member.id;
                let change = match taken {
                    true if !member.votes && beside_an_arbiter(config) => {
                        Change::RestoreVoteWithoutPriority { id, data }
                    }
                    true => Change::RestoreVote { id, data },
                    false => Change::Tag { id, data },
                };
                if let Some(save) = saved(now, config, |m| m.id == id).filter(|save| is_free(now, &save.step)) {
                    return Some(save);
                }
                let again = if member.awaits_first_vote() { "" } else { " again" };
                return reconfig(now, vec![change], format!("{} holds the set's data{again}", member.host));
            }
            _ => waiting.push(W::Member { host: member.host.clone(), state: process.state() }),
        }
    }
    None
}

/// One voter with data, and an arbiter.
fn beside_an_arbiter(config: &ReplConfig) -> bool {
    let (arbiters, data): (Vec<_>, Vec<_>) = config.voters().partition(|m| m.arbiter);
    !arbiters.is_empty() && data.len() == 1
}

/// What a new member still needs: its state on disk, its directory's name in the config, a config with a term.
pub(super) fn finalize_member(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let (_, config) = now.writable()?;
    let save = saved(now, config, |_| true);
    // A node that cannot save must not keep the others from their tags.
    if save.as_ref().is_some_and(|save| is_free(now, &save.step)) {
        return save;
    }
    // The server is about to give a newcomer its vote by a reconfig of its own; a tag now would only collide with it.
    let vote_underway =
        |m: &Member| m.newly_added && now.process_at(m).is_some_and(|p| p.state() == NodeState::Secondary);
    let quiet = !config.members().iter().any(vote_underway);
    let mut tags: Vec<Change> = config.members().iter().filter_map(|m| first_tag(now, m)).collect();
    // mongods that swapped addresses were given each other's members by the server: the tags follow.
    // All of them or none: half an exchange would leave a voter's directory without a member.
    let exchanged = addressing(now, config).tags;
    let serves = |p: &Process<'_>| matches!(p.state(), NodeState::Primary | NodeState::Secondary);
    let arrived = |m: &Member| now.process_at(m).is_none_or(serves);
    let member_arrived = |c: &Change| matches!(c, Change::Tag { id, .. } if config.member(*id).is_some_and(arrived));
    if exchanged.iter().all(member_arrived) {
        tags.extend(exchanged);
    }
    if quiet && !tags.is_empty() {
        return reconfig(now, tags, "the config shall say which directory holds which vote");
    }
    if config.term().is_none() {
        return reconfig(now, Vec::new(), "the config has no term, as after a forced reconfig");
    }
    save
}

/// A member killed shortly after it joined can forget its config and its vote, and its directory gets another identity
/// than it had (seen on 6.0.5): so its state goes to disk before its tag goes into the config.
fn saved(now: &Situation<'_>, config: &ReplConfig, whom: impl Fn(&Member) -> bool) -> Option<Proposal> {
    let unsaved = config.members().iter().filter(|m| whom(m)).filter_map(|member| {
        let process = now.process_at(member)?;
        let joined = matches!(process.state(), NodeState::Primary | NodeState::Secondary | NodeState::Arbiter);
        // An arbiter that does not let us log in shows no config, and takes no commands.
        let may_be_told = process.probe.config.is_some();
        let on = process.hosts[0].clone();
        (joined && may_be_told && !now.observed.fsynced.contains(&process.id)).then_some(Step::Fsync { on })
    });
    let step = first_free(now, unsaved)?;
    Proposal::new(step, "a member killed soon after it joined can forget its config and its vote")
}

/// The tag that a member lacks. Only tasks are tagged: a tag means that the member is ours to move and remove.
fn first_tag(now: &Situation<'_>, member: &Member) -> Option<Change> {
    let process = now.process_at(member)?;
    let data = process.probe.data?;
    let complete = matches!(process.state(), NodeState::Primary | NodeState::Secondary);
    let plain = !member.arbiter && !member.newly_added && member.saved_vote.is_none();
    let free = member_with_data(now, data).is_none() && now.process_with_data(data).is_some();
    // What the primary holds is the set's data by definition, whatever its tag says. And who has no vote has vouched
    // for nothing: a spare whose directory was wiped is as good as before, once its own is nowhere to be seen.
    let vouches = |data| member.votes || now.ours.iter().any(|p| p.probe.data == Some(data));
    let wanted = !member.data.is_some_and(vouches) || process.state() == NodeState::Primary;
    (complete && plain && free && wanted && process.listed).then_some(Change::Tag { id: member.id, data })
}
