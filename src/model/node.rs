//! The answer of one mongod about itself, or the reason why it does not answer.

use super::{
    Event, FailedSyncs, FeatureVersion, Host, InitialSync, MemberId, PauseWord, ReplConfig, SetName, WireVersion,
};
use bson::oid::ObjectId;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Everything that one mongod answered in one observation.
///
/// **Invariant:** a node without a proof has no field but its claim that it is an arbiter: no config, no view and no
/// data. rsctl makes up its `process`, so that it is never merged with another node.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The process that answered. It counts once, even if several addresses lead to it.
    pub process: ProcessId,
    /// Whether the node proved that it knows the secret.
    pub proof: Proof,
    /// The newest wire version that the node supports.
    pub wire: WireVersion,
    /// The feature compatibility version, which is the release that the node behaves as. Only a primary is asked.
    pub feature: Option<FeatureVersion>,
    /// The node's state. Two states that look the same to a client, blank and removed, are different here.
    pub state: NodeState,
    /// The set that the node's command line or config names.
    pub set: Option<SetName>,
    /// The set that the node's command line names, or its configuration file. The node takes no config of another name.
    pub started_for: Option<SetName>,
    /// The member that the node considers the primary.
    pub sees_primary: Option<Host>,
    /// The host name of the node's machine or container, without a port.
    pub hostname: Option<String>,
    /// The config that the node stores.
    pub config: Option<ReplConfig>,
    /// The identity of the node's data directory. It is none while the directory is blank or in its initial sync.
    pub data: Option<DataId>,
    /// Whether the node holds user data.
    pub user_data: UserData,
    /// The bootstrap lock on the node.
    pub lock: Option<Lock>,
    /// An operator wants this process out of the set. The mark is on the node itself, so that every controller sees it.
    pub marked_removed: bool,
    /// The node's view of its set.
    pub view: Option<SetView>,
    /// The newest entry of the node's oplog. Only a REMOVED node is asked, because no other answer of such a node shows
    /// it.
    pub oplog_end: Option<OpTime>,
    /// How far back the node's oplog reaches. A member that is away for longer must copy all data again.
    pub oplog: Option<Duration>,
    /// The newest word about a pause that the node keeps.
    pub pause: Option<PauseWord>,
    /// The history that the node keeps.
    pub history: Option<Arc<[Event]>>,
}

impl Probe {
    /// A probe of a process in this state in which every other field is unknown. Every probe starts with it.
    pub fn new(process: ProcessId, wire: WireVersion, state: NodeState) -> Self {
        Self {
            process,
            proof: Proof::NotAsked,
            wire,
            feature: None,
            state,
            set: None,
            started_for: None,
            sees_primary: None,
            hostname: None,
            config: None,
            data: None,
            user_data: UserData::Unknown,
            lock: None,
            marked_removed: false,
            view: None,
            oplog_end: None,
            oplog: None,
            pause: None,
            history: None,
        }
    }

    /// The two set names, if the node was started for another set than its config names: first the name that it was
    /// started with.
    pub fn names_that_differ(&self) -> Option<(SetName, SetName)> {
        let (started, stored) = (self.started_for.clone()?, self.config.as_ref()?.set_name());
        (started != stored).then_some((started, stored))
    }

    /// The newest write that the node is known to hold.
    pub fn newest(&self) -> Option<OpTime> {
        // A node that has just started may not have read its oplog yet.
        let reported = self.view.as_ref().map(SetView::newest).filter(|newest| newest.seconds > 0);
        reported.or(self.oplog_end)
    }
}

/// Whether a node proved that it knows the secret, on the same connection as its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The node proved it by SCRAM-SHA-256, or by a certificate of the trusted authorities for its address.
    Secret,
    /// No login is configured. So no node is asked for a proof, and every node is trusted.
    NotAsked,
    /// The node gave no proof. An arbiter holds no users, so a login by user name and password is not possible there.
    /// An arbiter counts only if a member that proved itself has an arbiter at that address in its config.
    None,
}

/// The identity of a mongod process, `topologyVersion.processId`. It is new after every start of a mongod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub ObjectId);

