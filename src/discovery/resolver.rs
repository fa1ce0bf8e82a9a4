//! Asks DNS one question and keeps answers apart from failures. This is the only file that uses the hickory crates.
//!
//! **Invariant:** nothing is cached, no hosts file is read, and no search list is used, because each of them turns an
//! outage into an answer. Swarm's DNS gives its answers a TTL of ten minutes, but they can be wrong after one minute.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use tokio::time::{Instant, timeout_at};

use super::DiscoveryError;
use crate::model::{DnsTroubleKind, Family};
use crate::panics::contained;

/// The most addresses that are taken from one answer. A replica set has at most 50 members, so a list that is several
/// times as long is not a list of its tasks.
pub(super) const ADDRESSES_MAX: usize = 256;

/// The time-out of one attempt. Swarm's DNS server runs on the same host and answers within a millisecond.
const TRY_TIMEOUT: Duration = Duration::from_millis(500);

/// How many times a question is repeated after the first attempt.
const RETRIES: usize = 1;

/// The addresses of one name, and the trouble that may hide more. An empty answer without trouble means that DNS
/// answered that the name has no addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) trouble: Vec<DnsTroubleKind>,
}

/// Asks DNS. It caches no answers.
#[derive(Clone)]
pub(super) struct Resolver(TokioResolver);

impl Resolver {
    pub(super) fn with_server(server: SocketAddr) -> Result<Self, DiscoveryError> {
        let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        connections.iter_mut().for_each(|c| c.port = server.port());
        Self::build(vec![NameServerConfig::new(server.ip(), true, connections)])
    }

    pub(super) fn from_resolv_conf(path: &Path) -> Result<Self, DiscoveryError> {
        let shown = path.display().to_string();
        let text = std::fs::read(path).map_err(|source| DiscoveryError::Unreadable { path: shown.clone(), source })?;
        let (config, _) =
            parse_resolv_conf(text).map_err(|e| DiscoveryError::Unusable { path: shown, source: Box::new(e) })?;
        let mut servers = config.name_servers().to_vec();
        // With several servers, one that does not know Swarm's names must not override the one that knows them.
        servers.iter_mut().for_each(|s| s.trust_negative_responses = false);
        Self::build(servers)
    }

    fn build(servers: Vec<NameServerConfig>) -> Result<Self, DiscoveryError> {
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options: &mut ResolverOpts = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = TRY_TIMEOUT;
        options.attempts = RETRIES;
        options.edns0 = false;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        builder.build().map(Self).map_err(|e| DiscoveryError::Resolver { source: Box::new(e) })
    }

    /// The addresses of a name. With `only`, one family is asked for. Without it, both are asked for concurrently, and
    /// each answer is judged on its own.
    pub(super) async fn addresses(&self, name: &str, only: Option<Family>, deadline: Instant) -> Answer {
        let of = |family| async move { self.ask(name, record(family), deadline).await.map(ips) };
        let (found, trouble) = match only {
            Some(family) => of(family).await.map_or_else(|why| (BTreeSet::new(), vec![why]), |all| (all, Vec::new())),
            None => {
                let (v4, v6) = tokio::join!(of(Family::V4), of(Family::V6));
                both(v4, v6)
            }
        };
        usable(found, trouble)
    }

