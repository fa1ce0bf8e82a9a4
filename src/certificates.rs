//! A certificate authority of a replica set, and the certificates that it signs.
//!
//! mongod wants a certificate and its key in one file of PEM. A member is a server to its clients and a client to the other
//! members, so its certificate is for both uses.
//!
//! **Invariant:** keys are [`Secret`]s, and no error shows one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use ring::digest::{SHA256, digest};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::parse::Wanted;
use crate::secret::Secret;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long an authority is valid.
pub const AUTHORITY_VALID: Duration = DAY.saturating_mul(3650);
/// How long a certificate is valid.
pub const CERTIFICATE_VALID: Duration = DAY.saturating_mul(730);
/// Certificates are valid from a day before, because the clock of a node may be behind.
const BEFORE: Duration = DAY;

/// A name or an IP address for which a certificate is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AltName(String);

impl FromStr for AltName {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        // Underscores are not for host names, but Docker's names have them.
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(allowed);
        // A last label of digits only is an address that is not valid.
        let named = text.rsplit('.').next().is_some_and(|last| !last.chars().all(|c| c.is_ascii_digit()));
        let is_name = text.len() <= 253 && named && text.split('.').all(label);
        if is_name || text.parse::<IpAddr>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(Wanted("a host name or an IP address"))
        }
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who shows a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'n> {
    /// The mongods, under these names.
    Members(&'n [AltName]),
    /// rsctl, as a client.
    Controller,
}

/// A certificate authority that can sign.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A new authority, with its key and its certificate as PEM.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn new(now: SystemTime) -> Result<(Self, Secret, String), CertificateError> {
        let key = KeyPair::generate()?;
        let params = authority(&key, now);
        let certificate = params.self_signed(&key)?;
        let key_pem = Secret::new(pem("PRIVATE KEY", key.serialized_der()));
        Ok((Self(Issuer::new(params, key)), key_pem, pem("CERTIFICATE", certificate.der())))
    }

    /// The authority of an earlier [`Authority::new`], from its key and its certificate.
    ///
    /// # Errors
    /// One of them is not usable, or they do not belong together.
    pub fn read(key: &Secret, certificate: &str, now: SystemTime) -> Result<Self, CertificateError> {
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| CertificateError::NoKey)?;
        let key = KeyPair::try_from(&key).map_err(|_| CertificateError::NoKey)?;
        let read = Self(Issuer::new(authority(&key, now), key));
        // If the two belong together, the authority accepts what the key signs.
        let probe = read.sign(Holder::Controller, now)?;
        check(probe.expose(), certificate, Holder::Controller, now).map_err(|_| CertificateError::OtherKey)?;
        Ok(read)
    }

    /// A new certificate and its key, in one text of PEM.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn sign(&self, holder: Holder<'_>, now: SystemTime) -> Result<Secret, CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = certificate(holder, now)?.signed_by(&key, &self.0)?;
        Ok(Secret::new(together(&certificate, &key)))
    }
}

