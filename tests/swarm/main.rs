//! A story on a real Docker Swarm of three engines, with the stack in `deploy/swarm`, its image and the release binary.
//!
//! ```text
//! cargo test --test swarm                 everything
//! cargo test --test swarm -- volume       only the steps whose names contain a word (the first one always runs)
//! SWARM_REPEAT=9 cargo test --test swarm -- volume    each of these steps so often
//! SWARM_KEEP=1 cargo test --test swarm    leaves the Swarm running, for inspection with scripts/lab
//! ```
//!
//! It is not part of a plain `cargo test`: it needs root, installs Docker if it is missing, and takes minutes. If a Swarm
//! is impossible here, it prints the reason and ignores its steps.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program that reports to people")]

mod agent;
mod apps;
mod bench;
mod beside;
mod lab;
mod leaks;
mod line;
mod remote;
mod stack;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod visitor;

use std::process::ExitCode;

use lab::{Lab, Up};
use story::Story;
use support::report::{Failure, Outcome, Report};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [word, rsctl] if word == remote::ENTER => return remote::serve(rsctl).await,
        [word, rsctl] if word == bench::ENTER => return bench::serve(rsctl).await,
        _ => {}
    }
    // Flags are for the test harness of cargo.
    let words = args.into_iter().filter(|arg| !arg.starts_with('-')).collect();
    let mut report = Report::new(words);
    let lab = Lab::new();
    let rounds = std::env::var(bench::ROUNDS).ok().and_then(|rounds| rounds.parse().ok());
    let doing = async {
        match rounds {
            Some(rounds) => measured(&lab, rounds, &mut report).await,
            None => tell(&lab, &mut report).await,
        }
    };
    let ended = tokio::select! {
        ended = doing => ended,
        () = told_to_stop() => Err("stopped by a signal".into()),
    };
    if let Err(failure) = ended {
        report.fail("the Swarm for the story", &failure);
    }
    if std::env::var_os("SWARM_KEEP").is_some() {
        println!("left up: RSCTL_LAB_DIR={} scripts/lab nodes", lab.dir());
    } else if let Err(failure) = lab.down().await {
        report.fail("taking the Swarm down", &failure);
    }
    report.sum_up()
}

/// Runs the story, from the first engine on. A panic counts as a failure.
async fn tell(lab: &Lab, report: &mut Report) -> Outcome {
    match lab.up(3).await? {
        Up::Ready => {}
        Up::Impossible(why) => {
            let names = story::STEPS.iter().map(|(name, _)| *name);
            report.ignore_all("the story on a real Swarm", names, &why);
            return Ok(());
        }
    }
    let mut story = Story::new(lab);
    let repeats = std::env::var("SWARM_REPEAT").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    for (nth, (name, step)) in story::STEPS.iter().enumerate() {
        let wanted = nth == 0 || report.wants(name);
        if !wanted {
            report.pass_over();
            continue;
        }
        let times = if nth == 0 { 1 } else { repeats };
        for _ in 0..times {
            let passed = report.step(name, step(&mut story)).await;
            if !passed {
                story.explain().await;
            }
            if !passed && nth == 0 {
                return Err("there is no set, so the other steps cannot run".into());
            }
        }
    }
    Ok(())
}

/// Runs the bench instead of the story.
async fn measured(lab: &Lab, rounds: usize, report: &mut Report) -> Outcome {
    if let Up::Impossible(why) = lab.up(3).await? {
        report.ignore_all("the bench on a real Swarm", ["the bench"], &why);
        return Ok(());
    }
    let table = bench::measure(lab, rounds).await?;
    println!("\n{table}");
    match std::env::var_os(bench::TABLE) {
        Some(file) => Ok(std::fs::write(file, table)?),
        None => Ok(()),
    }
}

async fn told_to_stop() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
