//! Parse, settings, logs, command, exit code.

use std::process::ExitCode;

use rsctl::commands;
use rsctl::outcome::{Exit, Outcome};
use rsctl::settings::{self, Environment, Settings, Usage};
use rsctl::telemetry;

fn main() -> ExitCode {
    let settings = match settings::parse(std::env::args_os().collect(), &Environment::of_process()) {
        Ok(settings) => settings,
        Err(usage) => return misused(usage),
    };
    let Settings { log, command, ignored } = settings;
    telemetry::start(log.level, log.format, log.colour);
    for variable in ignored {
        tracing::warn!(variable, "ignoring a network's name: tasks are found by DNS");
    }
    // One thread does it all: more of them would spend their time on waking each other.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::error(Exit::Failed, &error).report(),
    };
    let outcome = runtime.block_on(commands::dispatch(command));
    // A name lookup of the system cannot be called off; whoever waited for it has left.
    runtime.shutdown_background();
    outcome.report()
}

/// Help goes to stdout and is no mistake.
fn misused(usage: Usage) -> ExitCode {
    match usage {
        Usage::Clap(error) if !error.use_stderr() => Outcome::print(Exit::Ok, &error.render().to_string()).report(),
        Usage::Clap(error) => {
            // Errors of clap bring their own `error:`, their hint, and the usage line.
            let _ = error.print();
            Outcome::silent(Exit::Usage).report()
        }
        usage => Outcome::error(Exit::Usage, &usage).report(),
    }
}
