//! An application's own URI, turned to the hosts that the set has now.
//!
//! **Invariant:** credentials, database and options stay byte for byte; only hosts and `replicaSet` change, and what
//! contradicts them goes. A URI that can be read in two ways is refused: a program must not start with a guess. No
//! error shows any part of the URI, since it may hold a password.

use std::fmt;

use super::uri::Endpoint;

/// A `mongodb://` or `mongodb+srv://` URI in the parts that matter here.
#[derive(Clone)]
pub struct GivenUri {
    srv: bool,
    /// As written, with its `@`; or empty.
    userinfo: String,
    database: String,
    options: Vec<String>,
}

/// Why a URI is not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// Something else altogether.
    #[error("holds no URI that begins with mongodb:// or mongodb+srv://")]
    NoUri,
    /// A line end, a space, or bytes that are no text.
    #[error("holds white space or unreadable characters")]
    Unclean,
    /// Where the credentials end is anybody's guess.
    #[error("holds credentials with a character that must be percent-encoded (one of @ / ? #)")]
    Credentials,
    /// The part between credentials and database.
    #[error("holds a URI whose hosts cannot be read")]
    Hosts,
    /// More than one slash.
    #[error("holds a URI whose database has a slash")]
    Database,
    /// Not `name=value&name=value`.
    #[error("holds a URI whose options are not of the form name=value&name=value")]
    Options,
}

impl GivenUri {
    /// Takes a URI apart.
    pub fn parse(text: &str) -> Result<Self, RewriteError> {
        // U+FFFD stands for bytes of the variable that were no UTF-8.
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\u{fffd}') {
            return Err(RewriteError::Unclean);
        }
        let (srv, rest) = match (text.strip_prefix("mongodb://"), text.strip_prefix("mongodb+srv://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => return Err(RewriteError::NoUri),
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (userinfo, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));

        let misplaced = path.contains('@') || (userinfo.is_empty() && options.contains('@')) || rest.contains('#');
        if misplaced || userinfo.matches('@').count() > 1 {
            return Err(RewriteError::Credentials);
        }
        if !hosts.split(',').all(is_host) {
            return Err(RewriteError::Hosts);
        }
        let database = path.strip_prefix('/').unwrap_or(path);
        if database.contains('/') {
            return Err(RewriteError::Database);
        }
        let options: Vec<String> = options.split('&').filter(|o| !o.is_empty()).map(str::to_owned).collect();
        // Some drivers once took `;` for `&`; between the two readings there is no telling.
        if options.iter().any(|option| option.find('=').unwrap_or(0) == 0 || option.contains(';')) {
            return Err(RewriteError::Options);
        }
        Ok(Self { srv, userinfo: userinfo.to_owned(), database: database.to_owned(), options })
    }

    /// The same URI for these hosts.
    pub fn pointed_at(&self, endpoint: &Endpoint) -> String {
        let Self { srv, userinfo, database, options } = self;
        let replica_set = format!("replicaSet={}", endpoint.set());
        let mut kept: Vec<&str> = Vec::new();
        for option in options.iter().map(String::as_str) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name.to_ascii_lowercase().as_str() {
                "replicaset" if kept.contains(&replica_set.as_str()) => {}
                "replicaset" => kept.push(&replica_set),
                // Each of these forbids a list of hosts.
                "directconnection" | "loadbalanced" if value == "true" => {}
                "connect" if value == "direct" => {}
                // Only `mongodb+srv://` may have these.
                "srvmaxhosts" | "srvservicename" if *srv => {}
                _ => kept.push(option),
            }
        }
        if !kept.contains(&replica_set.as_str()) {
            kept.push(&replica_set);
        }
        if *srv && !self.speaks_of_tls() {
            kept.push("tls=true"); // what `+srv` says without words
        }
        format!("mongodb://{userinfo}{}/{database}?{}", endpoint.hosts(), kept.join("&"))
    }

    fn speaks_of_tls(&self) -> bool {
        let name = |option: &String| option.split('=').next().unwrap_or_default().to_ascii_lowercase();
        self.options.iter().any(|option| matches!(name(option).as_str(), "tls" | "ssl"))
    }
}

