//! Where mongods are, as the operator writes it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::model::Host;

/// One item of `--service`: a service or host whose tasks DNS lists (`mongo`, `tasks.mongo`, `mongo1:27018`), SRV records
/// (`_mongodb._tcp.mongo.example` or `mongodb+srv://mongo.example`), or the address of one mongod (`10.0.0.5`,
/// `[fd00::5]:27018`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceName(pub(super) Place);

/// What a service name asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The addresses of a name. Without a port, the tasks listen on the port of all nodes.
    Name(String, Option<u16>),
    /// The SRV records of a name. They have the ports.
    Srv(String),
    /// One mongod. No DNS is asked.
    Address(IpAddr, Option<u16>),
}

impl ServiceName {
    /// The names whose addresses are asked for, in this order. `tasks.NAME` lists the tasks even if `NAME` is a virtual
    /// IP.
    pub(super) fn candidates(&self) -> Vec<String> {
        match &self.0 {
            // `tasks.tasks.mongo` would cost a time-out on hosts whose DNS forwards unknown names to a server that never
            // answers.
            Place::Name(name, _) if name.starts_with(TASKS) => vec![name.clone()],
            Place::Name(name, _) => vec![format!("{TASKS}{name}"), name.clone()],
            Place::Srv(_) | Place::Address(..) => Vec::new(),
        }
    }
}

impl ServiceName {
    /// The Swarm node in the host name of a task, if that is `SERVICE-NODE`, as `deploy/swarm` has it. A number is the slot
    /// of a replicated task, and names no node.
    pub fn node_of<'h>(&self, host: &'h Host) -> Option<&'h str> {
        let Place::Name(service, _) = &self.0 else { return None };
        let service = service.strip_prefix(TASKS).unwrap_or(service);
        let without_stack = service.rsplit_once('_').map_or(service, |(_, name)| name);
        let name = host.name()?;
        let mut nodes = [service, without_stack].into_iter().filter_map(|s| name.strip_prefix(s)?.strip_prefix('-'));
        nodes.find(|node| !node.is_empty() && !node.bytes().all(|b| b.is_ascii_digit()))
    }
}

/// What Swarm puts before the name of a service, to list its tasks.
pub(super) const TASKS: &str = "tasks.";

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Name(name, None) | Place::Srv(name) => f.write_str(name),
            Place::Name(name, Some(port)) => write!(f, "{name}:{port}"),
            Place::Address(ip, None) => ip.fmt(f),
            Place::Address(ip, Some(port)) => Host::ip(*ip, *port).fmt(f),
        }
    }
}

/// The text names no mongods, or in a way that can never work. The text of the error says what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ServiceNameError(pub &'static str);

const NAME: ServiceNameError = ServiceNameError(
    "a service or host such as mongo or mongo1:27017, an address, or an SRV name, each without spaces",
);
const SRV: ServiceNameError =
    ServiceNameError("an SRV name with its service, protocol and domain, such as _mongodb._tcp.mongo.example");
const SRV_PORT: ServiceNameError = ServiceNameError("an SRV name without a port, because its records have the ports");
const URI: ServiceNameError = ServiceNameError(
    "hosts without a scheme and a database, such as mongo1:27017,mongo2:27017; rsctl makes the URI from them",
);
const SRV_URI: ServiceNameError =
    ServiceNameError("mongodb+srv://NAME without a user, a port, a database and options; rsctl has settings for them");
const PORT: ServiceNameError = ServiceNameError("a port from 1 to 65535 after the colon");
const IPV6: ServiceNameError =
    ServiceNameError("an IPv6 address, with a port in brackets and without a zone: fd00::5 or [fd00::5]:27017");
const ADDRESS: ServiceNameError = ServiceNameError("an address that one mongod can have, such as 10.0.0.5");
const LOCALHOST: ServiceNameError =
    ServiceNameError("a name or an address that leads to the mongod from every machine, which localhost does not");

