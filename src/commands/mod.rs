//! One file for each command; `main` picks.

mod ports;
pub mod run;

use crate::outcome::{Exit, Outcome};
use crate::settings::Command;

/// Does what was asked for.
pub async fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Run(settings) => run::run(*settings).await,
        _ => Outcome::because(Exit::Failed, "not built yet"),
    }
}
