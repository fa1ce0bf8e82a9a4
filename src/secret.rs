//! Text that must not leave the process by accident.
//!
//! **Invariant:** `Secret` has no `Display` and no `Serialize`, and its `Debug` shows nothing. Only [`Secret::expose`]
//! returns the text, so an audit is a search for that name.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

/// The limit for a secret file, in bytes. No key or password is so large. A device or a log file given by mistake must
/// not fill the memory.
const BYTES_MAX: u64 = 64 * 1024;
const BYTES_ROOM: usize = 64 * 1024 + 64;

/// The lengths that `mongod --keyFile` accepts (MongoDB manual, "Keyfile Security").
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 6..=1024;

/// A password or key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A secret of this many random bytes, in this alphabet of base64.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn random<const BYTES: usize>(alphabet: &impl Engine) -> Result<Self, SecretError> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| SecretError::Random)?;
        Ok(Self::new(alphabet.encode(bytes.as_slice())))
    }

    /// The secret text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a password from a file that contains nothing else. Line ends at the end of the file are not part of the
    /// password, because editors add them.
    pub fn password_file(path: &Path) -> Result<Self, SecretError> {
        let text = read(path)?;
        let password = text.trim_end_matches(['\n', '\r']);
        if password.is_empty() { Err(SecretError::Empty) } else { Ok(Self::new(password)) }
    }

    /// Reads a bearer token from a file that contains nothing else. The header of a request can carry it.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or holds characters that no token has (RFC 6750).
    pub fn token_file(path: &Path) -> Result<Self, SecretError> {
        let text = read(path)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        match text.trim() {
            "" => Err(SecretError::Empty),
            token if token.chars().all(allowed) => Ok(Self::new(token)),
            _ => Err(SecretError::NotAToken),
        }
    }

    /// Reads a text that may hold a secret, such as a URI. Every byte of the file is part of it.
    pub fn text_file(path: &Path) -> Result<Self, SecretError> {
        let text = read(path)?;
        if text.trim().is_empty() { Err(SecretError::Empty) } else { Ok(Self::new(text.as_str())) }
    }
}

/// The keys that the members of a set share.
///
/// A key is changed in three steps: the file holds the old key, then both, then the new one. mongod reads at most two
/// keys (manual, "Rotate Keys for Replica Sets").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyfile {
    /// The first key, or the only one.
    pub first: Secret,
    /// The second key, while the keys are changed.
    pub second: Option<Secret>,
}

impl Keyfile {
    /// Reads the file that `mongod --keyFile` reads.
    ///
    /// # Errors
    /// The file cannot be read, or mongod would not accept it.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        Self::parse(&read(path)?)
    }

    /// White space is ignored, so a key may have line breaks. Two keys are the items of a YAML list.
    fn parse(text: &str) -> Result<Self, SecretError> {
        let is_item = |line: &str| line.trim_start().starts_with('-');
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        if !lines.first().is_some_and(|line| is_item(line)) {
            return Ok(Self { first: key(&lines)?, second: None });
        }
        // A line that begins no item continues the one before it.
        let mut items = lines.chunk_by(|_, next| !is_item(next));
        let first = key(items.next().unwrap_or_default())?;
        let second = items.next().map(key).transpose()?;
        if items.next().is_some() { Err(SecretError::NotAKey) } else { Ok(Self { first, second }) }
    }
}

/// The key in the lines of one item.
fn key(lines: &[&str]) -> Result<Secret, SecretError> {
    let item = Zeroizing::new(lines.concat());
    let item = item.trim_start().trim_start_matches('-').trim().trim_matches(['"', '\'']);
    let key: String = item.chars().filter(|c| !c.is_whitespace()).collect();
    let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    match key.len() {
        0 => Err(SecretError::Empty),
        length if KEY_LENGTHS.contains(&length) && key.chars().all(base64) => Ok(Secret::new(key)),
        _ => Err(SecretError::NotAKey),
    }
}

