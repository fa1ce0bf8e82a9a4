//! A certificate, as a status shows it.

use crate::model::{Certificate, CertificateOf, Host, Observed, ReplConfig};
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
    pub fn all(observed: &Observed, config: Option<&ReplConfig>) -> Vec<Self> {
        observed.certificates.known.iter().map(|certificate| Self::of(certificate, observed, config)).collect()
    }

    fn of(certificate: &Certificate, observed: &Observed, config: Option<&ReplConfig>) -> Self {
        let (of, at) = match &certificate.of {
            CertificateOf::Controller(file) => ("controller", file.clone()),
            CertificateOf::Authorities(file) => ("authority", file.clone()),
            CertificateOf::Node(at) => {
                let member = config.and_then(|config| observed.member_at(config, *at));
                ("node", member.map_or_else(|| at.to_string(), Host::to_string))
            }
        };
        let until = certificate.validity.until;
        Self { of: of.to_owned(), at, expires: until.to_string(), expires_unix: until.0 }
    }
}
