//! `rsctl secrets`: makes the keys, certificates and passwords of a set with login and TLS, each in a file of its own.
//!
//! **Invariant:** a file that exists is never changed. What is kept must be usable, and must belong together with the
//! rest: else nothing is written.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::certificates::{AUTHORITY_VALID, Authority, CERTIFICATE_VALID, CertificateError, Holder, check};
use crate::outcome::{Exit, Outcome, note};
use crate::secret::{Keyfile, Secret, SecretError};
use crate::settings::SecretsSettings;

/// The key of the authority. It is not for the Swarm: it signs the certificates of nodes that come later.
const AUTHORITY_KEY: &str = "ca.key";
// The other files have the names of the Swarm's secrets, which the files in `deploy/swarm` use.
const AUTHORITY: &str = "mongo-ca";
const KEYFILE: &str = "mongo-keyfile";
const MEMBERS: &str = "mongo-server";
const CONTROLLER: &str = "mongo-rsctl";

/// The numbers of random bytes. MongoDB accepts a key of 1024 characters at most.
const KEY_BYTES: usize = 756;
const PASSWORD_BYTES: usize = 32;

pub(super) fn secrets(settings: &SecretsSettings) -> Outcome {
    let now = SystemTime::now();
    let made = folder(&settings.out).and_then(|()| files(settings, now)).and_then(|files| {
        files.iter().try_for_each(|file| file.write())?;
        Ok(files)
    });
    match made {
        Ok(files) => {
            tell(settings, &files, now);
            Outcome::print(Exit::Ok, &commands(&files))
        }
        Err(error) => Outcome::error(Exit::Failed, &error),
    }
}

/// A file that is there, or shall be.
struct Paper {
    path: PathBuf,
    name: String,
    /// What to write. `None`: the file exists.
    new: Option<Secret>,
}

impl Paper {
    fn write(&self) -> Result<(), SecretsError> {
        let Some(text) = &self.new else { return Ok(()) };
        let unwritable = |source| SecretsError::Unwritable { path: self.path.clone(), source };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path).map_err(unwritable)?;
        let written = file.write_all(text.expose().as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|error| {
            // A part of a file would count as a file at the next run.
            let _ = fs::remove_file(&self.path);
            unwritable(error)
        })
    }
}

/// Makes the directory. Others must not be able to read what it will hold.
fn folder(path: &Path) -> Result<(), SecretsError> {
    let unusable = |source| SecretsError::Unwritable { path: path.to_owned(), source };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path).map_err(unusable)?.mode();
            if mode & 0o077 == 0 { Ok(()) } else { Err(SecretsError::Open(path.to_owned())) }
        }
        made => made.map_err(unusable),
    }
}

fn files(settings: &SecretsSettings, now: SystemTime) -> Result<Vec<Paper>, SecretsError> {
    let out = &settings.out;
    let mut files = certificates(settings, now)?;
    files.push(keyfile(out)?);
    files.push(password(out, "root")?);
    files.push(password(out, "monitoring")?);
    for app in &settings.apps {
        files.push(password(out, &app.to_string())?);
    }
    Ok(files)
}

fn certificates(settings: &SecretsSettings, now: SystemTime) -> Result<Vec<Paper>, SecretsError> {
    let out = &settings.out;
    let holders = [(MEMBERS, Holder::Members(&settings.names)), (CONTROLLER, Holder::Controller)];
    let (signer, root, mut files) = authority(out, now)?;
    for (name, holder) in holders {
        let path = out.join(name);
        let new = match (existing(&path)?, &signer) {
            (Some(file), _) => check(file.expose(), root.expose(), holder, now).map(|()| None),
            (None, Some(signer)) => signer.sign(holder, now).map(Some),
            (None, None) => return Err(SecretsError::Halved(out.clone())),
        };
        let new = new.map_err(|error| unusable(&path, error))?;
        files.push(Paper { path, name: name.to_owned(), new });
    }
    Ok(files)
}

