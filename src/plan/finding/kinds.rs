//! The kind of each finding in one word.

use super::Finding;

impl Finding {
    /// Every value of [`Finding::kind`].
    pub const KINDS: [&str; 31] = [
        "foreign-set",
        "other-set-name",
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
        "name-fails",
        "initial-sync-fails",
        "feature-version-behind",
        "lock-refused",
        "internal",
    ];

    /// The kind in one fixed word, for metrics and documents.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ForeignSet { .. } => "foreign-set",
            Self::OtherSetName { .. } => "other-set-name",
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
            Self::NameFails { .. } => "name-fails",
            Self::InitialSyncFails { .. } => "initial-sync-fails",
            Self::FeatureVersionBehind { .. } => "feature-version-behind",
            Self::LockRefused { .. } => "lock-refused",
            Self::Internal { .. } => "internal",
        }
    }
}
