//! The files for TLS, and the certificates that mongods show.
//!
//! **Invariant:** a file that is not usable never replaces one that is.

use super::tls::client_config;
use crate::model::{Certificate, CertificateOf, Certificates, Timeliness, UnixSeconds, UnusableFile, Validity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error as TlsError, RootCertStore};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::info;
use webpki::{EndEntityCert, KeyUsage};
use zeroize::Zeroizing;

/// The limit for a file, in bytes. A list of all public authorities has about 250 kB.
const BYTES_MAX: u64 = 1024 * 1024;
const BYTES_ROOM: usize = 1024 * 1024 + 64;

/// The files, as they were when they were last usable, and what mongods showed.
pub(super) struct Papers {
    files: Mutex<Files>,
    shown: Mutex<BTreeMap<SocketAddr, Validity>>,
}

struct Files {
    authorities: Option<Watched<RootCertStore>>,
    own: Option<Watched<Arc<CertifiedKey>>>,
    config: Option<Arc<ClientConfig>>,
}

/// Reads what a file holds, and when it is valid.
type Parse<T> = fn(&[u8]) -> Result<(T, Validity), Fault>;

/// A file, and what it held when it was last usable.
struct Watched<T> {
    path: PathBuf,
    stamp: Option<Stamp>,
    held: Option<(T, Validity)>,
    fault: Option<Fault>,
}

/// What changes with the content of a file: its device and inode, its length, and when it was changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 2], [u64; 3]);

/// Why a file is not usable.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is larger than 1 MiB")]
    Large,
    #[error("is empty")]
    Empty,
    #[error("holds no certificate in PEM")]
    NoCertificate,
    #[error("holds no usable private key in PEM")]
    NoKey,
    #[error("holds a key that does not belong to its certificate")]
    OtherKey,
    #[error("is not valid before {0}")]
    Early(UnixSeconds),
    #[error("expired at {0}")]
    Late(UnixSeconds),
}

impl Papers {
    pub(super) fn new(authorities: Option<PathBuf>, own: Option<PathBuf>) -> Self {
        let files = Files { authorities: authorities.map(Watched::new), own: own.map(Watched::new), config: None };
        Self { files: Mutex::new(files), shown: Mutex::default() }
    }

    /// The settings for a new connection, after the files were checked.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).config(now())
    }

    /// Keeps when the certificate is valid that a mongod has shown. All checks have passed.
    pub(super) fn saw(&self, at: SocketAddr, certificate: &CertificateDer<'_>) {
        if let Some(validity) = validity(certificate) {
            self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(at, validity);
        }
    }

    pub(super) fn forget_all_but(&self, addresses: &BTreeSet<SocketAddr>) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).retain(|at, _| addresses.contains(at));
    }

    /// What is known now, after the files were checked.
    pub(super) fn certificates(&self) -> Certificates {
        let now = now();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // A fault is part of the result.
        let _ = files.config(now);
        let path = |path: &Path| path.display().to_string();
        let authorities = files.authorities.as_ref();
        let own = files.own.as_ref();
        let held = [
            authorities.and_then(|file| Some((CertificateOf::Authorities(path(&file.path)), file.held.as_ref()?.1))),
            own.and_then(|file| Some((CertificateOf::Controller(path(&file.path)), file.held.as_ref()?.1))),
        ];
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shown = shown.into_iter().map(|(at, validity)| (CertificateOf::Node(at), validity));
        let known = held.into_iter().flatten().chain(shown);
        Certificates {
            known: known.map(|(of, validity)| Certificate { of, validity, now: validity.at(now) }).collect(),
            unusable: [authorities.and_then(Watched::complaint), own.and_then(Watched::complaint)]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}

impl fmt::Debug for Papers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Papers")
    }
}

impl Files {
    fn config(&mut self, now: UnixSeconds) -> Result<Arc<ClientConfig>, String> {
        let Self { authorities, own, config } = self;
        let changed = [
            authorities.as_mut().is_some_and(|file| file.refresh(now, authorities_in)),
            own.as_mut().is_some_and(|file| file.refresh(now, own_in)),
        ];
        if let Some(config) = config.as_ref().filter(|_| !changed.contains(&true)) {
            return Ok(Arc::clone(config));
        }
        let roots = match authorities {
            Some(file) => file.usable()?.clone(),
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let own = own.as_ref().map(|file| file.usable().map(Arc::clone)).transpose()?;
        let new = Arc::new(client_config(roots, own).map_err(|e| e.to_string())?);
        Ok(Arc::clone(config.insert(new)))
    }
}

impl<T> Watched<T> {
    fn new(path: PathBuf) -> Self {
        Self { path, stamp: None, held: None, fault: None }
    }

