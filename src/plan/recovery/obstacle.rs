//! The reasons why rsctl cannot bring back a set without a primary now.

use super::super::reason::list;
use super::super::{Finding, LintFault};
use crate::model::{DnsTrouble, Host, NodeState, ProbeError};
use std::fmt;

/// One reason why rsctl cannot recover a set. Its text says what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Obstacle {
    /// A finding describes the reason.
    Finding(Finding),
    /// No mongod shows a config of the set.
    NoConfig,
    /// A node does not answer, and no config is known.
    Silent {
        /// The node.
        host: Host,
        /// Why the node gives no answer.
        error: ProbeError,
    },
    /// DNS gives no good answer.
    Dns(DnsTrouble),
    /// A mongod still names a primary, which may be alive.
    NamesPrimary {
        /// The mongod.
        host: Host,
        /// The primary.
        primary: Host,
    },
    /// A mongod is about to reach another state, and may show more then.
    Unsettled {
        /// The mongod.
        host: Host,
        /// The mongod's state.
        state: NodeState,
    },
    /// A voter answers another member, but not rsctl.
    AnswersOthers {
        /// The voter.
        host: Host,
        /// The other member.
        other: Host,
    },
    /// A process exists at an address, and it may be a member with newer writes.
    Unreadable {
        /// The address.
        host: Host,
        /// What the process answers.
        error: ProbeError,
    },
    /// The name that a moved voter reports does not resolve to it.
    NameMustResolve {
        /// The voter's address.
        host: Host,
    },
    /// A voter answers at another member's address, which a forced reconfig cannot change.
    AtAnotherMember {
        /// That address.
        host: Host,
    },
    /// No directory that is found belongs to a member that can become primary.
    NoLeader,
    /// The server refuses a config without the arbiters.
    ArbiterNeeded {
        /// The arbiters that are missing.
        hosts: Vec<Host>,
    },
    /// The config to force does not pass rsctl's own checks: a bug in rsctl.
    Internal(LintFault),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finding(finding) => finding.fmt(f),
            Self::NoConfig => f.write_str("no mongod shows a config of this set"),
            Self::Silent { host, error } => write!(f, "{host} {error}"),
            Self::Dns(trouble) => trouble.fmt(f),
            Self::NamesPrimary { host, primary } => {
                write!(f, "{host} still names {primary} as primary: there may be one that rsctl cannot see")
            }
            Self::Unsettled { host, state } => write!(f, "{host} is {state}: wait until it is SECONDARY, or stop it"),
            Self::AnswersOthers { host, other } => write!(f, "{host} answers {other}, but not rsctl: it is not lost"),
            Self::Unreadable { host, error } => write!(f, "{host} {error}: it is unknown what it holds"),
            Self::NameMustResolve { host } => write!(f, "the host name that {host} reports must resolve to it first"),
            Self::AtAnotherMember { host } => write!(
                f,
                "{host} answers at another member's address, which a force cannot change: start it at a new address \
                 first"
            ),
            Self::NoLeader => f.write_str("no data directory that is found could lead: bring one back"),
            Self::ArbiterNeeded { hosts } => write!(
                f,
                "the server does not let the arbiter {} be removed: start an empty mongod in its place, and it votes \
                 again",
                list(hosts)
            ),
            Self::Internal(fault) => {
                write!(f, "bug in rsctl: the config to force must not be sent ({fault}): please report it")
            }
        }
    }
}
