//! TLS with a mongod. It checks which authority signed the certificate, and that the certificate names this mongod.
//!
//! The address of a task is unknown when certificates are made. So certificates contain names, but rsctl connects by
//! address. A certificate is accepted if it is valid for the address, or for a name that DNS resolves to exactly this
//! address.
//!
//! **Invariant:** rsctl sends only the bytes of the handshake before both checks pass.

use super::papers::Papers;
use crate::model::{Certificates, ProbeError, UnixSeconds};
use futures_util::future::{BoxFuture, join_all};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The maximum number of names to check in a certificate. A mongod of a set with 50 members needs no more. Other names
/// are ignored.
const NAMES_MAX: usize = 64;

/// TLS with mongods. The files are read again when they change, so that a renewed certificate takes effect.
#[derive(Clone, Debug)]
pub struct Tls {
    papers: Arc<Papers>,
    names: Names,
}

/// Checks whether a name resolves to an address. The name must resolve to exactly this address. For a name of the
/// service itself, it is enough that this address is among its addresses.
#[derive(Clone, Default)]
pub struct Names(Option<Arc<LeadsTo>>);

type LeadsTo = dyn Fn(String, IpAddr) -> BoxFuture<'static, bool> + Send + Sync;

impl Names {
    /// Uses this function for the check. The function must answer within its own time limit, and it must answer false
    /// in doubt.
    pub fn by(leads_to: impl Fn(String, IpAddr) -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(leads_to)))
    }

    /// Whether any of the names resolves to this address.
    async fn any_leads_to(&self, names: Vec<String>, ip: IpAddr) -> bool {
        let Some(leads_to) = &self.0 else { return false };
        join_all(names.into_iter().map(|name| leads_to(name, ip))).await.contains(&true)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Names(DNS)" } else { "Names(none)" })
    }
}

impl Tls {
    /// `authority` holds the authorities that may sign certificates, in PEM; without it, Mozilla's list applies.
    /// `certificate` holds the certificate and key of rsctl, in PEM. `names` resolves names; without it, a certificate must
    /// be valid for the address.
    pub fn new(authority: Option<PathBuf>, certificate: Option<PathBuf>, names: Names) -> Self {
        Self { papers: Arc::new(Papers::new(authority, certificate)), names }
    }

    /// Does the handshake, and checks the names in the certificate.
    pub(super) async fn connect(&self, tcp: TcpStream, at: SocketAddr) -> Result<TlsStream<TcpStream>, ProbeError> {
        let connector = TlsConnector::from(self.papers.config().map_err(ProbeError::Tls)?);
        let stream = connector.connect(ServerName::from(at.ip()), tcp).await.map_err(|e| super::peer::lost(&e))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = shown.ok_or_else(|| ProbeError::Tls("it shows no certificate".to_owned()))?;
        self.check_names(certificate, at.ip()).await?;
        self.papers.saw(at, certificate);
        Ok(stream)
    }

    /// What is known of certificates, after the files were checked.
    pub(super) fn certificates(&self) -> Certificates {
        self.papers.certificates()
    }

    /// Forgets the certificates of all other addresses.
    pub(super) fn forget_all_but(&self, addresses: &BTreeSet<SocketAddr>) {
        self.papers.forget_all_but(addresses);
    }

    async fn check_names(&self, certificate: &CertificateDer<'_>, ip: IpAddr) -> Result<(), ProbeError> {
        let refused = |error: TlsError| ProbeError::Tls(error.to_string());
        let parsed = ParsedCertificate::try_from(certificate).map_err(refused)?;
        if verify_server_name(&parsed, &ServerName::from(ip)).is_ok() {
            return Ok(());
        }
        let names = names_in(certificate, &parsed).map_err(refused)?;
        let shown = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        if self.names.any_leads_to(names, ip).await {
            return Ok(());
        }
        let words =
            format!("its certificate is neither valid for {ip} nor for a name that leads there: it has {shown}");
        Err(ProbeError::Tls(super::peer::tame(&words)))
    }
}

/// The settings of a client that shows this certificate, if any, and accepts certificates of these authorities.
pub(super) fn client_config(roots: RootCertStore, own: Option<Arc<CertifiedKey>>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Chain { roots, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
    })
}

/// What a failure of TLS means, in the words of an operator. `None` if it is no failure of TLS.
pub(super) fn explain(error: &io::Error) -> Option<String> {
    use CertificateError as C;
    let error = error.get_ref()?.downcast_ref::<TlsError>()?;
    let seconds = |time: &UnixTime| UnixSeconds(time.as_secs());
    Some(match error {
        TlsError::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => {
            "none of the trusted authorities (--tls-ca-file) signed its certificate".to_owned()
        }
        TlsError::InvalidCertificate(C::ExpiredContext { not_after, .. }) => {
            format!("its certificate expired at {}", seconds(not_after))
        }
        TlsError::InvalidCertificate(C::NotValidYetContext { not_before, .. }) => {
            format!("its certificate is not valid before {}: check the clocks", seconds(not_before))
        }
        TlsError::AlertReceived(alert) => {
            format!("it refuses rsctl's certificate or its absence (--tls-cert-key-file): {alert:?}")
        }
        other => other.to_string(),
    })
}

/// The DNS names that a certificate is valid for. Wildcards are left out, because they do not resolve to an address.
fn names_in(certificate: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> Result<Vec<String>, TlsError> {
    let entity = webpki::EndEntityCert::try_from(certificate)
        .map_err(|_| TlsError::InvalidCertificate(CertificateError::BadEncoding))?;
    let valid = |name: &&str| ServerName::try_from(*name).is_ok_and(|name| verify_server_name(parsed, &name).is_ok());
    let plain = entity.valid_dns_names().filter(|name| !name.contains('*')).filter(valid);
    Ok(plain.take(NAMES_MAX).map(str::to_owned).collect())
}

/// Checks who signed the certificate. It does not check names: [`Tls::check_names`] does, because that needs DNS.
#[derive(Debug)]
struct Chain {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Chain {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
