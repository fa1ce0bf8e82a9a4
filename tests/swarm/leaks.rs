//! A search for secrets in everything that others can read.

use std::fs;
use std::path::Path;

use super::Outcome;

/// The authority's certificate is for everybody.
const PUBLIC: &str = "mongo-ca";
/// A shorter line, such as the last one of a key, may be in a text by chance.
const LONG_ENOUGH: usize = 20;

/// The secrets, and the texts that must not contain one.
#[derive(Default)]
pub(super) struct Leaks {
    /// Each with the name of its file.
    secrets: Vec<(String, String)>,
    texts: Vec<(String, String)>,
}

impl Leaks {
    /// Reads the secrets from the files in a directory. Of a key each line counts, because a log may break it.
    pub(super) fn know(&mut self, directory: &Path) -> Outcome {
        for file in fs::read_dir(directory)? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            if name == PUBLIC {
                continue;
            }
            let before = self.secrets.len();
            let text = fs::read_to_string(file.path())?;
            let secret = text.split_once("PRIVATE KEY-----").map_or(text.as_str(), |(_, key)| key);
            let lines = secret.lines().filter(|line| line.len() >= LONG_ENOUGH && !line.starts_with("-----"));
            self.secrets.extend(lines.map(|line| (name.clone(), line.to_owned())));
            if self.secrets.len() == before {
                return Err(format!("{name} contains no secret").into());
            }
        }
        Ok(())
    }

    /// Adds a text that must not contain a secret.
    pub(super) fn note(&mut self, place: &str, text: String) {
        self.texts.push((place.to_owned(), text));
    }

    /// Searches every text for every secret. The error does not show the secret.
    pub(super) fn found_none(&self) -> Outcome<String> {
        for (place, text) in &self.texts {
            if let Some((name, _)) = self.secrets.iter().find(|(_, secret)| text.contains(secret.as_str())) {
                return Err(format!("{place} shows the secret in {name}").into());
            }
        }
        let bytes: usize = self.texts.iter().map(|(_, text)| text.len()).sum();
        let files = self.secrets.chunk_by(|(one, _), (other, _)| one == other).count();
        Ok(format!("none of {files} secrets in {} texts of {} kB", self.texts.len(), bytes / 1000))
    }
}