/// The name of an authority follows from its key. So two authorities have different names, and the key is enough to sign
/// with the same name again.
fn authority(key: &KeyPair, now: SystemTime) -> CertificateParams {
    let id = digest(&SHA256, &key.subject_public_key_info());
    let id: String = id.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("rsctl authority {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(params, now, AUTHORITY_VALID)
}

fn certificate(holder: Holder<'_>, now: SystemTime) -> Result<CertificateParams, CertificateError> {
    let (names, common, unit) = match holder {
        Holder::Members(names) => (names, "mongo", "mongod"),
        Holder::Controller => (&[][..], "rsctl", "controller"),
    };
    let mut params = CertificateParams::new(names.iter().map(|name| name.0.clone()).collect::<Vec<_>>())?;
    // MongoDB takes a client with the members' organisation and unit for a member, where members log in by certificate.
    params.distinguished_name.push(DnType::OrganizationName, "rsctl");
    params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
    params.distinguished_name.push(DnType::CommonName, common);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match holder {
        Holder::Members(_) => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Holder::Controller => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    Ok(valid(params, now, CERTIFICATE_VALID))
}

fn valid(mut params: CertificateParams, now: SystemTime, time: Duration) -> CertificateParams {
    (params.not_before, params.not_after) = ((now - BEFORE).into(), (now + time).into());
    params
}

fn together(certificate: &Certificate, key: &KeyPair) -> String {
    pem("CERTIFICATE", certificate.der()) + &pem("PRIVATE KEY", key.serialized_der())
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (n, c) in body.chars().enumerate() {
        if n > 0 && n % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text + &format!("\n-----END {label}-----\n")
}

/// Checks whether a certificate, from a file with its key, works for its holder. It does not check the dates of the
/// authority's own certificate.
///
/// # Errors
/// What is wrong with it.
pub fn check(file: &str, authority: &str, holder: Holder<'_>, now: SystemTime) -> Result<(), CertificateError> {
    let chain = certificates(file)?;
    let anchors = certificates(authority)?;
    let anchors: Vec<_> = anchors.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
    let (own, between) = chain.split_first().ok_or(CertificateError::NoCertificate)?;
    PrivateKeyDer::from_pem_slice(file.as_bytes()).map_err(|_| CertificateError::NoKey)?;
    let own = EndEntityCert::try_from(own).map_err(|_| CertificateError::NoCertificate)?;
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    let algorithms = default_provider().signature_verification_algorithms.all;
    let uses: &[fn() -> KeyUsage] = match holder {
        Holder::Members(_) => &[KeyUsage::server_auth, KeyUsage::client_auth],
        Holder::Controller => &[KeyUsage::client_auth],
    };
    for usage in uses {
        own.verify_for_usage(algorithms, &anchors, between, now, usage(), None, None)?;
    }
    let Holder::Members(names) = holder else { return Ok(()) };
    for AltName(name) in names {
        let wanted = ServerName::try_from(name.as_str()).map_err(|_| CertificateError::OtherName(name.clone()))?;
        own.verify_is_valid_for_subject_name(&wanted).map_err(|_| CertificateError::OtherName(name.clone()))?;
    }
    Ok(())
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file.as_bytes()).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(CertificateError::NoCertificate)
}

/// Why a certificate is not usable or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file holds no certificate in PEM.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// The file holds no private key in PEM that can be used.
    #[error("holds no usable private key in PEM")]
    NoKey,
    /// The key of an authority belongs to another certificate.
    #[error("is not the key of this authority")]
    OtherKey,
    /// The certificate is not valid for a name.
    #[error("is not valid for {0}")]
    OtherName(String),
    /// The authority did not sign the certificate, it is not valid now, or it is for other uses.
    #[error("is not accepted")]
    Refused(#[from] webpki::Error),
    /// The certificate cannot be made.
    #[error("cannot be made")]
    Unmade(#[from] rcgen::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<AltName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_certificate_counts_for_its_names_its_uses_and_its_time() {
        let now = SystemTime::now();
        let (authority, _, root) = Authority::new(now).unwrap();
        let own = names(&["mongo-node_1", "tasks.mongo", "127.0.0.1", "::1"]);
        let file = authority.sign(Holder::Members(&own), now).unwrap();
        let check_at = |holder, now| check(file.expose(), &root, holder, now).map_err(|error| error.to_string());
        assert_eq!(check_at(Holder::Members(&own), now), Ok(()));
        assert_eq!(check_at(Holder::Members(&own), now + CERTIFICATE_VALID - DAY), Ok(()));
        assert_eq!(check_at(Holder::Members(&own), now - DAY / 2), Ok(()), "the clock of a node may be behind");
        assert!(check_at(Holder::Members(&own), now + CERTIFICATE_VALID + DAY).is_err());
        let more = names(&["mongo-node_1", "mongo-node2"]);
        assert_eq!(check_at(Holder::Members(&more), now), Err("is not valid for mongo-node2".to_owned()));
        let controller = authority.sign(Holder::Controller, now).unwrap();
        assert!(check(controller.expose(), &root, Holder::Controller, now).is_ok());
        assert!(check(controller.expose(), &root, Holder::Members(&[]), now).is_err(), "a client is no server");
        let (_, _, other) = Authority::new(now).unwrap();
        assert!(check(file.expose(), &other, Holder::Members(&own), now).is_err());
    }

    #[test]
    fn an_authority_is_read_again_and_signs_under_the_same_name() {
        let now = SystemTime::now();
        let (_, key, root) = Authority::new(now).unwrap();
        let later = now + DAY * 400;
        let again = Authority::read(&key, &root, later).unwrap();
        let own = names(&["mongo-node1"]);
        let file = again.sign(Holder::Members(&own), later).unwrap();
        assert!(check(file.expose(), &root, Holder::Members(&own), later).is_ok());
        let (_, _, other) = Authority::new(now).unwrap();
        let refused = |key, root| Authority::read(key, root, now).err().unwrap().to_string();
        assert_eq!(refused(&key, &other), CertificateError::OtherKey.to_string());
        assert_eq!(refused(&Secret::new("no PEM"), &root), CertificateError::NoKey.to_string());
    }

    #[test]
    fn names_are_those_of_hosts() {
        for text in ["node1", "a_b.example", "10.0.0.1", "fe80::1", "tasks.mongo"] {
            assert_eq!(text.parse::<AltName>().unwrap().to_string(), text);
        }
        for text in ["", "a..b", ".", "*.example", "a b", "node1:27017", "10.0.0", "é", &"a".repeat(64)] {
            assert!(text.parse::<AltName>().is_err(), "{text:?}");
        }
    }
}
