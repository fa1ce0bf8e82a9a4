//! Server error codes, by number and never by text, and what follows from each.

use mongodb::error::ErrorKind;
use std::io;

/// `Unauthorized`: not logged in, or not allowed.
pub(super) const UNAUTHORIZED: i32 = 13;
/// `AuthenticationFailed`.
pub(super) const AUTHENTICATION_FAILED: i32 = 18;
/// `IllegalOperation`: of a catch-up it means that it is over.
pub(super) const ILLEGAL_OPERATION: i32 = 20;
/// `AlreadyInitialized`: somebody initiated before us.
pub(super) const ALREADY_INITIALIZED: i32 = 23;
/// `MaxTimeMSExpired`: of a reconfig it means installed, but not yet known to be committed.
pub(super) const MAX_TIME_EXPIRED: i32 = 50;
/// `NoReplicationEnabled`: runs without `--replSet`.
pub(super) const NO_REPLICATION: i32 = 76;
/// `ShutdownInProgress`.
pub(super) const SHUTTING_DOWN: i32 = 91;
/// `InvalidReplicaSetConfig`: of `replSetGetStatus` it means REMOVED.
pub(super) const INVALID_CONFIG: i32 = 93;
/// `NotYetInitialized`.
pub(super) const NOT_YET_INITIALIZED: i32 = 94;
/// `NewReplicaSetConfigurationIncompatible`.
pub(super) const INCOMPATIBLE_CONFIG: i32 = 103;
/// `ConfigurationInProgress`: another reconfig is under way.
pub(super) const CONFIG_IN_PROGRESS: i32 = 109;
/// `PrimarySteppedDown`.
pub(super) const STEPPED_DOWN: i32 = 189;
/// `UnknownFeatureCompatibilityVersion`: of a blank mongod it means that there is no database but `local`.
pub(super) const UNKNOWN_FEATURE_VERSION: i32 = 258;
/// `CurrentConfigNotCommittedYet`.
pub(super) const NOT_COMMITTED: i32 = 308;
/// `NotWritablePrimary`.
pub(super) const NOT_PRIMARY: i32 = 10107;
/// `InterruptedDueToReplStateChange`.
pub(super) const STATE_CHANGE: i32 = 11602;
/// `DuplicateKey`: of a lock it means that somebody else holds it.
pub(super) const DUPLICATE_KEY: i32 = 11000;

/// Why an admin command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with an error.
    #[error("{message} ({code_name}, {code})")]
    Server {
        /// Its number.
        code: i32,
        /// Its name.
        code_name: String,
        /// The server's words.
        message: String,
    },
    /// No answer in time. What became of the command is not known.
    #[error("no answer within {0} ms; what became of the command is not known")]
    Timeout(u128),
    /// The connection failed. What became of the command is not known.
    #[error("the connection failed")]
    Connection(#[source] mongodb::error::Error),
    /// A lock of somebody else stands where ours should be.
    #[error("another controller holds the lock")]
    LockHeld,
    /// Nothing was sent, because the observation that called for the command is too old. Its age is in milliseconds.
    #[error("the observation is {0} ms old; nothing was sent")]
    ObservationTooOld(u128),
    /// An answer that makes no sense.
    #[error("unreadable answer: {0}")]
    Unreadable(&'static str),
}

impl Error {
    /// Somebody else was quicker, or the moment was wrong: look again, nothing is amiss.
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

    /// 103: the config is out of date, or the server will not have it.
    pub fn is_incompatible(&self) -> bool {
        self.code() == Some(INCOMPATIBLE_CONFIG)
    }

    /// The server's number, if it gave one.
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

    /// A fixed word for logs and counters.
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

/// Code, name and words, where the server itself answered.
pub(super) fn server_error(error: &mongodb::error::Error) -> Option<(i32, String, String)> {
    match error.kind.as_ref() {
        ErrorKind::Command(e) => Some((e.code, e.code_name.clone(), e.message.clone())),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(e)) => {
            Some((e.code, e.code_name.clone().unwrap_or_default(), e.message.clone()))
        }
        _ => None,
    }
}

/// The kind of IO trouble below a driver error.
pub(super) fn io_kind(error: &mongodb::error::Error) -> Option<io::ErrorKind> {
    match error.kind.as_ref() {
        ErrorKind::Io(e) => Some(e.kind()),
        _ => None,
    }
}
