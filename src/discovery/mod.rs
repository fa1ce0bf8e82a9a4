//! Lists the tasks of a service by DNS.
//!
//! **Invariant:** an answer is a list of addresses to probe. It never proves which mongod is at an address. It proves
//! that a task is absent only if it came without trouble.
//!
//! **Invariant:** every question ends within [`QUESTION_LIMIT`], whatever the DNS server does.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod resolver;
mod service;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::model::{DnsTrouble, DnsTroubleKind, Family, Host, NameAnswer, TaskList};
use resolver::{Answer, Resolver};
use service::{Place, TASKS};
pub use service::{ServiceName, ServiceNameError};

/// The longest time that the question for one service or one name takes, with retries, fallbacks and SRV targets.
pub const QUESTION_LIMIT: Duration = Duration::from_secs(2);

/// Lists tasks and resolves host names. In production this is DNS; the tests have simulated ones.
///
/// Implementations can write plain `async fn`. Every method must end within a bound of its own.
pub trait Discovery: Sync {
    /// The tasks of all services.
    fn tasks(&self) -> impl Future<Output = TaskList> + Send;

    /// Whether the tasks differ from `seen` now. This is called much more often than [`Discovery::tasks`]. An
    /// implementation may ask for less, as long as it notices a task that comes or goes.
    fn differ(&self, seen: &TaskList) -> impl Future<Output = bool> + Send {
        async move { self.tasks().await != *seen }
    }

    /// The addresses of one host name, which is resolved as an absolute name.
    fn name(&self, name: &str) -> impl Future<Output = NameAnswer> + Send;
}

/// A service, with what was learnt about its DNS.
#[derive(Clone)]
struct Service {
    name: ServiceName,
    /// `tasks.NAME` has listed tasks, so this is a Swarm service, whose plain name may be a virtual IP.
    listed_by_swarm: Arc<AtomicBool>,
}

/// The DNS of a Docker Swarm, or any other DNS that lists tasks as addresses of `NAME` or as SRV records.
#[derive(Clone)]
pub struct SwarmDns {
    services: Vec<Service>,
    port: u16,
    resolver: Resolver,
}

impl SwarmDns {
    /// Asks `server`, or the servers of `/etc/resolv.conf` if it is `None`. Tasks listen on `port`, except for SRV
    /// records, which give the port. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`DiscoveryError`] if `/etc/resolv.conf` is unusable or the resolver cannot be set up.
    pub fn new(services: Vec<ServiceName>, port: u16, server: Option<SocketAddr>) -> Result<Self, DiscoveryError> {
        let resolver = match server {
            Some(server) => Resolver::with_server(server),
            None => Resolver::from_resolv_conf("/etc/resolv.conf".as_ref()),
        }?;
        let services = services.into_iter().map(|name| Service { name, listed_by_swarm: Arc::default() }).collect();
        Ok(Self { services, port, resolver })
    }

    /// The tasks of all services.
    async fn all(&self, only: Option<Family>) -> TaskList {
        let mut questions = JoinSet::new();
        for service in &self.services {
            questions.spawn(self.clone().service(service.clone(), only));
        }
        union(questions).await
    }

    /// The tasks of one service.
    async fn service(self, service: Service, only: Option<Family>) -> TaskList {
        let deadline = Instant::now() + QUESTION_LIMIT;
        match &service.name.0 {
            Place::Srv(name) => self.srv(name, only, deadline).await,
            Place::Name(name, port) => self.named(&service, name, port.unwrap_or(self.port), only, deadline).await,
            Place::Address(ip, port) => {
                let host = Host::ip(*ip, port.unwrap_or(self.port));
                TaskList { hosts: [host].into(), trouble: Vec::new() }
            }
        }
    }

    /// The tasks with this name. `tasks.NAME` comes first, because the plain name can be a virtual IP that hides the tasks.
    ///
    /// The plain name is asked if DNS answers that `tasks.NAME` does not exist. It is also asked if that question fails,
    /// because the DNS of a network without an upstream server fails for each name that it does not know. Docker answers
    /// both names from one table, so a service whose plain name is known, and whose `tasks.NAME` is not, is no Swarm
    /// service. But once `tasks.NAME` was answered, its failure is an outage.
    async fn named(
        &self,
        service: &Service,
        plain: &str,
        port: u16,
        only: Option<Family>,
        deadline: Instant,
    ) -> TaskList {
        let mut failure = None;
        for name in service.name.candidates() {
            let is_last = name == plain || service.listed_by_swarm.load(Ordering::Relaxed);
            let limit = if is_last { deadline } else { deadline - QUESTION_LIMIT / 2 };
            let answer = self.resolver.addresses(&name, only, limit).await;
            if !answer.addresses.is_empty() {
                service.listed_by_swarm.fetch_or(name.starts_with(TASKS), Ordering::Relaxed);
                return listed(&name, port, answer);
            }
            if answer != Answer::default() {
                failure.get_or_insert_with(|| listed(&name, port, answer));
                if is_last {
                    break;
                }
            }
        }
        failure.unwrap_or_else(|| no_such_service(plain))
    }