/// A state that a mongod can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// The mongod stores no config, and has no complete replica set data.
    Blank,
    /// The mongod stores a config in which it is not a member, or no longer a member.
    Removed,
    /// The mongod runs without `--replSet`.
    Standalone,
    /// The mongod loads its config.
    Startup,
    /// The mongod takes writes.
    Primary,
    /// The mongod copies the primary's writes.
    Secondary,
    /// The mongod cannot serve reads now.
    Recovering,
    /// The mongod copies all data from another member (initial sync).
    Startup2,
    /// The mongod undoes writes that no majority has.
    Rollback,
    /// The mongod votes and holds no data.
    Arbiter,
    /// Any other state. For a peer it is a state such as DOWN or UNKNOWN. For a mongod itself it means that it is
    /// elected but does not take writes yet.
    Other,
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Blank => "BLANK",
            Self::Removed => "REMOVED",
            Self::Standalone => "STANDALONE",
            Self::Startup => "STARTUP",
            Self::Primary => "PRIMARY",
            Self::Secondary => "SECONDARY",
            Self::Recovering => "RECOVERING",
            Self::Startup2 => "STARTUP2",
            Self::Rollback => "ROLLBACK",
            Self::Arbiter => "ARBITER",
            Self::Other => "UNKNOWN",
        })
    }
}

/// The identity of a complete data directory: `local.replset.initialSyncId._id` (MongoDB 4.4 and later).
///
/// Each directory has its own identity. The identity survives restarts and address changes. It is absent during an
/// initial sync, and it is new after the directory was emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataId(pub bson::Uuid);

impl fmt::Display for DataId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DataId {
    type Err = bson::error::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        bson::Uuid::parse_str(text).map(Self)
    }
}

/// Whether a blank node holds user collections. Data in admin, config and local does not count.
///
/// `serverStatus.catalogStats` counts them (MongoDB 5.0 and later). Without it there is another proof: a mongod with
/// `--replSet` whose feature compatibility version is unknown (258) has no database but `local`. The server writes the
/// version with the first other database, and the version cannot be removed. A mongod that has other databases but no
/// version does not start (40652). A blank mongod takes no writes outside `local`. This was seen on 4.4.2, 5.0.4 and
/// 6.0.5. In the server's source it is `FeatureCompatibilityVersion::fassertInitializedAfterStartup`. The reverse is
/// not true: a known version does not prove user data.
///
/// Other commands do not help on a blank 4.4.2. The server refuses `listDatabases`, `dbStats`, `listCollections` and
/// `find` outside `local` (13436). `dbHash` aborts the server. `top` and the statistics of the storage engine count
/// only what was used since the start. `local.startup_log` disappears with `local`, for example when a backup is
/// restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserData {
    /// The node is proved to hold no user data.
    None,
    /// The node holds this many collections.
    Collections(u64),
    /// The node does not show whether it holds user data. Unknown does not mean empty.
    Unknown,
}

/// A bootstrap lock: the right of one controller to initiate the set. It is stored in `local.rsctl` of every task that
/// takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The controller that took the lock.
    pub token: Token,
    /// The task to initiate.
    pub seed: Host,
    /// The process that answered at the seed.
    pub seed_process: ProcessId,
}

/// The name of one run of one controller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub String);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in the oplog. The order compares terms first, then times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct OpTime {
    /// The election term of the write.
    pub term: i64,
    /// Seconds of the write's timestamp since 1970.
    pub seconds: u32,
    /// The counter of the write within its second.
    pub counter: u32,
}

/// Shows the wall-clock time of the write, by the server's clock: `2025-11-21T12:40:11Z #3, term 4`.
impl fmt::Display for OpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = bson::DateTime::from_millis(i64::from(self.seconds) * 1000);
        let time = time.try_to_rfc3339_string().unwrap_or_else(|_| self.seconds.to_string());
        write!(f, "{time} #{}, term {}", self.counter, self.term)
    }
}

/// The answer of one node to `replSetGetStatus`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SetView {
    /// The newest election term that the node knows.
    pub term: i64,
    /// The newest write that the node knows a majority to hold.
    pub committed: OpTime,
    /// The newest write that the node has applied. Decisions use [`SetView::newest`].
    pub applied: OpTime,
    /// The newest write in the node's oplog. It is none if the server does not report it.
    pub written: Option<OpTime>,
    /// The newest write in the node's journal. It is zero if the node does not report it.
    pub durable: OpTime,
    /// Wall-clock time of the newest applied write, in milliseconds since 1970.
    pub applied_wall_ms: Option<i64>,
    /// The member that the node copies new writes from.
    pub sync_source: Option<Host>,
    /// The attempts at an initial sync that failed since the node's start. It is none outside an initial sync.
    pub failed_syncs: Option<FailedSyncs>,
    /// How far the node's initial sync is. It is none outside an initial sync, and before the server knows the total.
    pub initial_sync: Option<InitialSync>,
    /// For how long the node is the primary, by its own clock.
    pub elected_for: Option<Duration>,
    /// The node's view of each member, itself included.
    pub peers: BTreeMap<MemberId, Peer>,
    /// The member that the node itself is, in its own config.
    pub me: Option<MemberId>,
}

