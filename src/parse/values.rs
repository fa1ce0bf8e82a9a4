//! Parsers for single values. Each error says what is accepted.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use bson::oid::ObjectId;
use nix::sys::signal::Signal;
use tracing::level_filters::LevelFilter;

use super::{Wanted, span};
use crate::discovery::{ServiceName, ServiceNameError};
use crate::model::{EvidenceId, FailoverAfter, PAUSE_MAX, SetName};
use crate::secret::Secret;

pub(crate) fn port(text: &str) -> Result<u16, Wanted> {
    text.parse().ok().filter(|port| *port > 0).ok_or(Wanted("a port from 1 to 65535"))
}

/// MongoDB allows 50 members.
pub(crate) fn size(text: &str) -> Result<usize, Wanted> {
    text.parse().ok().filter(|n| (1..=50).contains(n)).ok_or(Wanted("a number from 1 to 50"))
}

pub(crate) fn pause_length(text: &str) -> Result<Duration, Wanted> {
    let wanted = Wanted("a time with its unit of at most 168h: 30m, 2h or 24h");
    super::positive(text).ok().filter(|length| *length <= PAUSE_MAX).ok_or(wanted)
}

pub(crate) fn set_name(text: &str) -> Result<SetName, Wanted> {
    text.parse().map_err(|_| Wanted("a name of letters, digits, `-`, `_` and `.`"))
}

pub(crate) fn objectid(text: &str) -> Result<ObjectId, Wanted> {
    ObjectId::parse_str(text).map_err(|_| Wanted("24 hexadecimal digits"))
}

pub(crate) fn evidence_id(text: &str) -> Result<EvidenceId, Wanted> {
    text.parse().map_err(|_| Wanted("the ID of twelve hexadecimal digits that `rsctl recover` shows"))
}

pub(crate) fn socket(text: &str) -> Result<SocketAddr, Wanted> {
    text.parse().map_err(|_| Wanted("an address such as 127.0.0.1:8080 or [::1]:8080"))
}

pub(crate) fn failover_after(text: &str) -> Result<FailoverAfter, Wanted> {
    if text == "off" {
        return Ok(FailoverAfter::Off);
    }
    let time = span(text).ok().filter(|time| *time >= FailoverAfter::MIN);
    time.map(FailoverAfter::Silence).ok_or(Wanted("a time of at least 500ms with its unit, such as 2s, or off"))
}

pub(crate) fn switch(text: &str) -> Result<bool, Wanted> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Wanted("true or false")),
    }
}

/// The levels of Python's loggers are accepted too, because compose files of older tools use them.
pub(crate) fn log_level(text: &str) -> Result<LevelFilter, Wanted> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "error" | "critical" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(Wanted("error, warn, info, debug or trace")),
    })
}

/// The host name of a Swarm node, which the name of its member contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(String);

impl FromStr for NodeName {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        // A label of DNS has 63 characters, and `mongo-` is part of the first one.
        let is_name = text.chars().all(allowed) && text.split('.').all(|label| (1..=57).contains(&label.len()));
        if is_name { Ok(Self(text.to_owned())) } else { Err(Wanted("host names such as node1,node2,node3")) }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an application: of its user, its database, and a part of the name of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppName(String);

impl FromStr for AppName {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        // Docker's names of secrets have at most 64 characters. `rsctl secrets` makes two users anyway, and three names are
        // those of databases of MongoDB.
        let taken = ["root", "monitoring", "admin", "local", "config"].contains(&text);
        let is_name = (1..=40).contains(&text.len()) && text.chars().all(allowed) && !taken;
        let wanted = Wanted(
            "names of at most 40 letters, digits, `-` and `_`, but not root, monitoring, admin, local or config",
        );
        if is_name { Ok(Self(text.to_owned())) } else { Err(wanted) }
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A list of at least one service. Each service is in it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services(pub Vec<ServiceName>);

impl FromStr for Services {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let mut services = Vec::new();
        for name in text.split(',') {
            let service = name.trim().parse().map_err(|ServiceNameError(accepted)| Wanted(accepted))?;
            if !services.contains(&service) {
                services.push(service);
            }
        }
        Ok(Self(services))
    }
}

/// What `rsctl exec` does when the members change after the start of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// Nothing. The program has replaced rsctl.
    Ignore,
    /// Restart the program when none of the hosts that it knows is a member any more.
    Restart,
    /// Send the program this signal.
    Signal(Signal),
}

