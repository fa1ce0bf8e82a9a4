//! The server's error codes, and what follows from each. Errors are recognised by number, never by text.

use mongodb::error::ErrorKind;
use std::io;

/// `Unauthorized`: the connection has no login, or its user may not run the command.
pub(super) const UNAUTHORIZED: i32 = 13;
/// `AuthenticationFailed`.
pub(super) const AUTHENTICATION_FAILED: i32 = 18;
/// `IllegalOperation`: for `replSetAbortPrimaryCatchUp` it means that the catch-up is over.
pub(super) const ILLEGAL_OPERATION: i32 = 20;
/// `AlreadyInitialized`: the set was initiated before.
pub(super) const ALREADY_INITIALIZED: i32 = 23;
/// `MaxTimeMSExpired`: for a reconfig it means that the config is installed, but not yet known to be committed.
pub(super) const MAX_TIME_EXPIRED: i32 = 50;
/// `NoReplicationEnabled`: the mongod runs without `--replSet`.
pub(super) const NO_REPLICATION: i32 = 76;
/// `ShutdownInProgress`.
pub(super) const SHUTTING_DOWN: i32 = 91;
/// `InvalidReplicaSetConfig`: for `replSetGetStatus` it means that the node is REMOVED.
pub(super) const INVALID_CONFIG: i32 = 93;
/// `NotYetInitialized`.
pub(super) const NOT_YET_INITIALIZED: i32 = 94;
/// `NewReplicaSetConfigurationIncompatible`.
pub(super) const INCOMPATIBLE_CONFIG: i32 = 103;
/// `ConfigurationInProgress`: another reconfig is in progress.
pub(super) const CONFIG_IN_PROGRESS: i32 = 109;
/// `PrimarySteppedDown`.
pub(super) const STEPPED_DOWN: i32 = 189;
/// `UnknownFeatureCompatibilityVersion`: for a blank mongod it means that it has no database but `local`.
pub(super) const UNKNOWN_FEATURE_VERSION: i32 = 258;
/// `CurrentConfigNotCommittedYet`.
pub(super) const NOT_COMMITTED: i32 = 308;
/// `NotWritablePrimary`.
pub(super) const NOT_PRIMARY: i32 = 10107;
/// `InterruptedDueToReplStateChange`.
pub(super) const STATE_CHANGE: i32 = 11602;
/// A user of this name exists in this database. The server has no name for the number.
pub(super) const USER_EXISTS: i32 = 51003;
/// `DuplicateKey`: for a lock it means that another controller has it.
pub(super) const DUPLICATE_KEY: i32 = 11000;

/// Why an admin command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with an error.
    #[error("{message} ({code_name}, {code})")]
    Server {
        /// The error's number.
        code: i32,
        /// The error's name.
        code_name: String,
        /// The server's message.
        message: String,
    },
    /// No answer came in time. The outcome of the command is unknown.
    #[error("no answer within {0} ms; the outcome of the command is unknown")]
    Timeout(u128),
    /// The connection failed. The outcome of the command is unknown.
    #[error("the connection failed")]
    Connection(#[source] mongodb::error::Error),
    /// The node has another controller's lock.
    #[error("another controller holds the lock")]
    LockHeld,
    /// No command was sent, because the observation behind it is too old. The field is its age in milliseconds.
    #[error("the observation is {0} ms old; nothing was sent")]
    ObservationTooOld(u128),
    /// The answer has a field that is missing or has an unexpected type. The field names it.
    #[error("unreadable answer: {0}")]
    Unreadable(&'static str),
}

impl Error {
    /// Whether another process was faster, or the node was between two states. This is no fault, and the next
    /// observation shows what to do.
    pub fn is_lost_race(&self) -> bool {
        match self {
            Self::LockHeld => true,
            Self::Server { code, .. } => matches!(
                *code,
                ALREADY_INITIALIZED
                    | MAX_TIME_EXPIRED
                    | CONFIG_IN_PROGRESS
                    | NOT_COMMITTED
                    | NOT_PRIMARY
                    | STATE_CHANGE
                    | STEPPED_DOWN
                    | SHUTTING_DOWN
            ),
            Self::Timeout(_) | Self::Connection(_) | Self::ObservationTooOld(_) | Self::Unreadable(_) => false,
        }
    }

    /// Whether the error is 103: the config is out of date, or the server does not accept it.
    pub fn is_incompatible(&self) -> bool {
        self.code() == Some(INCOMPATIBLE_CONFIG)
    }

    /// Whether a user could not be created because it exists.
    pub fn is_user_there(&self) -> bool {
        self.code() == Some(USER_EXISTS)
    }

    /// The server's error number, if the server answered with an error.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Server { code, .. } => Some(*code),
            Self::Timeout(_)
            | Self::Connection(_)
            | Self::LockHeld
            | Self::ObservationTooOld(_)
            | Self::Unreadable(_) => None,
        }
    }

    /// A fixed name for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Server { .. } => "server",
            Self::Timeout(_) => "timeout",
            Self::Connection(_) => "connection",
            Self::LockHeld => "lock-held",
            Self::ObservationTooOld(_) => "observation-too-old",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl From<mongodb::error::Error> for Error {
    fn from(error: mongodb::error::Error) -> Self {
        match server_error(&error) {
            Some((code, code_name, message)) => Self::Server { code, code_name, message },
            None => Self::Connection(error),
        }
    }
}

/// Number, name and message of the error, if the server itself answered.
pub(super) fn server_error(error: &mongodb::error::Error) -> Option<(i32, String, String)> {
    match error.kind.as_ref() {
        ErrorKind::Command(e) => Some((e.code, e.code_name.clone(), e.message.clone())),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(e)) => {
            Some((e.code, e.code_name.clone().unwrap_or_default(), e.message.clone()))
        }
        _ => None,
    }
}

/// The kind of the IO error inside a driver error.
pub(super) fn io_kind(error: &mongodb::error::Error) -> Option<io::ErrorKind> {
    match error.kind.as_ref() {
        ErrorKind::Io(e) => Some(e.kind()),
        _ => None,
    }
}
