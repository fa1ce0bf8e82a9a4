//! Files that are replaced atomically. A reader finds the old or the new contents, and never a part.

use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Who can read the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Everyone (mode 0644), for contents that are not secret.
    Everyone,
    /// Its owner only (mode 0600).
    Owner,
}

impl Readers {
    /// Every choice with its name in the settings.
    pub const CHOICES: [(&str, Self); 2] = [("owner", Self::Owner), ("everyone", Self::Everyone)];
}

/// Why the file is not replaced. It keeps its old contents.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The path does not end in the name of a file.
    #[error("{} is not the name of a file", .0.display())]
    NoName(PathBuf),
    /// The file itself is a mount of the container, so it cannot be replaced.
    #[error("cannot replace {}: it is a mount; mount its directory instead", .0.display())]
    Mount(PathBuf),
    /// The system reports an error.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file to write.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// Writes a new file in the same directory, then renames it to `path`. Blocks until the disk has the contents.
///
/// # Errors
///
/// See [`PublishError`]. No new file is left behind.
pub fn write_atomically(path: &Path, contents: &str, readers: Readers) -> Result<(), PublishError> {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
        return Err(PublishError::NoName(path.to_owned()));
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // The process ID is not unique: it is 1 in every container that shares the volume.
    let unique = RandomState::new().hash_one(0u8);
    let beside = folder.join(format!(".{}.{unique:016x}", name.to_string_lossy()));
    let replaced = write(&beside, contents, readers).and_then(|()| fs::rename(&beside, path));
    match replaced {
        Ok(()) => {
            // Readers see the new contents already. A sync only protects against a power cut, so its failure is ignored.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
            Ok(())
        }
        Err(source) => {
            let _ = fs::remove_file(&beside);
            Err(match source.kind() {
                io::ErrorKind::ResourceBusy => PublishError::Mount(path.to_owned()),
                _ => PublishError::Io { path: path.to_owned(), source },
            })
        }
    }
}

fn write(path: &Path, contents: &str, readers: Readers) -> io::Result<()> {
    let mode = match readers {
        Readers::Everyone => 0o644,
        Readers::Owner => 0o600,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask must not exclude the readers that were chosen.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(contents.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rsctl-file-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = Folder::new("replace");
        let path = folder.0.join("uri");
        write_atomically(&path, "old\n", Readers::Everyone).unwrap();
        let mut reader = File::open(&path).unwrap();
        write_atomically(&path, "new\n", Readers::Owner).unwrap();
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "old\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.names(), ["uri"]);
    }

    #[test]
    fn readers_never_find_half_a_file_or_none() {
        let folder = Folder::new("readers");
        let path = folder.0.join("uri");
        let text = |round: usize| round.to_string().repeat(5000);
        write_atomically(&path, &text(0), Readers::Everyone).unwrap();
        std::thread::scope(|scope| {
            let writer = scope
                .spawn(|| (0..200).for_each(|n| write_atomically(&path, &text(n % 10), Readers::Everyone).unwrap()));
            while !writer.is_finished() {
                let read = fs::read_to_string(&path).unwrap();
                assert_eq!(read, read[..1].repeat(5000));
            }
        });
    }

    #[test]
    fn everyone_may_read_what_is_not_secret() {
        let folder = Folder::new("mode");
        let path = folder.0.join("uri");
        write_atomically(&path, "x", Readers::Everyone).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = Folder::new("failure");
        let path = folder.0.join("taken");
        fs::create_dir(&path).unwrap();
        assert!(matches!(write_atomically(&path, "x", Readers::Owner), Err(PublishError::Io { .. })));
        assert_eq!(folder.names(), ["taken"]);
        assert!(matches!(write_atomically(Path::new("/"), "x", Readers::Owner), Err(PublishError::NoName(_))));
    }
}
