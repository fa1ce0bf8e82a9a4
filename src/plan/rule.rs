//! The rules, in the order in which they are asked.

use super::{Advice, Context};
use super::{bootstrap, failover, membership, recovery, removal, switchover, sync_source, voting};
use std::fmt;

/// A rule that may propose the next step. `docs/development/planner-rules.md` lists them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Revokes a vote whose data directory is not the one that earned it.
    RevokeVote,
    /// Gives a member the address at which its data directory answers now.
    Readdress,
    /// Removes the members that an operator wants out of the set.
    RemoveRequested,
    /// Removes, or replaces, a member whose task is gone for good.
    RemoveDead,
    /// Restores a revoked vote when the member holds the set's data again.
    RestoreVote,
    /// Has another member lead before the primary's task stops.
    Switchover,
    /// Has a secondary copy from the primary when its source is lost.
    ResetSyncSource,
    /// Makes a member of each task that is none yet.
    AddMember,
    /// Gives a new member what it still needs: its state on disk, its tag, a config with a term.
    FinalizeMember,
    /// Removes the bootstrap locks when the set exists.
    ReleaseLock,
    /// Has the third of three members copy from the second.
    ChainSecondary,
    /// Initiates a set on blank tasks.
    Bootstrap,
    /// Has an elected member take writes without waiting for members that do not answer.
    AbortCatchup,
    /// Has the member with the newest write stand for election.
    StepUp,
    /// Forces the present addresses on a set that cannot elect a primary at the old ones.
    Recover,
    /// No rule proposed a step.
    Wait,
}

/// Whether a rule is asked while the set has a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// Only while there is a primary.
    WithPrimary,
    /// Only while there is none.
    WithoutPrimary,
}

