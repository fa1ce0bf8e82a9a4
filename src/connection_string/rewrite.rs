//! Replaces the hosts of an application's own URI by those of the replica set.
//!
//! **Invariant:** credentials, database and options keep every byte. Only the hosts and `replicaSet` change, options that
//! contradict them are removed, and what is given beside the URI is added if the URI has none of its own. A URI that can be read in two ways is refused, because a program must not start with
//! a guess. No error shows any part of the URI, because it may hold a password.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::build::{AUTH_SOURCE, Credentials, Endpoint, Inserts};

/// The parts of a `mongodb://` or `mongodb+srv://` URI.
#[derive(Clone)]
pub(crate) struct GivenUri {
    srv: bool,
    /// As written, with its `@`. Empty if there are no credentials.
    userinfo: String,
    database: String,
    options: Vec<String>,
}

/// Why a URI is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The text is not a MongoDB URI.
    #[error("does not hold a URI that begins with mongodb:// or mongodb+srv://")]
    NoUri,
    /// The text begins with a quote. A shell or Compose removes quotes, and `--env-file` does not.
    #[error("holds a URI in quotes; write it without them, because `docker run --env-file` keeps quotes")]
    Quoted,
    /// The text holds a line end, a space, or bytes that are not UTF-8.
    #[error("holds white space or unreadable characters")]
    Unclean,
    /// It is not clear where the credentials end, or what they are.
    #[error("holds credentials with a character that must be percent-encoded (one of @ / ? # %)")]
    Credentials,
    /// The part between the credentials and the database is not a list of hosts.
    #[error("holds a URI whose hosts cannot be read")]
    Hosts,
    /// The name of the database contains a slash.
    #[error("holds a URI whose database has a slash")]
    Database,
    /// The options are not of the form `name=value&name=value`.
    #[error("holds a URI whose options are not of the form name=value&name=value")]
    Options,
    /// The URI has other credentials than those that are given beside it.
    #[error("holds a URI with a user of its own, and --username gives another one")]
    OtherUser,
    /// The URI has another authentication database than the one that is given beside it.
    #[error("holds a URI with an authSource of its own, and --auth-source gives another one")]
    OtherAuthSource,
    /// The URI has another database than the one that is given beside it.
    #[error("holds a URI with a database of its own, and --database gives another one")]
    OtherDatabase,
}

impl GivenUri {
    /// Splits a URI into its parts.
    pub(crate) fn parse(text: &str) -> Result<Self, RewriteError> {
        // U+FFFD replaces bytes of the variable that are not UTF-8.
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\u{fffd}') {
            return Err(RewriteError::Unclean);
        }
        let (srv, rest) = match (text.strip_prefix("mongodb://"), text.strip_prefix("mongodb+srv://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) if text.starts_with(['"', '\'']) => return Err(RewriteError::Quoted),
            (None, None) => return Err(RewriteError::NoUri),
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (userinfo, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));

        let misplaced = path.contains('@') || (userinfo.is_empty() && options.contains('@')) || rest.contains('#');
        if misplaced || userinfo.matches('@').count() > 1 || !is_percent_encoded(userinfo) {
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
        // Some drivers read `;` as `&`, and some decode the names of options, so these options are ambiguous.
        let unclear = |option: &String| {
            let (name, _) = option.split_once('=').unwrap_or_default();
            name.is_empty() || name.contains('%') || option.contains(';')
        };
        if options.iter().any(unclear) {
            return Err(RewriteError::Options);
        }
        Ok(Self { srv, userinfo: userinfo.to_owned(), database: database.to_owned(), options })
    }

    /// The same URI with what is given beside it.
    pub(crate) fn with(self, inserts: &Inserts) -> Result<Self, RewriteError> {
        self.with_database(inserts)?.with_credentials(inserts)
    }

    fn with_database(mut self, inserts: &Inserts) -> Result<Self, RewriteError> {
        let Some(database) = &inserts.database else { return Ok(self) };
        if !self.database.is_empty() {
            let same = percent_decode_str(&self.database).decode_utf8_lossy() == database.as_str();
            return if same { Ok(self) } else { Err(RewriteError::OtherDatabase) };
        }
        // Without `authSource`, a driver looks for the user in the URI's database.
        let mechanism = self.option("authmechanism").unwrap_or_else(|| "SCRAM".to_owned());
        if !self.userinfo.is_empty() && self.option("authsource").is_none() && mechanism.starts_with("SCRAM") {
            self.options.push(format!("authSource={AUTH_SOURCE}"));
        }
        self.database = database.escaped();
        Ok(self)
    }

    fn with_credentials(mut self, inserts: &Inserts) -> Result<Self, RewriteError> {
        let Some(credentials) = &inserts.credentials else { return Ok(self) };
        let Credentials { username, password, auth_source } = credentials;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let own = self.userinfo.trim_end_matches('@');
        let (own_user, own_password) = own.split_once(':').map_or((own, None), |(user, rest)| (user, Some(rest)));
        let is_other = !own.is_empty() && decoded(own_user) != *username;
        if is_other || own_password.is_some_and(|own| decoded(own) != password.expose()) {
            return Err(RewriteError::OtherUser);
        }
        let is_complete = own_password.is_some();
        match (self.option("authsource"), auth_source) {
            (Some(own), Some(given)) if own != *given => return Err(RewriteError::OtherAuthSource),
            (None, given) if !is_complete || given.is_some() => self.options.push(credentials.auth_option()),
            _ => {}
        }
        if !is_complete {
            self.userinfo = credentials.userinfo();
        }
        Ok(self)
    }

    /// The decoded value of an option. The name is in lower case.
    fn option(&self, wanted: &str) -> Option<String> {
        let mut pairs = self.options.iter().filter_map(|option| option.split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.to_ascii_lowercase() == wanted)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }

    /// The same URI with these hosts.
    pub(crate) fn pointed_at(&self, endpoint: &Endpoint) -> String {
        let Self { srv, userinfo, database, options } = self;
        let replica_set = format!("replicaSet={}", endpoint.set());
        let mut kept: Vec<&str> = Vec::new();
        for option in options.iter().map(String::as_str) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name.to_ascii_lowercase().as_str() {
                "replicaset" if kept.contains(&replica_set.as_str()) => {}
                "replicaset" => kept.push(&replica_set),
                // Drivers refuse a list of hosts with each of these.
                "directconnection" | "loadbalanced" if value == "true" => {}
                "connect" if value == "direct" => {}
                // Only `mongodb+srv://` URIs may have these.
                "srvmaxhosts" | "srvservicename" if *srv => {}
                _ => kept.push(option),
            }
        }
        if !kept.contains(&replica_set.as_str()) {
            kept.push(&replica_set);
        }
        if *srv && !self.mentions_tls() {
            kept.push("tls=true"); // `mongodb+srv://` implies it
        }
        format!("mongodb://{userinfo}{}/{database}?{}", endpoint.hosts(), kept.join("&"))
    }

    fn mentions_tls(&self) -> bool {
        self.option("tls").or(self.option("ssl")).is_some()
    }
}

impl fmt::Debug for GivenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether two digits follow every percent sign.
fn is_percent_encoded(text: &str) -> bool {
    let is_code = |after: &str| after.as_bytes().get(..2).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    text.split('%').skip(1).all(is_code)
}

/// Accepts `name`, `name:port`, `[ip]`, `[ip]:port`, or an escaped socket path. A port that is not a number shows that
/// the credentials were split at the wrong place.
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
mod tests;