impl FromStr for ServiceName {
    type Err = ServiceNameError;

    fn from_str(text: &str) -> Result<Self, ServiceNameError> {
        if let Some(name) = text.strip_prefix("mongodb+srv://") {
            let name = dns_name(name.strip_suffix('/').unwrap_or(name)).map_err(|_| SRV_URI)?;
            return Ok(Self(Place::Srv(format!("_mongodb._tcp.{name}"))));
        }
        if text.contains("://") || text.contains('@') {
            return Err(URI);
        }
        if let Ok(ip) = text.parse() {
            return address(ip, None);
        }
        if text.starts_with('[') || text.matches(':').count() > 1 {
            let (ip, rest) = text.strip_prefix('[').and_then(|t| t.split_once(']')).ok_or(IPV6)?;
            let ip: std::net::Ipv6Addr = ip.parse().map_err(|_| IPV6)?;
            return match rest.strip_prefix(':') {
                None if rest.is_empty() => address(ip.into(), None),
                Some(digits) => address(ip.into(), Some(port(digits)?)),
                None => Err(IPV6),
            };
        }
        let (name, digits) = text.split_once(':').map_or((text, None), |(name, digits)| (name, Some(digits)));
        if name.starts_with('_') {
            return if digits.is_some() { Err(SRV_PORT) } else { srv(name) };
        }
        let port = digits.map(port).transpose()?;
        if let Ok(ip) = name.parse() {
            return address(ip, port);
        }
        let name = dns_name(name)?;
        let numbers = name.split('.').all(|label| label.bytes().all(|b| b.is_ascii_digit()));
        match name {
            name if numbers && name.contains('.') => Err(ADDRESS),
            name if name.eq_ignore_ascii_case("localhost") => Err(LOCALHOST),
            name => Ok(Self(Place::Name(name.to_owned(), port))),
        }
    }
}

fn port(digits: &str) -> Result<u16, ServiceNameError> {
    digits.parse().ok().filter(|port| *port > 0).ok_or(PORT)
}

fn address(ip: IpAddr, port: Option<u16>) -> Result<ServiceName, ServiceNameError> {
    let ip = ip.to_canonical();
    if super::resolver::could_be_a_task(&ip) { Ok(ServiceName(Place::Address(ip, port))) } else { Err(ADDRESS) }
}

fn srv(name: &str) -> Result<ServiceName, ServiceNameError> {
    let name = dns_name(name).map_err(|_| SRV)?;
    let mut labels = name.split('.').skip(1);
    let is_srv = labels.next().is_some_and(|label| label.starts_with('_')) && labels.next().is_some();
    if is_srv { Ok(ServiceName(Place::Srv(name.to_owned()))) } else { Err(SRV) }
}

