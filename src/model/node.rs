//! What one mongod says about itself, or why it says nothing.

use super::{FeatureVersion, Host, MemberId, ReplConfig, SetName, WireVersion};
use bson::oid::ObjectId;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Everything one mongod told in one observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Which process answered: however many addresses lead to it, it counts once.
    pub process: ProcessId,
    /// The newest wire version it speaks.
    pub wire: WireVersion,
    /// The release that it behaves as. Only asked of a primary whose program may behave as an older one.
    pub feature: Option<FeatureVersion>,
    /// Its state in MongoDB's words, with the two that observation alike to a client told apart.
    pub state: NodeState,
    /// The set that its command line or its config names.
    pub set: Option<SetName>,
    /// Whom it takes for the primary.
    pub sees_primary: Option<Host>,
    /// The host name of the machine or container it runs in, without port.
    pub hostname: Option<String>,
    /// The config it stores.
    pub config: Option<ReplConfig>,
    /// Its complete data directory; none while it is blank or syncing.
    pub data: Option<DataId>,
    /// Whether it holds collections of users.
    pub user_data: UserData,
    /// Who is about to initiate through this node.
    pub lock: Option<Lock>,
    /// An operator wants this process out of the set: noted on the node itself, for every controller to see.
    pub marked_removed: bool,
    /// How it sees the other members.
    pub view: Option<SetView>,
    /// The newest entry of its oplog. Asked only of a REMOVED node, which tells it in no other way.
    pub oplog_end: Option<OpTime>,
}

impl Probe {
    /// A process in this state that tells nothing else: every other field is unknown. The start of every probe.
    pub fn new(process: ProcessId, wire: WireVersion, state: NodeState) -> Self {
        Self {
            process,
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
        // A node that has just started may not have looked at its oplog yet.
        let applied = self.view.as_ref().map(|view| view.applied).filter(|applied| applied.seconds > 0);
        applied.or(self.oplog_end)
    }
}

/// `topologyVersion.processId`: new with every start of a mongod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub ObjectId);

/// A state that a mongod can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// Has no config, stores none, and has no complete replica set data.
    Blank,
    /// Has a config that it is not (or no longer) part of.
    Removed,
    /// Runs without `--replSet`.
    Standalone,
    /// Loads its config.
    Startup,
    /// Takes writes.
    Primary,
    /// Follows the primary.
    Secondary,
    /// Cannot serve reads now.
    Recovering,
    /// Copies its data from another member.
    Startup2,
    /// Undoes writes that no majority has.
    Rollback,
    /// Votes only.
    Arbiter,
    /// Anything else that a peer reports: DOWN, UNKNOWN.
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
/// Unique per directory, stable over restarts and moves, absent while syncing, new after a wipe.
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
/// `--replSet` whose feature compatibility version is not known (258) has no database but `local`. The version is
/// written with the first other database and cannot be removed, a mongod that has other databases and no version does
/// not start (40652), and while blank it takes no writes elsewhere. Seen on 4.4.2, 5.0.4 and 6.0.5; in the server's
/// source it is `FeatureCompatibilityVersion::fassertInitializedAfterStartup`. The reverse proves nothing.
///
/// Of no use on a blank 4.4.2: `listDatabases`, `dbStats`, `listCollections` and `find` are refused outside `local`
/// (13436), `dbHash` aborts the server, `top` and the storage engine's numbers count what was used since the start,
/// and `local.startup_log` goes with `local`, as when a backup is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserData {
    /// Shown to hold none.
    None,
    /// Holds this many collections.
    Collections(u64),
    /// The server did not say. Unknown is not empty.
    Unknown,
}

/// A claim to initiate the set, kept in `local.rsctl` of every task that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Which controller claims.
    pub token: Token,
    /// The task that is to be initiated.
    pub seed: Host,
    /// The process that answered there.
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

