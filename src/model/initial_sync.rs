//! What a node tells of its initial sync.

use std::time::Duration;

/// The progress of an initial sync, as the server estimates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialSync {
    /// Bytes that are copied. At most `total`.
    pub copied: u64,
    /// Bytes that are to be copied. More than zero.
    pub total: u64,
    /// The time that is left.
    pub left: Option<Duration>,
}

/// Attempts at an initial sync that failed. After ten of them, mongod ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSyncs {
    /// How many of them there were.
    pub times: u32,
    /// Why the last one failed, in the server's words.
    pub reason: String,
}