    /// Reads the file if it has changed, or if it was not usable. Returns whether it holds something new.
    fn refresh(&mut self, now: UnixSeconds, parse: Parse<T>) -> bool {
        let stamp = Stamp::of(&self.path);
        if self.fault.is_none() && stamp.is_some() && stamp == self.stamp {
            return false;
        }
        self.stamp = stamp;
        let in_time = |(_, validity): &(T, Validity)| matches!(validity.at(now), Timeliness::Left(_));
        let has_better = self.held.as_ref().is_some_and(in_time);
        match read(&self.path).and_then(|bytes| parse(&bytes)) {
            // What is out of time is better than nothing: it is reported as such, and the clock may be wrong.
            Ok((_, validity)) if has_better && validity.at(now) == Timeliness::Early => {
                self.fault = Some(Fault::Early(validity.from));
                false
            }
            Ok((_, validity)) if has_better && validity.at(now) == Timeliness::Late => {
                self.fault = Some(Fault::Late(validity.until));
                false
            }
            Ok(new) => {
                if self.held.is_some() {
                    info!(file = %self.path.display(), expires = %new.1.until, "read a new certificate");
                }
                (self.held, self.fault) = (Some(new), None);
                true
            }
            Err(fault) => {
                self.fault = Some(fault);
                false
            }
        }
    }

    fn usable(&self) -> Result<&T, String> {
        let fault = || self.fault.as_ref().map(ToString::to_string).unwrap_or_default();
        self.held.as_ref().map(|(held, _)| held).ok_or_else(|| format!("{} {}", self.path.display(), fault()))
    }

    fn complaint(&self) -> Option<UnusableFile> {
        let (file, keeps_old) = (self.path.display().to_string(), self.held.is_some());
        self.fault.as_ref().map(|fault| UnusableFile { file, reason: fault.to_string(), keeps_old })
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let seen = fs::metadata(path).ok()?;
        Some(Self([seen.ctime(), seen.ctime_nsec()], [seen.dev(), seen.ino(), seen.size()]))
    }
}

fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    // The buffer never grows, so no part of a key stays behind in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_ROOM));
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() {
        0 => Err(Fault::Empty),
        length if length as u64 > BYTES_MAX => Err(Fault::Large),
        _ => Ok(bytes),
    }
}

/// The authorities in a file. They are valid as long as one of them is.
fn authorities_in(bytes: &[u8]) -> Result<(RootCertStore, Validity), Fault> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes).flatten().collect();
    let valid: Vec<Validity> = found.iter().filter_map(validity).collect();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found);
    let last = valid.into_iter().max_by_key(|validity| validity.until).filter(|_| added > 0);
    last.map(|validity| (roots, validity)).ok_or(Fault::NoCertificate)
}

/// The certificate and key of rsctl.
fn own_in(bytes: &[u8]) -> Result<(Arc<CertifiedKey>, Validity), Fault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let chain = chain.map_err(|_| Fault::NoCertificate)?;
    let valid = chain.first().and_then(validity).ok_or(Fault::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(bytes).map_err(|_| Fault::NoKey)?;
    let pair = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider());
    let pair = pair.map_err(|error| match error {
        TlsError::InconsistentKeys(_) => Fault::OtherKey,
        _ => Fault::NoKey,
    })?;
    Ok((Arc::new(pair), valid))
}

