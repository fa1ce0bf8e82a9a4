//! Connection strings in the formats that applications accept.
//!
//! The driver's own writer is not used, because it drops the brackets of IPv6 addresses. Three rules hold for every URI,
//! because at least one common driver needs each of them: all hosts, always `replicaSet`, always `/` before `?`.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{Host, SetName};
use crate::parse::Wanted;
use crate::secret::Secret;

/// The authentication database that nearly every user is made in.
pub(crate) const AUTH_SOURCE: &str = "admin";

/// All characters except the unreserved ones of RFC 3986, section 2.3.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where to connect: the name of the replica set and at least one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    set: SetName,
    hosts: Vec<Host>,
}

/// What a URI holds besides the hosts, on request.
#[derive(Clone, Debug, Default)]
pub struct Inserts {
    /// The database after the slash.
    pub database: Option<Database>,
    /// The user and its password.
    pub credentials: Option<Credentials>,
}

/// A user with its password, for a URI that contains them on request.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// The authentication database of the user. [`AUTH_SOURCE`] if it is not given.
    pub auth_source: Option<String>,
}

impl Credentials {
    /// `user:password@`, as a URI has it.
    pub(super) fn userinfo(&self) -> String {
        format!("{}:{}@", escaped(&self.username), escaped(self.password.expose()))
    }

    /// The option `authSource=…`.
    pub(super) fn auth_option(&self) -> String {
        format!("authSource={}", escaped(self.auth_source.as_deref().unwrap_or(AUTH_SOURCE)))
    }
}

/// The formats of a connection string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `mongodb://h:p,h:p/DB?replicaSet=rs`
    Uri,
    /// `h:p,h:p`
    Hosts,
    /// `rs/h:p,h:p`
    SeedList,
    /// `MONGODB_URI=…` and its parts as variables, one on each line.
    Env,
    /// The URI and its parts as a JSON object.
    Json,
}

impl Format {
    /// Every format with its name.
    pub const CHOICES: [(&str, Self); 5] = [
        ("uri", Self::Uri),
        ("hosts", Self::Hosts),
        ("seed-list", Self::SeedList),
        ("env", Self::Env),
        ("json", Self::Json),
    ];
}

impl Endpoint {
    /// An endpoint with these hosts. `None` if there are none.
    pub fn new(set: SetName, hosts: Vec<Host>) -> Option<Self> {
        if hosts.is_empty() { None } else { Some(Self { set, hosts }) }
    }

    /// The name of the replica set.
    pub fn set(&self) -> &SetName {
        &self.set
    }

    /// All hosts.
    pub fn each(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter()
    }

    /// `h:p,h:p`
    pub fn hosts(&self) -> String {
        self.hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(",")
    }

    /// The hosts without their ports, `h,h`, and the port that all of them have. `None` if their ports differ.
    pub fn names_and_port(&self) -> Option<(String, u16)> {
        let port = self.hosts.first()?.port();
        let suffix = format!(":{port}");
        let hosts = self.hosts.iter().map(Host::to_string).collect::<Vec<_>>();
        let names: Option<Vec<&str>> = hosts.iter().map(|host| host.strip_suffix(&suffix)).collect();
        Some((names?.join(","), port))
    }

    /// `rs/h:p,h:p`
    pub fn seed_list(&self) -> String {
        format!("{}/{}", self.set, self.hosts())
    }

    /// `mongodb://h:p,h:p/DB?replicaSet=rs`, with the given database and credentials.
    pub fn uri(&self, inserts: &Inserts) -> String {
        let (user, auth_source) = match &inserts.credentials {
            Some(credentials) => (credentials.userinfo(), format!("&{}", credentials.auth_option())),
            None => Default::default(),
        };
        let database = inserts.database.as_ref().map(Database::escaped).unwrap_or_default();
        format!("mongodb://{user}{}/{database}?replicaSet={}{auth_source}", self.hosts(), escaped(self.set.as_str()))
    }

    /// The connection string in this format, with a line end.
    pub fn render(&self, format: Format, inserts: &Inserts) -> String {
        match format {
            Format::Uri => self.uri(inserts) + "\n",
            Format::Hosts => self.hosts() + "\n",
            Format::SeedList => self.seed_list() + "\n",
            Format::Env => self.env(inserts),
            Format::Json => self.json(inserts),
        }
    }

    fn env(&self, inserts: &Inserts) -> String {
        let database = inserts.database.iter().map(|name| format!("MONGODB_DATABASE={name}\n"));
        let (uri, hosts, set) = (self.uri(inserts), self.hosts(), &self.set);
        let fixed = format!("MONGODB_URI={uri}\nMONGODB_HOSTS={hosts}\nMONGODB_REPLICA_SET={set}\n");
        std::iter::once(fixed).chain(database).collect()
    }

