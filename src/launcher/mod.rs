//! Starts the program of `rsctl exec`: in place of this process, or as its child.
//!
//! **Invariant:** the program starts with every variable set correctly, or not at all.

mod child;
mod signals;
mod supervise;
pub(crate) mod variables;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::cli::EnvForm;
use crate::connection_string::Endpoint;
use crate::outcome::{Exit, Outcome};
use crate::publish::file::{Readers, write_atomically};
use crate::settings::ExecSettings;
pub(crate) use supervise::supervise;
use variables::{Values, lines, values};

/// Replaces this process with the program. Returns only if the program cannot be started.
pub(crate) fn become_program(settings: &ExecSettings, endpoint: &Endpoint) -> Outcome {
    match prepare(settings, endpoint) {
        Ok(mut command) => unstartable(settings, &command.exec()),
        Err(outcome) => outcome,
    }
}

/// The program with its variables in its environment. Writes the files too.
fn prepare(settings: &ExecSettings, endpoint: &Endpoint) -> Result<Command, Outcome> {
    let Some((name, args)) = settings.program.split_first() else {
        return Err(Outcome::because(Exit::Usage, "no program after `--`: write the program and its arguments there"));
    };
    let values = keep_files(settings, endpoint)?;
    let mut command = Command::new(name);
    command.args(args).envs(values.variables);
    Ok(command)
}

/// Writes the files, and returns all values.
fn keep_files<'s>(settings: &'s ExecSettings, endpoint: &Endpoint) -> Result<Values<'s>, Outcome> {
    let values = values(&settings.variables, endpoint, &settings.secret_files)?;
    values.write_files(Readers::Owner)?;
    if let Some(path) = &settings.out {
        let text = lines(&values.variables, EnvForm::Env);
        write_atomically(path, &text, Readers::Owner).map_err(|error| Outcome::error(Exit::Failed, &error))?;
    }
    Ok(values)
}

fn unstartable(settings: &ExecSettings, error: &io::Error) -> Outcome {
    let name = name(settings);
    match error.kind() {
        io::ErrorKind::NotFound => Outcome::because(
            Exit::NotFound,
            format_args!("{name}: no such program: check its path, and that the image has it"),
        ),
        _ => Outcome::because(Exit::NotExecutable, format_args!("{name}: cannot be run: {error}")),
    }
}

fn name(settings: &ExecSettings) -> String {
    settings.program.first().map(OsString::as_os_str).unwrap_or_default().to_string_lossy().into_owned()
}
