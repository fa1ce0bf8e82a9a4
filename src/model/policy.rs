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
    pub remove_after: Duration,
    /// Gone for so long, a member is removed even where that gains nothing.
    pub forget_after: Duration,
    /// Two equal looks this far apart come before a bootstrap.
    pub settle: Duration,
    /// Whether a set may begin.
    pub bootstrap: Bootstrap,
    /// The generation to keep to when two are found.
    pub replica_set_id: Option<ObjectId>,
    /// This run of this controller.
    pub token: Token,
}

/// What stands in the config for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberAddress {
    /// The name that mongod reports where DNS leads from it to exactly that task, else the IP.
    Auto,
    /// Always the name.
    Hostname,
    /// Always the IP.
    Ip,
}

/// Whether rsctl may begin a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// When all expected tasks are shown to be blank.
    Auto,
    /// Never: for a deployment that must not begin again.
    Never,
}
