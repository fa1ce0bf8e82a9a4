//! The end of a command: its exit code, and the only functions that write to stdout and stderr.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit codes. Scripts depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command is done, and the replica set is healthy.
    Ok,
    /// The command failed, or the state is unknown.
    Failed,
    /// A flag, a variable or a template is not valid. A retry does not help.
    Usage,
    /// There is a primary, but not every member is healthy.
    Degraded,
    /// There is no primary.
    NoPrimary,
    /// The command could lose data, so it is refused.
    Refused,
    /// The time is over.
    TimedOut,
    /// The program exists but cannot be run (convention of shells).
    NotExecutable,
    /// There is no such program (convention of shells).
    NotFound,
    /// A signal with this number stopped the command (convention of shells).
    Stopped(u8),
    /// The exit code of the program that was run.
    Program(u8),
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Degraded => 3,
            Self::NoPrimary => 4,
            Self::Refused => 5,
            Self::TimedOut => 124,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
            Self::Stopped(signal) => 128 + signal,
            Self::Program(code) => code,
        }
    }
}

/// The end of a command: an exit code, and after a failure one line for stderr.
#[must_use]
#[derive(Debug)]
pub struct Outcome {
    /// The exit code.
    pub exit: Exit,
    error: Option<String>,
}

impl Outcome {
    /// An end without a line on stderr.
    pub fn silent(exit: Exit) -> Self {
        Self { exit, error: None }
    }

    /// An end with its reason on stderr.
    pub fn because(exit: Exit, reason: impl fmt::Display) -> Self {
        Self { exit, error: Some(reason.to_string()) }
    }

    /// An end with an error and all its causes on stderr.
    pub fn error(exit: Exit, error: &dyn Error) -> Self {
        Self::because(exit, Chain(error))
    }

    /// Writes data to stdout. A closed pipe is not a failure: its reader has read what it needs.
    pub fn print(exit: Exit, data: &str) -> Self {
        match write(data) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Self::unwritable(&error),
            Ok(()) | Err(_) => Self::silent(exit),
        }
    }

    fn unwritable(error: &io::Error) -> Self {
        Self::because(Exit::Failed, format_args!("cannot write to stdout: {error}"))
    }

    /// Writes the line for stderr, if there is one. Returns the exit code for `main`.
    pub fn report(self) -> ExitCode {
        if let Some(error) = self.error {
            write_line("error", &error);
        }
        ExitCode::from(self.exit.code())
    }
}

/// Shows the reason only.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error.as_deref().unwrap_or_default())
    }
}

fn write(data: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(data.as_bytes()).and_then(|()| out.flush())
}

/// Writes data to stdout while the command goes on. A reader that does not read holds up nothing else.
///
/// # Errors
///
/// The end of the command: nobody reads any more, or the data cannot be written.
pub async fn show(data: String) -> Result<(), Outcome> {
    match tokio::task::spawn_blocking(move || write(&data)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(Outcome::silent(Exit::Ok)),
        Ok(Err(error)) => Err(Outcome::unwritable(&error)),
        Err(error) => Err(Outcome::error(Exit::Failed, &error)),
    }
}

/// Writes a line to stderr while the command goes on.
pub fn note(text: impl fmt::Display) {
    write_line("note", &text.to_string());
}

/// Text from the network without control characters, safe to print on a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn write_line(label: &str, text: &str) {
    // If stderr is closed, there is nowhere else to write.
    let _ = writeln!(io::stderr(), "{label}: {text}");
}

/// Shows an error and its causes in one line. An error of this crate describes only its own level, not its cause.
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretError;

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = SecretError::Unreadable(io::Error::other("disk on fire"));
        assert_eq!(Chain(&error).to_string(), "cannot be read: disk on fire");
    }
}