    fn json(&self, inserts: &Inserts) -> String {
        let value = serde_json::json!({
            "uri": self.uri(inserts),
            "hosts": self.hosts.iter().map(Host::to_string).collect::<Vec<_>>(),
            "seedList": self.seed_list(),
            "replicaSet": self.set.as_str(),
            "database": inserts.database.as_ref().map(Database::as_str),
        });
        format!("{value}\n")
    }
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// The name of a database. MongoDB and all its drivers accept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database(String);

impl Database {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a URI has it.
    pub(super) fn escaped(&self) -> String {
        escaped(&self.0)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Database {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "/\\.\"$*<>:|?".contains(c);
        if text.is_empty() || text.len() > 63 || text.contains(forbidden) {
            return Err(Wanted("a database name of at most 63 bytes without / \\ . \" $ * < > : | ? and space"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use mongodb::options::ConnectionString;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn endpoint(hosts: &[&str]) -> Endpoint {
        Endpoint::new("rs".parse().unwrap(), hosts.iter().map(|host| host.parse().unwrap()).collect()).unwrap()
    }

    fn inserts() -> Inserts {
        let credentials =
            Credentials { username: "chat".into(), password: Secret::new("p@ss/w:rd%"), auth_source: None };
        Inserts { database: Some("letschat".parse().unwrap()), credentials: Some(credentials) }
    }

    #[test]
    fn there_is_always_a_slash_and_a_replica_set() {
        let uri = endpoint(&["mongo-node1:27017", "mongo-node2:27017"]).uri(&Inserts::default());
        assert_eq!(uri, "mongodb://mongo-node1:27017,mongo-node2:27017/?replicaSet=rs");
    }

    #[test]
    fn credentials_are_escaped_and_addresses_bracketed() {
        let uri = endpoint(&["[fd00::5]:27017"]).uri(&inserts());
        assert_eq!(uri, "mongodb://chat:p%40ss%2Fw%3Ard%25@[fd00::5]:27017/letschat?replicaSet=rs&authSource=admin");
    }

    #[test]
    fn names_come_without_the_port_that_all_have() {
        let split = |hosts: &[&str]| endpoint(hosts).names_and_port();
        assert_eq!(split(&["a:1", "b:1"]), Some(("a,b".to_owned(), 1)));
        assert_eq!(split(&["[fd00::1]:1", "b:1"]), Some(("[fd00::1],b".to_owned(), 1)));
        assert_eq!(split(&["a:1", "b:11"]), None);
    }

    #[test]
    fn every_form_has_its_shape() {
        let endpoint = endpoint(&["a:1", "b:2"]);
        let none = Inserts::default();
        assert_eq!(endpoint.render(Format::Hosts, &none), "a:1,b:2\n");
        assert_eq!(endpoint.render(Format::SeedList, &none), "rs/a:1,b:2\n");
        assert_eq!(
            endpoint.render(Format::Env, &Inserts { database: Some("chat".parse().unwrap()), credentials: None }),
            "MONGODB_URI=mongodb://a:1,b:2/chat?replicaSet=rs\nMONGODB_HOSTS=a:1,b:2\n\
             MONGODB_REPLICA_SET=rs\nMONGODB_DATABASE=chat\n"
        );
        let json: serde_json::Value = serde_json::from_str(&endpoint.render(Format::Json, &none)).unwrap();
        assert_eq!(json["hosts"], serde_json::json!(["a:1", "b:2"]));
    }

    #[test]
    fn debug_shows_no_password() {
        assert!(!format!("{:?}", inserts()).contains("p@ss"));
    }

    #[test]
    fn databases_have_names_that_every_driver_takes() {
        for text in ["", "a/b", "a b", "a.b", "$x", "a\"b", "a?b", &"a".repeat(64)] {
            assert!(text.parse::<Database>().is_err(), "{text:?}");
        }
        assert_eq!("straße-1".parse::<Database>().unwrap().escaped(), "stra%C3%9Fe-1");
    }

    prop_compose! {
        /// Hosts of every kind.
        pub(crate) fn any_endpoint()(
            hosts in prop::collection::vec(prop_oneof![
                "[a-z][a-z0-9_-]{0,12}(\\.[a-z]{1,5})?:[1-9][0-9]{0,3}",
                any::<std::net::SocketAddrV4>().prop_filter("port", |a| a.port() > 0).prop_map(|a| a.to_string()),
                any::<[u16; 8]>().prop_map(|ip| format!("[{}]:27017", std::net::Ipv6Addr::from(ip))),
            ], 1..5),
            set in "[A-Za-z0-9_.-]{1,12}",
        ) -> Endpoint {
            Endpoint::new(SetName::new(set), hosts.iter().map(|host| host.parse().unwrap()).collect()).unwrap()
        }
    }

    proptest! {
        #[test]
        fn the_driver_reads_what_we_write(
            endpoint in any_endpoint(),
            username in "\\PC{1,20}",
            password in "\\PC{1,20}",
            database in "[^/\\\\.\"$*<>:|?\\s\\pC]{1,15}",
        ) {
            let credentials =
                Credentials { username: username.clone(), password: Secret::new(password.clone()), auth_source: None };
            let inserts = Inserts { database: Some(database.parse().unwrap()), credentials: Some(credentials) };
            let read = ConnectionString::parse(endpoint.uri(&inserts)).unwrap();
            prop_assert_eq!(read.replica_set.as_deref(), Some(endpoint.set.as_str()));
            prop_assert_eq!(read.default_database, Some(database));
            let credential = read.credential.unwrap();
            prop_assert_eq!((credential.username, credential.password), (Some(username), Some(password)));
            let mongodb::options::HostInfo::HostIdentifiers(read) = read.host_info else { panic!("no hosts") };
            prop_assert_eq!(read.len(), endpoint.hosts.len());
        }
    }
}
