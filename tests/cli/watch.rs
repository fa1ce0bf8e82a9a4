//! `rsctl status --watch`: on a terminal, in a pipe, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::answers::{healthy, troubled};
use super::harness::{Controller, Said, rsctl, until};

/// A watch that ends with the test.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Watch {
    fn of(controller: &Controller, args: &[&str]) -> Self {
        let args: Vec<&str> = ["status", "--watch"].iter().chain(args).copied().collect();
        let mut run = rsctl(&args).asking(controller);
        Self(run.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Sends a signal. Returns the exit code, or `None` if the signal killed it.
    fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
        self.code()
    }

    fn code(&mut self) -> Option<i32> {
        let child = std::cell::RefCell::new(&mut self.0);
        let ended = || child.borrow_mut().try_wait().unwrap();
        until("the end of the watch", || ended().is_some());
        ended().unwrap().code()
    }

    fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map(Result::unwrap)
    }
}

/// One block, which ends with its URI.
fn block(lines: &mut impl Iterator<Item = String>) -> Vec<String> {
    let mut block = Vec::new();
    for line in lines {
        let last = line.starts_with("uri: ");
        block.push(line);
        if last {
            break;
        }
    }
    block
}

/// Lets time go by in the set, and nothing else.
fn age(said: &Said, minutes: u64) {
    let mut status = healthy();
    status["primary_ms"] = (60_000 * minutes).into();
    status["members"][0]["state_ms"] = (60_000 * minutes).into();
    status["members"][1]["oplog_ms"] = (60_000 * minutes).into();
    status["observed_ms_ago"] = (20 * minutes).into();
    said.status(Some(status));
    said.until_asked(2);
}

#[test]
fn in_a_pipe_every_change_is_a_block_and_time_alone_is_none() {
    let (controller, said) = Controller::changing(healthy());
    let mut watch = Watch::of(&controller, &[]);
    let mut lines = watch.lines();
    let first = block(&mut lines);
    assert!(first[0].ends_with('Z') && first[0].starts_with("20"), "it begins with its time: {first:?}");
    assert_eq!(first[1], "healthy: can lose 1 more member");
    (1..4).for_each(|minutes| age(&said, minutes));
    said.status(Some(troubled()));
    let second = block(&mut lines);
    assert_eq!(second[0], "", "an empty line keeps blocks apart");
    assert!(second[2].starts_with("degraded: mongo-node2:27017 is STARTUP2"), "{second:?}");
    assert!(!second.concat().contains('\u{1b}'), "no colours: {second:?}");
    assert_eq!(watch.end(Signal::SIGTERM), Some(143));
}

#[test]
fn programs_get_one_line_for_every_change() {
    let (controller, said) = Controller::changing(healthy());
    let mut watch = Watch::of(&controller, &["--output", "json"]);
    let mut lines = watch.lines().map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    assert_eq!(lines.next().unwrap()["health"], "ok");
    said.status(Some(troubled()));
    assert_eq!(lines.next().unwrap()["health"], "degraded");
    assert_eq!(watch.end(Signal::SIGINT), Some(130));
}

#[test]
fn a_lost_controller_is_told_and_the_watch_goes_on() {
    let (controller, said) = Controller::changing(healthy());
    let mut watch = Watch::of(&controller, &[]);
    let mut lines = watch.lines();
    block(&mut lines);
    said.status(None);
    assert_eq!(lines.next().unwrap(), "");
    lines.next().unwrap();
    let first = lines.next().unwrap();
    assert!(first.starts_with("no controller answers, so nobody repairs this set (http://127.0.0.1"), "{first}");
    said.status(Some(healthy()));
    assert!(lines.any(|line| line == "healthy: can lose 1 more member"));
    assert_eq!(watch.end(Signal::SIGTERM), Some(143));
}

#[test]
fn a_reader_that_stops_reading_holds_up_no_signal() {
    let mut status = healthy();
    status["because"] = "x".repeat(400_000).into(); // more than a pipe holds
    let (controller, _said) = Controller::changing(status);
    let mut watch = Watch::of(&controller, &[]);
    let mut out = watch.0.stdout.take().unwrap();
    out.read_exact(&mut [0]).unwrap(); // it has begun to write
    assert_eq!(watch.end(Signal::SIGTERM), Some(143));
}

#[test]
fn a_reader_that_is_gone_ends_the_watch() {
    let (controller, said) = Controller::changing(healthy());
    let mut watch = Watch::of(&controller, &["-o", "name"]);
    assert_eq!(watch.lines().next().unwrap(), "mongo-node1:27017");
    let mut status = healthy();
    status["members"][0]["host"] = "mongo-node9:27017".into();
    said.status(Some(status));
    assert_eq!(watch.code(), Some(0));
}

/// Runs a watch on a terminal of this size, which `script` makes.
fn on_a_terminal(controller: &Controller, rows: u16, columns: u16) -> Watch {
    let watch = format!("stty rows {rows} cols {columns}; exec {} status --watch", env!("CARGO_BIN_EXE_rsctl"));
    let mut script = Command::new("script");
    script.args(["-qefc", &watch, "/dev/null"]).env_clear().env("PATH", "/usr/bin:/bin");
    script.env("RSCTL_CONTROLLER", controller.url()).env("RSCTL_DNS", "127.0.0.1:9").env("SHELL", "/bin/sh");
    Watch(script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

/// What a terminal shows after these bytes, as far as the watch uses it.
fn shown(bytes: &str, columns: usize) -> Vec<String> {
    let last = bytes.rsplit("\u{1b}[H").next().unwrap();
    let mut text = String::new();
    for part in last.replace('\r', "").split('\u{1b}') {
        let code = part.strip_prefix('[').and_then(|part| part.split_once(|c: char| c.is_ascii_alphabetic()));
        text.push_str(code.map_or(part, |(_, rest)| rest));
    }
    let lines = text.lines().map(|line| line.chars().collect::<Vec<_>>());
    lines.flat_map(|line| line.chunks(columns).map(|c| c.iter().collect()).collect::<Vec<String>>()).collect()
}

#[test]
fn a_terminal_is_redrawn_in_place_and_ctrl_c_ends_it() {
    let (controller, said) = Controller::changing(healthy());
    let mut watch = on_a_terminal(&controller, 18, 60);
    let mut out = watch.0.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut read_until = |wanted: &str| {
        while !String::from_utf8_lossy(&seen).rsplit("\u{1b}[H").next().unwrap().contains(wanted) {
            let mut byte = [0; 4096];
            let read = out.read(&mut byte).unwrap();
            assert!(read > 0, "ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&byte[..read]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    };
    let healthy = shown(&read_until("uri: mongodb://mongo-node1:27017,mongo-node2:27017,mongo-node3:27017"), 60);
    assert_eq!(healthy[0], "healthy: can lose 1 more member");
    assert!(healthy.iter().any(|line| line == "MEMBER             STATE      FOR   VOTES  LAG   OPLOG"), "{healthy:?}");
    said.status(Some(troubled()));
    let bytes = read_until("… ");
    let troubled = shown(&bytes, 60);
    assert!(troubled[0].starts_with("degraded: mongo-node2:27017 is STARTUP2"), "{troubled:?}");
    assert!(troubled.len() < 18, "it fits: {troubled:#?}");
    assert!(bytes.contains("\u{1b}[31mUNREACHABLE"), "states have colours: {bytes:?}");
    let mut keys = watch.0.stdin.take().unwrap();
    std::io::Write::write_all(&mut keys, b"\x03").unwrap();
    assert_eq!(watch.code(), Some(130));
}
