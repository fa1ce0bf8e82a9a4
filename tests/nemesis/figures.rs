//! The summary of a run, in a few lines.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arena::Arena;

#[derive(Default)]
pub struct Figures {
    /// By kind of fault: the longest time without a write, and the time from the end of the fault until the set was
    /// right.
    rounds: BTreeMap<&'static str, Vec<(Duration, Duration)>>,
}

impl Figures {
    pub fn note(&mut self, fault: &'static str, gap: Duration, right: Duration) {
        self.rounds.entry(fault).or_default().push((gap, right));
    }

    pub fn print(&self, size: usize, seed: u64, arena: &Arena) {
        let rounds: usize = self.rounds.values().map(Vec::len).sum();
        println!(
            "figures: {size} mongods, seed {seed}: {rounds} rounds, {} writes acknowledged, 0 lost, {} of unknown outcome, {} \
             controllers killed",
            arena.workload.acknowledged().len(),
            arena.workload.unknown(),
            arena.controllers_killed,
        );
        for (fault, rounds) in &self.rounds {
            let (gaps, rights) = (rounds.iter().map(|r| r.0).collect(), rounds.iter().map(|r| r.1).collect());
            println!(
                "figures:   {fault}: {} rounds, no writes for {}, right again after {}",
                rounds.len(),
                spread(gaps),
                spread(rights)
            );
        }
    }
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let (low, high, most) = (times[(times.len() - 1) / 2], times[times.len() / 2], times[times.len() - 1]);
    format!("{:.2} s ({:.2} s at most)", (low + high).as_secs_f64() / 2.0, most.as_secs_f64())
}
