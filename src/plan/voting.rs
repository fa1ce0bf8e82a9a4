//! Which members may vote: *revoke-vote*, *restore-vote*, *finalize-member*.
//!
//! A voter promises that it has every write that it acknowledged. The promise belongs to a data directory, not to an
//! address.

use super::membership::reconfig;
use super::safety::{first_free, is_free};
use super::situation::Situation;
use super::{Advice, Context, Proposal, Reason, Step, WaitingOn};
use crate::model::{Change, DataId, Member, NodeState, Process, ReplConfig, SetView, VOTERS_MAX};

/// Revokes the vote of a member whose directory is not the one that earned the vote. During its initial sync, such a
/// member would help to elect a primary that lacks acknowledged writes (seen on 6.0.5). So rsctl revokes the vote at
/// once.
pub(super) fn revoke_vote(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    let voters = config.voters().filter(|m| !m.arbiter);
    let mut followers = voters.filter_map(|m| Some((m, now.process_at(m).filter(|p| p.id != primary.id)?)));
    let unearned = followers.find(|(m, p)| is_vote_unearned(now, m, p));
    let Some((member, process)) = unearned else { return Advice::Pass };
    let host = member.host.clone();
    let because =
        if now.is_rewound(process) { Reason::WritesForgotten { host } } else { Reason::VoteUnearned { host } };
    reconfig(now, vec![Change::RevokeVote { id: member.id }], because)
}

