//! How a command ended: exit codes, and the only functions that write to stdout and stderr.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit codes, documented for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and all is well.
    Ok,
    /// It could not be done or found out.
    Failed,
    /// A flag, a variable or a template is wrong; trying again will not help.
    Usage,
    /// The set works, but not all of it.
    Degraded,
    /// Nobody accepts writes.
    NoPrimary,
    /// It could be done, but might lose data.
    Refused,
    /// The time given was not enough.
    TimedOut,
    /// The program is there but cannot be run (the shell's convention).
    NotExecutable,
    /// There is no such program (the shell's convention).
    NotFound,
    /// Told to stop by a signal with this number (the shell's convention).
    Stopped(u8),
    /// Whatever the program said that was run.
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

/// The end of a command: a code, and where something went wrong one line for stderr.
#[must_use]
#[derive(Debug)]
pub struct Outcome {
    /// The code for the shell.
    pub exit: Exit,
    complaint: Option<String>,
}

impl Outcome {
    /// An end that speaks for itself.
    pub fn silent(exit: Exit) -> Self {
        Self { exit, complaint: None }
    }

    /// An end with its reason.
    pub fn because(exit: Exit, reason: impl fmt::Display) -> Self {
        Self { exit, complaint: Some(reason.to_string()) }
    }

    /// An end that an error brought about, told with all its causes.
    pub fn error(exit: Exit, error: &dyn Error) -> Self {
        Self::because(exit, Chain(error))
    }

    /// Writes data to stdout and ends. A reader who closed the pipe has read enough, so that is no failure.
    pub fn print(exit: Exit, data: &str) -> Self {
        let mut out = io::stdout().lock();
        match out.write_all(data.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Self::because(Exit::Failed, format_args!("cannot write to stdout: {error}"))
            }
            Ok(()) | Err(_) => Self::silent(exit),
        }
    }

    /// Says what there is to say and gives `main` the code.
    pub fn report(self) -> ExitCode {
        if let Some(complaint) = self.complaint {
            tell("error", &complaint);
        }
        ExitCode::from(self.exit.code())
    }
}

/// What went wrong, for those who go on all the same.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.complaint.as_deref().unwrap_or_default())
    }
}

/// A line for the person at the terminal that is neither data nor the end.
pub fn note(text: impl fmt::Display) {
    tell("note", &text.to_string());
}

/// Text from the network without control characters, safe to print on a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn tell(label: &str, text: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "{label}: {text}");
}

/// An error and its causes in one line. Errors here say only what failed at their own level.
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
