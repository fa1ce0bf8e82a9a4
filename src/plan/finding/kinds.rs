//! The kind of each finding in one word.

use super::{CertificateTrouble, Finding};
use crate::model::UserTrouble;

impl Finding {
    /// Every value of [`Finding::kind`].
    pub const KINDS: [&str; 37] = [
        "foreign-set",
        "other-set-name",
        "set-names-differ",
        "standalone",
        "unusable",
        "holds-user-data",
        "user-data-unknown",
        "same-data-twice",
        "rewound",
        "two-sets",
        "pinned-set-missing",
        "two-primaries",
        "two-voters",
        "bootstrap-never",
        "config-lost",
        "full",
        "recovery-manual",
        "recovery-on-request",
        "removed-in-place",
        "configs-disagree",
        "vote-revoked",
        "left-out",
        "primary-unlisted",
        "stuck",
        "version-limit",
        "local-member",
        "same-name",
        "other-kind",
        "unused-addresses",
        "gone-and-kept",
        "name-fails",
        "initial-sync-fails",
        "feature-version-behind",
        "lock-refused",
        "certificate",
        "user",
        "internal",
    ];

    /// Whether this finding says anew what an earlier one said, with another number, reason or urgency. The earlier one is
    /// then not over.
    pub fn renews(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::InitialSyncFails { host: one, .. }, Self::InitialSyncFails { host: other, .. })
            | (Self::LockRefused { host: one, .. }, Self::LockRefused { host: other, .. })
            | (Self::Unusable { host: one, .. }, Self::Unusable { host: other, .. })
            | (Self::Stuck { host: one, .. }, Self::Stuck { host: other, .. }) => one == other,
            (Self::VersionLimit { .. }, Self::VersionLimit { .. }) => true,
            (Self::Certificate(one), Self::Certificate(other)) => match (one, other) {
                (
                    CertificateTrouble::Expires { whose: one, until, .. },
                    CertificateTrouble::Expires { whose: other, until: earlier, .. },
                ) => (one, until) == (other, earlier),
                (CertificateTrouble::Unusable { file: one, .. }, CertificateTrouble::Unusable { file: other, .. }) => {
                    one == other
                }
                _ => false,
            },
            (
                Self::User(UserTrouble::Refused { user: one, .. }),
                Self::User(UserTrouble::Refused { user: other, .. }),
            ) => one == other,
            _ => false,
        }
    }

    /// The kind in one fixed word, for metrics and documents.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ForeignSet { .. } => "foreign-set",
            Self::OtherSetName { .. } => "other-set-name",
            Self::SetNamesDiffer { .. } => "set-names-differ",
            Self::Standalone { .. } => "standalone",
            Self::Unusable { .. } => "unusable",
            Self::HoldsUserData { .. } => "holds-user-data",
            Self::UserDataUnknown { .. } => "user-data-unknown",
            Self::SameDataTwice { .. } => "same-data-twice",
            Self::Rewound { .. } => "rewound",
            Self::TwoSets { .. } => "two-sets",
            Self::PinnedSetMissing { .. } => "pinned-set-missing",
            Self::TwoPrimaries { .. } => "two-primaries",
            Self::TwoVoters => "two-voters",
            Self::BootstrapNever => "bootstrap-never",
            Self::ConfigLost => "config-lost",
            Self::Full { .. } => "full",
            Self::RecoveryManual => "recovery-manual",
            Self::RecoveryOnRequest => "recovery-on-request",
            Self::RemovedInPlace { .. } => "removed-in-place",
            Self::ConfigsDisagree => "configs-disagree",
            Self::VoteRevoked { .. } => "vote-revoked",
            Self::LeftOut { .. } => "left-out",
            Self::Stuck { .. } => "stuck",
            Self::PrimaryUnlisted { .. } => "primary-unlisted",
            Self::VersionLimit { .. } => "version-limit",
            Self::LocalMember { .. } => "local-member",
            Self::SameName { .. } => "same-name",
            Self::OtherKind { .. } => "other-kind",
            Self::UnusedAddresses { .. } => "unused-addresses",
            Self::GoneAndKept { .. } => "gone-and-kept",
            Self::NameFails { .. } => "name-fails",
            Self::InitialSyncFails { .. } => "initial-sync-fails",
            Self::FeatureVersionBehind { .. } => "feature-version-behind",
            Self::LockRefused { .. } => "lock-refused",
            Self::Certificate(_) => "certificate",
            Self::User { .. } => "user",
            Self::Internal { .. } => "internal",
        }
    }
}
