//! How much each finding matters.

use super::Finding;
use crate::model::UserTrouble;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// An operator should know it; the set works.
    Warning,
    /// An operator must act.
    Error,
}

impl Finding {
    /// How much the finding matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Certificate(trouble) => trouble.severity(),
            Self::TwoVoters
            | Self::Full { .. }
            | Self::LeftOut { .. }
            | Self::VoteRevoked { .. }
            | Self::OtherKind { .. }
            | Self::UnusedAddresses { .. }
            | Self::NameFails { .. }
            | Self::GoneAndKept { .. }
            | Self::FeatureVersionBehind { .. }
            | Self::User(UserTrouble::OtherRoles { .. } | UserTrouble::OtherPassword { .. }) => Severity::Warning,
            Self::ForeignSet { .. }
            | Self::OtherSetName { .. }
            | Self::SetNamesDiffer { .. }
            | Self::Standalone { .. }
            | Self::Unusable { .. }
            | Self::HoldsUserData { .. }
            | Self::UserDataUnknown { .. }
            | Self::SameDataTwice { .. }
            | Self::Rewound { .. }
            | Self::TwoSets { .. }
            | Self::PinnedSetMissing { .. }
            | Self::TwoPrimaries { .. }
            | Self::BootstrapNever
            | Self::ConfigLost
            | Self::RecoveryManual
            | Self::RecoveryOnRequest
            | Self::RemovedInPlace { .. }
            | Self::ConfigsDisagree
            | Self::Stuck { .. }
            | Self::PrimaryUnlisted { .. }
            | Self::VersionLimit { .. }
            | Self::LocalMember { .. }
            | Self::SameName { .. }
            | Self::InitialSyncFails { .. }
            | Self::LockRefused { .. }
            | Self::User(UserTrouble::PasswordFile { .. } | UserTrouble::Refused { .. })
            | Self::Internal { .. } => Severity::Error,
        }
    }
}
