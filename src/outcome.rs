//! How a command ended: exit codes, and the only functions that write to stdout and stderr.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit codes, documented for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and all is well.
    Ok = 0,
    /// It could not be done or found out.
    Failed = 1,
    /// A flag, a variable or a template is wrong; trying again will not help.
    Usage = 2,
    /// The set works, but not all of it.
    Degraded = 3,
    /// Nobody accepts writes.
    NoPrimary = 4,
    /// It could be done, but might lose data.
    Refused = 5,
    /// The time given was not enough.
    TimedOut = 124,
    /// The program is there but cannot be run (the shell's convention).
    NotExecutable = 126,
    /// There is no such program (the shell's convention).
    NotFound = 127,
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
        ExitCode::from(self.exit as u8)
    }
}

/// A line for the person at the terminal that is neither data nor the end.
pub fn note(text: impl fmt::Display) {
    tell("note", &text.to_string());
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