/// Overwrites the text in memory. Copies of the text are not overwritten.
impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a file contains no usable secret. No variant shows the content of the file.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The system cannot read the file.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    /// The file contains only white space.
    #[error("is empty")]
    Empty,
    /// The file is too large, so it is surely not the intended one.
    #[error("is larger than 64 KiB")]
    TooLarge,
    /// `mongod --keyFile` would not accept the file either.
    #[error("is no keyfile: accepted are 6 to 1024 base64 characters, or a YAML list of one or two such keys")]
    NotAKey,
    /// The header of a request cannot carry the token.
    #[error("is no token: accepted are letters, digits and -._~+/= in one line")]
    NotAToken,
    /// No random bytes.
    #[error("cannot be made: the operating system gives no random bytes")]
    Random,
}

fn read(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    // The buffer has room for the whole file. A buffer that grows would leave a copy in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_ROOM));
    let file = File::open(path).map_err(SecretError::Unreadable)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(SecretError::Unreadable)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(SecretError::TooLarge);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::Unreadable(io::ErrorKind::InvalidData.into()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(***)");
    }

    fn first(text: &str) -> Result<String, SecretError> {
        Keyfile::parse(text).map(|keyfile| keyfile.first.expose().to_owned())
    }

    #[test]
    fn a_key_is_its_text_without_white_space() {
        for text in ["abcdef12", " abcd\nef12\n", "abcd ef\t12\r\n", "- abcdef12\n", "- \"abcdef12\"\n"] {
            assert_eq!(first(text).unwrap(), "abcdef12", "{text:?}");
            assert_eq!(Keyfile::parse(text).unwrap().second, None, "{text:?}");
        }
    }

    #[test]
    fn a_list_holds_one_or_two_keys() {
        for text in ["- abcdef12\n- other678\n", "- abcd\n  ef12\n\n-  'other\n  678'\n"] {
            let keyfile = Keyfile::parse(text).unwrap();
            assert_eq!(keyfile.first.expose(), "abcdef12", "{text:?}");
            assert_eq!(keyfile.second.unwrap().expose(), "other678", "{text:?}");
        }
        assert!(matches!(Keyfile::parse("- abcdef12\n- other678\n- third901\n"), Err(SecretError::NotAKey)));
        assert!(matches!(Keyfile::parse("- abcdef12\n- \n"), Err(SecretError::Empty)));
        assert!(matches!(Keyfile::parse("- abcdef12\n- a$\n"), Err(SecretError::NotAKey)));
    }

    #[test]
    fn what_mongod_would_refuse_is_refused() {
        for text in ["abcde", "abc$def", &"a".repeat(1025), "ключключ"] {
            assert!(matches!(first(text), Err(SecretError::NotAKey)), "{text:?}");
        }
        assert!(matches!(first(" \n"), Err(SecretError::Empty)));
        assert!(first(&"a".repeat(1024)).is_ok());
    }

    #[test]
    fn a_token_is_one_word() {
        let path = std::env::temp_dir().join(format!("rsctl-token-{}", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Secret::token_file(&path).map(|token| token.expose().to_owned())
        };
        assert_eq!(read(" abc-._~+/=09\r\n").unwrap(), "abc-._~+/=09");
        assert!(matches!(read("\n"), Err(SecretError::Empty)));
        for text in ["two words", "a\nb", "a\"b", "schlüssel"] {
            assert!(matches!(read(text), Err(SecretError::NotAToken)), "{text:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_password_keeps_its_spaces_and_loses_its_line_end() {
        let path = std::env::temp_dir().join(format!("rsctl-secret-{}", std::process::id()));
        std::fs::write(&path, " p@ss word \r\n").unwrap();
        assert_eq!(Secret::password_file(&path).unwrap().expose(), " p@ss word ");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(Secret::password_file(&path), Err(SecretError::Empty)));
        std::fs::write(&path, vec![b'a'; 70_000]).unwrap();
        assert!(matches!(Secret::password_file(&path), Err(SecretError::TooLarge)));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Secret::password_file(&path), Err(SecretError::Unreadable(_))));
    }
}
