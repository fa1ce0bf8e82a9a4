//! Gives the simulated mongods of `tests/sim` and real mongods the same commands. Both must give the same results.
//!
//! The files `*.txt` hold sequences with the results that both must give: for each step its outcome, its error code,
//! and the resulting set. `UPDATE=1` rewrites the files with the results of the real mongods. The test also runs random
//! sequences on both and compares the results. `CONFORMANCE_SEEDS=100` sets the number of random sequences.
//! `CONFORMANCE_SEED=7` repeats one of them.
//!
//! The comparison is made when the set has stopped changing, so it leaves out time. It also leaves out terms, the exact
//! version after a force, and the winner of an election that several members can win.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, reason = "a failed sequence must be results")]
#![allow(
    unreachable_pub,
    dead_code,
    reason = "nobody outside sees a test, and the simulation is more than is used here"
)]

mod edit;
mod model;
mod picture;
mod random;
mod real;
mod run;
mod script;

#[path = "../sim"]
mod sim {
    pub mod assumptions;
    pub mod checker;
    pub mod commands;
    pub mod conf;
    pub mod dns;
    pub mod election;
    pub mod events;
    pub mod evidence;
    pub mod faults;
    pub mod heartbeat;
    pub mod node;
    pub mod ports;
    pub mod queue;
    pub mod record;
    pub mod replication;
    pub mod rewinds;
    pub mod rng;
    pub mod scenarios;
    pub mod service;
    pub mod source;
    pub mod wipes;
    pub mod world;
}
#[path = "../support/mod.rs"]
mod support;

use run::StepResult;
use script::Section;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The number of random sequences in a run by default.
const SEEDS: u64 = 6;
const SIDE_BY_SIDE: usize = 4;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name)
}

fn read(name: &str) -> Vec<Section> {
    script::parse(&std::fs::read_to_string(file(name)).unwrap())
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Whether the run includes a sequence. `CONFORMANCE_ONLY=wiped` selects the sequences with this word in their titles.
fn wanted(section: &Section) -> bool {
    std::env::var("CONFORMANCE_ONLY").is_ok_and(|only| section.title.contains(&only))
        || std::env::var_os("CONFORMANCE_ONLY").is_none()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Checks that the model gives the results in a file.
fn model_does(name: &str) {
    for section in read(name).into_iter().filter(wanted) {
        let results = model::run_section(&section);
        let written = run::written(&section);
        assert!(
            results == written,
            "{name}: {}\n{}",
            section.title,
            difference(&written, "written", &results, "model")
        );
    }
}

/// Checks that real mongods give the results in a file.
fn mongods_do(name: &str) {
    let mut sections = read(name);
    let wrong = Mutex::new(Vec::new());
    side_by_side(sections.iter_mut().filter(|s| wanted(s)).collect(), |section| {
        let written = run::written(section);
        // The results in the file may be outdated. The results of the model say what to wait for.
        let hint = if updating() { model::run_section(section) } else { written.clone() };
        let results = real::run_section(section, &hint);
        if updating() {
            run::write_down(section, &results);
        } else if results != written {
            let difference = difference(&written, "written", &results, "mongods");
            wrong.lock().unwrap().push(format!("{}\n{difference}", section.title));
        }
    });
    if updating() {
        std::fs::write(file(name), script::print(&sections)).unwrap();
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{name}: {}", wrong.join("\n"));
}

/// Runs a few sequences at the same time, because they mostly wait.
fn side_by_side<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Sync) {
    let tasks = Mutex::new(tasks);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(task) = { tasks.lock().unwrap().pop() } {
                    work(task);
                }
            });
        }
    });
}

/// The steps up to the first one that differs.
fn difference(one: &[StepResult], ones: &str, other: &[StepResult], others: &str) -> String {
    let mut text = String::new();
    for (a, b) in one.iter().zip(other) {
        if a == b {
            text += &format!("{a}");
        } else {
            text += &format!("{ones}:\n{a}{others}:\n{b}");
            break;
        }
    }
    text
}

macro_rules! files {
    ($($name:ident),*) => {
        mod the_model {
            $(#[test] fn $name() { super::model_does(concat!(stringify!($name), ".txt")); })*
        }
        mod real_mongods {
            $(#[test] fn $name() { super::mongods_do(concat!(stringify!($name), ".txt")); })*
        }
    };
}
files!(initiate, reconfig, force, elections, locks);

/// Random sequences, compared on the model and on real mongods.
#[test]
fn random_sequences_end_alike() {
    let seeds: Vec<u64> = match number("CONFORMANCE_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("CONFORMANCE_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let wrong = Mutex::new(Vec::new());
    side_by_side(seeds, |seed| {
        let section = random::section(seed);
        let model = model::run_section(&section);
        let real = real::run_section(&section, &model);
        if model != real {
            let difference = difference(&model, "model", &real, "mongods");
            wrong.lock().unwrap().push(format!("CONFORMANCE_SEED={seed}\n{difference}"));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
