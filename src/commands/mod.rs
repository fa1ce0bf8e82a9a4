//! One file for each command; this one picks.
//!
//! **Invariant:** a command ends with an [`Outcome`]; only `main` ends the process, except that `exec` becomes another.

mod completions;
mod controller;
mod direct;
mod env;
mod exec;
mod forget;
mod healthcheck;
mod plan;
mod ports;
mod recover;
pub mod run;
mod source;
mod status;
mod uri;

use crate::outcome::Outcome;
use crate::settings::Command;

/// Does what was asked for.
pub async fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Run(settings) => run::run(*settings).await,
        Command::Status(settings) => status::status(*settings).await,
        Command::Plan(settings) => plan::plan(*settings).await,
        Command::Forget(settings) => forget::forget(settings).await,
        Command::Recover(settings) => recover::recover(*settings).await,
        Command::Uri(settings) => uri::uri(*settings).await,
        Command::Exec(settings, program) => exec::exec(*settings, &program).await,
        Command::Env(settings, out, form) => env::env(*settings, &out, form).await,
        Command::Healthcheck(listen) => healthcheck::healthcheck(listen).await,
        Command::Completions(shell) => completions::completions(shell),
    }
}
