//! Real drivers, started through the real `rsctl exec`, with a set that fails over, changes the address of one member after
//! the other, and at last all of them. It shows how long each driver could not write, and that no acknowledged write is lost.
//!
//! ```text
//! cargo test --test drivers               all of them, side by side
//! cargo test --test drivers -- mongoose   only the drivers whose names contain a word
//! cargo test --test drivers -- engine     only the death of the primary's engine; with `newest` or `5.0.4` only one half
//! ```
//!
//! `DRIVERS_ROUNDS=5` tells everything five times and prints the worst of each figure.
//!
//! It is not part of a plain `cargo test`: it installs drivers (`scripts/drivers`). A driver that cannot be installed is
//! reported as skipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program that reports to people")]
#![allow(unreachable_pub, reason = "nobody outside sees a test")]

mod acknowledged;
mod application;
#[path = "../mongod/cluster.rs"]
#[allow(dead_code, reason = "shared with the tests of the controller")]
mod cluster;
mod driver;
mod engine;
mod names;
#[path = "../nemesis/network.rs"]
#[allow(dead_code, reason = "shared with the nemesis")]
mod network;
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
use driver::{DRIVERS, Driver, Kind};
use names::Hosts;
use story::Set;
use support::mongods::can_be_named;
use support::report::{Outcome, Report};
use tokio::task::spawn_blocking;

/// The number of rounds.
const ROUNDS: &str = "DRIVERS_ROUNDS";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == [rust::ENTER] {
        return rust::write().await;
    }
    if engine::is_inside() {
        let told = engine::tell(args.get(1).map(String::as_str)).await.inspect_err(|failure| eprintln!("{failure}"));
        return if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // Flags are for the test harness of cargo.
    let words = args.into_iter().filter(|arg| !arg.starts_with('-')).collect();
    let mut report = Report::new(words);
    if let Err(failure) = tell(&mut report).await {
        report.fail("the story", &failure);
    }
    engines_die(&mut report).await;
    report.sum_up()
}

/// Both versions at the same time, because their stories mostly wait.
async fn engines_die(report: &mut Report) {
    let wanted = engine::VERSIONS.into_iter().filter(|version| report.wants(&engine::name(*version)));
    let wanted: Vec<_> = wanted.collect();
    (wanted.len()..engine::VERSIONS.len()).for_each(|_| report.pass_over());
    if !can_be_named() {
        let names: Vec<_> = wanted.iter().map(|version| engine::name(*version)).collect();
        let names = names.iter().map(String::as_str);
        return report.ignore_all(engine::ENTER, names, "a dead engine needs namespaces (root)");
    }
    let begin = |version: &Option<&'static str>| {
        let version = *version;
        spawn_blocking(move || engine::enter(version))
    };
    let stories: Vec<_> = wanted.iter().map(begin).collect();
    for (version, story) in wanted.into_iter().zip(stories) {
        report.step(&engine::name(version), async { story.await? }).await;
    }
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
    // Old drivers do not support new servers, so they have sets of their own. The sets mostly wait, so they run together.
    let (old, modern): (Vec<_>, Vec<_>) = programs.into_iter().partition(|(driver, _)| driver.newest.is_some());
    let mut worst: Vec<Judged> = Vec::new();
    for _ in 0..rounds() {
        for judged in told_once(report, &modern, &old).await? {
            let name = format!("{} {}, {:?}", judged.driver, judged.version, judged.kind).to_lowercase();
            report.step(&name, async { judged.verdict() }).await;
            match worst.iter_mut().find(|before| before.is_of(&judged)) {
                Some(before) => before.worsen(judged),
                None => worst.push(judged),
            }
        }
    }
    for kind in [Kind::Addresses, Kind::Names] {
        println!("\n{kind:?}\n{}", table::render(worst.iter().filter(|judged| judged.kind == kind)));
    }
    Ok(())
}

/// How often to tell everything. The tables in docs/guides/applications.md have the worst of several rounds.
fn rounds() -> usize {
    std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

type Programs = [(&'static Driver, Vec<PathBuf>)];

/// One round: modern and old drivers, with members by address and by name.
async fn told_once(report: &mut Report, modern: &Programs, old: &Programs) -> Outcome<Vec<Judged>> {
    let named = can_be_named();
    let by_name = async |programs| if named { told_to(programs, Kind::Names).await } else { Ok(Vec::new()) };
    let one_after_the_other = async { (told_to(modern, Kind::Addresses).await, by_name(modern).await) };
    let ((modern_ips, modern_names), old_ips, old_names) =
        tokio::join!(one_after_the_other, told_to(old, Kind::Addresses), by_name(old));
    if !named {
        report.ignore_all("members by name", ["members by name"], "naming a mongod needs namespaces (root)");
    }
    let mut judged = Vec::new();
    for judgement in [modern_ips, old_ips, modern_names, old_names] {
        judged.extend(judgement?);
    }
    Ok(judged)
}

/// Runs the story of one set with these applications.
async fn told_to(programs: &Programs, kind: Kind) -> Outcome<Vec<Judged>> {
    let Some((first, _)) = programs.first() else { return Ok(Vec::new()) };
    let mut cluster = match (kind, first.newest) {
        (Kind::Names, version) => Cluster::named(3, version).await,
        (Kind::Addresses, Some(version)) => Cluster::of(version, 3).await,
        (Kind::Addresses, None) => Cluster::blank(3).await,
    };
    let controller = cluster.controller(&[]);
    controller.until("a settled set of three", LIMIT, is_settled(3)).await;
    let since = rust::now_ms()?;
    let hosts = (kind == Kind::Names).then(|| Hosts::write(&cluster));
    let mut applications = Vec::new();
    for (driver, words) in programs {
        applications.push(Application::start(driver, words, &controller, hosts.as_ref())?);
    }
    let mut set = Set { cluster: &mut cluster, controller: &controller, hosts: hosts.as_ref() };
    let events = set.tell(&applications, since).await?;
    let status = controller.status().await.ok_or("the controller does not answer")?;
    // This process cannot resolve the names.
    let uri = format!("mongodb://{}/?directConnection=true", cluster.nodes[cluster.primary(&status)].address());
    acknowledged::judge(&uri, kind, applications, &events).await
}
