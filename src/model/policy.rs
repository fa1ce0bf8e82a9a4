//! What the operator wants and allows.

use super::{SetName, Token};
use bson::oid::ObjectId;
use std::time::Duration;

/// The operator's wishes, as the planner needs them.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name of the set.
    pub set: SetName,
    /// Tasks that must answer before the first initiate.
    pub expect: usize,
    /// What stands in the config for a task.
    pub member_address: MemberAddress,
    /// Gone for so long, a member may be removed where that helps the set.
    pub replace_after: Duration,
    /// Gone for so long, a member is removed even where that gains nothing.
    pub remove_after: Duration,
    /// Two equal observations this far apart come before a bootstrap.
    pub stable_for: Duration,
    /// Whether a majority at new addresses is brought back without being asked.
    pub recovery: RecoveryMode,
    /// Whether a set may begin.
    pub bootstrap: Bootstrap,
    /// The generation to keep to when two are found.
    pub replica_set_id: Option<ObjectId>,
    /// This run of this controller.
    pub token: Token,
}

/// How members are named in the replica set config.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberAddress {
    /// The name that mongod reports where DNS leads back to that task, else its IP.
    #[default]
    Auto,
    /// Names only; a task whose name does not resolve waits.
    Hostname,
    /// IPs only.
    Ip,
}

/// Whether a set that lost its majority to new addresses is brought back without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// When the evidence is complete.
    #[default]
    Auto,
    /// Never: report what would be done.
    Manual,
}

/// Whether blank nodes may become a new set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bootstrap {
    /// When all expected nodes are shown to be blank.
    #[default]
    Auto,
    /// Never: this deployment had a set before.
    Never,
}

impl MemberAddress {
    /// Every choice with its name in settings.
    pub const CHOICES: [(&str, Self); 3] = [("auto", Self::Auto), ("hostname", Self::Hostname), ("ip", Self::Ip)];
}

impl RecoveryMode {
    /// Every choice with its name in settings.
    pub const CHOICES: [(&str, Self); 2] = [("auto", Self::Auto), ("manual", Self::Manual)];
}

impl Bootstrap {
    /// Every choice with its name in settings.
    pub const CHOICES: [(&str, Self); 2] = [("auto", Self::Auto), ("never", Self::Never)];
}
