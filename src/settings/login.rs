//! The credential that the controller logs in with, and the credential in a URI from `uri`, `exec` and `env`.

use std::path::{Path, PathBuf};

use super::{Environment, Usage};
use crate::cli;
use crate::connection_string::Credentials;
use crate::secret::{Keyfile, Secret, SecretError};

/// The credential for the nodes.
#[derive(Clone, Debug)]
pub enum Login {
    /// The nodes require no login.
    None,
    /// The controller logs in as `__system`, as the members do among themselves.
    Keyfile(Keyfile),
    /// The controller logs in with its certificate.
    Certificate,
    /// The controller logs in as a user of the database `auth_source`.
    Password {
        /// The user.
        username: String,
        /// The user's password.
        password: Secret,
        /// The database that defines the user.
        auth_source: String,
    },
}

/// The variables that other tools use for the administrator. The official image's come first. `_FILE` may follow each
/// name.
const ADMINISTRATORS: [(&str, &str); 3] = [
    ("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"),
    ("MONGO_ROOT_USERNAME", "MONGO_ROOT_PASSWORD"),
    ("MONGODB_ROOT_USER", "MONGODB_ROOT_PASSWORD"),
];

impl Login {
    pub(super) fn new(cli: cli::LoginArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::LoginArgs { keyfile, x509, username, password_file, auth_source } = cli;
        secret_by_file("RSCTL_PASSWORD", environment)?;
        match (keyfile, username, password_file) {
            (None, None, None) if x509 => Ok(Self::Certificate),
            _ if x509 => Err(Usage::conflict("--x509 and --keyfile or --username: give one or the other")),
            (None, None, None) => Self::by_other_names(auth_source, environment),
            (Some(path), None, None) => Ok(Self::Keyfile(keyfile_at("RSCTL_KEYFILE (--keyfile)", &path)?)),
            (None, Some(username), Some(path)) => {
                let password = password_at("RSCTL_PASSWORD_FILE (--password-file)", &path)?;
                Ok(Self::Password { username, password, auth_source })
            }
            (Some(_), _, _) => Err(Usage::conflict("--keyfile and --username/--password-file: give one or the other")),
            (None, Some(_), None) => Err(Usage::conflict("--username needs --password-file (RSCTL_PASSWORD_FILE)")),
            (None, None, Some(_)) => Err(Usage::conflict("--password-file needs --username (RSCTL_USERNAME)")),
        }
    }

    fn by_other_names(auth_source: String, environment: &Environment) -> Result<Self, Usage> {
        if let Some(path) = environment.get("MONGODB_KEYFILE") {
            return Ok(Self::Keyfile(keyfile_at("MONGODB_KEYFILE", Path::new(path))?));
        }
        for (user, password) in ADMINISTRATORS {
            let (user_file, password_file) = (format!("{user}_FILE"), format!("{password}_FILE"));
            secret_by_file(password, environment)?;
            let username = match (environment.get(user), environment.get(&user_file)) {
                (None, None) => continue,
                (Some(_), Some(_)) => {
                    return Err(Usage::conflict(format!("{user} and {user_file} are both set: keep one of them")));
                }
                (Some(name), None) => name.to_owned(),
                (None, Some(path)) => password_at(&user_file, Path::new(path))?.expose().to_owned(),
            };
            let Some(path) = environment.get(&password_file) else {
                return Err(Usage::conflict(format!("{user} is set and needs {password_file}")));
            };
            let password = password_at(&password_file, Path::new(path))?;
            return Ok(Self::Password { username, password, auth_source });
        }
        Ok(Self::None)
    }
}

/// The credential that `uri`, `exec` and `env` put into a URI.
pub(super) fn credentials(cli: cli::CredentialsArgs) -> Result<Option<Credentials>, Usage> {
    let cli::CredentialsArgs { username, password_file, auth_source } = cli;
    match (username, password_file) {
        (None, None) if auth_source.is_some() => Err(Usage::conflict("--auth-source needs --username")),
        (None, None) => Ok(None),
        (Some(username), Some(path)) => {
            let password = password_at("--password-file", &path)?;
            Ok(Some(Credentials { username, password, auth_source }))
        }
        (Some(_), None) => Err(Usage::conflict("--username needs --password-file")),
        (None, Some(_)) => Err(Usage::conflict("--password-file needs --username")),
    }
}

/// The token that the controller's public endpoint demands, if any.
pub(super) fn token(path: Option<PathBuf>, environment: &Environment) -> Result<Option<Secret>, Usage> {
    secret_by_file("RSCTL_TOKEN", environment)?;
    let read = |path: PathBuf| {
        let token = Secret::token_file(&path);
        token.map_err(|source| unusable("RSCTL_TOKEN_FILE (--token-file)", &path, source))
    };
    path.map(read).transpose()
}

/// Refuses a secret in the variable itself, because `docker inspect` shows variables. A user may set only the variable
/// with the path of a file.
fn secret_by_file(name: &str, environment: &Environment) -> Result<(), Usage> {
    match (environment.get(name), environment.get(&format!("{name}_FILE"))) {
        (Some(_), Some(_)) => Err(Usage::conflict(format!("{name} and {name}_FILE are both set: keep {name}_FILE"))),
        (Some(_), None) => Err(Usage::conflict(format!("{name} is set: put the secret in a file and set {name}_FILE"))),
        (None, _) => Ok(()),
    }
}

fn keyfile_at(origin: &str, path: &Path) -> Result<Keyfile, Usage> {
    Keyfile::read(path).map_err(|source| unusable(origin, path, source))
}

fn password_at(origin: &str, path: &Path) -> Result<Secret, Usage> {
    Secret::password_file(path).map_err(|source| unusable(origin, path, source))
}

/// The path for an error text. A user may give the secret itself in place of its path, and the log must not show it.
fn unusable(origin: &str, path: &Path, source: SecretError) -> Usage {
    let looks_like_a_path = path.is_absolute() && path.as_os_str().len() < 200;
    let shown = if looks_like_a_path || path.exists() {
        path.to_owned()
    } else {
        PathBuf::from("(not shown: give the path of a file, such as /run/secrets/NAME)")
    };
    Usage::Secret { origin: origin.to_owned(), path: shown, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_where_a_path_belongs_is_not_shown() {
        for path in ["hunter2", &format!("/{}", "k".repeat(300))] {
            let error = password_at("--password-file", Path::new(path)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(path), "{error}");
        }
    }

    #[test]
    fn a_path_is_shown() {
        let error = keyfile_at("RSCTL_KEYFILE", Path::new("/nowhere/keyfile")).unwrap_err();
        assert_eq!(error.to_string(), "RSCTL_KEYFILE: /nowhere/keyfile");
    }
}
