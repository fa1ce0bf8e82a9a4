//! The report: medians of rsctl, the floor and MongoDB alone, as text for a terminal and as BENCHMARKS.md.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Options;
use crate::cost::Cost;
use crate::growth::{self, Size};
use crate::plot;
use crate::set::Kind;
use crate::stand::Contender;

/// The goal of a figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Goal {
    /// At most this many seconds.
    pub(crate) at_most: Option<f64>,
    /// At most this many times the floor.
    pub(crate) of_floor: Option<f64>,
    /// This many seconds are enough too: two waits for the same heartbeat may differ many times.
    pub(crate) or_at_most: Option<f64>,
    /// At least this many times faster than MongoDB alone.
    pub(crate) than_alone: Option<f64>,
}

impl Goal {
    pub(crate) fn of_floor(times: f64) -> Self {
        Self { of_floor: Some(times), ..Self::default() }
    }
}

/// One contender's times of one moment. `None` is a wait that reached its limit.
pub(crate) struct Series {
    name: &'static str,
    goal: Goal,
    samples: Vec<Option<Duration>>,
}

impl Series {
    pub(crate) fn new(name: &'static str, goal: Goal) -> Self {
        Self { name, goal, samples: Vec::new() }
    }

    pub(crate) fn push(&mut self, sample: Option<Duration>) {
        eprintln!("  {}: {}", self.name, sample.map_or("never".to_owned(), |t| format!("{:.3} s", t.as_secs_f64())));
        self.samples.push(sample);
    }
}

/// Median, least and most, in seconds.
#[derive(Clone, Copy)]
struct Figure {
    median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    fn of(samples: &[Option<Duration>]) -> Option<Self> {
        let mut all: Vec<f64> = samples.iter().map(|s| s.map_or(f64::INFINITY, |t| t.as_secs_f64())).collect();
        all.sort_by(f64::total_cmp);
        Some(Self { median: median(&all)?, least: *all.first()?, most: *all.last()? })
    }
}

/// The median of sorted values.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len().checked_sub(1)? / 2;
    Some((sorted[middle] + sorted[sorted.len() / 2]) / 2.0)
}

struct Row {
    name: &'static str,
    kind: Kind,
    goal: Goal,
    rsctl: Option<Figure>,
    floor: Option<Figure>,
    alone: Option<Figure>,
}

pub(crate) struct Report {
    rows: Vec<Row>,
    rounds: usize,
    program: String,
    pub(crate) cost: Vec<Cost>,
    pub(crate) growth: Vec<Size>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        let version = Command::new(&options.program).arg("--version").output().unwrap();
        let program = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        Self { rows: Vec::new(), rounds: options.rounds, program, cost: Vec::new(), growth: Vec::new() }
    }

    pub(crate) fn add(&mut self, kind: Kind, who: Contender, series: Vec<Series>) {
        for Series { name, goal, samples } in series {
            let figure = Figure::of(&samples);
            let at = self.rows.iter().position(|r| r.name == name && r.kind == kind).unwrap_or_else(|| {
                self.rows.push(Row { name, kind, goal, rsctl: None, floor: None, alone: None });
                self.rows.len() - 1
            });
            match who {
                Contender::Rsctl => self.rows[at].rsctl = figure,
                Contender::Floor => self.rows[at].floor = figure,
                Contender::Alone => self.rows[at].alone = figure,
            }
        }
    }

    /// The whole report as Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "# Benchmarks\n\n`scripts/bench` generates this file; do not edit it by hand. {}\n\n",
            self.machine()
        );
        if !self.rows.is_empty() {
            text += "Times are in seconds: the median of this run, and in brackets the least and the most. *Floor*: the ideal \
                     commands of an operator who knows everything, on the same mongods. *Alone*: MongoDB with its own \
                     timeouts. A primary is killed when the set is at rest, which means that every secondary has had its \
                     sync source for two seconds. A lost machine closes no connections; the figure is the longest time without a write, with \
                     the `sysctls` of the stack in `deploy/swarm`.\n\n";
            text += "| moment | members by | rsctl | floor | alone | of floor | faster than alone | goal | |\n";
            text += "|---|---|---|---|---|---|---|---|---|\n";
            self.rows.iter().for_each(|row| text += &row.line());
        }
        if !self.cost.is_empty() {
            text += "\n## Cost\n\n| what | measured | goal | |\n|---|---|---|---|\n";
            self.cost.iter().for_each(|cost| text += &cost.line());
        }
        if !self.growth.is_empty() {
            text += "\n## As the set grows\n\nAll mongods run on this machine. With 50 members they keep it busy, so the \
                     largest sets are slow.\n\n![cost by members](benchmarks.svg)\n\n";
            text += Size::HEAD;
            self.growth.iter().for_each(|size| text += &size.line());
            text += &growth::judged(&self.growth);
        }
        text
    }

    /// Writes BENCHMARKS.md and the plot beside it. Keeps the part that `--swarm` wrote at its end.
    pub(crate) fn write(&self, out: &Path) -> std::io::Result<()> {
        let before = std::fs::read_to_string(out).unwrap_or_default();
        let swarm = before.find("## On a real Swarm").map_or(String::new(), |at| format!("\n{}", &before[at..]));
        std::fs::write(out, self.text() + &swarm)?;
        if !self.growth.is_empty() {
            std::fs::write(out.with_file_name("benchmarks.svg"), plot::svg(&self.growth))?;
        }
        Ok(())
    }

    fn machine(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').nth(2).unwrap_or("?").to_owned();
        format!("{}, {}, {cores} cores, {} rounds, load {load} at the end.", self.program, mongodb(), self.rounds)
    }
}