    /// The targets of an SRV name, each at its own port.
    async fn srv(self, name: &str, only: Option<Family>, deadline: Instant) -> TaskList {
        let (targets, trouble) = match self.resolver.targets(name, deadline).await {
            Ok(targets) if targets.is_empty() => return no_such_service(name),
            Ok(targets) => resolver::limited(targets),
            Err(kind) => (BTreeSet::new(), Some(kind)),
        };
        let mut questions = JoinSet::new();
        for (target, port) in targets {
            let dns = self.clone();
            questions.spawn(async move {
                match dns.resolver.addresses(&target, only, deadline).await {
                    answer if answer == Answer::default() => no_such_service(&target),
                    answer => listed(&target, port, answer),
                }
            });
        }
        let mut list = union(questions).await;
        list.trouble.extend(trouble.map(|kind| DnsTrouble { name: name.to_owned(), kind }));
        list
    }

    /// Whether a name leads to this address: a name of the service to this one among others, any other name to this one
    /// alone, of its family. Doubt is a no.
    pub async fn leads_to(&self, name: &str, ip: IpAddr) -> bool {
        let answer = self.resolver.addresses(name, None, Instant::now() + QUESTION_LIMIT).await;
        let is_own = |s: &Service| s.name.candidates().iter().any(|own| own.eq_ignore_ascii_case(name));
        let is_service = self.services.iter().any(is_own);
        let alike = answer.addresses.iter().filter(|found| found.is_ipv4() == ip.is_ipv4()).count();
        answer.addresses.contains(&ip) && (alike == 1 || is_service)
    }
}

impl Discovery for SwarmDns {
    async fn tasks(&self) -> TaskList {
        self.all(None).await
    }

    /// If all known addresses are of one family, only this family is asked for. Both would double the largest cost of
    /// an idle controller (measured). The next observation shows a first address of the other family.
    async fn differ(&self, seen: &TaskList) -> bool {
        match family_of(seen) {
            Some(family) if self.all(Some(family)).await == *seen => false,
            _ => self.tasks().await != *seen,
        }
    }

    async fn name(&self, name: &str) -> NameAnswer {
        let answer = self.resolver.addresses(name, None, Instant::now() + QUESTION_LIMIT).await;
        match answer.trouble.into_iter().next() {
            _ if !answer.addresses.is_empty() => NameAnswer::Addresses(answer.addresses),
            Some(kind) => NameAnswer::Trouble(DnsTrouble { name: name.to_owned(), kind }),
            None => NameAnswer::NoSuchName,
        }
    }
}

/// The family of all addresses of a list without trouble, if they are of one family.
fn family_of(list: &TaskList) -> Option<Family> {
    let family = |host: &Host| host.socket().map(|at| if at.is_ipv4() { Family::V4 } else { Family::V6 });
    let first = list.hosts.first().and_then(family)?;
    (list.is_good() && list.hosts.iter().all(|host| family(host) == Some(first))).then_some(first)
}

/// Merges the lists. The result does not depend on the order of the answers.
async fn union(mut questions: JoinSet<TaskList>) -> TaskList {
    let mut all = TaskList::default();
    while let Some(outcome) = questions.join_next().await {
        match outcome {
            Ok(list) => {
                all.hosts.extend(list.hosts);
                all.trouble.extend(list.trouble);
            }
            // No question is cancelled, so this is a bug of rsctl or of the resolver.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    all.trouble.sort();
    all.trouble.dedup();
    all
}

fn listed(name: &str, port: u16, answer: Answer) -> TaskList {
    TaskList {
        hosts: answer.addresses.into_iter().map(|ip| Host::ip(ip, port)).collect(),
        trouble: answer.trouble.into_iter().map(|kind| DnsTrouble { name: name.to_owned(), kind }).collect(),
    }
}

fn no_such_service(name: &str) -> TaskList {
    let trouble = vec![DnsTrouble { name: name.to_owned(), kind: DnsTroubleKind::NoSuchService }];
    TaskList { hosts: BTreeSet::new(), trouble }
}

/// Why the resolver cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The file with the DNS servers cannot be read.
    #[error("cannot read {path}; name a DNS server with --dns IP:PORT (RSCTL_DNS)")]
    Unreadable {
        /// The path of the file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The file names no DNS server, or it cannot be parsed.
    #[error("{path} names no usable DNS server; name one with --dns IP:PORT (RSCTL_DNS)")]
    Unusable {
        /// The path of the file.
        path: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The resolver rejects its settings.
    #[error("cannot set up the DNS resolver")]
    Resolver {
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
