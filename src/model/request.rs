//! The requests of an operator.

use super::{DataId, EvidenceId, Host, ProcessId, SetName};
use std::fmt;
use std::time::Duration;

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

/// A switchover that an operator requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchoverRequest {
    /// The primary that must give way. The request is done when another process leads.
    pub from: ProcessId,
    /// The member that must lead. `None` means the best one.
    pub to: Option<Host>,
    /// For how long the request has waited.
    pub age: Duration,
}

/// The number of a request for a switchover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchoverId(pub u64);

/// How far a request for a switchover is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchoverState {
    /// It is not done yet.
    Pending,
    /// It could be done. The operator only wanted to know.
    Possible {
        /// The member that would lead.
        to: Host,
        /// A member to which MongoDB would give the lead back, because of its priority.
        outranked_by: Option<Host>,
    },
    /// Another member leads.
    Done {
        /// That member.
        primary: Host,
        /// From the order to it until it led. `None` if it led without an order of this controller.
        within: Option<Duration>,
        /// A member to which MongoDB gives the lead back, because of its priority.
        outranked_by: Option<Host>,
    },
    /// Nobody can take over, for this reason.
    Refused(String),
    /// It was not done in time, for this reason.
    Dropped(String),
}

impl fmt::Display for SwitchoverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takeover = |host: &Option<Host>| match host {
            Some(host) => format!("; MongoDB will make {host} the primary again, because its priority is higher"),
            None => String::new(),
        };
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Possible { to, outranked_by } => write!(f, "possible: step up {to}{}", takeover(outranked_by)),
            Self::Done { primary, within: Some(within), outranked_by } => {
                let ms = within.as_millis();
                write!(f, "done: {primary} leads, after at most {ms} ms without a primary{}", takeover(outranked_by))
            }
            Self::Done { primary, within: None, outranked_by } => {
                write!(f, "done: {primary} leads{}", takeover(outranked_by))
            }
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
        }
    }
}
