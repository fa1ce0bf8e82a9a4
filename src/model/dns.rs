//! The answers of DNS, as values: the addresses of tasks, and why a list may be incomplete.
//!
//! **Invariant:** an outage never looks like an empty answer. Whatever could hide a task is in [`TaskList::trouble`].

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::Host;

/// The tasks that DNS lists for all services together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskList {
    /// Every address in an answer, once.
    pub hosts: BTreeSet<Host>,
    /// Empty when DNS gave a good answer for every service. While it is not empty, absence from `hosts` means nothing.
    pub trouble: Vec<DnsTrouble>,
}

impl TaskList {
    /// Whether DNS gave a good answer for every service. Only then absence from the list means something.
    pub fn is_good(&self) -> bool {
        self.trouble.is_empty()
    }

    /// Whether this address leads nowhere, because every machine means itself by it. If a task is listed under such an
    /// address, the controller runs on the machine of the tasks, and the address is as good as any.
    pub fn leads_nowhere(&self, host: &Host) -> bool {
        host.is_local() && !self.hosts.iter().any(Host::is_local)
    }
}

/// The answer of DNS about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameAnswer {
    /// At least one address. When DNS answered only one of A and AAAA, these are the addresses of that one. A mongod proves
    /// its identity by its own answer, so a missing family must not make names useless.
    Addresses(BTreeSet<IpAddr>),
    /// DNS answered, and the name has no address.
    NoSuchName,
    /// No answer that can be relied on.
    Trouble(DnsTrouble),
}

/// One question that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DnsTrouble {
    /// What was asked for, without the final dot.
    pub name: String,
    /// What went wrong.
    pub kind: DnsTroubleKind,
}

/// What went wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsTroubleKind {
    /// No answer in time.
    Timeout,
    /// The server failed to find an answer (SERVFAIL).
    ServFail,
    /// The server refuses to answer (REFUSED).
    Refused,
    /// DNS answered that no such service exists. That is no evidence that its tasks are gone.
    NoSuchService,
    /// The answer did not fit, not even over TCP.
    Truncated,
    /// More addresses than a replica set can have members. The rest was dropped.
    TooMany(usize),
    /// An address that no task can have (unspecified, multicast, broadcast). It was dropped.
    NotATask(IpAddr),
    /// DNS answered for one address family only. The listed addresses exist, but there may be more.
    Half {
        /// The family without an answer.
        unknown: Family,
        /// Why there is none.
        why: Box<DnsTroubleKind>,
    },
    /// Any other error, in the resolver's words.
    Other(String),
}

/// An address family, as DNS sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl DnsTroubleKind {
    /// The kind in one fixed word, for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ServFail => "servfail",
            Self::Refused => "refused",
            Self::NoSuchService => "no-such-service",
            Self::Truncated => "truncated",
            Self::TooMany(_) => "too-many",
            Self::NotATask(_) => "not-a-task",
            Self::Half { .. } => "half",
            Self::Other(_) => "other",
        }
    }
}

impl fmt::Display for DnsTroubleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time; a server that forwards unknown names looks the same"),
            Self::ServFail => f.write_str("the server failed (SERVFAIL); one that cannot forward unknown names does"),
            Self::Refused => f.write_str("the server refuses to answer (REFUSED)"),
            Self::NoSuchService => f.write_str("no such service"),
            Self::Truncated => f.write_str("the answer did not fit, over TCP either"),
            Self::TooMany(count) => write!(f, "{count} addresses are more than a replica set can have"),
            Self::NotATask(ip) => write!(f, "{ip} cannot be the address of a task"),
            Self::Half { unknown, why } => write!(f, "{unknown} addresses are unknown: {why}"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for DnsTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match &self.kind {
            DnsTroubleKind::NoSuchService => "check --service, that it runs, and that rsctl is on its network",
            DnsTroubleKind::TooMany(_) | DnsTroubleKind::NotATask(_) => "check what answers for this name",
            DnsTroubleKind::Half { .. } => "known tasks are used, none is taken for gone",
            DnsTroubleKind::Truncated => "allow TCP to the DNS server",
            DnsTroubleKind::Timeout | DnsTroubleKind::ServFail | DnsTroubleKind::Refused | DnsTroubleKind::Other(_) => {
                "check --service, the network and --dns"
            }
        };
        write!(f, "DNS for {}: {}; {advice}", self.name, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_reads_as_one_line_with_advice() {
        let why = Box::new(DnsTroubleKind::ServFail);
        for kind in [
            DnsTroubleKind::Timeout,
            DnsTroubleKind::NoSuchService,
            DnsTroubleKind::NotATask([0, 0, 0, 0].into()),
            DnsTroubleKind::Half { unknown: Family::V6, why },
        ] {
            let line = DnsTrouble { name: "tasks.mongo".into(), kind }.to_string();
            assert!(line.starts_with("DNS for tasks.mongo: "), "{line}");
            assert!(line.contains("; ") && !line.contains('\n'), "{line}");
        }
    }
}
