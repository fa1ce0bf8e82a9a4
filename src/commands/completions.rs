//! `rsctl completions`: prints the completion script for a shell.

use clap_complete::Shell;

use crate::cli;
use crate::outcome::{Exit, Outcome};

pub(super) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "rsctl", &mut script);
    Outcome::print(Exit::Ok, &String::from_utf8_lossy(&script))
}
