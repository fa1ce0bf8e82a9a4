//! The targets of the fuzzer in this crate: what strangers send, as bytes. `scripts/fuzz` makes up new bytes, and
//! `cargo test` replays those in `tests/fuzz/corpus`.
//!
//! A target panics if the bytes make rsctl do what it must never do. The planner's targets are in `tests/plan`.

use crate::{connection_string, discovery, mongo, publish};

/// A function that takes what a stranger sends.
pub type Target = fn(&[u8]);

/// Each target with its name.
pub const TARGETS: [(&str, Target); 5] = [
    ("dns", discovery::fuzzing::answer),
    ("documents", mongo::fuzzing::document),
    ("login", mongo::fuzzing::login),
    ("uri", connection_string::fuzzing::assignment),
    ("http", publish::http::fuzzing::requests),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_corpus_is_harmless() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
            let mut count = 0;
            for entry in std::fs::read_dir(&folder).unwrap() {
                let file = entry.unwrap().path();
                println!("{}", file.display());
                target(&std::fs::read(file).unwrap());
                count += 1;
            }
            assert!(count > 1, "{} has only {count} files", folder.display());
        }
    }
}
