//! What DNS said, as values: the addresses of tasks, and why a list may be short.
//!
//! **Invariant:** an outage is never told as an empty answer; whatever could hide a task is in [`TaskList::trouble`].

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::Host;

/// The tasks that DNS lists for all services together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskList {
    /// Every address that was given, once.
    pub hosts: BTreeSet<Host>,
    /// Empty when every service gave a good answer. While it is not, absence from `hosts` means nothing.
    pub trouble: Vec<DnsTrouble>,
}

impl TaskList {
    /// Whether DNS answered well for every service: only then is absence from the list worth a thought.
    pub fn is_good(&self) -> bool {
        self.trouble.is_empty()
    }
}

/// What DNS said about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameAnswer {
    /// At least one address. When only one of A and AAAA could be learned, what was learned stands here: who a
    /// mongod is gets proven by asking it, so one unanswered family must not make names useless.
    Addresses(BTreeSet<IpAddr>),
    /// DNS answered, and the name has no address.
    NoSuchName,
    /// No answer to build on.
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

/// What can go wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsTroubleKind {
    /// No answer in time.
    Timeout,
    /// The server could not find out (SERVFAIL).
    ServFail,
    /// The server will not tell (REFUSED).
    Refused,
    /// DNS answered, and no such service exists: an answer, but no evidence that its tasks are gone.
    NoSuchService,
    /// The answer did not fit, over TCP either.
    Truncated,
    /// More addresses than any replica set could have; the rest was dropped.
    TooMany(usize),
    /// An address that no task can have (unspecified, multicast, broadcast); it was dropped.
    NotATask(IpAddr),
    /// One address family was answered, the other was not: what is listed exists, but there may be more.
    Half {
        /// The family that stays unknown.
        unknown: Family,
        /// Why it does.
        why: Box<DnsTroubleKind>,
    },
    /// Anything else, in the resolver's words.
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
    /// A short fixed word for logs and counters.
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