    /// The targets of an SRV name with their ports. Priorities and weights are ignored, because every target is a task.
    pub(super) async fn targets(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<BTreeSet<(String, u16)>, DnsTroubleKind> {
        self.ask(name, RecordType::SRV, deadline).await.map(srv_targets)
    }

    /// The records of one type. An empty list means that DNS answered that there are none.
    async fn ask(&self, name: &str, kind: RecordType, deadline: Instant) -> Result<Vec<RData>, DnsTroubleKind> {
        let mut absolute = Name::from_ascii(name).map_err(|e| DnsTroubleKind::Other(format!("not a DNS name: {e}")))?;
        absolute.set_fqdn(true);
        match timeout_at(deadline, contained(self.0.lookup(absolute, kind))).await {
            Ok(Err(panic)) => Err(DnsTroubleKind::Other(panic.to_string())),
            Ok(Ok(Ok(lookup))) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
            Ok(Ok(Err(error))) => judge(error),
            Err(_) => Err(DnsTroubleKind::Timeout),
        }
    }
}

/// Separates the answer "no records" from a failure. The resolver reports both as errors.
pub(super) fn judge(error: NetError) -> Result<Vec<RData>, DnsTroubleKind> {
    let by_code = |code| match code {
        ResponseCode::NXDomain | ResponseCode::NoError => Ok(Vec::new()),
        ResponseCode::ServFail => Err(DnsTroubleKind::ServFail),
        ResponseCode::Refused => Err(DnsTroubleKind::Refused),
        code => Err(DnsTroubleKind::Other(format!("the server answers {code}"))),
    };
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => by_code(none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => by_code(code),
        NetError::Timeout => Err(DnsTroubleKind::Timeout),
        NetError::Truncated => Err(DnsTroubleKind::Truncated),
        error => Err(DnsTroubleKind::Other(error.to_string())),
    }
}

/// The addresses of both families, as far as they were answered.
pub(super) fn both(
    v4: Result<BTreeSet<IpAddr>, DnsTroubleKind>,
    v6: Result<BTreeSet<IpAddr>, DnsTroubleKind>,
) -> (BTreeSet<IpAddr>, Vec<DnsTroubleKind>) {
    match (v4, v6) {
        (Ok(v4), Ok(v6)) => (&v4 | &v6, Vec::new()),
        (Ok(found), Err(why)) => half(found, Family::V6, why),
        (Err(why), Ok(found)) => half(found, Family::V4, why),
        (Err(why), Err(_)) => (BTreeSet::new(), vec![why]),
    }
}

/// The answer with these addresses, without those that no task can have, and without those above the limit.
pub(super) fn usable(found: BTreeSet<IpAddr>, mut trouble: Vec<DnsTroubleKind>) -> Answer {
    let (tasks, unusable): (BTreeSet<_>, BTreeSet<_>) = found.into_iter().partition(could_be_a_task);
    trouble.extend(unusable.first().copied().map(DnsTroubleKind::NotATask));
    let (addresses, too_many) = limited(tasks);
    trouble.extend(too_many);
    Answer { addresses, trouble }
}

/// Only one family was answered. If that answer has no addresses, nothing is known about the name.
fn half(found: BTreeSet<IpAddr>, unknown: Family, why: DnsTroubleKind) -> (BTreeSet<IpAddr>, Vec<DnsTroubleKind>) {
    let kind = if found.is_empty() { why } else { DnsTroubleKind::Half { unknown, why: Box::new(why) } };
    (found, vec![kind])
}

fn record(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

pub(super) fn ips(records: Vec<RData>) -> BTreeSet<IpAddr> {
    let ip = |data| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        // `::ffff:10.0.0.1` is the same address as 10.0.0.1. It must not look like a second address of the task.
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0).to_canonical()),
        _ => None,
    };
    records.into_iter().filter_map(ip).collect()
}

/// The targets of SRV records with their ports. Two records of one target are one.
pub(super) fn srv_targets(records: Vec<RData>) -> BTreeSet<(String, u16)> {
    let target = |data| match data {
        // The root as the target means that the service is not available at this domain (RFC 2782).
        RData::SRV(srv) if !srv.target.is_root() => {
            Some((srv.target.to_ascii().trim_end_matches('.').to_owned(), srv.port))
        }
        _ => None,
    };
    records.into_iter().filter_map(target).collect()
}

pub(super) fn could_be_a_task(ip: &IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}

/// The first [`ADDRESSES_MAX`] in sorted order, which is the same for every controller.
pub(super) fn limited<T: Ord>(found: BTreeSet<T>) -> (BTreeSet<T>, Option<DnsTroubleKind>) {
    let count = found.len();
    let trouble = (count > ADDRESSES_MAX).then_some(DnsTroubleKind::TooMany(count));
    (found.into_iter().take(ADDRESSES_MAX).collect(), trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_about_a_missing_resolv_conf_names_the_file_and_the_flag() {
        let error = Resolver::from_resolv_conf("/nonexistent/resolv.conf".as_ref()).err().unwrap().to_string();
        assert!(error.contains("/nonexistent/resolv.conf") && error.contains("--dns"), "{error}");
    }

    #[test]
    fn the_error_about_a_resolv_conf_without_servers_names_the_file_and_the_flag() {
        let file = std::env::temp_dir().join(format!("rsctl-resolv-{}.conf", std::process::id()));
        std::fs::write(&file, "search example.org\noptions ndots:0\n").unwrap();
        let error = Resolver::from_resolv_conf(&file).err().unwrap().to_string();
        std::fs::remove_file(&file).unwrap();
        assert!(error.contains("rsctl-resolv-") && error.contains("--dns"), "{error}");
    }

    #[test]
    fn addresses_that_no_host_can_have_are_no_tasks() {
        for ip in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            assert!(!could_be_a_task(&ip.parse().unwrap()), "{ip}");
        }
        for ip in ["10.0.1.5", "127.0.0.2", "fd00::5"] {
            assert!(could_be_a_task(&ip.parse().unwrap()), "{ip}");
        }
    }
}
