//! Real mongods, the real controller, and an application that writes, under faults from a nemesis.
//!
//! Each round has one fault or several. Mongods are killed, frozen, stopped, moved to new addresses, swapped, wiped, or
//! cut off. DNS fails or gives wrong answers. Controllers are killed at any moment. After the faults, the set must
//! become healthy again, and it must have every acknowledged write.
//!
//! The faults come from a seed. `RSCTL_NEMESIS_SEED=7` picks another seed, `RSCTL_NEMESIS_ROUNDS=500` sets the number
//! of rounds, and `RSCTL_NEMESIS_ONLY=wiped` selects one kind of fault. A seed repeats the faults but not their exact
//! times, because processes and the network are real. `RSCTL_NEMESIS_TRACE=1` prints the actions at the end.
//!
//! Some faults are left out, because no controller can prevent the loss. A majority of the directories is never lost. A
//! directory is wiped only while everything else is well and another mongod is primary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, reason = "figures are worth seeing")]
#![allow(unreachable_pub, dead_code, reason = "nobody outside sees a test")]

mod arena;
mod blind;
mod checks;
mod detects_lost_write;
mod faults;
mod figures;
mod gone;
mod lost;
mod network;
mod workload;

#[path = "../sim/rng.rs"]
mod rng;
#[path = "../support/mod.rs"]
mod support;

use arena::Arena;
use faults::Fault;
use figures::Figures;
use rng::Rng;
use tokio::time::Instant;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

async fn rounds(size: usize, rounds: u64) {
    let seed = number("RSCTL_NEMESIS_SEED").unwrap_or(1);
    let rounds = number("RSCTL_NEMESIS_ROUNDS").unwrap_or(rounds);
    let mut arena = Arena::new(size, Rng::new(seed ^ (size as u64) << 32)).await;
    let mut figures = Figures::default();
    for round in 0..rounds {
        let fault = Fault::pick(&mut arena);
        arena.begin_round(round, fault);
        fault.strike(&mut arena).await;
        let ended = Instant::now();
        arena.comes_right().await;
        let gap = arena.workload.gap();
        arena.every_write_is_there().await;
        arena.nothing_was_forced_without_need(fault.may_force()).await;
        arena.note(&format!("right again after {:?}, no writes for {gap:?}", ended.elapsed()));
        figures.note(fault.name(), gap, ended.elapsed());
    }
    arena.all_writes_are_there().await;
    if std::env::var_os("RSCTL_NEMESIS_TRACE").is_some() {
        println!("{}", arena.report().await);
    }
    figures.print(size, seed, &arena);
}

fn on_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

#[test]
fn three_mongods_keep_every_acknowledged_write() {
    network::alone("three_mongods_keep_every_acknowledged_write", || on_runtime(rounds(3, 16)));
}

#[test]
fn five_mongods_keep_every_acknowledged_write() {
    network::alone("five_mongods_keep_every_acknowledged_write", || on_runtime(rounds(5, 10)));
}

#[test]
fn a_force_onto_a_stale_mongod_is_found_out() {
    network::alone("a_force_onto_a_stale_mongod_is_found_out", || {
        on_runtime(detects_lost_write::a_lost_write_is_reported())
    });
}

#[test]
fn a_controller_that_cannot_see_a_healthy_primary_leaves_it_alone() {
    network::alone("a_controller_that_cannot_see_a_healthy_primary_leaves_it_alone", || {
        on_runtime(blind::leaves_a_healthy_primary_alone());
    });
}

#[test]
fn a_lost_machine_s_primary_is_replaced_soon() {
    network::alone("a_lost_machine_s_primary_is_replaced_soon", || on_runtime(lost::another_member_leads_soon()));
}

#[test]
fn a_removed_container_is_told_from_a_silent_host() {
    network::alone("a_removed_container_is_told_from_a_silent_host", || on_runtime(gone::a_closed_end_is_told_once()));
}
