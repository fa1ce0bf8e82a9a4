//! What one mongod answers about itself, or why it does not answer.

use super::{FeatureVersion, Host, MemberId, ReplConfig, SetName, WireVersion};
use bson::oid::ObjectId;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Everything that one mongod answered in one observation.
///
/// **Invariant:** of a node without a proof nothing is told but that it calls itself an arbiter: no config, no view, no
/// data, and a `process` that rsctl made up, so that it is never merged with another.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The process that answered. It counts once, however many addresses lead to it.
    pub process: ProcessId,
    /// Whether it showed that it knows the secret.
    pub proof: Proof,
    /// The newest wire version that it supports.
    pub wire: WireVersion,
    /// The release that it behaves as. Only a primary that may behave as an older release is asked.
    pub feature: Option<FeatureVersion>,
    /// Its state. Two states that look the same to a client, blank and removed, are told apart.
    pub state: NodeState,
    /// The set that its command line or its config names.
    pub set: Option<SetName>,
    /// The member that it takes for the primary.
    pub sees_primary: Option<Host>,
    /// The host name of its machine or container, without a port.
    pub hostname: Option<String>,
    /// The config it stores.
    pub config: Option<ReplConfig>,
    /// Its data directory, once that is complete; none while it is blank or syncs.
    pub data: Option<DataId>,
    /// Whether it holds user data.
    pub user_data: UserData,
    /// The bootstrap lock on it.
    pub lock: Option<Lock>,
    /// An operator wants this process out of the set. The mark is on the node itself, so that every controller sees it.
    pub marked_removed: bool,
    /// Its view of its set.
    pub view: Option<SetView>,
    /// The newest entry of its oplog. Only a REMOVED node is asked, because it shows it in no other way.
    pub oplog_end: Option<OpTime>,
}

impl Probe {
    /// A process in this state that tells nothing else: every other field is unknown. The start of every probe.
    pub fn new(process: ProcessId, wire: WireVersion, state: NodeState) -> Self {
        Self {
            process,
            proof: Proof::NotAsked,
            wire,
            feature: None,
            state,
            set: None,
            sees_primary: None,
            hostname: None,
            config: None,
            data: None,
            user_data: UserData::Unknown,
            lock: None,
            marked_removed: false,
            view: None,
            oplog_end: None,
        }
    }

    /// The newest write that it is known to hold.
    pub fn newest(&self) -> Option<OpTime> {
        // A node that has just started may not have read its oplog yet.
        let applied = self.view.as_ref().map(|view| view.applied).filter(|applied| applied.seconds > 0);
        applied.or(self.oplog_end)
    }
}

/// Whether a node proved, on the very connection that it answered on, that it knows the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It did, by SCRAM-SHA-256.
    Secret,
    /// No login is configured, so nobody is asked for one, and everybody is believed.
    NotAsked,
    /// It did not. An arbiter holds no users, so nobody logs in to it by name and password: it is believed only where a
    /// member that proved itself has an arbiter at that address in its config.
    None,
}

/// `topologyVersion.processId`: new with every start of a mongod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub ObjectId);

/// A state that a mongod can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// It stores no config, and has no complete replica set data.
    Blank,
    /// It stores a config in which it is no member, or no longer one.
    Removed,
    /// It runs without `--replSet`.
    Standalone,
    /// It loads its config.
    Startup,
    /// It takes writes.
    Primary,
    /// It copies the primary's writes.
    Secondary,
    /// It cannot serve reads now.
    Recovering,
    /// It copies all data from another member (initial sync).
    Startup2,
    /// It undoes writes that no majority has.
    Rollback,
    /// It only votes.
    Arbiter,
    /// Any other state, such as DOWN and UNKNOWN of a peer; of a mongod itself: elected, and not taking writes yet.
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
/// Each directory has its own. It stays through restarts and moves, is absent during an initial sync, and is new after
/// the directory was emptied.
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

/// Whether a blank node holds collections of users; what is in admin, config and local does not count.
///
/// `serverStatus.catalogStats` counts them (MongoDB 5.0 and later). Without it there is another proof: a mongod with
/// `--replSet` whose feature compatibility version is unknown (258) has no database but `local`. The version is written
/// with the first other database and cannot be removed. A mongod with other databases and no version does not start
/// (40652), and a blank one takes no writes elsewhere. Seen on 4.4.2, 5.0.4 and 6.0.5; in the server's source it is
/// `FeatureCompatibilityVersion::fassertInitializedAfterStartup`. The reverse proves nothing.
///
/// Of no use on a blank 4.4.2: `listDatabases`, `dbStats`, `listCollections` and `find` are refused outside `local`
/// (13436), `dbHash` aborts the server, `top` and the storage engine's numbers count what was used since the start,
/// and `local.startup_log` goes with `local`, as when a backup is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserData {
    /// It is shown to hold none.
    None,
    /// It holds this many collections.
    Collections(u64),
    /// The server does not tell. Unknown is not empty.
    Unknown,
}

