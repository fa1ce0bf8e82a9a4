//! Runs the real controller against simulated mongods, a simulated network and a simulated DNS, under faults from a
//! seed.
//!
//! `tests/sim/README.md` describes what is modelled, what is not modelled, and the assumptions of the faults.
//! `SIM_SEED=7` runs one seed and prints everything that happens in it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a failed seed must be requests")]
#![allow(unreachable_pub, reason = "nobody outside sees a test")]

mod assumptions;
mod checker;
mod commands;
mod conf;
mod dns;
mod election;
mod events;
mod evidence;
mod faults;
mod faulty_controller;
mod heartbeat;
mod mutants;
mod node;
mod ports;
mod queue;
mod record;
mod replication;
mod rewinds;
mod rng;
mod run;
mod scenarios;
mod service;
mod source;
mod wipes;
mod world;

use checker::{CheckScope, Violation};
use mutants::{DetectedBy, Mutant};
use record::Records;
use run::{Failure, RunConfig};
use scenarios::{SCENARIOS, Scenario};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The number of seeds in a run without `SIM_SEEDS`.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 10_000 };
/// The number of seeds within which a mutant must be detected.
const MUTANT_SEEDS: u64 = 10_000;
/// The limit of the time for one plan, for sets of any size.
const PLAN_LIMIT: Duration = Duration::from_millis(10);
const TRACE_LINES: usize = 120;

const AS_IT_IS: RunConfig =
    RunConfig { mutant: Mutant::None, scenario: Scenario::Random, scope: CheckScope::All, trace: false };

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs the seeds on all cores until one of them ends as wanted. Returns the first such seed.
fn first(
    seeds: std::ops::Range<u64>,
    config: RunConfig,
    wanted: fn(Violation) -> bool,
) -> (Option<(u64, Failure)>, Records) {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let (found, records) = (Mutex::new(None::<(u64, Failure)>), Mutex::new(Records::default()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let one_core = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            match outcome_of(seed, config) {
                Ok(record) => records.lock().unwrap_or_else(PoisonError::into_inner).add(&record),
                Err(failure) if wanted(failure.violation) => {
                    stop.store(true, Ordering::Relaxed);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    if found.as_ref().is_none_or(|(first, _)| seed < *first) {
                        *found = Some((seed, failure));
                    }
                }
                Err(_) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(one_core);
        }
    });
    let unlocked = (found.into_inner(), records.into_inner());
    (unlocked.0.unwrap_or_else(PoisonError::into_inner), unlocked.1.unwrap_or_else(PoisonError::into_inner))
}

fn outcome_of(seed: u64, config: RunConfig) -> Result<record::Record, Failure> {
    let outcome = std::panic::catch_unwind(|| run::run_seed(seed, config));
    let panicked = |_| Err(Failure { violation: Violation::Panic, what: "panicked".to_owned(), trace: Vec::new() });
    outcome.unwrap_or_else(panicked)
}

fn tell(seed: u64, config: RunConfig) {
    let lines = if number("SIM_SEED").is_some() { usize::MAX } else { TRACE_LINES };
    match outcome_of(seed, RunConfig { trace: true, ..config }) {
        Ok(_) => println!("seed {seed} holds"),
        Err(failure) => {
            let skipped = failure.trace.len().saturating_sub(lines);
            println!("{}", failure.trace[skipped..].join("\n"));
            panic!("SIM_SEED={seed} cargo sim\n{:?}: {}", config.scenario, failure.what);
        }
    }
}

#[test]
fn no_acknowledged_write_is_lost_and_every_set_comes_right() {
    if let Some(seed) = number("SIM_SEED") {
        return tell(seed, AS_IT_IS);
    }
    let first_seed = number("SIM_FIRST").unwrap_or(0);
    let began = Instant::now();
    let seeds = first_seed..first_seed + number("SIM_SEEDS").unwrap_or(SEEDS);
    let (failed, records) = first(seeds, AS_IT_IS, |_| true);
    println!("figures: {records}; {:.0} s", began.elapsed().as_secs_f64());
    if let Some((seed, _)) = failed {
        tell(seed, AS_IT_IS);
    }
}

