//! Real drivers, started through the real `rsctl exec`, against a set that fails over, moves member by member, and at
//! last moves as a whole. How long could each not write, and is every acknowledged write there?
//!
//! ```text
//! cargo test --test drivers               all of them, side by side
//! cargo test --test drivers -- mongoose   only the drivers whose names contain a word
//! ```
//!
//! Not part of a plain `cargo test`: it installs drivers (`scripts/drivers`). One that cannot be had is skipped, and said so.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program that reports to people")]
#![allow(unreachable_pub, reason = "nobody outside sees a test")]

mod acknowledged;
mod application;
#[path = "../mongod/cluster.rs"]
#[allow(dead_code, reason = "shared with the tests of the controller")]
mod cluster;
mod driver;
mod rust;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use acknowledged::Judged;
use application::Application;
use cluster::{Cluster, LIMIT, is_settled};
use driver::{DRIVERS, Driver};
use support::report::{Outcome, Report};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == [rust::ENTER] {
        return rust::write().await;
    }
    // Flags are for cargo's own harness.
    let words = args.into_iter().filter(|arg| !arg.starts_with('-')).collect();
    let mut report = Report::new(words);
    if let Err(failure) = tell(&mut report).await {
        report.fail("the story", &failure);
    }
    report.sum_up()
}

async fn tell(report: &mut Report) -> Outcome {
    let mut programs = Vec::new();
    for driver in &DRIVERS {
        if !report.wants(driver.name) {
            report.pass_over();
            continue;
        }
        match driver.program() {
            Ok(words) => programs.push((driver, words)),
            Err(why) => report.ignore_all(driver.name, [driver.name], &why.to_string()),
        }
    }
    // Old drivers cannot talk to new servers: they have a set of their own, which goes through the same beside the other.
    let (old, modern): (Vec<_>, Vec<_>) = programs.into_iter().partition(|(driver, _)| driver.newest.is_some());
    let (modern, old) = tokio::join!(told_to(modern), told_to(old));
    let (modern, old) = (modern?, old?);
    println!("\n{}", table::render(modern.iter().chain(&old)));
    for judged in modern.iter().chain(&old) {
        report.step(&format!("{} {}", judged.driver, judged.version), async { judged.verdict() }).await;
    }
    Ok(())
}

/// The story of one set, with these applications.
async fn told_to(programs: Vec<(&'static Driver, Vec<PathBuf>)>) -> Outcome<Vec<Judged>> {
    let Some((first, _)) = programs.first() else { return Ok(Vec::new()) };
    let mut cluster = match first.newest {
        Some(version) => Cluster::of(version, 3).await,
        None => Cluster::blank(3).await,
    };
    let controller = cluster.controller(&[]);
    controller.until("a settled set of three", LIMIT, is_settled(3)).await;
    let since = rust::now_ms()?;
    let mut applications = Vec::new();
    for (driver, words) in &programs {
        applications.push(Application::start(driver, words, &controller)?);
    }
    let events = story::tell(&mut cluster, &controller, &applications, since).await?;
    let status = controller.status().await.ok_or("the controller does not answer")?;
    let uri = format!("mongodb://{}/?replicaSet=rs", status.seeds.join(","));
    acknowledged::judge(&uri, applications, &events).await
}