/// The authority, if it can sign, and its certificate. Both are kept or both are new.
fn authority(out: &Path, now: SystemTime) -> Result<(Option<Authority>, Secret, Vec<Paper>), SecretsError> {
    let paper = |name: &str, new| Paper { path: out.join(name), name: name.to_owned(), new };
    match (existing(&out.join(AUTHORITY_KEY))?, existing(&out.join(AUTHORITY))?) {
        (None, None) => {
            // A certificate of another authority would be refused too, but for a reason that says less.
            if [MEMBERS, CONTROLLER].iter().any(|name| out.join(name).exists()) {
                return Err(SecretsError::Halved(out.to_owned()));
            }
            let (signer, key, root) = Authority::new(now).map_err(|error| unusable(&out.join(AUTHORITY), error))?;
            let root = Secret::new(root);
            let files = vec![paper(AUTHORITY_KEY, Some(key)), paper(AUTHORITY, Some(root.clone()))];
            Ok((Some(signer), root, files))
        }
        (Some(key), Some(root)) => {
            let signer = Authority::read(&key, root.expose(), now);
            let signer = signer.map_err(|error| unusable(&out.join(AUTHORITY_KEY), error))?;
            Ok((Some(signer), root, vec![paper(AUTHORITY_KEY, None), paper(AUTHORITY, None)]))
        }
        // The key is where it should be: somewhere else.
        (None, Some(root)) => Ok((None, root, vec![paper(AUTHORITY, None)])),
        (Some(_), None) => Err(SecretsError::Halved(out.to_owned())),
    }
}

fn keyfile(folder: &Path) -> Result<Paper, SecretsError> {
    let path = folder.join(KEYFILE);
    let new = match Keyfile::read(&path) {
        Err(error) if is_missing(&error) => Secret::random::<KEY_BYTES>(&STANDARD).map(Some),
        read => read.map(|_| None),
    };
    let new = new.map_err(|error| unusable(&path, error))?;
    Ok(Paper { path, name: KEYFILE.to_owned(), new })
}

fn password(folder: &Path, user: &str) -> Result<Paper, SecretsError> {
    let name = format!("mongo-password-{user}");
    let path = folder.join(&name);
    let new = match Secret::password_file(&path) {
        // No character of it has a meaning in a URI.
        Err(error) if is_missing(&error) => Secret::random::<PASSWORD_BYTES>(&URL_SAFE_NO_PAD).map(Some),
        read => read.map(|_| None),
    };
    let new = new.map_err(|error| unusable(&path, error))?;
    Ok(Paper { path, name, new })
}

fn existing(path: &Path) -> Result<Option<Secret>, SecretsError> {
    match Secret::text_file(path) {
        Err(error) if is_missing(&error) => Ok(None),
        read => read.map(Some).map_err(|error| unusable(path, error)),
    }
}

fn is_missing(error: &SecretError) -> bool {
    matches!(error, SecretError::Unreadable(error) if error.kind() == ErrorKind::NotFound)
}

fn unusable(path: &Path, why: impl Into<Unusable>) -> SecretsError {
    SecretsError::Unusable { path: path.to_owned(), source: why.into() }
}

/// The commands that give the files to a Swarm.
fn commands(files: &[Paper]) -> String {
    let public = files.iter().filter(|file| file.name != AUTHORITY_KEY);
    public.map(|Paper { name, path, .. }| format!("docker secret create {name} {}\n", for_shell(path))).collect()
}

fn for_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'));
    // Inside single quotes only the quote itself is special.
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What an operator should know.
fn tell(settings: &SecretsSettings, files: &[Paper], now: SystemTime) {
    let out = settings.out.display();
    let (new, kept): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.new.is_some());
    let names = |files: &[&Paper]| files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ");
    if !new.is_empty() {
        note(format_args!("made in {out}: {}", names(&new)));
    }
    if !kept.is_empty() {
        note(format_args!("kept in {out}: {}; to make one again, move it away first", names(&kept)));
    }
    let is_new = |name: &str| new.iter().any(|file| file.name == name);
    for (name, time) in [(AUTHORITY, AUTHORITY_VALID), (MEMBERS, CERTIFICATE_VALID), (CONTROLLER, CERTIFICATE_VALID)] {
        if is_new(name) {
            note(format_args!("{name} is valid until {}", day(now, time)));
        }
    }
    if is_new(MEMBERS) {
        let names = settings.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        note(format_args!("{MEMBERS} is for {names}"));
    }
    if is_new(AUTHORITY_KEY) {
        note(format_args!("keep {AUTHORITY_KEY} away from the nodes: it signs the certificates of later ones"));
    }
}

/// The day that is this long after now.
fn day(now: SystemTime, time: Duration) -> String {
    let text = bson::DateTime::from_system_time(now + time).try_to_rfc3339_string().unwrap_or_default();
    text.chars().take(10).collect()
}

/// Why the files are not there. No variant shows a secret.
#[derive(Debug, thiserror::Error)]
enum SecretsError {
    #[error("other users can read {path}: run `chmod 700 {path}`", path = .0.display())]
    Open(PathBuf),
    #[error("cannot write {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} is kept, but it cannot be used; rsctl makes another one if you move it away", path.display())]
    Unusable { path: PathBuf, source: Unusable },
    #[error(
        "{} needs both {AUTHORITY_KEY} and {AUTHORITY} to sign: put back what is missing, or begin with a new directory",
        .0.display()
    )]
    Halved(PathBuf),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}
