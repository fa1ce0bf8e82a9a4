//! The commands, one file for each.
//!
//! **Invariant:** a command returns an [`Outcome`], and only `main` ends the process. `exec` is the exception: it may
//! replace the process with a program.

mod completions;
mod env;
mod exec;
mod follow;
mod healthcheck;
mod history;
mod news;
mod pause;
mod plan;
mod readdress;
mod recover;
mod remove;
pub mod run;
mod secrets;
mod status;
mod stop;
mod switchover;
mod table;
mod terminal;
mod uri;
mod wait;

use crate::outcome::Outcome;
use crate::settings::Command;
use stop::stoppable;

/// Runs a command.
pub async fn dispatch(command: Command) -> Outcome {
    match command {
        // These two handle signals themselves.
        Command::Run(settings) => run::run(*settings).await,
        Command::Exec(settings) => exec::exec(*settings).await,
        Command::Status(settings) => stoppable(status::status(*settings)).await,
        Command::Plan(settings) => stoppable(plan::plan(*settings)).await,
        Command::History(settings) => stoppable(history::history(*settings)).await,
        Command::Remove(settings) => stoppable(remove::remove(settings)).await,
        Command::Switchover(settings) => stoppable(switchover::switchover(settings)).await,
        Command::Readdress(settings) => stoppable(readdress::readdress(*settings)).await,
        Command::Recover(settings) => stoppable(recover::recover(*settings)).await,
        Command::Pause(settings) => stoppable(pause::pause(settings)).await,
        Command::Uri(settings) => stoppable(uri::uri(*settings)).await,
        Command::Env(settings) => stoppable(env::env(*settings)).await,
        Command::Wait(settings) => stoppable(wait::wait(*settings)).await,
        // It waits for nothing, and stops at no half.
        Command::Secrets(settings) => secrets::secrets(&settings),
        Command::Healthcheck(listen) => stoppable(healthcheck::healthcheck(listen)).await,
        Command::Completions(shell) => completions::completions(shell),
    }
}
