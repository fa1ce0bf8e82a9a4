//! What one controller costs as the set grows.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Options;
use crate::cost::{cpu_ms, resident_mib};
use crate::set::{Kind, Set};
use crate::stand::{Stand, controller};

const SIZES: [usize; 6] = [1, 3, 7, 15, 30, 50];
const VOTERS_MAX: usize = 7;
/// How many mongods start at the same time.
const BATCH: usize = 5;
const WATCH: Duration = Duration::from_secs(15);
/// The goals: processor time of an observation of 50 members, and memory per member.
const OBSERVE_MS: f64 = 50.0;
const MEMBER_MIB: f64 = 0.3;

/// The measurements of a set of `members` members.
pub(crate) struct Size {
    pub(crate) members: usize,
    pub(crate) resident_mib: f64,
    pub(crate) observation_ms: f64,
    idle_percent: f64,
    all_in: f64,
}

impl Size {
    pub(crate) const HEAD: &'static str = "| members | resident | processor time of an observation | idle, of a core | all in after |\n|---|---|---|---|---|\n";

    pub(crate) fn line(&self) -> String {
        let Self { members, resident_mib, observation_ms, idle_percent, all_in } = self;
        format!(
            "| {members} | {resident_mib:.1} MiB | {observation_ms:.1} ms | {idle_percent:.2} % | {all_in:.1} s |\n"
        )
    }
}

/// The verdict about the goals, and why the cost grows faster than the set.
pub(crate) fn judged(sizes: &[Size]) -> String {
    let [first, .., last] = sizes else { return String::new() };
    let grown = (last.resident_mib - first.resident_mib) / (last.members - first.members) as f64;
    let met = |value: f64, goal: f64| if value <= goal { "yes" } else { "**no**" };
    format!(
        "\nAn observation of {} members: {:.1} ms, goal ≤ {OBSERVE_MS} ms: {}. Memory per member: {grown:.2} MiB, goal ≤ {MEMBER_MIB} MiB: {}.\n\n\
         An observation asks every member, and every answer lists every member, so its cost grows with the square of the \
         size. On busy cores mongods miss heartbeats. Each change that they report causes an observation, which adds to \
         the idle cost.\n",
        last.members,
        last.observation_ms,
        met(last.observation_ms, OBSERVE_MS),
        met(grown, MEMBER_MIB)
    )
}

pub(crate) async fn measure(options: &Options) -> Vec<Size> {
    let mut sizes = Vec::new();
    for members in SIZES {
        eprintln!("growth: {members} members");
        sizes.push(of(members, options).await);
    }
    sizes
}

async fn of(members: usize, options: &Options) -> Size {
    let mut stand = Stand { set: Set::planned(Kind::Ips, members).await, controller: None };
    for from in (0..members).step_by(BATCH) {
        stand.set.start(BATCH.min(members - from)).await;
    }
    let began = Instant::now();
    stand.controller = Some(controller(&stand.set, options, members, &[]));
    let voters = members.min(VOTERS_MAX);
    let all_in = stand.until_members(members, voters).await - began;
    stand.until_calm().await;
    sleep(Duration::from_secs(3)).await;
    let controller = stand.controller.as_ref().unwrap();
    let pid = controller.pid();
    let observations = async || {
        let text = controller.get("/metrics").await.unwrap();
        let line = text.lines().find(|line| line.starts_with("rsctl_observations_total ")).unwrap();
        line.split(' ').nth(1).unwrap().parse::<f64>().unwrap()
    };
    let (cpu, seen, watched) = (cpu_ms(pid), observations().await, Instant::now());
    sleep(WATCH).await;
    let spent = cpu_ms(pid) - cpu;
    let observation_ms = spent / (observations().await - seen).max(1.0);
    let idle_percent = spent / (watched.elapsed().as_secs_f64() * 10.0);
    Size { members, resident_mib: resident_mib(pid), observation_ms, idle_percent, all_in: all_in.as_secs_f64() }
}