/// A DNS name without its final dot. `tasks.` or `_mongodb._tcp.` must still fit into its 253 characters.
fn dns_name(text: &str) -> Result<&str, ServiceNameError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |l: &str| (1..=63).contains(&l.len()) && l.chars().all(allowed);
    let fits = name.len() <= 253 - "_mongodb._tcp.".len();
    if fits && name.split('.').all(label) { Ok(name) } else { Err(NAME) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ServiceName, ServiceNameError> {
        text.parse()
    }

    #[test]
    fn tasks_come_before_the_plain_name() {
        let ask = |text: &str| read(text).unwrap().candidates();
        assert_eq!(ask("db_mongo"), ["tasks.db_mongo", "db_mongo"]);
        assert_eq!(ask("mongo.example.:27018"), ["tasks.mongo.example", "mongo.example"]);
        assert_eq!(ask("tasks.mongo"), ["tasks.mongo"]);
        assert_eq!(ask("10.0.0.5"), [""; 0], "an address needs no DNS");
    }

    #[test]
    fn what_people_write_is_understood() {
        let ip = |text: &str, port| Place::Address(text.parse().unwrap(), port);
        let name = |text: &str, port| Place::Name(text.to_owned(), port);
        for (text, place, shown) in [
            ("mongo", name("mongo", None), "mongo"),
            ("mongo_db.", name("mongo_db", None), "mongo_db"),
            ("mongo1:27018", name("mongo1", Some(27018)), "mongo1:27018"),
            ("10.0.0.5", ip("10.0.0.5", None), "10.0.0.5"),
            ("10.0.0.5:27018", ip("10.0.0.5", Some(27018)), "10.0.0.5:27018"),
            ("fd00::5", ip("fd00::5", None), "fd00::5"),
            ("[fd00::5]", ip("fd00::5", None), "fd00::5"),
            ("[fd00::5]:27018", ip("fd00::5", Some(27018)), "[fd00::5]:27018"),
            ("::ffff:10.0.0.5", ip("10.0.0.5", None), "10.0.0.5"),
            ("_mongodb._tcp.mongo", Place::Srv("_mongodb._tcp.mongo".to_owned()), "_mongodb._tcp.mongo"),
            ("mongodb+srv://a.example/", Place::Srv("_mongodb._tcp.a.example".to_owned()), "_mongodb._tcp.a.example"),
        ] {
            let service = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((&service.0, service.to_string().as_str()), (&place, shown), "{text}");
            assert_eq!(read(shown), Ok(service), "what is shown reads back");
        }
    }

    #[test]
    fn what_can_never_work_is_refused_with_the_reason() {
        let long = "m".repeat(64);
        for (text, error) in [
            ("", NAME),
            (".", NAME),
            ("a..b", NAME),
            ("a b", NAME),
            ("ä", NAME),
            ("10.0.0.0/24", NAME),
            (&long, NAME),
            ("_mongodb", SRV),
            ("_mongodb._tcp", SRV),
            ("_a.b.c", SRV),
            ("_mongodb._tcp.mongo:27017", SRV_PORT),
            ("mongodb://mongo1:27017", URI),
            ("tcp://10.0.0.5:27017", URI),
            ("user:secret@mongo", URI),
            ("mongodb+srv://user:secret@mongo.example", SRV_URI),
            ("mongodb+srv://mongo.example/db", SRV_URI),
            ("mongodb+srv://mongo.example:27017", SRV_URI),
            ("mongo:", PORT),
            ("mongo:0", PORT),
            ("mongo:70000", PORT),
            ("10.0.0.5:x", PORT),
            ("[fd00::5]:0", PORT),
            ("fd00::5:27017", IPV6),
            ("[fd00::5", IPV6),
            ("[10.0.0.5]:27017", IPV6),
            ("[fd00::5]27017", IPV6),
            ("fe80::5%eth0", IPV6),
            ("a:b:c", IPV6),
            ("0.0.0.0", ADDRESS),
            ("[::]:27017", ADDRESS),
            ("224.0.0.1", ADDRESS),
            ("10.0.0.256", ADDRESS),
            ("10.0.5:27017", ADDRESS),
            ("localhost", LOCALHOST),
            ("LocalHost:27017", LOCALHOST),
        ] {
            assert_eq!(read(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_task_is_named_after_its_node() {
        let node = |service: &str, host: &str| {
            let host: Host = host.parse().unwrap();
            service.parse::<ServiceName>().unwrap().node_of(&host).map(str::to_owned)
        };
        for service in ["mongo", "tasks.mongo", "db_mongo", "tasks.db_mongo", "mongo:27018"] {
            assert_eq!(node(service, "mongo-node4:27017").as_deref(), Some("node4"), "{service}");
        }
        assert_eq!(node("mongo", "mongo-eu-1:27017").as_deref(), Some("eu-1"));
        for host in ["mongo-1:27017", "mongo:27017", "mongo-:27017", "mongodb-node4:27017", "10.0.0.4:27017", "node4:1"]
        {
            assert_eq!(node("mongo", host), None, "{host}");
        }
        assert_eq!(node("10.0.0.4", "mongo-node4:27017"), None);
    }
}
