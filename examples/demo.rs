//! The playground: a real replica set on this machine, controlled by the real `rsctl`, and failures on purpose.
//!
//! Three mongods play the tasks of a Swarm service, and a small DNS server plays Swarm's DNS. The controller is the real
//! program and does not know that this is a demo. `scripts/demo` builds and runs it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program that prints")]

#[path = "demo/controller.rs"]
mod controller;
#[path = "demo/narrator.rs"]
mod narrator;
#[path = "demo/stage.rs"]
mod stage;
#[path = "demo/story.rs"]
mod story;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

use narrator::Narrator;
use tokio::signal::unix::{SignalKind, signal};

/// Why the story ended early, as a message for the user.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let once = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--once"] => true,
        _ => {
            eprintln!("usage: demo [--once]\n\n  --once  end after the story: 0 all went well, 1 something failed");
            return ExitCode::from(2);
        }
    };
    // In every case, dropping the story ends every process that it started.
    tokio::select! {
        outcome = story::play(Narrator::new(), once) => match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure(why)) => {
                eprintln!("\ndemo: FAILED: {why}");
                ExitCode::FAILURE
            }
        },
        () = interrupted() => {
            println!("\nStopped: all processes are ended, all data is removed.");
            if once { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

async fn interrupted() {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
}
