//! What the controller costs: memory, processor time, packets, and the time that its commands add.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Options;
use crate::report::median;
use crate::set::Kind;
use crate::stand::{Contender, Stand};

/// How long an idle controller is watched.
const WATCH: Duration = Duration::from_secs(60);

/// One figure with its goal.
pub(crate) struct Cost {
    what: &'static str,
    measured: f64,
    unit: &'static str,
    goal: f64,
}

impl Cost {
    pub(crate) fn line(&self) -> String {
        let Self { what, measured, unit, goal } = self;
        let met = if measured <= goal { "yes" } else { "**no**" };
        format!("| {what} | {measured:.2} {unit} | ≤ {goal} {unit} | {met} |\n")
    }
}

pub(crate) async fn measure(options: &Options) -> Vec<Cost> {
    eprintln!("cost: an idle set of three, watched for {} s", WATCH.as_secs());
    let stand = Stand::settled(Contender::Rsctl, Kind::Names, 3, 3, options).await;
    let controller = stand.controller.as_ref().unwrap();
    sleep(Duration::from_secs(10)).await;
    let pid = controller.pid();
    let (cpu, packets, began) = (cpu_ms(pid), packets(pid), Instant::now());
    sleep(WATCH).await;
    let seconds = began.elapsed().as_secs_f64();
    let per_second = (self::packets(pid) - packets) / seconds;
    let share = (cpu_ms(pid) - cpu) / (seconds * 10.0);
    let size = std::fs::metadata(&options.program).unwrap().len() as f64 / 1e6;
    eprintln!("cost: commands");
    let url = controller.url();
    let exec = ["exec", "--set", "URI={uri}", "--", "true"];
    let (plain, wrapped) = paired(&options.program, &url, &exec);
    let status = times(&options.program, &url, &["status"]);
    vec![
        Cost { what: "resident, idle, three members", measured: resident_mib(pid), unit: "MiB", goal: 10.0 },
        Cost { what: "of a core, idle, three members", measured: share, unit: "%", goal: 0.2 },
        Cost { what: "packets per second and member, idle", measured: per_second / 3.0, unit: "", goal: 5.0 },
        Cost { what: "program, which is all that the image holds", measured: size, unit: "MB", goal: 9.0 },
        Cost { what: "`rsctl exec` adds to a start", measured: wrapped - plain, unit: "ms", goal: 15.0 },
        Cost { what: "`rsctl status`", measured: status, unit: "ms", goal: 30.0 },
    ]
}

/// Processor time so far in milliseconds, user and kernel. It comes from `schedstat` in nanoseconds, because
/// `/proc/PID/stat` counts in ticks of 10 ms.
pub(crate) fn cpu_ms(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let on_cpu_ns = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0)
    };
    threads.map(|thread| on_cpu_ns(thread.unwrap())).sum::<f64>() / 1e6
}

pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// TCP segments that the open connections of the process have sent and received so far.
fn packets(pid: u32) -> f64 {
    let output = Command::new("ss").args(["-tinpHO", "state", "established"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ours = text.lines().filter(|line| line.contains(&format!("pid={pid},")));
    let count = |line: &str, field: &str| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(field));
        value.and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0)
    };
    ours.map(|line| count(line, "segs_out:") + count(line, "segs_in:")).sum()
}

/// Median times in milliseconds of a program alone and of the same program through `rsctl exec`, run alternately.
fn paired(program: &Path, url: &str, arguments: &[&str]) -> (f64, f64) {
    let (mut plain, mut wrapped) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        plain.push(time(Command::new("true").env_clear().env("PATH", "/usr/bin:/bin")));
        wrapped.push(time(rsctl(program, url).args(arguments)));
    }
    (middle(plain), middle(wrapped))
}

fn times(program: &Path, url: &str, arguments: &[&str]) -> f64 {
    middle((0..21).map(|_| time(rsctl(program, url).args(arguments))).collect())
}

fn rsctl(program: &Path, url: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("RSCTL_CONTROLLER", url);
    command
}

fn time(command: &mut Command) -> f64 {
    let began = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
    began.elapsed().as_secs_f64() * 1000.0
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    median(&all).unwrap()
}