impl FromStr for OnChange {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let wanted = Wanted("ignore, restart, signal, or signal=NAME with HUP, INT, QUIT, TERM, USR1, USR2 or WINCH");
        Ok(match text.split_once('=') {
            None if text == "ignore" => Self::Ignore,
            None if text == "restart" => Self::Restart,
            None if text == "signal" => Self::Signal(Signal::SIGHUP),
            Some(("signal", name)) => {
                let name = name.strip_prefix("SIG").unwrap_or(name);
                let known = SIGNALS.into_iter().find(|signal| signal.as_str().strip_prefix("SIG") == Some(name));
                Self::Signal(known.ok_or(wanted)?)
            }
            _ => return Err(wanted),
        })
    }
}

/// The signals that can be chosen.
const SIGNALS: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// The URL of a controller, and the token for it. Only plain HTTP: the controller serves no secrets, and only inside the
/// overlay network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerUrl {
    host: String,
    port: u16,
    token: Option<Secret>,
}

impl ControllerUrl {
    /// The same URL, with this token for each request.
    pub fn with_token(self, token: Option<Secret>) -> Self {
        Self { token, ..self }
    }

    /// The token for each request.
    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// The URL of the controller at this address.
    pub fn at(socket: SocketAddr) -> Self {
        Self { host: socket.ip().to_string(), port: socket.port(), token: None }
    }

    /// The host name, or the IP without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of the `Host` header.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl FromStr for ControllerUrl {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let wanted = Wanted("http://HOST:PORT");
        let authority = text.strip_prefix("http://").ok_or(wanted)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if let Ok(socket) = authority.parse::<SocketAddr>() {
            return Ok(Self::at(socket));
        }
        let (host, port_text) = authority.split_once(':').unwrap_or((authority, "80"));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if host.is_empty() || !host.chars().all(allowed) {
            return Err(wanted);
        }
        Ok(Self { host: host.to_owned(), port: port(port_text).map_err(|_| wanted)?, token: None })
    }
}

impl fmt::Display for ControllerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_each_service_once() {
        assert_eq!("a, b,a".parse::<Services>().unwrap().0.len(), 2);
        for text in ["", "a,,b", "a/b", "mongo:27017,mongodb://mongo2"] {
            assert!(text.parse::<Services>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn controllers_are_reached_over_plain_http() {
        let written = |text: &str| text.parse::<ControllerUrl>().map(|url| url.to_string());
        assert_eq!(written("http://rsctl:8080/").unwrap(), "http://rsctl:8080");
        assert_eq!(written("http://rsctl").unwrap(), "http://rsctl:80");
        assert_eq!(written("http://[::1]:8080").unwrap(), "http://[::1]:8080");
        for text in
            ["rsctl:8080", "https://rsctl:8080", "http://", "http://u:p@rsctl:1", "http://rsctl:0", "http://a/b"]
        {
            assert!(written(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nodes_and_applications_have_names_that_docker_takes() {
        for text in ["node1", "Node_2.example"] {
            assert_eq!(text.parse::<NodeName>().unwrap().to_string(), text);
        }
        for text in ["", "a..b", "a/b", "a b", "$(x)", &"a".repeat(58)] {
            assert!(text.parse::<NodeName>().is_err(), "{text:?}");
        }
        for text in ["", "root", "monitoring", "admin", "a.b", "a/b", "a'b", &"a".repeat(41)] {
            assert!(text.parse::<AppName>().is_err(), "{text:?}");
        }
        assert_eq!("lets-chat_2".parse::<AppName>().unwrap().to_string(), "lets-chat_2");
    }

    #[test]
    fn a_change_is_answered_in_three_ways() {
        for (text, expected) in [
            ("ignore", OnChange::Ignore),
            ("restart", OnChange::Restart),
            ("signal", OnChange::Signal(Signal::SIGHUP)),
            ("signal=USR2", OnChange::Signal(Signal::SIGUSR2)),
            ("signal=SIGTERM", OnChange::Signal(Signal::SIGTERM)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "signal=", "signal=KILL", "signal=SIG", "signal=1", "restart=", "restart=x", "Restart"] {
            assert!(text.parse::<OnChange>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn levels_are_read_in_any_dialect() {
        assert_eq!(log_level("WARNING"), Ok(LevelFilter::WARN));
        assert!(log_level("loud").is_err());
    }
}
