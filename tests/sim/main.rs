//! Mongods, network, DNS and Swarm, simulated behind the two ports of the controller, under faults that a seed picks.
//!
//! `SIM_SEEDS=1000000` sets how many seeds are lived through, `SIM_SEED=7` relives one and tells all that happened.
//! Left out: arbiters, servers before 5.0, chained commit points, primary catch-up, priorities and takeovers,
//! authentication, oplogs that end, clocks that differ.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a failed seed must be told")]
#![allow(unreachable_pub, reason = "nobody outside sees a test")]

mod checker;
mod commands;
mod conf;
mod dns;
mod election;
mod faults;
mod heartbeat;
mod limits;
mod mutants;
mod node;
mod ports;
mod replication;
mod rng;
mod run;
mod world;

use mutants::Mutant;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many seeds an ordinary run lives through, where nobody says.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 10_000 };
const TRACE_LINES: usize = 120;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Lives through the seeds on all cores; gives the first that fails.
fn first_failure(seeds: u64, mutant: Mutant) -> Option<u64> {
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let stop = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    if lives(seed, mutant, false).is_err() {
                        failed.fetch_min(seed, Ordering::Relaxed);
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Some(failed.into_inner()).filter(|seed| *seed != u64::MAX)
}

fn lives(seed: u64, mutant: Mutant, trace: bool) -> Result<(), run::Failure> {
    let outcome = std::panic::catch_unwind(|| run::live(seed, mutant, trace));
    outcome.unwrap_or_else(|_| Err(run::Failure { what: "panicked".to_owned(), trace: Vec::new() }))
}

fn tell(seed: u64) {
    let lines = if number("SIM_SEED").is_some() { usize::MAX } else { TRACE_LINES };
    match lives(seed, Mutant::None, true) {
        Ok(()) => println!("seed {seed} holds"),
        Err(failure) => {
            let skipped = failure.trace.len().saturating_sub(lines);
            println!("{}", failure.trace[skipped..].join("\n"));
            panic!("SIM_SEED={seed} cargo test --profile sim --test sim\n{}", failure.what);
        }
    }
}

#[test]
fn no_acknowledged_write_is_lost_and_every_set_comes_right() {
    if let Some(seed) = number("SIM_SEED") {
        return tell(seed);
    }
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    if let Some(seed) = first_failure(seeds, Mutant::None) {
        tell(seed);
    }
}

/// A controller without one of its safety rules is found out, each within so many seeds.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long without optimisation: cargo test --profile sim --test sim")]
fn the_checker_notices_what_a_rule_prevents() {
    let seeds = number("SIM_MUTANT_SEEDS").unwrap_or(5000);
    let missed: Vec<_> = mutants::ALL
        .into_iter()
        .filter(|mutant| match first_failure(seeds, *mutant) {
            Some(seed) => {
                let why = lives(seed, *mutant, false).err().map(|f| f.what).unwrap_or_default();
                println!("{mutant:?}: seed {seed}: {why}");
                false
            }
            None => true,
        })
        .collect();
    assert!(missed.is_empty(), "within {seeds} seeds nobody noticed {missed:?}");
}

/// The loss that rule *wiped* prevents takes a stale member, a slow initial sync and a second fault in one moment.
#[test]
#[ignore = "not yet: the faults do not bring the three together within 5000 seeds"]
fn the_checker_notices_a_wiped_vote_that_is_kept() {
    assert!(first_failure(number("SIM_MUTANT_SEEDS").unwrap_or(5000), Mutant::KeepsWipedVotes).is_some());
}