/// The controller with all its rules survives the scenarios in which mutants are detected.
#[test]
fn what_mutants_are_tempted_with_is_survived() {
    for scenario in SCENARIOS {
        let config = RunConfig { scenario, ..AS_IT_IS };
        if let Some(seed) = number("SIM_SEED") {
            tell(seed, config);
        }
        let (failed, records) = first(0..SEEDS / 20, config, |_| true);
        println!("figures: {scenario:?}: {records}");
        if let Some((seed, _)) = failed {
            tell(seed, config);
        }
    }
}

/// Large sets over a slow network with wrong DNS answers: every set becomes healthy, and each plan is made in a short
/// time.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long without optimisation: cargo sim")]
fn sets_of_any_size_come_right_over_a_far_network() {
    for members in [1, 3, 7, 15, 30, 50] {
        let (record, mut costs) = run::run_far(1, members).unwrap_or_else(|failure| panic!("{}", failure.what));
        costs.sort();
        let (plans, median) = (costs.len(), costs[costs.len() / 2]);
        let seconds = record.simulated_ms as f64 / 1000.0;
        println!(
            "figures: {members} members, 200 ms apart, 1 % lost: right after {seconds:.0} s and {plans} plans of {median:?}"
        );
        assert!(median < PLAN_LIMIT, "a plan for {members} members took {median:?}");
    }
}

fn mutants(
    list: &[(Mutant, DetectedBy)],
    scope: CheckScope,
    shows: fn(DetectedBy) -> bool,
    wanted: fn(Violation) -> bool,
) {
    let only = std::env::var("SIM_MUTANT").ok();
    let chosen = |m: &Mutant| only.as_ref().is_none_or(|name| *name == format!("{m:?}"));
    let seeds = number("SIM_MUTANT_SEEDS").unwrap_or(MUTANT_SEEDS);
    let wanted_mutants = list.iter().copied().filter(|(mutant, how)| shows(*how) && chosen(mutant));
    let missed: Vec<_> = wanted_mutants
        .filter(|(mutant, _)| {
            let config = RunConfig { mutant: *mutant, scenario: mutant.scenario(), scope, trace: false };
            if let Some(seed) = number("SIM_SEED") {
                tell(seed, config);
            }
            match first(0..seeds, config, wanted).0 {
                Some((seed, failure)) => {
                    println!("{mutant:?}: seed {seed}: {}", failure.what);
                    false
                }
                None => true,
            }
        })
        .collect();
    assert!(missed.is_empty(), "within {seeds} seeds nobody noticed {missed:?}");
}

/// The checker detects every controller without one of its safety rules, within a limited number of seeds.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long without optimisation: cargo sim")]
fn the_checker_notices_what_a_rule_prevents() {
    mutants(&mutants::ALL, CheckScope::All, |how| !matches!(how, DetectedBy::Unsettled(_)), noticed);
}

/// Without a rule that only sees to it that work goes on, some sets do not come right.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long without optimisation: cargo sim")]
fn without_a_rule_that_goes_on_sets_do_not_come_right() {
    mutants(
        &mutants::ALL,
        CheckScope::All,
        |how| matches!(how, DetectedBy::Unsettled(_)),
        |violation| violation == Violation::Unsettled,
    );
}

/// Without a rule that prevents loss, writes are lost. The checker detects the loss without the commands of
/// controllers.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long without optimisation: cargo sim")]
fn without_a_rule_that_prevents_loss_writes_are_lost() {
    mutants(
        &mutants::ALL,
        CheckScope::DataOnly,
        |how| how == DetectedBy::LostWrites,
        |violation| violation == Violation::Lost,
    );
}

fn noticed(violation: Violation) -> bool {
    matches!(violation, Violation::Command | Violation::Lost)
}
