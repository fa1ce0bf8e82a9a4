//! A certificate, as a status shows it.

use crate::model::{Certificate, CertificateOf, Host, Observed};
use serde::{Deserialize, Serialize};

/// When a certificate expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Whose it is: `controller`, `authority`, or `node`.
    pub of: String,
    /// The file of rsctl that holds it, or the address of the node that showed it.
    pub at: String,
    /// Its last second, in UTC.
    pub expires: String,
    /// The same in seconds since 1970.
    pub expires_unix: u64,
}

impl CertificateStatus {
    /// All certificates that the observation shows. A node is named as members are, where it is one.
    pub fn all(observed: &Observed, members: &[Host]) -> Vec<Self> {
        observed.certificates.known.iter().map(|certificate| Self::of(certificate, observed, members)).collect()
    }

    fn of(certificate: &Certificate, observed: &Observed, members: &[Host]) -> Self {
        let (of, at) = match &certificate.of {
            CertificateOf::Controller(file) => ("controller", file.clone()),
            CertificateOf::Authorities(file) => ("authority", file.clone()),
            CertificateOf::Node(at) => {
                let there = |host: &&Host| observed.node(host).is_some_and(|node| node.at == Some(*at));
                ("node", members.iter().find(there).map_or_else(|| at.to_string(), Host::to_string))
            }
        };
        let until = certificate.validity.until;
        Self { of: of.to_owned(), at, expires: until.to_string(), expires_unix: until.0 }
    }
}
