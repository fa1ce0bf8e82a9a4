//! `rsctl exec --on-change` with real programs: it signals, stops, restarts and reaps them.

use std::fs::read_to_string;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use tokio::time::Instant;

use super::answers::{healthy, with_members};
use super::harness::{Act, Controller, Folder, Rsctl, rsctl, until};

/// An application that writes its hosts to the file $LOG. It exits with 0 on SIGTERM.
const APP: &str = "echo start $HOSTS >>$LOG; trap 'echo stop >>$LOG; exit 0' TERM; while :; do sleep 0.05; done";

/// `rsctl exec` with a shell as the program.
fn exec(controller: &Controller, flags: &[&str], log: &str, script: &str) -> Rsctl {
    let args = [&["exec", "--set", "HOSTS={hosts}"], flags, &["--", "sh", "-c", script]].concat();
    rsctl(&args).asking(controller).env("LOG", log)
}

/// A running `rsctl`. It and its children are killed at the end of the test.
struct Running(Child);

impl Running {
    fn start(mut run: Rsctl) -> Self {
        Self(run.command().stderr(Stdio::piped()).spawn().unwrap())
    }

    fn tell(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    fn code(&mut self) -> Option<i32> {
        until("the end of rsctl", || {
            !std::path::Path::new(&format!("/proc/{}/stat", self.0.id())).exists() || is_zombie(self.0.id())
        });
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in children(self.0.id()) {
            let _ = kill(Pid::from_raw(-(child as i32)), Signal::SIGKILL);
            let _ = kill(Pid::from_raw(child as i32), Signal::SIGKILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn children(of: u32) -> Vec<u32> {
    let list = read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    list.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

fn is_zombie(id: u32) -> bool {
    let stat = read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn is_alive(id: u32) -> bool {
    std::path::Path::new(&format!("/proc/{id}")).exists() && !is_zombie(id)
}

fn lines(log: &str) -> Vec<String> {
    read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

const HOSTS: [&str; 3] = ["mongo-node1:27017", "mongo-node2:27017", "mongo-node3:27017"];
const FIRST: &str = "start mongo-node1:27017,mongo-node2:27017,mongo-node3:27017";

#[test]
fn a_program_that_lost_all_its_hosts_is_started_anew_with_those_that_are() {
    let (controller, said) = Controller::changing(healthy());
    let folder = Folder::new("restart");
    let log = folder.path("log");
    let mut running = Running::start(exec(&controller, &["--on-change", "restart"], &log, APP));
    until("the first start", || lines(&log) == [FIRST]);
    said.members(&["10.0.0.7:27017", "10.0.0.8:27017"]);
    let expected = [FIRST, "stop", "start 10.0.0.7:27017,10.0.0.8:27017"];
    until("the second start", || lines(&log) == expected);
    said.until_asked(4);
    assert_eq!(lines(&log), expected, "once is enough");
    running.tell(Signal::SIGTERM);
    assert_eq!(running.code(), Some(0));
}

#[test]
fn a_program_waits_for_its_new_hosts_by_one_long_poll_and_is_started_anew_at_once() {
    let (statuses, polls) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let moved = Arc::new(AtomicBool::new(false));
    let (told, asked, there) = (statuses.clone(), polls.clone(), moved.clone());
    let controller = Controller::new(move |path, _| {
        if path == "/v1/status" {
            told.fetch_add(1, Ordering::SeqCst);
            let seeds: &[&str] = if there.load(Ordering::SeqCst) { &["10.0.0.7:27017"] } else { &HOSTS };
            return Act::Answer(200, with_members(seeds).to_string());
        }
        asked.lock().unwrap().push(path.to_owned());
        until("the move", || there.load(Ordering::SeqCst));
        Act::Answer(200, "a URI".to_owned())
    });
    let folder = Folder::new("long-poll");
    let log = folder.path("log");
    let _running = Running::start(exec(&controller, &["--on-change", "restart"], &log, APP));
    until("the first start and the poll", || lines(&log) == [FIRST] && !polls.lock().unwrap().is_empty());
    // A second request would come within two seconds.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(*polls.lock().unwrap(), ["/v1/uri?wait=10000ms&primary=true"]);
    assert_eq!(statuses.load(Ordering::SeqCst), 2, "one before the start, and one before the poll");
    moved.store(true, Ordering::SeqCst);
    let since = Instant::now();
    until("the second start", || lines(&log) == [FIRST, "stop", "start 10.0.0.7:27017"]);
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[test]
fn a_program_keeps_running_while_one_of_its_hosts_is_left_or_nobody_knows() {
    let (controller, said) = Controller::changing(healthy());
    let folder = Folder::new("keep");
    let log = folder.path("log");
    let mut running = Running::start(exec(&controller, &["--on-change", "restart"], &log, APP));
    until("the first start", || lines(&log) == [FIRST]);
    said.members(&["mongo-node3:27017", "10.0.0.8:27017"]);
    said.until_asked(4); // each request takes a second, and an answer takes two
    said.members(&[]);
    said.until_asked(4);
    said.status(None); // the controller is gone, and no mongod answers either
    // Nothing may happen, so the test can only wait. A reaction would come within two seconds.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(lines(&log), [FIRST]);
    said.members(&["10.0.0.8:27017"]);
    until("the controller's return", || lines(&log).len() == 3);
    running.tell(Signal::SIGTERM);
    assert_eq!(running.code(), Some(0));
}

#[test]
fn a_program_that_will_not_stop_is_killed_with_all_it_started() {
    let (controller, said) = Controller::changing(healthy());
    let folder = Folder::new("stubborn");
    let log = folder.path("log");
    let stubborn = "trap '' TERM; sleep 60 & echo $! $HOSTS >>$LOG; wait; wait; sleep 60";
    let flags = ["--on-change", "restart", "--stop-grace", "300ms"];
    let running = Running::start(exec(&controller, &flags, &log, stubborn));
    until("the first start", || lines(&log).len() == 1);
    let server: u32 = lines(&log)[0].split(' ').next().unwrap().parse().unwrap();
    assert!(is_alive(server));
    said.members(&["a:1"]);
    until("the second start", || lines(&log).len() == 2);
    assert!(!is_alive(server), "what the first one left behind is gone before the second starts");
    drop(running);
}

#[test]
fn what_a_shell_left_behind_is_gone_before_the_next_start() {
    let (controller, said) = Controller::changing(healthy());
    let folder = Folder::new("leftover");
    let log = folder.path("log");
    let leaving = "sleep 60 & echo $! >>$LOG; wait";
    let _running = Running::start(exec(&controller, &["--on-change", "restart"], &log, leaving));
    until("the first start", || lines(&log).len() == 1);
    let server: u32 = lines(&log)[0].parse().unwrap();
    said.members(&["a:1"]);
    until("the second start", || lines(&log).len() == 2);
    assert!(!is_alive(server));
}

/// A shell that ends at once on SIGTERM, as npm does, and the server that it started. That one holds its port for 2 s
/// after SIGTERM. `$ALONE` may be `setsid`, which takes it out of the process group.
const NPM: &str = r#"$ALONE perl -MIO::Socket::INET -e '
    sub say { open(my $log, ">>", $ENV{LOG}); print $log "@_\n"; close $log }
    my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$ENV{PORT}", Listen => 1, ReuseAddr => 1);
    say($socket ? "serve" : "taken");
    $SIG{TERM} = sub { select(undef, undef, undef, 2); say("served"); exit 0 };
    sleep 1 while 1;
' & wait"#;

#[test]
fn a_server_below_npm_has_the_grace_time_at_a_restart_and_at_a_stop() {
    for alone in ["", "setsid"] {
        let (controller, said) = Controller::changing(healthy());
        let folder = Folder::new("npm");
        let log = folder.path("log");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let run = exec(&controller, &["--on-change", "restart"], &log, NPM).env("ALONE", alone);
        let mut running = Running::start(run.env("PORT", &port.to_string()));
        until("the first start", || lines(&log) == ["serve"]);
        said.members(&["a:1"]);
        until("the second start", || lines(&log).len() == 3);
        assert_eq!(lines(&log), ["serve", "served", "serve"], "the port was free again: {alone}");
        running.tell(Signal::SIGTERM);
        assert_eq!(running.code(), Some(143), "the end is npm's own");
        assert_eq!(lines(&log), ["serve", "served", "serve", "served"], "rsctl waited for the server: {alone}");
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
    }
}

#[test]
fn what_does_not_end_within_the_grace_time_of_a_stop_is_killed() {
    for alone in ["", "setsid"] {
        let (controller, _said) = Controller::changing(healthy());
        let folder = Folder::new("outlive");
        let log = folder.path("log");
        let flags = ["--on-change", "restart", "--stop-grace", "300ms"];
        let script = "$ALONE sh -c \"trap '' TERM; echo \\$\\$ >>$LOG; while :; do sleep 0.05; done\" & wait";
        let mut running = Running::start(exec(&controller, &flags, &log, script).env("ALONE", alone));
        until("the start", || lines(&log).len() == 1);
        let server: u32 = lines(&log)[0].parse().unwrap();
        assert!(is_alive(server));
        running.tell(Signal::SIGTERM);
        assert_eq!(running.code(), Some(143));
        assert!(!is_alive(server), "{alone}");
    }
}

#[test]
fn what_ran_before_rsctl_is_not_its_to_end() {
    let (controller, said) = Controller::changing(healthy());
    let folder = Folder::new("before");
    let log = folder.path("log");
    let mut run = exec(&controller, &["--on-change", "restart"], &log, "echo start >>$LOG; exec sleep 60");
    let words: Vec<_> = std::iter::once(run.command().get_program().to_owned())
        .chain(run.command().get_args().map(ToOwned::to_owned))
        .collect();
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 60 & echo $! >>$LOG.before; exec \"$@\"", "sh"]).args(words).env_clear();
    command.envs(run.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the start", || lines(&log) == ["start"]);
    let before: u32 = lines(&format!("{log}.before"))[0].parse().unwrap();
    said.members(&["a:1"]);
    until("the second start", || lines(&log) == ["start", "start"]);
    running.tell(Signal::SIGTERM);
    assert_eq!(running.code(), Some(143));
    assert!(is_alive(before));
    kill(Pid::from_raw(before as i32), Signal::SIGKILL).unwrap();
}

#[test]
fn a_program_is_told_and_finds_the_new_values_in_a_file() {
    let (controller, said) = Controller::changing(healthy());
    let folder = Folder::new("signal");
    let (log, file) = (folder.path("log"), folder.path("mongo.env"));
    let app = "trap 'cat $FILE >>$LOG' USR1; trap 'exit 4' TERM; cat $FILE >>$LOG; while :; do sleep 0.05; done";
    let flags = ["--on-change", "signal=USR1", "--out", &file];
    let mut running = Running::start(exec(&controller, &flags, &log, app).env("FILE", &file));
    let first = "HOSTS=mongo-node1:27017,mongo-node2:27017,mongo-node3:27017";
    until("the first values", || lines(&log) == [first]);
    said.members(&["mongo-node3:27017", "a:1"]);
    until("the second values", || lines(&log) == [first, "HOSTS=mongo-node3:27017,a:1"]);
    running.tell(Signal::SIGTERM);
    assert_eq!(running.code(), Some(4));
}

#[test]
fn signals_are_passed_on_and_the_end_is_the_programs_own() {
    let (controller, _said) = Controller::changing(healthy());
    let folder = Folder::new("signals");
    for (name, script, signals, expected) in [
        ("own", "echo >$LOG; exit 7", vec![], 7),
        ("trapped", "trap 'exit 9' TERM; echo >$LOG; while :; do sleep 0.05; done", vec![Signal::SIGTERM], 9),
        ("killed", "echo >$LOG; exec sleep 60", vec![Signal::SIGTERM], 143),
        ("interrupted", "echo >$LOG; exec sleep 60", vec![Signal::SIGINT], 130),
        ("hung-up", "trap 'exit 6' HUP; echo >$LOG; while :; do sleep 0.05; done", vec![Signal::SIGHUP], 6),
        ("crashed", "kill -SEGV $$", vec![], 139),
    ] {
        let log = folder.path(name);
        let mut running = Running::start(exec(&controller, &["--on-change", "restart"], &log, script));
        if !signals.is_empty() {
            until("the start", || !lines(&log).is_empty());
        }
        for signal in signals {
            running.tell(signal);
        }
        assert_eq!(running.code(), Some(expected), "{name}");
    }
}

#[test]
fn a_program_that_was_told_to_stop_is_not_started_anew() {
    let (controller, said) = Controller::changing(healthy());
    let folder = Folder::new("leave");
    let log = folder.path("log");
    let slow = "trap 'echo asked >>$LOG; while [ ! -e $LOG.go ]; do sleep 0.05; done; exit 5' TERM; \
                echo start >>$LOG; while :; do sleep 0.05; done";
    let mut running = Running::start(exec(&controller, &["--on-change", "restart"], &log, slow));
    until("the start", || lines(&log) == ["start"]);
    running.tell(Signal::SIGTERM);
    until("the signal", || lines(&log) == ["start", "asked"]);
    said.members(&["a:1"]);
    said.until_asked(4);
    std::fs::write(format!("{log}.go"), "").unwrap();
    assert_eq!(running.code(), Some(5));
    assert_eq!(lines(&log), ["start", "asked"]);
}

#[test]
fn a_program_that_is_not_there_is_told_as_a_shell_would() {
    let controller = Controller::with(healthy().to_string());
    let ended = rsctl(&["exec", "--set", "A={uri}", "--on-change", "restart", "--", "no-such-program"]);
    let ended = ended.asking(&controller).run();
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (127, "error: no-such-program: no such program: check its path, and that the image has it\n")
    );
}

#[test]
fn a_program_waits_for_a_controller_that_comes_later() {
    let controller = Controller::new(|path, earlier| match (path, earlier) {
        (_, 0..3) => Act::Bytes(Vec::new()),
        ("/v1/status", _) => Act::Answer(200, healthy().to_string()),
        _ => Act::Answer(304, String::new()),
    });
    let folder = Folder::new("early");
    let log = folder.path("log");
    let mut running = Running::start(exec(&controller, &["--on-change", "restart"], &log, APP));
    until("the start", || lines(&log) == [FIRST]);
    running.tell(Signal::SIGTERM);
    assert_eq!(running.code(), Some(0));
}

#[test]
fn a_terminal_reaches_the_program_once() {
    let (controller, _said) = Controller::changing(healthy());
    let folder = Folder::new("terminal");
    let log = folder.path("log");
    // Only the shell runs when the key arrives. The signal would also interrupt another process.
    let app = "n=0; trap 'n=$((n + 1)); echo interrupted >>$LOG; [ $n -lt 3 ] || exit 3' INT; \
               echo start >>$LOG; while :; do sleep 0.05; done";
    let mut run = exec(&controller, &["--on-change", "restart"], &log, "eval \"$APP\"").env("APP", app);
    let inner = run.command();
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let line: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    // `script` runs the command on a new terminal, and types its own input there.
    let mut command = Command::new("script");
    command.args(["-qec", &format!("exec {}", line.join(" ")), "/dev/null"]).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("SHELL", "/bin/sh");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        println!("skipped: there is no `script` to make a terminal with");
        return;
    };
    let mut running = Running(child);
    let mut keys = running.0.stdin.take().unwrap();
    until("the start", || lines(&log) == ["start"]);
    for pressed in 1..=3 {
        std::io::Write::write_all(&mut keys, b"\x03").unwrap();
        until("Ctrl-C", || lines(&log).len() > pressed);
        assert_eq!(lines(&log).len(), pressed + 1, "each key once");
    }
    assert_eq!(running.code(), Some(3));
}

/// The command that runs `rsctl` as process 1 of a new PID namespace, as in a container. `None` without root.
#[allow(clippy::print_stdout, reason = "what was not tried must be seen")]
fn as_process_1(mut run: Rsctl) -> Option<Command> {
    let alone = ["--pid", "--fork", "--mount-proc"];
    let possible = Command::new("unshare").args(alone).arg("true").stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("skipped: being process 1 takes a PID namespace (root)");
        return None;
    }
    let inner = run.command();
    let mut command = Command::new("unshare");
    command.args(alone).arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    Some(command)
}

#[test]
fn process_1_buries_orphans() {
    let (controller, _said) = Controller::changing(healthy());
    let folder = Folder::new("orphans");
    let log = folder.path("log");
    // The inner shell ends at once, so its sleep is an orphan. After it is reaped, it has no entry in /proc.
    let script = "sh -c 'sleep 0.1 & echo $! >$LOG'; orphan=$(cat $LOG); \
                  for i in $(seq 200); do [ -e /proc/$orphan ] || exit 5; sleep 0.05; done; \
                  cat /proc/$orphan/stat; exit 1";
    let Some(mut command) = as_process_1(exec(&controller, &["--on-change", "restart"], &log, script)) else { return };
    let output = command.stdout(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "the orphan is still there: {text}");
}

#[test]
fn process_1_can_be_stopped_while_it_waits_and_while_the_program_runs() {
    let (controller, said) = Controller::changing(healthy());
    let folder = Folder::new("one");
    let log = folder.path("log");
    let mut unready = healthy();
    unready["primary"] = serde_json::Value::Null;
    for (status, expected) in [(unready, 143), (healthy(), 143)] {
        let starts = !status["primary"].is_null();
        said.status(Some(status));
        let script = "echo >$LOG; exec sleep 60";
        let Some(mut command) = as_process_1(exec(&controller, &["--on-change", "restart"], &log, script)) else {
            return;
        };
        let mut outer = Running(command.spawn().unwrap());
        said.until_asked(2);
        if starts {
            until("the start", || !lines(&log).is_empty());
        } else {
            assert!(lines(&log).is_empty());
        }
        let inner = children(outer.0.id())[0];
        kill(Pid::from_raw(inner as i32), Signal::SIGTERM).unwrap();
        assert_eq!(outer.code(), Some(expected));
    }
}

#[test]
fn a_wait_that_is_called_off_ends_as_a_shell_would_say_it() {
    let mut unready = healthy();
    unready["primary"] = serde_json::Value::Null;
    for args in [
        vec!["exec", "--set", "A={uri}", "--", "echo", "started"],
        vec!["env", "--set", "A={uri}", "--out", "-"],
        vec!["uri", "--wait", "60s"],
    ] {
        let (controller, said) = Controller::changing(unready.clone());
        let mut running = Running::start(rsctl(&args).asking(&controller));
        said.until_asked(2);
        running.tell(Signal::SIGTERM);
        assert_eq!(running.code(), Some(143), "{args:?}");
    }
}
