//! The requests of an operator.

use super::{DataId, EvidenceId, Host, SetName};
use std::fmt;

/// A member that an operator wants out of the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemovalTarget {
    /// The one at this address.
    At(Host),
    /// The one with this data directory, at any address.
    Holding(DataId),
}

/// A request to recover a set without a primary, on one evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// The evidence that the operator was shown. On other evidence nothing is done.
    pub evidence: EvidenceId,
    /// The name of the set whose loss of writes the operator accepts, as typed.
    pub accepts_loss_of: Option<SetName>,
}

/// How far a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It waits until the state is stable.
    Pending,
    /// It is being done. It is not begun again, whatever the outcome.
    Begun,
    /// It was done.
    Done,
    /// It was not done, for this reason.
    Dropped(String),
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Begun => f.write_str("begun"),
            Self::Done => f.write_str("done"),
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
        }
    }
}