/// Whether the directory at the member's address did not earn this vote.
fn is_vote_unearned(now: &Situation<'_>, member: &Member, process: &Process<'_>) -> bool {
    // An older state of a directory lacks writes that the directory acknowledged, as an empty directory does.
    if now.is_rewound(process) {
        return true;
    }
    match (member.data, process.probe.data) {
        // A directory without an identity is not complete. A mongod in STARTUP may not have opened its directory yet.
        (_, None) => process.state() != NodeState::Startup,
        // If another voter is tagged with the directory, the directory has earned a vote, because the two mongods have
        // swapped addresses. The directory of a member without a vote has not earned one. A copy of a directory has not
        // earned one either.
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

/// Restores a vote when the member holds everything that a majority holds. This applies to a revoked vote, and to the
/// first vote of a new member. If a vote could not be revoked because there was no majority without it, the vote is
/// safe again at that time too, and only its tag changes.
pub(super) fn restore_vote(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    let Some(view) = primary.probe.view.as_ref() else { return Advice::Pass };
    let mut waiting = Vec::new();
    for member in config.members().iter().filter(|m| !m.arbiter) {
        let Some(process) = now.process_at(member).filter(|p| p.id != primary.id) else { continue };
        let Some(owed) = owed_vote(now, member, process) else { continue };
        let data = process.probe.data.filter(|data| is_free_for(now, *data, member));
        let data = data.filter(|_| has_caught_up(process, view) && !now.is_rewound(process));
        let Some(data) = data else {
            waiting.push(WaitingOn::Member { host: member.host.clone(), state: process.state() });
            continue;
        };
        // Other members may have received votes while this member had none.
        if !member.votes && config.members().iter().filter(|m| m.votes).count() >= VOTERS_MAX {
            waiting.push(WaitingOn::VoterLimit { host: member.host.clone() });
            continue;
        }
        if let Some(save) = saved(now, config, |m| m.id == member.id).filter(|save| is_free(now, &save.step)) {
            return Advice::Do(save, waiting);
        }
        let host = member.host.clone();
        let because =
            if member.awaits_first_vote() { Reason::HoldsData { host } } else { Reason::HoldsDataAgain { host } };
        return reconfig(now, vec![owed.change(config, member, data)], because).beside(waiting);
    }
    Advice::of(None, waiting)
}

/// What a member gets when it holds the set's data.
enum OwedVote {
    /// The member gets its vote and priority.
    Vote,
    /// The member kept its vote, and only its tag changes.
    Tag,
}

impl OwedVote {
    fn change(&self, config: &ReplConfig, member: &Member, data: DataId) -> Change {
        let id = member.id;
        match self {
            Self::Vote if !member.votes && is_beside_an_arbiter(config) => {
                Change::RestoreVoteWithoutPriority { id, data }
            }
            Self::Vote => Change::RestoreVote { id, data },
            Self::Tag => Change::Tag { id, data },
        }
    }
}

fn owed_vote(now: &Situation<'_>, member: &Member, process: &Process<'_>) -> Option<OwedVote> {
    let lacks_priority = member.votes && member.priority == 0.0;
    if member.saved_vote.is_some_and(|saved| !member.votes || lacks_priority && saved.priority > 0.0) {
        return Some(OwedVote::Vote);
    }
    (member.votes_now() && is_vote_unearned(now, member, process)).then_some(OwedVote::Tag)
}

/// Whether the member holds all writes that the primary knows to be committed.
fn has_caught_up(process: &Process<'_>, primary: &SetView) -> bool {
    let Some(newest) = process.probe.view.as_ref().map(SetView::newest) else { return false };
    // Writes of a later term than the primary's belong to another branch of history. A rollback will undo them.
    let same_history = newest.term <= primary.term;
    let is_complete = primary.knows_commit_point() && newest >= primary.committed;
    process.state() == NodeState::Secondary && same_history && is_complete
}

/// Whether no other member is tagged with the directory, and only one process has it.
fn is_free_for(now: &Situation<'_>, data: DataId, member: &Member) -> bool {
    !now.is_copied(data) && member_with_data(now, data).is_none_or(|owner| owner.id == member.id)
}

/// Whether the set has one voter with data, and at least one arbiter.
fn is_beside_an_arbiter(config: &ReplConfig) -> bool {
    let (arbiters, data): (Vec<_>, Vec<_>) = config.voters().partition(|m| m.arbiter);
    !arbiters.is_empty() && data.len() == 1
}

/// Completes a new member: its state is on disk, its directory has a tag in the config, and the config has a term.
pub(super) fn finalize_member(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((_, config)) = now.writable() else { return Advice::Pass };
    let held_up = match saved(now, config, |_| true) {
        Some(save) if is_free(now, &save.step) => return save.into(),
        // If one node cannot save its state, the other nodes must still get their tags.
        save => save,
    };
    let (tags, hosts) = (due_tags(context, config), saved_hosts(config));
    let because = if hosts.is_empty() { Reason::DirectoriesUntagged } else { Reason::HostRespelled };
    let changes = [tags, hosts].concat();
    // The server will give a new member its vote by a reconfig of its own. A tag at this time would conflict with that.
    if !changes.is_empty() && !config.members().iter().any(|m| is_vote_underway(now, m)) {
        return reconfig(now, changes, because);
    }
    if config.term().is_none() {
        return reconfig(now, Vec::new(), Reason::NoTerm);
    }
    held_up.map_or(Advice::Pass, Advice::from)
}

/// Hosts that *recover* has written in another form. They get back the form that they had.
fn saved_hosts(config: &ReplConfig) -> Vec<Change> {
    let saved = config.members().iter().filter_map(|m| Some((m.id, m.saved_host.clone()?)));
    saved.map(|(id, to)| Change::Readdress { id, to }).collect()
}

fn is_vote_underway(now: &Situation<'_>, member: &Member) -> bool {
    member.newly_added && now.process_at(member).is_some_and(|p| p.state() == NodeState::Secondary)
}

/// The tags that members lack, and the tags that must follow mongods that swapped addresses. After such a swap, each
/// mongod is the other's member for the server.
fn due_tags(context: &Context<'_>, config: &ReplConfig) -> Vec<Change> {
    let now = &context.situation;
    let mut tags: Vec<Change> = config.members().iter().filter_map(|m| first_tag(now, m)).collect();
    let exchanged = &context.addressing.tags;
    // All tags of an exchange change together. Half an exchange would leave a voter's directory without a member.
    if exchanged.iter().all(|change| has_arrived(now, config, change)) {
        tags.extend(exchanged.iter().cloned());
    }
    tags
}

/// Whether the member that gets the tag works in its new role, or does not answer.
fn has_arrived(now: &Situation<'_>, config: &ReplConfig, change: &Change) -> bool {
    let Change::Tag { id, .. } = change else { return false };
    let works = |p: &Process<'_>| matches!(p.state(), NodeState::Primary | NodeState::Secondary);
    config.member(*id).is_some_and(|member| now.process_at(member).is_none_or(works))
}

/// Makes a member write its state to disk. A member that is killed shortly after it joined can lose its config and its
/// vote, and its directory gets another identity (seen on 6.0.5). So this step comes before the member's tag.
fn saved(now: &Situation<'_>, config: &ReplConfig, concerns: impl Fn(&Member) -> bool) -> Option<Proposal> {
    let unsaved = config.members().iter().filter(|m| concerns(m)).filter_map(|member| {
        let process = now.process_at(member)?;
        let has_joined = matches!(process.state(), NodeState::Primary | NodeState::Secondary | NodeState::Arbiter);
        // An arbiter that rsctl cannot log in to shows no config, and accepts no commands.
        let takes_commands = process.probe.config.is_some();
        let on = process.hosts[0].clone();
        (has_joined && takes_commands && !now.observed.fsynced.contains(&process.id)).then_some(Step::Fsync { on })
    });
    Some(Proposal::new(first_free(now, unsaved)?, Reason::Unsaved))
}

/// The tag that a member lacks. Only tasks get a tag, because with a tag rsctl may readdress and remove the member.
fn first_tag(now: &Situation<'_>, member: &Member) -> Option<Change> {
    let process = now.process_at(member)?;
    let data = process.probe.data?;
    let is_complete = matches!(process.state(), NodeState::Primary | NodeState::Secondary);
    let is_plain = !member.arbiter && !member.newly_added && member.saved_vote.is_none();
    let is_free = member_with_data(now, data).is_none() && now.process_with_data(data).is_some();
    let due = is_complete && is_plain && is_free && process.listed && needs_tag(now, member, process);
    due.then_some(Change::Tag { id: member.id, data })
}

/// Whether the member has no tag, or a tag without a meaning. The primary's directory holds the set's data by
/// definition, whatever its tag is. A member without a vote has promised nothing. So its new directory is as good as
/// the old one, once the old one no longer answers.
fn needs_tag(now: &Situation<'_>, member: &Member, process: &Process<'_>) -> bool {
    let stands_for_a_vote = |data| member.votes || now.ours.iter().any(|p| p.probe.data == Some(data));
    !member.data.is_some_and(stands_for_a_vote) || process.state() == NodeState::Primary
}
