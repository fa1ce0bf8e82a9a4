//! What the controller may do to the replica set, and when.

use std::time::Duration;

use crate::cli::defaults;
use crate::model::{Bootstrap, FailoverAfter, MemberAddress, RecoveryMode};

/// What the controller may do, and when. The default is what `rsctl run` uses without flags and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// How members are named in the config.
    pub member_address: MemberAddress,
    /// How long a member must be gone before it is removed because that helps the other members.
    pub replace_after: Duration,
    /// How long a member must be gone before it is removed in any case.
    pub remove_after: Duration,
    /// Whether the controller recovers a replica set without an operator's request.
    pub recovery: RecoveryMode,
    /// Whether the controller may create a replica set.
    pub bootstrap: Bootstrap,
    /// How long a primary must be silent before another member is asked to lead.
    pub failover_after: FailoverAfter,
    /// How long the state must be stable before a bootstrap or a recovery.
    pub stable_for: Duration,
    /// The longest pause between two observations.
    pub interval: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            member_address: MemberAddress::default(),
            replace_after: defaults::REPLACE_AFTER,
            remove_after: defaults::REMOVE_AFTER,
            recovery: RecoveryMode::default(),
            bootstrap: Bootstrap::default(),
            failover_after: FailoverAfter::Silence(defaults::FAILOVER_AFTER),
            stable_for: defaults::STABLE_FOR,
            interval: defaults::INTERVAL,
        }
    }
}

impl Behaviour {
    /// The controller acts on an operator's request and on nothing else.
    pub(crate) fn on_request_only() -> Self {
        Self { recovery: RecoveryMode::Manual, bootstrap: Bootstrap::Never, ..Self::default() }
    }
}
