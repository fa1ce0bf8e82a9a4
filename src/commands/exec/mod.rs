//! `rsctl exec`: sets variables, then becomes the program, or stays as its parent.
//!
//! **Invariant:** the program starts with every variable right, or not at all. Without `--on-change` it takes over
//! this process, so that signals, exit code and process id are its own.

mod changes;
mod child;
mod signals;
mod supervise;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::source::Inquiry;
use super::stop::told_to_stop;
use super::variables::{lines, values, warn_of_length};
use crate::cli::EnvForm;
use crate::outcome::{Exit, Outcome};
use crate::publish::file::{Readers, write_atomically};
use crate::publish::uri::Endpoint;
use crate::settings::{Exec, OnChange};

pub(super) async fn exec(settings: Exec) -> Outcome {
    let Exec { variables, on_change, .. } = &settings;
    let mut inquiry = Inquiry::new(&variables.source);
    let endpoint = tokio::select! {
        endpoint = inquiry.endpoint(variables.wait) => endpoint,
        signal = told_to_stop() => Err(Outcome::silent(Exit::Stopped(signal))),
    };
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(outcome) => return outcome,
    };
    warn_of_length(variables, &endpoint);
    match on_change {
        OnChange::Ignore => become_program(&settings, &endpoint),
        OnChange::Restart | OnChange::Signal(_) => supervise::supervise(&settings, endpoint).await,
    }
}

fn become_program(settings: &Exec, endpoint: &Endpoint) -> Outcome {
    match prepare(settings, endpoint) {
        // Only returns when the program could not be started.
        Ok(mut command) => unstartable(settings, &command.exec()),
        Err(outcome) => outcome,
    }
}

/// The program with its variables, in the environment and, where that was asked for, in a file.
fn prepare(settings: &Exec, endpoint: &Endpoint) -> Result<Command, Outcome> {
    let Some((name, args)) = settings.program.split_first() else {
        return Err(Outcome::because(Exit::Usage, "no program after `--`"));
    };
    keep_file(settings, endpoint)?;
    let mut command = Command::new(name);
    command.args(args).envs(values(&settings.variables, endpoint));
    Ok(command)
}

fn keep_file(settings: &Exec, endpoint: &Endpoint) -> Result<(), Outcome> {
    let Some(path) = &settings.out else { return Ok(()) };
    let text = lines(&values(&settings.variables, endpoint), EnvForm::Env);
    write_atomically(path, &text, Readers::Owner).map_err(|error| Outcome::error(Exit::Failed, &error))
}

fn unstartable(settings: &Exec, error: &io::Error) -> Outcome {
    let name = name(settings);
    match error.kind() {
        io::ErrorKind::NotFound => Outcome::because(Exit::NotFound, format_args!("{name}: no such program")),
        _ => Outcome::because(Exit::NotExecutable, format_args!("{name}: cannot be run: {error}")),
    }
}

fn name(settings: &Exec) -> String {
    settings.program.first().map(OsString::as_os_str).unwrap_or_default().to_string_lossy().into_owned()
}