impl fmt::Debug for GivenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `name`, `name:port`, `[ip]`, `[ip]:port`, or an escaped socket path. A port that is none shows that credentials
/// were cut in the middle.
fn is_host(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some((ip, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let ip_is_one = ip.split('%').next().is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
        return ip_is_one && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%');
    !name.is_empty() && name.chars().all(allowed) && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use mongodb::options::ConnectionString;
    use proptest::prelude::*;

    use super::*;
    use crate::publish::uri::tests::{any_endpoint, endpoint};

    fn rewritten(text: &str) -> Result<String, RewriteError> {
        GivenUri::parse(text).map(|uri| uri.pointed_at(&endpoint(&["a:1", "b:2"])))
    }

    #[test]
    fn only_hosts_and_replica_set_change() {
        for (given, expected) in [
            ("mongodb://mongo", "mongodb://a:1,b:2/?replicaSet=rs"),
            ("mongodb://mongo/letschat", "mongodb://a:1,b:2/letschat?replicaSet=rs"),
            ("mongodb://mongo:27017/letschat?x=y", "mongodb://a:1,b:2/letschat?x=y&replicaSet=rs"),
            ("mongodb://mongo?x=y", "mongodb://a:1,b:2/?x=y&replicaSet=rs"),
            ("mongodb://mongo/db?", "mongodb://a:1,b:2/db?replicaSet=rs"),
            ("mongodb://m1,m2:2,[::1]:3/db", "mongodb://a:1,b:2/db?replicaSet=rs"),
            ("mongodb://%2Ftmp%2Fmongodb-27017.sock/db", "mongodb://a:1,b:2/db?replicaSet=rs"),
            ("mongodb://u:p%40ss@mongo/db?w=2", "mongodb://u:p%40ss@a:1,b:2/db?w=2&replicaSet=rs"),
            ("mongodb://u:%zz%4@mongo/db", "mongodb://u:%zz%4@a:1,b:2/db?replicaSet=rs"),
            ("mongodb://orion:${PWD}@mongo/", "mongodb://orion:${PWD}@a:1,b:2/?replicaSet=rs"),
            ("mongodb://u@mongo/?appName=a@b", "mongodb://u@a:1,b:2/?appName=a@b&replicaSet=rs"),
            ("mongodb://m/?replicaset=old&w=1&replicaSet=older", "mongodb://a:1,b:2/?replicaSet=rs&w=1"),
            ("mongodb://m/?directConnection=true&w=1", "mongodb://a:1,b:2/?w=1&replicaSet=rs"),
            ("mongodb://m/?directConnection=false", "mongodb://a:1,b:2/?directConnection=false&replicaSet=rs"),
            ("mongodb://m/?connect=direct&loadBalanced=true", "mongodb://a:1,b:2/?replicaSet=rs"),
            ("mongodb://m/?tlsCAFile=/etc/ca.pem", "mongodb://a:1,b:2/?tlsCAFile=/etc/ca.pem&replicaSet=rs"),
        ] {
            assert_eq!(rewritten(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn srv_becomes_plain_and_keeps_its_tls() {
        for (given, expected) in [
            ("mongodb+srv://u:p@c.example.org/db?w=1", "mongodb://u:p@a:1,b:2/db?w=1&replicaSet=rs&tls=true"),
            ("mongodb+srv://c.example.org/?tls=false", "mongodb://a:1,b:2/?tls=false&replicaSet=rs"),
            ("mongodb+srv://c.example.org/?SSL=true&srvMaxHosts=2", "mongodb://a:1,b:2/?SSL=true&replicaSet=rs"),
        ] {
            assert_eq!(rewritten(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (given, why) in [
            ("", RewriteError::NoUri),
            ("mongo:27017", RewriteError::NoUri),
            ("\"mongodb://mongo/db\"", RewriteError::NoUri),
            ("mongodb://mongo/db\n", RewriteError::Unclean),
            ("mongodb://u:\u{fffd}@mongo/db", RewriteError::Unclean),
            ("mongodb://", RewriteError::Hosts),
            ("mongodb:///db", RewriteError::Hosts),
            ("mongodb://u:p/w@mongo/db", RewriteError::Credentials),
            ("mongodb://u:1/w@mongo", RewriteError::Credentials),
            ("mongodb://u:1?w=@mongo", RewriteError::Credentials),
            ("mongodb://u:p?w@mongo", RewriteError::Credentials),
            ("mongodb://u:p@w@mongo", RewriteError::Credentials),
            ("mongodb://mongo/db#x", RewriteError::Credentials),
            ("mongodb://mongo:port/db", RewriteError::Hosts),
            ("mongodb://a,,b/db", RewriteError::Hosts),
            ("mongodb://mongo/a/b", RewriteError::Database),
            ("mongodb://mongo/db?x", RewriteError::Options),
            ("mongodb://mongo/db?=x", RewriteError::Options),
            ("mongodb://mongo/db?a=b;replicaSet=c", RewriteError::Options),
        ] {
            assert_eq!(rewritten(given), Err(why), "{given}");
        }
    }

    #[test]
    fn neither_debug_nor_errors_show_the_password() {
        let uri = GivenUri::parse("mongodb://u:hunter2@mongo/db?tlsCertificateKeyFilePassword=hunter2").unwrap();
        assert!(!format!("{uri:?}").contains("hunter2"));
        let error = GivenUri::parse("mongodb://u:hunter2@w@mongo/db").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    /// Options that the driver knows, so that it can judge the whole.
    fn any_option() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "replicaSet=old",
            "REPLICASET=older",
            "directConnection=true",
            "w=majority",
            "appName=a%20b",
            "readPreference=secondary",
            "authSource=admin",
            "connectTimeoutMS=300",
            "retryWrites=false",
        ])
    }

    proptest! {
        #[test]
        fn rewriting_keeps_the_rest_and_settles(
            endpoint in any_endpoint(),
            userinfo in prop::option::of("[a-zA-Z0-9._~-]{1,8}(:([a-zA-Z0-9._~-]|%[2-7][0-9A-F]){1,12})?"),
            hosts in "[a-z]{1,9}(:[1-9][0-9]{0,3})?(,[a-z]{1,9}){0,3}",
            database in prop::option::of("[a-zA-Z0-9_-]{1,12}"),
            options in prop::sample::subsequence(vec![0, 1, 2, 3, 4], 0..5).prop_flat_map(|picks| {
                prop::collection::hash_set(any_option(), picks.len())
            }),
        ) {
            let options: Vec<&str> = options.into_iter().collect();
            let userinfo = userinfo.map(|user| user + "@").unwrap_or_default();
            let database = database.unwrap_or_default();
            let given = format!("mongodb://{userinfo}{hosts}/{database}?{}", options.join("&"));
            let once = GivenUri::parse(&given).unwrap().pointed_at(&endpoint);
            prop_assert_eq!(&GivenUri::parse(&once).unwrap().pointed_at(&endpoint), &once);
            let start = format!("mongodb://{userinfo}{}/{database}?", endpoint.hosts());
            prop_assert!(once.starts_with(&start), "{}", once);
            for option in options.iter().filter(|o| !o.to_lowercase().starts_with("replicaset") && !o.starts_with("direct")) {
                prop_assert!(once.contains(option), "{} in {}", option, once);
            }
            let read = ConnectionString::parse(&once).unwrap();
            prop_assert_eq!(read.replica_set.as_deref(), Some(endpoint.set().as_str()));
            prop_assert_eq!(read.default_database.unwrap_or_default(), database);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(mongodb(\\+srv)?://)?\\PC{0,40}") {
            if let Ok(uri) = GivenUri::parse(&text) {
                let once = uri.pointed_at(&endpoint(&["a:1"]));
                prop_assert_eq!(GivenUri::parse(&once).unwrap().pointed_at(&endpoint(&["a:1"])), once);
            }
        }
    }
}