impl SetView {
    /// Whether this primary has committed a write in its own term. Before that, it may know of fewer committed writes
    /// than the previous primary acknowledged.
    pub fn knows_commit_point(&self) -> bool {
        self.committed.term >= self.term
    }
}

/// One member's view of another member.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Whether the other member answered the last heartbeat.
    pub healthy: bool,
    /// Whether a heartbeat was sent, and was answered or failed. Before that, `healthy` is false and has no meaning.
    pub asked: bool,
    /// Time since the last heartbeat from the other member. It is none before the first one.
    pub unheard_for: Option<Duration>,
    /// The other member's state.
    pub state: NodeState,
    /// The newest write that the other member is known to have applied. Decisions use [`Peer::newest`].
    pub applied: OpTime,
    /// The newest write that is known to be in the other member's oplog. It is none if the server does not report it.
    pub written: Option<OpTime>,
    /// Wall-clock time of that write in milliseconds since 1970, used for lag.
    pub applied_wall_ms: Option<i64>,
    /// The server's message about an error with the other member.
    pub message: Option<String>,
}

/// Why an address gives no answer. None of these errors means that the node is gone, or blank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No process listens at the address.
    #[error("refuses connections")]
    Refused,
    /// No answer came in time.
    #[error("does not answer")]
    Timeout,
    /// The network has no route to the address.
    #[error("cannot be reached ({0})")]
    Unreachable(String),
    /// The node accepts connections and closes them.
    #[error("closes the connection")]
    Closed,
    /// The node accepted a new connection and closed it without an answer. A mongod at `maxConns` or a firewall does
    /// this. A process exists at the address.
    #[error("accepts connections and closes them (too many connections, a firewall, or it requires TLS)")]
    Dropped,
    /// The node is shutting down (91).
    #[error("is shutting down")]
    ShuttingDown,
    /// rsctl's user may not run this command (13).
    #[error("does not let rsctl's user ask for `{0}`: give it the role in docs/guides/login-and-tls.md")]
    Denied(&'static str),
    /// The node does not accept rsctl's login, or it requires a login (13, 18).
    #[error("refuses our login ({0}): check what rsctl logs in with (--keyfile, --x509 or --username)")]
    Login(String),
    /// The node was asked to prove that it knows the secret, and did not.
    #[error("does not prove that it knows the secret ({0}): nothing that it says counts")]
    Unproven(String),
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The process is no mongod, or rsctl cannot read its answers.
    #[error("does not answer as a mongod does ({0})")]
    NotMongod(String),
    /// The node is older than the oldest MongoDB that rsctl can keep safe.
    #[error("is {0}, and rsctl cannot keep anything before MongoDB 4.4 safe: upgrade it")]
    TooOld(WireVersion),
    /// Every machine means itself by the address, so it does not lead to the node.
    #[error("is an address by which every machine means itself")]
    Local,
    /// DNS does not know the node's name.
    #[error("has a name that DNS does not know")]
    NoSuchName,
    /// DNS gives no answer about the node's name.
    #[error("has a name that DNS gives no answer for")]
    NameUnknown,
    /// The node's name has several addresses that do not lead to one mongod, for example a virtual IP or a round robin.
    #[error(
        "has a name with {0} addresses that do not lead to one mongod: give each task a `hostname` of its own, or its \
         service `endpoint_mode: dnsrr`"
    )]
    NameAmbiguous(usize),
    /// rsctl itself failed to ask. The cause is a bug in rsctl or in a library, or a lack of memory or file
    /// descriptors.
    #[error("could not be asked, for rsctl failed ({0}): please report this")]
    Broken(String),
    /// The server refused a command.
    #[error("answers `{command}` with {code}: {message}")]
    Server {
        /// The command.
        command: &'static str,
        /// The server's error code.
        code: i32,
        /// The server's message.
        message: String,
    },
}

impl ProbeError {
    /// Whether the process at the address has stopped accepting connections.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Refused | Self::Closed)
    }
}
