//! Certificates, and how long they are still valid.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A point in time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = bson::DateTime::from_millis(i64::try_from(self.0.saturating_mul(1000)).unwrap_or(i64::MAX));
        f.write_str(&time.try_to_rfc3339_string().unwrap_or_else(|_| self.0.to_string()))
    }
}

/// When a certificate is valid, by its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: UnixSeconds,
    /// The last second.
    pub until: UnixSeconds,
}

/// How a point in time lies to a [`Validity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeliness {
    /// The certificate is not valid yet.
    Early,
    /// It is valid, and stays so for this time.
    Left(Duration),
    /// It has expired.
    Late,
}

impl Validity {
    /// Where `now` lies.
    pub fn at(&self, now: UnixSeconds) -> Timeliness {
        match self.until.0.checked_sub(now.0) {
            _ if now < self.from => Timeliness::Early,
            Some(left) => Timeliness::Left(Duration::from_secs(left)),
            None => Timeliness::Late,
        }
    }
}

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateOf {
    /// The one that rsctl shows to mongods, from this file.
    Controller(String),
    /// The authorities in this file. Of several, the one that is valid for longest.
    Authorities(String),
    /// The one that the mongod at this address showed on the newest connection.
    Node(SocketAddr),
}

/// A certificate that rsctl has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub of: CertificateOf,
    /// When it is valid.
    pub validity: Validity,
    /// What that means now.
    pub now: Timeliness,
}

/// A file for TLS that was changed, or is there from the start, and is not usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableFile {
    /// Its path.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
    /// Whether what it held before stays in use.
    pub keeps_old: bool,
}

/// What one observation shows of certificates. It is empty without TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// All certificates that are known.
    pub known: Vec<Certificate>,
    /// The files that are not usable.
    pub unusable: Vec<UnusableFile>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_second_count() {
        let validity = Validity { from: UnixSeconds(100), until: UnixSeconds(200) };
        let at = |now| validity.at(UnixSeconds(now));
        assert_eq!([at(99), at(201)], [Timeliness::Early, Timeliness::Late]);
        assert_eq!(at(100), Timeliness::Left(Duration::from_secs(100)));
        assert_eq!(at(200), Timeliness::Left(Duration::ZERO));
        assert_eq!(UnixSeconds(1_700_000_000).to_string(), "2023-11-14T22:13:20Z");
        assert!(!UnixSeconds(u64::MAX).to_string().is_empty());
    }
}
