//! What is wrong with certificates, or soon will be.

use super::{Severity, list};
use crate::model::{Host, UnixSeconds};
use std::fmt;
use std::time::Duration;

/// An operator must know of a certificate that expires within this time,
const SOON: Duration = Duration::from_secs(30 * 86_400);
/// and must act within this time.
const NOW: Duration = Duration::from_secs(7 * 86_400);

/// Something about a certificate that an operator should know or do.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateTrouble {
    /// A certificate expires, or has expired.
    Expires {
        /// Whose it is.
        whose: Whose,
        /// Its last second.
        until: UnixSeconds,
        /// How near that is.
        urgency: Urgency,
    },
    /// A certificate is not valid yet.
    Early {
        /// Whose it is.
        whose: Whose,
        /// Its first second.
        from: UnixSeconds,
    },
    /// A file for TLS is not usable.
    Unusable {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
        /// Whether what it held before stays in use.
        keeps_old: bool,
    },
}

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Whose {
    /// The one of rsctl, in this file.
    Controller(String),
    /// The authorities in this file.
    Authorities(String),
    /// The one of these members.
    Members(Vec<Host>),
}

/// How near the end of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Within 30 days.
    Soon,
    /// Within seven days.
    Now,
    /// It has expired.
    Late,
}

impl Urgency {
    /// The urgency of a certificate that is valid for this time. `None` if it is none.
    pub fn of(left: Duration) -> Option<Self> {
        (left <= SOON).then_some(if left <= NOW { Self::Now } else { Self::Soon })
    }
}

impl CertificateTrouble {
    pub(super) fn severity(&self) -> Severity {
        match self {
            Self::Expires { urgency: Urgency::Soon, .. } => Severity::Warning,
            Self::Expires { urgency: Urgency::Now | Urgency::Late, .. }
            | Self::Early { .. }
            | Self::Unusable { .. } => Severity::Error,
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller(file) => write!(f, "the certificate of rsctl ({file})"),
            Self::Authorities(file) => write!(f, "the certificate of the authority ({file})"),
            Self::Members(hosts) => write!(f, "the certificate of {}", list(hosts)),
        }
    }
}

impl fmt::Display for CertificateTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expires { whose, until, urgency: Urgency::Late } => {
                write!(f, "{whose} expired at {until}, and new connections fail: renew it")
            }
            Self::Expires { whose, until, .. } => write!(f, "{whose} expires at {until}: renew it before"),
            Self::Early { whose, from } => {
                write!(f, "{whose} is not valid before {from}: check the clocks, or give it another one")
            }
            Self::Unusable { file, reason, keeps_old } => {
                let old = if *keeps_old { ", so rsctl goes on with what it held before" } else { "" };
                write!(f, "{file} {reason}{old}: give rsctl another one")
            }
        }
    }
}
