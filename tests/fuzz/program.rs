//! The fuzzer: one program for all targets. `scripts/fuzz` builds it, with coverage, and starts it.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a target that cannot unwrap has found something")]

#[path = "../plan/evolve.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod evolve;
#[path = "../plan/judge.rs"]
mod judge;
#[path = "../plan/made_up.rs"]
mod made_up;
#[path = "../plan/parse.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod parse;
#[path = "../plan/targets.rs"]
mod targets;
#[path = "../plan/words.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod words;
#[path = "../plan/world.rs"]
mod world;

use std::sync::OnceLock;

/// The target of this process.
static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn choose() {
    let name = std::env::var("RSCTL_FUZZ_TARGET").unwrap_or_default();
    let mut all = rsctl::fuzzing::TARGETS.into_iter().chain(targets::TARGETS);
    let target = all.find(|(known, _)| *known == name);
    let (_, target) = target.unwrap_or_else(|| panic!("RSCTL_FUZZ_TARGET={name} is no target"));
    TARGET.set(target).unwrap();
}

libfuzzer_sys::fuzz_target!(init: choose(), |bytes: &[u8]| TARGET.get().unwrap()(bytes));
