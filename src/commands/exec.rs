//! `rsctl exec`: sets variables, then becomes the program.
//!
//! **Invariant:** the program starts with every variable right, or not at all. It takes over this process, so that
//! signals, exit code and process id are its own.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::source::Inquiry;
use crate::outcome::{Exit, Outcome};
use crate::settings::Variables;

pub(super) async fn exec(settings: Variables, program: &[OsString]) -> Outcome {
    let Some((name, args)) = program.split_first() else {
        return Outcome::because(Exit::Usage, "no program after `--`");
    };
    let endpoint = match Inquiry::new(&settings.source).endpoint(settings.wait).await {
        Ok(endpoint) => endpoint,
        Err(outcome) => return outcome,
    };
    let variables = settings.assignments.iter().map(|a| (&a.name, a.value(&endpoint, &settings.inserts)));
    // Only returns when the program could not be started.
    let error = Command::new(name).args(args).envs(variables).exec();
    let name = name.to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => Outcome::because(Exit::NotFound, format_args!("{name}: no such program")),
        _ => Outcome::because(Exit::NotExecutable, format_args!("{name}: cannot be run: {error}")),
    }
}
