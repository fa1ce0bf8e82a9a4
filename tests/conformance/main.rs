//! The simulated mongods of `tests/sim` and real ones are given the same commands, and must answer alike.
//!
//! What is written in `*.txt` holds for both: each step with its outcome, its error code, and the set that comes of
//! it. `UPDATE=1` writes down anew what the real ones do. Beside that, sequences that a seed makes up are put to both
//! and compared: `CONFORMANCE_SEEDS=100` asks for more of them, `CONFORMANCE_SEED=7` repeats one.
//!
//! Time is left out: both are compared when they have come to rest. So are terms, exact versions after a force, and who
//! wins an election that several can win.

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
    pub mod wipes;
    pub mod world;
}
#[path = "../support/mod.rs"]
mod support;

use run::StepResult;
use script::Section;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// How many made-up sequences an ordinary run compares.
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

/// `CONFORMANCE_ONLY=wiped` picks the sequences whose title says so.
fn wanted(section: &Section) -> bool {
    std::env::var("CONFORMANCE_ONLY").is_ok_and(|only| section.title.contains(&only))
        || std::env::var_os("CONFORMANCE_ONLY").is_none()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What is written holds for the model.
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

/// What is written holds for real mongods.
fn mongods_do(name: &str) {
    let mut sections = read(name);
    let wrong = Mutex::new(Vec::new());
    side_by_side(sections.iter_mut().filter(|s| wanted(s)).collect(), |section| {
        let written = run::written(section);
        // Nobody knows yet what will come of it: the model may say what to wait for.
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

/// Sequences mostly wait, so a few run at a time.
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

/// The first step that differs, after all that came before it.
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

/// Sequences that nobody thought of.
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
