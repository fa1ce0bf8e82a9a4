//! The bench measures on this machine how long an application cannot write, and what the controller costs.
//!
//! Three contenders go through each moment on the same kind of mongods. rsctl uses what it can observe. The floor knows
//! everything and sends only the ideal commands. MongoDB alone uses its own timeouts. `scripts/bench` builds and runs it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program that prints")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot unwrap has failed")]

#[path = "bench/cost.rs"]
mod cost;
#[path = "bench/growth.rs"]
mod growth;
#[path = "bench/ideal.rs"]
mod ideal;
#[path = "bench/lost.rs"]
mod lost;
#[path = "bench/moments.rs"]
mod moments;
#[path = "bench/network.rs"]
mod network;
#[path = "bench/planned.rs"]
mod planned;
#[path = "bench/plot.rs"]
mod plot;
#[path = "bench/pulse.rs"]
mod pulse;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/set.rs"]
mod set;
#[path = "bench/stand.rs"]
mod stand;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use moments::Moment;
use report::Report;
use set::Kind;
use stand::Contender;

/// The options of this run.
pub(crate) struct Options {
    /// Path of the controller under test.
    pub(crate) program: PathBuf,
    pub(crate) rounds: usize,
    /// Parts to run; empty means all.
    pub(crate) only: Vec<String>,
    /// Where BENCHMARKS.md and its plot are written. `None`: the report is only printed.
    pub(crate) out: Option<PathBuf>,
}

impl Options {
    /// Reads the variables that `scripts/bench` sets.
    fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            program: text("BENCH_PROGRAM").expect("BENCH_PROGRAM: run scripts/bench").into(),
            rounds: text("BENCH_ROUNDS").and_then(|n| n.parse().ok()).unwrap_or(5),
            only: text("BENCH_ONLY").map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            out: text("BENCH_OUT").map(PathBuf::from),
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| part.starts_with(only.as_str()))
    }
}

#[tokio::main]
async fn main() {
    let options = Options::read();
    let mut report = Report::new(&options);
    if options.wants("cost") {
        report.cost = cost::measure(&options).await;
        keep(&report, &options);
    }
    for moment in Moment::ALL.into_iter().filter(|m| options.wants(m.name())) {
        for contender in Contender::ALL {
            let [names, ips] = Kind::ALL.map(|kind| moments::measure(moment, kind, contender, &options));
            // MongoDB alone mostly waits for its own timeouts, so both kinds of sets run at the same time.
            let both = match contender {
                Contender::Alone => tokio::join!(names, ips).into(),
                Contender::Rsctl | Contender::Floor => [names.await, ips.await],
            };
            for (kind, series) in Kind::ALL.into_iter().zip(both) {
                series.into_iter().for_each(|series| report.add(kind, contender, series));
            }
        }
        keep(&report, &options);
    }
    if options.wants("growth") {
        report.growth = growth::measure(&options).await;
        keep(&report, &options);
    }
    println!("\n{}", report.text());
}

/// Writes what is measured so far, so that it is not lost if a later part fails.
fn keep(report: &Report, options: &Options) {
    if let Some(out) = &options.out {
        report.write(out).expect("the report could not be written");
    }
}