/// When a certificate is valid. webpki does not give the times, but it names them when it refuses a certificate because of
/// the time, and it checks the time before anything else.
fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let refusal_at = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        certificate.verify_for_usage(&[], &[], &[], time, KeyUsage::client_auth(), None, None).err()
    };
    let from = match refusal_at(0)? {
        webpki::Error::CertNotValidYet { not_before, .. } => not_before.as_secs(),
        _ => 0,
    };
    let webpki::Error::CertExpired { not_after, .. } = refusal_at(u64::MAX)? else { return None };
    Some(Validity { from: UnixSeconds(from), until: UnixSeconds(not_after.as_secs()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use std::os::unix::fs::PermissionsExt;

    const DAY: u64 = 86_400;

    /// A certificate that signs itself, and its key, in one text. It is valid from and to so many days from now.
    fn pair(days: (i64, i64)) -> String {
        let seconds = |days: i64| {
            let moved = now().0.checked_add_signed(days * DAY as i64).unwrap();
            (UNIX_EPOCH + Duration::from_secs(moved)).into()
        };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (seconds(days.0), seconds(days.1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pem = |label: &str, der: &[u8]| {
            use base64::Engine;
            let body = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        pem("CERTIFICATE", certificate.der()) + &pem("PRIVATE KEY", key.serialized_der())
    }

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("rsctl-papers-{}-{name}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn path(&self) -> PathBuf {
            self.0.join("pair.pem")
        }

        /// Replaces the file as a careful program does.
        fn put(&self, text: &str) {
            fs::write(self.0.join("new"), text).unwrap();
            fs::rename(self.0.join("new"), self.path()).unwrap();
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_new_file_counts_and_an_unusable_one_does_not() {
        let dir = Dir::new("reload");
        dir.put(&pair((-1, 10)));
        let papers = Papers::new(Some(dir.path()), Some(dir.path()));
        let first = papers.config().unwrap();
        assert!(Arc::ptr_eq(&first, &papers.config().unwrap()), "an unchanged file is not read again");
        dir.put(&pair((-1, 100)));
        let second = papers.config().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        let (one, other) = (pair((-1, 50)), pair((-1, 50)));
        let key_of = |text: &str| text[text.find("-----BEGIN PRIVATE").unwrap()..].to_owned();
        let certificate_of = |text: &str| text[..text.find("-----BEGIN PRIVATE").unwrap()].to_owned();
        for (text, reason) in [
            ("", "is empty"),
            ("no PEM", "holds no certificate in PEM"),
            (&certificate_of(&one), "holds no usable private key in PEM"),
            (&(certificate_of(&one) + &key_of(&other)), "holds a key that does not belong to its certificate"),
            (&pair((-9, -1)), "expired at "),
            (&pair((1, 9)), "is not valid before "),
            (&" ".repeat(1024 * 1024 + 1), "is larger than 1 MiB"),
        ] {
            dir.put(text);
            let seen = papers.certificates();
            let said: Vec<_> = seen.unusable.iter().map(|file| file.reason.as_str()).collect();
            assert!(said.iter().any(|said| said.starts_with(reason)), "{reason}: {said:?}");
            assert!(seen.unusable.iter().all(|file| file.keeps_old));
            let left = |known: &Certificate| known.validity.until.0 - now().0;
            // The authorities may well be in a file without a key.
            assert!(seen.known.iter().any(|known| left(known) > 99 * DAY), "{reason}: {:?}", seen.known);
            papers.config().unwrap();
            dir.put(&pair((-1, 100)));
            assert_eq!(papers.certificates().unusable, [], "{reason}");
        }
        fs::remove_file(dir.path()).unwrap();
        assert!(papers.certificates().unusable[0].reason.starts_with("cannot be read: "));
        papers.config().unwrap();
    }

    #[test]
    fn a_file_that_was_never_usable_is_named_and_one_that_is_out_of_time_is_used() {
        let dir = Dir::new("first");
        let papers = Papers::new(Some(dir.path()), None);
        assert!(papers.config().unwrap_err().contains("pair.pem cannot be read: "));
        dir.put("no PEM");
        assert!(papers.config().unwrap_err().ends_with("pair.pem holds no certificate in PEM"));
        assert!(!papers.certificates().unusable[0].keeps_old);
        dir.put(&pair((1, 9)));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o400)).unwrap();
        papers.config().unwrap();
        let seen = papers.certificates();
        assert_eq!((seen.known[0].now, seen.unusable.len()), (Timeliness::Early, 0));
        dir.put(&(pair((-9, -1)) + &pair((-1, 20))));
        let Timeliness::Left(left) = papers.certificates().known[0].now else { panic!("one authority is valid") };
        assert!(left.as_secs() > 19 * DAY, "{left:?}");
        dir.put(&pair((-9, -1)));
        assert_eq!(papers.certificates().unusable.len(), 1, "an authority that expired replaces none that is valid");
    }
}