/// One line of the table.
pub(super) struct Row {
    pub(super) rule: Rule,
    name: &'static str,
    pub(super) applies: Applies,
    what: &'static str,
    why_here: &'static str,
    pub(super) ask: fn(&Context<'_>) -> Advice,
}

/// All rules in their order. The first whose step may be done now wins.
pub(super) const TABLE: &[Row] = &[
    Row {
        rule: Rule::RevokeVote,
        name: "revoke-vote",
        applies: Applies::WithPrimary,
        what: "Revokes a vote whose data directory is not the one that earned it.",
        why_here: "It is first, because such a vote can elect a primary that lacks acknowledged writes.",
        ask: voting::revoke_vote,
    },
    Row {
        rule: Rule::Readdress,
        name: "readdress",
        applies: Applies::WithPrimary,
        what: "Gives a member the address at which its data directory answers now.",
        why_here: "It comes before removals and additions, so that a directory that moved keeps its member and its vote.",
        ask: membership::readdress,
    },
    Row {
        rule: Rule::RemoveRequested,
        name: "remove-requested",
        applies: Applies::WithPrimary,
        what: "Removes the members that an operator wants out of the set.",
        why_here: "It comes before the rules that repair or use a member, so that none of them works on one that leaves.",
        ask: removal::remove_requested,
    },
    Row {
        rule: Rule::RemoveDead,
        name: "remove-dead",
        applies: Applies::WithPrimary,
        what: "Removes, or replaces, a member whose task is gone for good.",
        why_here: "A dead voter makes every majority harder, so it is replaced before votes are restored or added.",
        ask: removal::remove_dead,
    },
    Row {
        rule: Rule::RestoreVote,
        name: "restore-vote",
        applies: Applies::WithPrimary,
        what: "Restores a revoked vote when the member holds the set's data again.",
        why_here: "It comes before switchover, so that as many voters as possible can elect the next primary.",
        ask: voting::restore_vote,
    },
    Row {
        rule: Rule::Switchover,
        name: "switchover",
        applies: Applies::WithPrimary,
        what: "Has another member lead before the primary's task stops.",
        why_here: "It comes after the repair of votes, which an election needs, and before everything that can wait.",
        ask: switchover::switchover,
    },
    Row {
        rule: Rule::ResetSyncSource,
        name: "reset-sync-source",
        applies: Applies::WithPrimary,
        what: "Has a secondary copy from the primary when its source is lost, or it lacks writes and has none.",
        why_here: "It comes after switchover, which may replace the primary that it names as the source, and before \
            growth, because a secondary that hangs holds up majority writes.",
        ask: sync_source::reset_sync_source,
    },
    Row {
        rule: Rule::AddMember,
        name: "add-member",
        applies: Applies::WithPrimary,
        what: "Makes a member of each task that is none yet.",
        why_here: "It comes after all repairs, and before finalize-member, so that new members start to copy data soon.",
        ask: membership::add_member,
    },
    Row {
        rule: Rule::FinalizeMember,
        name: "finalize-member",
        applies: Applies::WithPrimary,
        what: "Gives a new member what it still needs: its state on disk, its tag, a config with a term.",
        why_here: "It comes when members and votes are as they should be, because tags change neither.",
        ask: voting::finalize_member,
    },
    Row {
        rule: Rule::ReleaseLock,
        name: "release-lock",
        applies: Applies::WithPrimary,
        what: "Removes the bootstrap locks when the set exists.",
        why_here: "It can wait: a lock does no harm once the set exists.",
        ask: bootstrap::release_lock,
    },
    Row {
        rule: Rule::ChainSecondary,
        name: "chain-secondary",
        applies: Applies::WithPrimary,
        what: "Has the third of three members copy from the second.",
        why_here: "It is last with a primary, because it only makes a later failover faster.",
        ask: sync_source::chain_secondary,
    },
    Row {
        rule: Rule::Bootstrap,
        name: "bootstrap",
        applies: Applies::WithoutPrimary,
        what: "Initiates a set on blank tasks.",
        why_here: "It is first without a primary. It acts only where no config exists, and the rules below need one.",
        ask: bootstrap::bootstrap,
    },
    Row {
        rule: Rule::AbortCatchup,
        name: "abort-catchup",
        applies: Applies::WithoutPrimary,
        what: "Has an elected member take writes without waiting for members that do not answer.",
        why_here: "It comes before step-up, because a second election would only unseat a member that is elected.",
        ask: failover::abort_catchup,
    },
    Row {
        rule: Rule::StepUp,
        name: "step-up",
        applies: Applies::WithoutPrimary,
        what: "Has the member with the newest write stand for election.",
        why_here: "It comes before recover, because an election keeps the config and needs no force.",
        ask: failover::step_up,
    },
    Row {
        rule: Rule::Recover,
        name: "recover",
        applies: Applies::WithoutPrimary,
        what: "Forces the present addresses on a set that cannot elect a primary at the old ones.",
        why_here: "It is last, because it forces a config, which the server does not check.",
        ask: recovery::recover,
    },
];

/// Each row stands at its rule's place in the enum, so that the table is complete and in order.
const _: () = {
    assert!(TABLE.len() == Rule::Wait as usize);
    let mut at = 0;
    while at < TABLE.len() {
        assert!(TABLE[at].rule as usize == at);
        at += 1;
    }
};

impl Rule {
    /// Every rule in the order in which it is asked, without [`Rule::Wait`].
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.rule)
    }

    /// The rule's name in logs, metrics, scenarios and documents.
    pub fn name(self) -> &'static str {
        self.row().map_or("wait", |row| row.name)
    }

    /// What the rule does, in one sentence.
    pub fn what(self) -> &'static str {
        self.row().map_or("Does nothing.", |row| row.what)
    }

    /// Why the rule stands where it stands in the order, in one sentence or two.
    pub fn why_here(self) -> &'static str {
        self.row().map_or("No other rule proposed a step that may be done now.", |row| row.why_here)
    }

    /// Whether the rule is asked with or without a primary; none for [`Rule::Wait`], which needs no question.
    pub fn applies(self) -> Option<Applies> {
        self.row().map(|row| row.applies)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.get(self as usize)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