/// A position in the oplog: compared by term first, then by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct OpTime {
    /// The election term of the write.
    pub term: i64,
    /// Seconds of its timestamp.
    pub seconds: u32,
    /// Counter within the second.
    pub counter: u32,
}

/// With the wall-clock time of the write, as the server wrote it down: `2025-11-21T12:40:11Z #3, term 4`.
impl fmt::Display for OpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = bson::DateTime::from_millis(i64::from(self.seconds) * 1000);
        let time = time.try_to_rfc3339_string().unwrap_or_else(|_| self.seconds.to_string());
        write!(f, "{time} #{}, term {}", self.counter, self.term)
    }
}

/// What `replSetGetStatus` of one node says about its set.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SetView {
    /// The newest election term it knows.
    pub term: i64,
    /// The newest write that a majority holds.
    pub committed: OpTime,
    /// The newest write that this node applied.
    pub applied: OpTime,
    /// The newest write that is in this node's journal; zero where it does not tell.
    pub durable: OpTime,
    /// Wall-clock time of that write in milliseconds since 1970.
    pub applied_wall_ms: Option<i64>,
    /// Whom it copies new writes from.
    pub sync_source: Option<Host>,
    /// How it sees each member, itself included.
    pub peers: BTreeMap<MemberId, Peer>,
}

impl SetView {
    /// This primary has committed something itself: before, it may know of less than its predecessor acknowledged.
    pub fn knows_commit_point(&self) -> bool {
        self.committed.term >= self.term
    }
}

/// One member in the eyes of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Whether the last heartbeat was answered.
    pub healthy: bool,
    /// Whether any heartbeat was answered, or failed. Before that it is not healthy, which says nothing of it.
    pub asked: bool,
    /// Time since a heartbeat of its own came in; none while none has.
    pub unheard_for: Option<Duration>,
    /// Its state.
    pub state: NodeState,
    /// The newest write it is known to have applied.
    pub applied: OpTime,
    /// Wall-clock time of that write in milliseconds since 1970, for lag.
    pub applied_wall_ms: Option<i64>,
    /// What the server says about trouble with it.
    pub message: Option<String>,
}

/// Why an address gave no answer. None of these means that the node is gone, or blank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Nothing listens there.
    #[error("refuses connections")]
    Refused,
    /// No answer in time.
    #[error("does not answer")]
    Timeout,
    /// The network says there is no way.
    #[error("cannot be reached ({0})")]
    Unreachable(String),
    /// It listens, but breaks off.
    #[error("closes the connection")]
    Closed,
    /// It shuts down (91).
    #[error("is shutting down")]
    ShuttingDown,
    /// It does not let our user ask this (13).
    #[error("does not let rsctl's user ask for `{0}`: give it the role that README shows under Login")]
    Denied(&'static str),
    /// It does not accept our login, or wants one (13, 18).
    #[error("refuses our login ({0}): check that --keyfile holds the key that mongod runs with")]
    Login(String),
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// Something that is no mongod, or that does not speak so that we can read it.
    #[error("does not answer as a mongod does ({0})")]
    NotMongod(String),
    /// Older than what can be kept safe.
    #[error("is {0}, and rsctl cannot keep anything before MongoDB 4.4 safe: upgrade it")]
    TooOld(WireVersion),
    /// A name that DNS does not know.
    #[error("has a name that DNS does not know")]
    NoSuchName,
    /// A name that DNS could not be asked about.
    #[error("has a name that DNS gives no answer for")]
    NameUnknown,
    /// A name with several addresses, such as a virtual IP or a round robin.
    #[error("has a name with {0} addresses, which cannot be a member's")]
    NameAmbiguous(usize),
    /// The server refused one of the questions.
    #[error("answers `{command}` with {code}: {message}")]
    Server {
        /// The question.
        command: &'static str,
        /// The server's error code.
        code: i32,
        /// The server's words.
        message: String,
    },
}

impl ProbeError {
    /// The process that was there has certainly stopped taking connections.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Refused | Self::Closed)
    }
}