/// The name and version of the mongod that `scripts/bench` chose.
fn mongodb() -> String {
    let program = std::env::var("RSCTL_MONGOD").expect("RSCTL_MONGOD: run scripts/bench");
    let output = Command::new(program).arg("--version").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("db version v"));
    format!("MongoDB {}", version.unwrap_or("of an unknown version"))
}

impl Row {
    fn line(&self) -> String {
        let show = |figure: Option<Figure>| match figure {
            Some(f) if f.median.is_finite() => format!("**{:.2}** ({:.2}–{:.2})", f.median, f.least, f.most),
            Some(_) => "never".to_owned(),
            None => "–".to_owned(),
        };
        let ratio = |a: Option<Figure>, b: Option<Figure>| Some(a?.median / b?.median);
        let of_floor = ratio(self.rsctl, self.floor);
        let faster = ratio(self.alone, self.rsctl);
        let times = |r: Option<f64>| r.filter(|r| r.is_finite()).map_or("–".to_owned(), |r| format!("{r:.1} ×"));
        let (rsctl, floor, alone) = (show(self.rsctl), show(self.floor), show(self.alone));
        let (goal, met) = self.verdict(of_floor, faster);
        let (of_floor, faster) = (times(of_floor), times(faster));
        let kind = self.kind.word();
        format!("| {} | {kind} | {rsctl} | {floor} | {alone} | {of_floor} | {faster} | {goal} | {met} |\n", self.name)
    }

    fn verdict(&self, of_floor: Option<f64>, faster: Option<f64>) -> (String, &'static str) {
        let (mut goal, mut met) = (String::new(), true);
        let mut demand = |words: String, holds: bool| {
            let _ = write!(goal, "{}{words}", if goal.is_empty() { "" } else { ", " });
            met &= holds;
        };
        if let Some(limit) = self.goal.at_most {
            demand(format!("≤ {limit} s"), self.rsctl.is_some_and(|f| f.median <= limit));
        }
        if let Some(limit) = self.goal.of_floor {
            let or = self.goal.or_at_most.map_or(String::new(), |most| format!(" or one heartbeat ({most} s)"));
            let within = self.goal.or_at_most.is_some_and(|most| self.rsctl.is_some_and(|f| f.median <= most));
            demand(format!("≤ {limit} × floor{or}"), within || of_floor.is_some_and(|r| r <= limit));
        }
        if let Some(limit) = self.goal.than_alone {
            demand(format!("≥ {limit} × faster"), faster.is_none_or(|r| r >= limit));
        }
        (goal, if met { "yes" } else { "**no**" })
    }
}
