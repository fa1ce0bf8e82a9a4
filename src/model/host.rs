//! Addresses as MongoDB writes them: `10.0.1.5:27017`, `mongo-node1:27017`, `[fd00::5]:27017`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// The port of a host that names none (MongoDB manual, "Default MongoDB Port").
pub const DEFAULT_PORT: u16 = 27017;

/// The address of one mongod, by name or by IP, always with its port. Cheap to clone, because an observation names each
/// many times.
///
/// **Invariant:** parsing what `Display` wrote gives the same value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    name: NameOrIp,
    port: u16,
}

/// IPs sort before names, and numerically. All controllers must sort lists alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum NameOrIp {
    Ip(IpAddr),
    Name(Arc<str>),
}

impl Host {
    /// A host known by its IP.
    pub fn ip(ip: IpAddr, port: u16) -> Self {
        Self { name: NameOrIp::Ip(ip), port }
    }

    /// A host known by its name. Fails when the name could not stand in a replica set config or a URI.
    pub fn named(name: &str, port: u16) -> Result<Self, HostError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 253 || !name.chars().all(allowed) {
            return Err(HostError(name.to_owned()));
        }
        Ok(name.parse().map_or_else(|_| Self { name: NameOrIp::Name(name.into()), port }, |ip| Self::ip(ip, port)))
    }

    /// The name, unless the host is known by its IP.
    pub fn name(&self) -> Option<&str> {
        match &self.name {
            NameOrIp::Ip(_) => None,
            NameOrIp::Name(name) => Some(name),
        }
    }

    /// The socket address, unless the host is known by name.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self.name {
            NameOrIp::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            NameOrIp::Name(_) => None,
        }
    }

    /// Whether every machine means itself by this address: `localhost`, 127.0.0.1 or ::1.
    pub fn is_local(&self) -> bool {
        match &self.name {
            NameOrIp::Ip(ip) => [IpAddr::from([127, 0, 0, 1]), Ipv6Addr::LOCALHOST.into()].contains(&ip.to_canonical()),
            NameOrIp::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether the name is the default host name of a Docker container.
    pub fn is_container_id(&self) -> bool {
        self.name().is_some_and(is_container_id)
    }

    /// The same host in another form: a name in capitals, or in small letters if it is in capitals. DNS and hosts files make
    /// no difference between the two. It is none if the name has no letters, and for an IP.
    pub fn respelled(&self) -> Option<Self> {
        let name = self.name()?;
        let capitals = name.to_ascii_uppercase();
        let other = if capitals == name { name.to_ascii_lowercase() } else { capitals };
        (other != name).then(|| Self { name: NameOrIp::Name(other.into()), port: self.port })
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Host {
    fn from(socket: SocketAddr) -> Self {
        Self::ip(socket.ip(), socket.port())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            NameOrIp::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            NameOrIp::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Whether this is the default host name of a Docker container: twelve hexadecimal digits, new with every task.
pub fn is_container_id(hostname: &str) -> bool {
    hostname.len() == 12 && hostname.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address of the form host:port")]
pub struct HostError(String);

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let bad = || HostError(text.to_owned());
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(socket.into());
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self::ip(ip, DEFAULT_PORT));
        }
        match text.rsplit_once(':') {
            Some((name, port)) => Self::named(name, port.parse().map_err(|_| bad())?).map_err(|_| bad()),
            None => Self::named(text, DEFAULT_PORT),
        }
    }
}

/// The name of a replica set, as in `mongod --replSet` and `replicaSet=` of a URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetName(String);

impl SetName {
    /// Takes the name as it is. [`FromStr`] checks what a person typed.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SetName {
    type Err = SetNameError;

    fn from_str(text: &str) -> Result<Self, SetNameError> {
        // A slash would make `rs/h:p` ambiguous, and other characters would need escaping in every URI.
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || !text.chars().all(allowed) { Err(SetNameError) } else { Ok(Self::new(text)) }
    }
}

/// Text that cannot be the name of a replica set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a replica set name has letters, digits, `-`, `_` and `.` only")]
pub struct SetNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["10.0.1.5:27017", "mongo-node1:27018", "[fd00::5]:27017"] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_missing_port_is_mongodbs() {
        assert_eq!("mongo".parse::<Host>().unwrap().to_string(), "mongo:27017");
        assert_eq!("fd00::5".parse::<Host>().unwrap().to_string(), "[fd00::5]:27017");
    }

    #[test]
    fn only_the_machine_itself_is_local() {
        for text in ["localhost:27017", "LOCALHOST:1", "127.0.0.1:27017", "[::1]:27017", "[::ffff:127.0.0.1]:1"] {
            assert!(text.parse::<Host>().unwrap().is_local(), "{text}");
        }
        for text in ["127.0.10.1:27017", "localhost.example.org:1", "10.0.0.1:1", "[fd00::1]:1"] {
            assert!(!text.parse::<Host>().unwrap().is_local(), "{text}");
        }
    }

    #[test]
    fn container_ids_are_twelve_hexadecimal_digits() {
        assert!("3f2504e04f89:27017".parse::<Host>().unwrap().is_container_id());
        for text in ["mongo-node1:1", "3f2504e04f8:1", "3f2504e04f8g:1", "10.0.0.1:1"] {
            assert!(!text.parse::<Host>().unwrap().is_container_id(), "{text}");
        }
    }

    #[test]
    fn a_name_has_another_form_and_an_ip_has_none() {
        let other = |text: &str| text.parse::<Host>().unwrap().respelled().map(|host| host.to_string());
        assert_eq!(other("mongo-node1:27018").as_deref(), Some("MONGO-NODE1:27018"));
        assert_eq!(other("MONGO-NODE1").as_deref(), Some("mongo-node1:27017"));
        assert_eq!(other("Mongo").as_deref(), Some("MONGO:27017"));
        assert_eq!((other("10.0.0.1"), other("fd00::a"), other("1-1")), (None, None, None));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ":27017", "a b:1", "a:b", "a:70000", "a/b:1", "h@x:1"] {
            assert!(text.parse::<Host>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ips_sort_numerically_before_names() {
        let mut hosts: Vec<Host> = ["b:1", "10.0.0.10:1", "10.0.0.9:1"].map(|t| t.parse().unwrap()).into();
        hosts.sort();
        assert_eq!(hosts.iter().map(Host::to_string).collect::<Vec<_>>(), ["10.0.0.9:1", "10.0.0.10:1", "b:1"]);
    }
}