/// A bootstrap lock: the right of one controller to initiate the set, kept in `local.rsctl` of every task that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The controller that took it.
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

/// A position in the oplog. Terms are compared first, then times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct OpTime {
    /// The election term of the write.
    pub term: i64,
    /// Seconds of its timestamp.
    pub seconds: u32,
    /// Counter within the second.
    pub counter: u32,
}

/// With the wall-clock time of the write, by the server's clock: `2025-11-21T12:40:11Z #3, term 4`.
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
    /// The newest election term that it knows.
    pub term: i64,
    /// The newest write that it knows a majority to hold.
    pub committed: OpTime,
    /// The newest write that it has applied.
    pub applied: OpTime,
    /// The newest write that is in this node's journal; zero where it does not tell.
    pub durable: OpTime,
    /// Wall-clock time of that write in milliseconds since 1970.
    pub applied_wall_ms: Option<i64>,
    /// The member that it copies new writes from.
    pub sync_source: Option<Host>,
    /// Its view of each member, itself included.
    pub peers: BTreeMap<MemberId, Peer>,
}

impl SetView {
    /// This primary has committed a write in its own term. Before that, it may know of less than its predecessor
    /// acknowledged.
    pub fn knows_commit_point(&self) -> bool {
        self.committed.term >= self.term
    }
}

/// One member's view of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Whether the last heartbeat was answered.
    pub healthy: bool,
    /// Whether a heartbeat was sent, and answered or failed. Before that, `healthy` is false and says nothing.
    pub asked: bool,
    /// Time since a heartbeat of its own came in; none before the first one.
    pub unheard_for: Option<Duration>,
    /// Its state.
    pub state: NodeState,
    /// The newest write that it is known to have applied.
    pub applied: OpTime,
    /// Wall-clock time of that write in milliseconds since 1970, for lag.
    pub applied_wall_ms: Option<i64>,
    /// The server's words about an error with it.
    pub message: Option<String>,
}

/// Why an address gives no answer. None of these errors means that the node is gone, or blank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Nothing listens at the address.
    #[error("refuses connections")]
    Refused,
    /// No answer in time.
    #[error("does not answer")]
    Timeout,
    /// The network has no route to it.
    #[error("cannot be reached ({0})")]
    Unreachable(String),
    /// It accepts connections and closes them.
    #[error("closes the connection")]
    Closed,
    /// It accepted a new connection and closed it without an answer, as at `maxConns`, or behind a firewall. Something
    /// lives there.
    #[error("accepts connections and closes them (too many connections, or a firewall)")]
    Dropped,
    /// It is shutting down (91).
    #[error("is shutting down")]
    ShuttingDown,
    /// rsctl's user may not run this command (13).
    #[error("does not let rsctl's user ask for `{0}`: give it the role in docs/guides/login-and-tls.md")]
    Denied(&'static str),
    /// It does not accept rsctl's login, or requires one (13, 18).
    #[error("refuses our login ({0}): check that --keyfile holds the key that mongod runs with")]
    Login(String),
    /// It was asked to prove that it knows the secret, and did not.
    #[error("does not prove that it knows the secret ({0}): nothing that it says counts")]
    Unproven(String),
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// It is no mongod, or its answers cannot be read.
    #[error("does not answer as a mongod does ({0})")]
    NotMongod(String),
    /// It is older than the oldest MongoDB that rsctl can keep safe.
    #[error("is {0}, and rsctl cannot keep anything before MongoDB 4.4 safe: upgrade it")]
    TooOld(WireVersion),
    /// DNS does not know its name.
    #[error("has a name that DNS does not know")]
    NoSuchName,
    /// DNS gives no answer about its name.
    #[error("has a name that DNS gives no answer for")]
    NameUnknown,
    /// Its name has several addresses, such as a round robin.
    #[error("has a name with {0} addresses, which cannot be a member's")]
    NameAmbiguous(usize),
    /// rsctl itself failed to ask: a bug in it or in a library, or a lack of memory or file descriptors.
    #[error("could not be asked, for rsctl failed ({0}): please report this")]
    Broken(String),
    /// The server refused a command.
    #[error("answers `{command}` with {code}: {message}")]
    Server {
        /// The command.
        command: &'static str,
        /// The server's error code.
        code: i32,
        /// The server's words.
        message: String,
    },
}

impl ProbeError {
    /// The process at the address has stopped accepting connections.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Refused | Self::Closed)
    }
}
