//! The program: reads the settings, starts logging, runs the command, and ends with its exit code.

use std::process::ExitCode;

use rsctl::commands;
use rsctl::outcome::{Exit, Outcome};
use rsctl::protection;
use rsctl::settings::{self, Command, Environment, Settings, Usage};
use rsctl::telemetry;

fn main() -> ExitCode {
    // Before any secret is read.
    let hidden = protection::hide_memory();
    let settings = match settings::parse(std::env::args_os().collect(), &Environment::of_process()) {
        Ok(settings) => settings,
        Err(usage) => return usage_error(usage),
    };
    let Settings { log, command, ignored, unusable } = settings;
    telemetry::start(log.level, log.format, log.colour);
    // A limit is inherited, and the application that `exec` starts may want its core files.
    let is_exec = matches!(command, Command::Exec(_));
    if let Err(error) = hidden.and_then(|()| if is_exec { Ok(()) } else { protection::no_core_files() }) {
        tracing::warn!(%error, "the kernel does not hide the memory of this process, which may hold secrets");
    }
    for variable in unusable {
        tracing::warn!(variable, "this variable of another tool is ignored: rsctl cannot use its value");
    }
    for variable in ignored {
        tracing::warn!(variable, "this variable is ignored: DNS finds the tasks, so no network name is needed");
    }
    // One thread is enough: the work is waiting, and more threads would only cost CPU time.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::error(Exit::Failed, &error).report(),
    };
    let outcome = runtime.block_on(commands::dispatch(command));
    // A name lookup by the system cannot be cancelled, so a normal shutdown would wait for it.
    runtime.shutdown_background();
    outcome.report()
}

/// Writes help to stdout with exit code 0, and an error to stderr with exit code 2.
fn usage_error(usage: Usage) -> ExitCode {
    match usage {
        Usage::Clap(error) if !error.use_stderr() => Outcome::print(Exit::Ok, &error.render().to_string()).report(),
        Usage::Clap(error) => {
            // An error of clap has its own `error:`, its hint, and the usage line.
            let _ = error.print();
            Outcome::silent(Exit::Usage).report()
        }
        usage => Outcome::error(Exit::Usage, &usage).report(),
    }
}
