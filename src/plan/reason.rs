//! Why a plan is as it is, in one sentence.

use crate::model::{AddressKind, Host, Token};
use std::fmt;
use std::time::Duration;

/// Why a step is done, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Every expected task answers and is blank.
    TasksAreBlank,
    /// This controller's own lock names another seed.
    OwnLockNamesOtherSeed {
        /// The seed that it must name.
        seed: Host,
    },
    /// Another controller's lock is stale.
    LockIsStale {
        /// The run of the controller that took it.
        token: Token,
        /// For how long it has not changed.
        unchanged_for: Duration,
    },
    /// Every task is blank and carries the lock.
    TasksAreLocked {
        /// How many tasks there are.
        tasks: usize,
    },
    /// The set has a primary, so that its locks are no longer needed.
    SetHasPrimary,
    /// A member's directory did not earn its vote.
    VoteUnearned {
        /// The member.
        host: Host,
    },
    /// A member's directory lacks writes that it held before.
    WritesForgotten {
        /// The member.
        host: Host,
    },
    /// A member whose vote was revoked holds the set's data again.
    HoldsDataAgain {
        /// The member.
        host: Host,
    },
    /// A member that has not voted yet holds the set's data.
    HoldsData {
        /// The member.
        host: Host,
    },
    /// The config must name the directory of each member.
    DirectoriesUntagged,
    /// The config has no term.
    NoTerm,
    /// A member's state may not be on disk yet.
    Unsaved,
    /// The directories of these members answer at other addresses.
    Moved {
        /// The members' addresses in the config.
        hosts: Vec<Host>,
    },
    /// An operator wants the members to have this kind of address.
    ReaddressRequested {
        /// The kind.
        kind: AddressKind,
    },
    /// Nobody else reaches these members at their addresses in the config.
    LeadsNowhere {
        /// Those addresses.
        hosts: Vec<Host>,
    },
    /// A member that is to be removed still runs, and no controller may add it again.
    RemovalMustBeMarked,
    /// An operator wants the primary out of the set.
    PrimaryRemovalRequested,
    /// An operator wants a member out of the set.
    RemovalRequested {
        /// The member.
        host: Host,
    },
    /// A dead voter only raises the majority.
    DeadWeight {
        /// The voter.
        host: Host,
        /// Live voters.
        live: usize,
        /// All voters.
        voters: usize,
    },
    /// A member has been gone for the time after which it is removed.
    GoneForLong {
        /// The member.
        host: Host,
        /// That time.
        limit: Duration,
    },
    /// A spare can replace a dead voter.
    SpareReplaces {
        /// The voter.
        lost: Host,
        /// The spare.
        spare: Host,
    },
    /// There is no other voter.
    NoOtherVoter {
        /// The spare that gets a vote.
        spare: Host,
    },
    /// An even number of voters survives no more losses than one voter less.
    EvenVoters {
        /// The number of voters now.
        voters: usize,
    },
    /// Two spares make two more voters, and the set then survives one more loss.
    TwoSparesReady {
        /// The number of voters now.
        voters: usize,
    },
    /// A task answers that is no member yet.
    NewTask,
    /// No primary is alive, and this member is the best to lead.
    NoLivePrimary {
        /// The member.
        best: Host,
    },
    /// A member is elected, and nothing is left to catch up with.
    NothingToCatchUp {
        /// The member.
        elected: Host,
    },
    /// A secondary's source is lost.
    SourceIsLost,
    /// A secondary lags and has no source.
    NoSource,
    /// A secondary should copy from the member that would lead next.
    NextPrimary {
        /// That member.
        host: Host,
    },
    /// DNS no longer lists the primary.
    PrimaryIsUnlisted {
        /// The primary.
        host: Host,
    },
    /// An operator wants another primary.
    SwitchoverRequested {
        /// The primary.
        host: Host,
    },
    /// A member should copy from the one that an operator wants to lead.
    FollowersWanted {
        /// The member that is to lead.
        next: Host,
    },
    /// The task of a secondary's source is about to stop.
    SourceLeaves,
    /// The data of a majority answers at addresses that the config does not have.
    MajorityMoved {
        /// Voters whose data is found, and that the new config reaches.
        found: usize,
        /// All voters.
        voters: usize,
    },
    /// All members that answer are REMOVED at their own addresses.
    NobodyLooks {
        /// Voters whose data is found.
        found: usize,
        /// All voters.
        voters: usize,
    },
    /// A host was written in another form, and the set has a primary again.
    HostRespelled,
    /// An operator requested a recovery that is safe.
    RecoveryRequested,
    /// An operator accepted a loss of writes.
    LossAccepted,
    /// It is unclear which set or which primary counts.
    Unclear,
    /// Neither DNS nor a config names any task.
    NoTasks,
    /// There is nothing to do and nothing to wait for, except for an operator: a finding says what is wrong.
    NeedsOperator,
    /// There is nothing to do and nothing to wait for.
    Healthy,
    /// Without a primary, no step is safe.
    NothingIsSafe,
    /// Something else must happen first.
    MustWait,
    /// A pause holds back what would be done.
    Paused,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TasksAreBlank => f.write_str("every expected task answers and is blank"),
            Self::OwnLockNamesOtherSeed { seed } => write!(f, "our own lock there names another seed than {seed}"),
            Self::LockIsStale { token, unchanged_for } => {
                write!(f, "the lock of {token} has not changed for {} s", unchanged_for.as_secs())
            }
            Self::TasksAreLocked { tasks } => write!(f, "{tasks} tasks answer, and all of them are blank and locked"),
            Self::SetHasPrimary => f.write_str("the set has a primary"),
            Self::VoteUnearned { host } => {
                write!(f, "the data directory at {host} is not the one that earned the vote")
            }
            Self::WritesForgotten { host } => {
                write!(f, "the data directory at {host} lacks writes that it held before")
            }
            Self::HoldsDataAgain { host } => write!(f, "{host} holds the set's data again"),
            Self::HoldsData { host } => write!(f, "{host} holds the set's data"),
            Self::DirectoriesUntagged => f.write_str("the config must name the data directory of each member"),
            Self::NoTerm => f.write_str("the config has no term, as after a forced reconfig"),
            Self::Unsaved => f.write_str("a member that is killed soon after it joined can forget its config and vote"),
            Self::Moved { hosts } => write!(f, "the data of {} answers there", list(hosts)),
            Self::ReaddressRequested { kind } => write!(f, "an operator wants the members to have {kind}"),
            Self::LeadsNowhere { hosts } => write!(f, "nobody else reaches it at {}", list(hosts)),
            Self::RemovalMustBeMarked => f.write_str("no other controller may add it again while it runs"),
            Self::PrimaryRemovalRequested => f.write_str("an operator wants the primary out of the set"),
            Self::RemovalRequested { host } => write!(f, "an operator wants {host} out of the set"),
            Self::DeadWeight { host, live, voters } => write!(
                f,
                "{host} is gone, and its vote only makes a majority harder ({live} of {voters} voters are live)"
            ),
            Self::GoneForLong { host, limit } => write!(f, "{host} has been gone for {} s", limit.as_secs()),
            Self::SpareReplaces { lost, spare } => write!(f, "{lost} is gone, and {spare} can replace it"),
            Self::NoOtherVoter { spare } => write!(f, "{spare} holds the data"),
            Self::EvenVoters { voters } => {
                write!(f, "{voters} voters survive no more losses than {}", voters.saturating_sub(1))
            }
            Self::TwoSparesReady { voters } => {
                write!(f, "two spares are ready, and {} voters survive one loss more than {voters}", voters + 2)
            }
            Self::NewTask => f.write_str("a task answers that is no member yet"),
            Self::NoLivePrimary { best } => {
                write!(f, "no primary is alive, and {best} has the newest write of those that can lead")
            }
            Self::NothingToCatchUp { elected } => {
                write!(f, "{elected} is elected, and no voter that answers has newer writes")
            }
            Self::SourceIsLost => f.write_str("its sync source answers neither it nor rsctl"),
            Self::NextPrimary { host } => write!(f, "the member keeps its sync source if {host} becomes the primary"),
            Self::PrimaryIsUnlisted { host } => {
                write!(f, "DNS no longer lists the primary {host}, so its task is about to stop")
            }
            Self::SwitchoverRequested { host } => write!(f, "an operator wants another primary than {host}"),
            Self::FollowersWanted { next } => {
                write!(f, "an operator wants {next} to lead, and others must copy from it")
            }
            Self::NoSource => f.write_str("it is behind the primary, and copies from no member"),
            Self::SourceLeaves => f.write_str("DNS no longer lists its sync source, whose task is about to stop"),
            Self::MajorityMoved { found, voters } => fmt_moved(f, *found, *voters),
            Self::NobodyLooks { found, voters } => fmt_nobody_looks(f, *found, *voters),
            Self::HostRespelled => f.write_str("its host was written in another form only to bring the set back"),
            Self::RecoveryRequested => f.write_str("an operator requested it, and the data of a majority is found"),
            Self::LossAccepted => f.write_str("an operator accepts the loss of what only the missing directories hold"),
            Self::Unclear => f.write_str("it is unclear which set or which primary counts"),
            Self::NoTasks => f.write_str("no task is known"),
            Self::NeedsOperator => f.write_str("an operator must act first"),
            Self::Healthy => f.write_str("the set is as it should be"),
            Self::NothingIsSafe => f.write_str("there is no primary, and no step is safe now"),
            Self::MustWait => f.write_str("something else must happen first"),
            Self::Paused => f.write_str("an operator paused rsctl"),
        }
    }
}

fn fmt_moved(f: &mut fmt::Formatter<'_>, found: usize, voters: usize) -> fmt::Result {
    write!(f, "the data of {found} of {voters} voters answers at addresses that the config does not have")
}

fn fmt_nobody_looks(f: &mut fmt::Formatter<'_>, found: usize, voters: usize) -> fmt::Result {
    write!(
        f,
        "{found} of {voters} voters are REMOVED at their own addresses: they started before their names led to them, and \
         look again only when the config names another host"
    )
}

pub(super) fn list(hosts: &[Host]) -> String {
    hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(", ")
}
