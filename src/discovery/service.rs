//! The name of a service, as the operator writes it.

use std::fmt;
use std::str::FromStr;

/// The name of a service whose tasks DNS lists: `mongo`, `db_mongo` or `tasks.mongo` for addresses, and
/// `_mongodb._tcp.mongo.example` for SRV records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceName(String);

impl ServiceName {
    /// The name as text, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the name of SRV records.
    pub fn is_srv(&self) -> bool {
        self.0.starts_with('_')
    }

    /// The names whose addresses are asked for, in this order. `tasks.NAME` lists the tasks even if `NAME` is a virtual
    /// IP.
    pub(super) fn candidates(&self) -> Vec<String> {
        // `tasks.tasks.mongo` would cost a time-out on hosts whose DNS forwards unknown names to a server that never
        // answers.
        if self.0.starts_with("tasks.") {
            return vec![self.0.clone()];
        }
        vec![format!("tasks.{}", self.0), self.0.clone()]
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServiceName {
    type Err = ServiceNameError;

    fn from_str(text: &str) -> Result<Self, ServiceNameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let label = |l: &str| (1..=63).contains(&l.len()) && l.chars().all(allowed);
        let srv = |n: &str| {
            let mut labels = n.split('.').skip(1);
            labels.next().is_some_and(|l| l.starts_with('_')) && labels.next().is_some()
        };
        // `tasks.` must still fit into the 253 characters of a DNS name.
        let fits = name.len() <= 253 - "tasks.".len();
        if !fits || !name.split('.').all(label) || (name.starts_with('_') && !srv(name)) {
            return Err(ServiceNameError(text.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

/// The text is not a service name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a service name such as `mongo` nor an SRV name such as `_mongodb._tcp.mongo`")]
pub struct ServiceNameError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_come_before_the_plain_name() {
        let ask = |text: &str| text.parse::<ServiceName>().unwrap().candidates();
        assert_eq!(ask("db_mongo"), ["tasks.db_mongo", "db_mongo"]);
        assert_eq!(ask("mongo.example."), ["tasks.mongo.example", "mongo.example"]);
        assert_eq!(ask("tasks.mongo"), ["tasks.mongo"]);
    }

    #[test]
    fn two_leading_underscores_mean_srv() {
        assert!("_mongodb._tcp.mongo".parse::<ServiceName>().unwrap().is_srv());
        assert!(!"mongo_db".parse::<ServiceName>().unwrap().is_srv());
    }

    #[test]
    fn text_that_is_no_service_name_is_refused() {
        let long = "m".repeat(64);
        for text in ["", ".", "a..b", "mongo:27017", "a b", "_mongodb", "_mongodb._tcp", "_a.b.c", "ä", &long] {
            assert!(text.parse::<ServiceName>().is_err(), "{text:?}");
        }
    }
}
