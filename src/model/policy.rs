//! What the operator wants and allows.

use super::{SetName, Token};
use bson::oid::ObjectId;
use std::fmt;
use std::time::Duration;

/// The operator's settings, as far as decisions depend on them.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name of the set.
    pub set: SetName,
    /// How many tasks must answer before the bootstrap.
    pub expect: usize,
    /// The kind of address that a member gets.
    pub member_address: MemberAddress,
    /// A member that has been gone for this time is removed or replaced where that helps the set.
    pub replace_after: Duration,
    /// A member that has been gone for this time is removed even where that gains nothing.
    pub remove_after: Duration,
    /// How long a primary must be silent before another member is asked to lead.
    pub failover_after: FailoverAfter,
    /// How long the state must be stable before a bootstrap or a recovery.
    pub stable_for: Duration,
    /// Whether a majority at new addresses is recovered without a request.
    pub recovery: RecoveryMode,
    /// Whether a new set may be initiated.
    pub bootstrap: Bootstrap,
    /// The `replicaSetId` of the set to manage; none to manage the only one that is found.
    pub replica_set_id: Option<ObjectId>,
    /// The name of this run of this controller.
    pub token: Token,
}

/// The kind of address that members have in the replica set config.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberAddress {
    /// The name that mongod reports where that resolves to its task, else its IP.
    #[default]
    Auto,
    /// Names only. A task whose name does not resolve to it has to wait.
    Hostname,
    /// IPs only.
    Ip,
}

/// A kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// A host name.
    Name,
    /// An IP address.
    Ip,
}

impl AddressKind {
    /// Every kind with its word in `rsctl readdress`.
    pub const CHOICES: [(&str, Self); 2] = [("names", Self::Name), ("ips", Self::Ip)];

    /// The value of `--member-address` for this kind.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Name => "hostname",
            Self::Ip => "ip",
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "names",
            Self::Ip => "ips",
        })
    }
}

/// Whether a set whose majority answers at new addresses is recovered without a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// It is, when the evidence is complete.
    #[default]
    Auto,
    /// It is not. The status shows what would be done.
    Manual,
}

/// How long a primary must be silent before another member is asked to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverAfter {
    /// For this time, for a majority of the voters and for rsctl. A primary that is seen to have ended is not waited for.
    Silence(Duration),
    /// No member is asked. MongoDB elects by itself, after its election timeout.
    Off,
}

impl FailoverAfter {
    /// The shortest time. Below it, one late heartbeat would count as silence.
    pub const MIN: Duration = Duration::from_millis(500);
}

/// Whether blank tasks may become a new set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bootstrap {
    /// They may, when all expected tasks are shown to be blank.
    #[default]
    Auto,
    /// They may not, because there was a set before.
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
