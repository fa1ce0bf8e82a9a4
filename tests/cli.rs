//! The command line as scripts and people meet it: arguments and environment in, output and exit code out.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

#[path = "cli/answers.rs"]
mod answers;
#[path = "cli/errors.rs"]
mod errors;
#[path = "cli/harness.rs"]
mod harness;
#[path = "cli/man.rs"]
mod man;
#[path = "cli/programs.rs"]
mod programs;
#[path = "cli/recipes.rs"]
mod recipes;
#[path = "cli/recover.rs"]
mod recover;
#[path = "cli/rolling_update.rs"]
mod rolling_update;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/supervision.rs"]
mod supervision;
#[path = "cli/surface.rs"]
mod surface;
#[path = "cli/swarm_script.rs"]
mod swarm_script;
#[path = "cli/switchover.rs"]
mod switchover;
#[path = "cli/watch.rs"]
mod watch;

use std::process::Stdio;
use std::time::Duration;

use answers::{healthy, troubled};
use harness::{Act, Controller, Ended, golden, rsctl};
use tokio::time::Instant;

#[test]
fn help_is_as_recorded() {
    let commands = [
        "run",
        "status",
        "plan",
        "history",
        "pause",
        "resume",
        "remove",
        "switchover",
        "readdress",
        "recover",
        "uri",
        "exec",
        "env",
        "wait",
        "secrets",
        "healthcheck",
        "completions",
    ];
    for command in commands {
        let Ended { code, out, err } = rsctl(&[command, "--help"]).env("RSCTL_PORT", "secret").run();
        assert_eq!((code, err.as_str()), (0, ""));
        golden(&format!("help-{command}"), &out);
    }
    golden("help", &rsctl(&["--help"]).run().out);
}

#[test]
fn bad_settings_are_one_line_and_exit_code_2() {
    for (args, variable, expected) in [
        (
            vec!["run"],
            ("RSCTL_PORT", "0"),
            "RSCTL_PORT (--port): `0` is not accepted; accepted: a port from 1 to 65535",
        ),
        (
            vec!["run"],
            ("RSCTL_SERVICE", "mongo1,mongo2:0"),
            "RSCTL_SERVICE (--service): `mongo1,mongo2:0` is not accepted; accepted: a port from 1 to 65535 after the colon",
        ),
        (
            vec!["status", "--service", "mongodb+srv://user:secret@mongo.example"],
            ("X", ""),
            "--service: `mongodb+srv://…@mongo.example` is not accepted; accepted: mongodb+srv://NAME without a user, a port, a database and options; rsctl has settings for them",
        ),
        (
            vec!["run", "--failover-after", "400ms"],
            ("X", ""),
            "--failover-after: `400ms` is not accepted; accepted: a time of at least 500ms with its unit, such as 2s, or off",
        ),
        (
            vec!["uri", "--database", "a/b"],
            ("X", ""),
            "--database: `a/b` is not accepted; accepted: a database name of at most 63 bytes without / \\ . \" $ * < > : | ? and space",
        ),
        (
            vec!["uri", "--format", "xml"],
            ("X", ""),
            "--format: `xml` is not accepted; accepted: uri, hosts, seed-list, env, json",
        ),
        (
            vec!["status"],
            ("RSCTL_CONTROLLER", "rsctl"),
            "RSCTL_CONTROLLER (--controller): `rsctl` is not accepted; accepted: http://HOST:PORT",
        ),
        (
            vec!["status", "--keyfile", "/nowhere/key"],
            ("X", ""),
            "RSCTL_KEYFILE (--keyfile): /nowhere/key: cannot be read: No such file or directory (os error 2)",
        ),
        (
            vec!["wait", "--for", "peace"],
            ("X", ""),
            "--for: `peace` is not accepted; accepted: usable, primary, healthy, all-voting, synced, or members=N with a number from 1 to 50",
        ),
        (
            vec!["env", "--out", "-", "--set", "A={database}"],
            ("X", ""),
            "--set: the template of A has {database}, which needs --database",
        ),
    ] {
        let ended = rsctl(&args).env(variable.0, variable.1).run();
        assert_eq!(ended, Ended { code: 2, out: String::new(), err: format!("error: {expected}\n") });
    }
}

#[test]
fn bad_tokens_and_certificates_are_one_line_and_exit_code_2() {
    for (args, variable, expected) in [
        (
            vec!["status", "--token-file", "/nowhere/token"],
            ("X", ""),
            "RSCTL_TOKEN_FILE (--token-file): /nowhere/token: cannot be read: No such file or directory (os error 2)",
        ),
        (vec!["run"], ("RSCTL_TOKEN_FILE", "/dev/null"), "RSCTL_TOKEN_FILE (--token-file): /dev/null: is empty"),
        (
            vec!["run", "--x509", "--tls"],
            ("X", ""),
            "--x509 needs --tls and --tls-cert-key-file (RSCTL_TLS_CERT_KEY_FILE)",
        ),
        (
            vec!["run", "--x509", "--keyfile", "/nowhere/key"],
            ("X", ""),
            "--x509 and --keyfile or --username: give one or the other",
        ),
        (vec!["uri"], ("RSCTL_TOKEN", "abc"), "RSCTL_TOKEN is set: put the secret in a file and set RSCTL_TOKEN_FILE"),
    ] {
        let ended = rsctl(&args).env(variable.0, variable.1).run();
        assert_eq!(ended, Ended { code: 2, out: String::new(), err: format!("error: {expected}\n") });
    }
}

#[test]
fn what_no_flag_is_called_gets_a_hint() {
    let ended = rsctl(&["uri", "--databse", "x"]).run();
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("--database"), "{}", ended.err);
    for args in [vec![], vec!["exec", "--set", "A={uri}"], vec!["run", "--port"], vec!["stepback"]] {
        assert_eq!(rsctl(&args).run().code, 2, "{args:?}");
    }
}

#[test]
fn status_is_a_table_for_people() {
    let controller = Controller::with(healthy().to_string());
    let ended = rsctl(&["status"]).asking(&controller).run();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    golden("status-healthy", &ended.out);

    let controller = Controller::with(troubled().to_string());
    let ended = rsctl(&["status"]).asking(&controller).run();
    assert_eq!((ended.code, ended.err.as_str()), (3, ""));
    // The URI stays in one line, so that it can be copied.
    let mut lines = ended.out.lines().filter(|line| !line.starts_with("uri: "));
    assert!(lines.all(|line| line.chars().count() <= 100), "{}", ended.out);
    golden("status-troubled", &ended.out);

    let mut paused = healthy();
    paused["pause"] = serde_json::json!({"left_ms": 3_590_000, "reason": "new\u{1b} disks", "kept_by": 3});
    golden("status-paused", &rsctl(&["status"]).asking(&Controller::with(paused.to_string())).run().out);
}

#[test]
fn history_tells_what_was_done_when_why_and_by_whom() {
    let controller = Controller::with(healthy().to_string());
    let ended = rsctl(&["history"]).asking(&controller).run();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    golden("history", &ended.out);
    let ended = rsctl(&["history", "-o", "json"]).asking(&controller).run();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ended.out).unwrap(), answers::history());
}

#[test]
fn status_is_json_for_programs() {
    let controller = Controller::with(healthy().to_string());
    let ended = rsctl(&["status", "-o", "json"]).asking(&controller).run();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ended.out).unwrap(), healthy());
}

#[test]
fn status_is_a_list_of_names_for_scripts() {
    let controller = Controller::with(troubled().to_string());
    let ended = rsctl(&["status", "-o", "name"]).asking(&controller).run();
    let out = "mongo-node1:27017\nmongo-node2:27017\nmongo-node3:27017\n".to_owned();
    assert_eq!(ended, Ended { code: 3, out, err: String::new() });
}

#[test]
fn status_has_all_columns_for_those_who_ask() {
    let controller = Controller::with(troubled().to_string());
    golden("status-wide", &rsctl(&["status", "--output", "wide"]).asking(&controller).run().out);
}

#[test]
fn status_tells_the_health_by_its_exit_code() {
    for (health, code) in
        [("ok", 0), ("degraded", 3), ("no-primary", 4), ("uninitiated", 4), ("unknown", 1), ("of a later version", 1)]
    {
        let mut status = healthy();
        status["health"] = health.into();
        let ended = rsctl(&["status", "--output", "json"]).asking(&Controller::with(status.to_string())).run();
        assert_eq!(ended.code, code, "{health}");
    }
}

#[test]
fn a_terminal_is_safe_from_what_a_controller_says() {
    let mut status = healthy();
    status["because"] = "\u{1b}[2J\u{7}".into();
    status["members"][0]["host"] = "a\r\nb".into();
    let ended = rsctl(&["status"]).asking(&Controller::with(status.to_string())).run();
    assert!(!ended.out.contains(['\u{1b}', '\u{7}', '\r']), "{:?}", ended.out);
}

#[test]
fn uri_comes_in_every_form() {
    let controller = Controller::with(healthy().to_string());
    let hosts = "mongo-node1:27017,mongo-node2:27017,mongo-node3:27017";
    for (args, expected) in [
        (vec!["uri"], format!("mongodb://{hosts}/?replicaSet=rs\n")),
        (vec!["uri", "--database", "letschat"], format!("mongodb://{hosts}/letschat?replicaSet=rs\n")),
        (vec!["uri", "--format", "hosts"], format!("{hosts}\n")),
        (vec!["uri", "--format", "seed-list", "--wait", "5s"], format!("rs/{hosts}\n")),
    ] {
        let ended = rsctl(&args).asking(&controller).run();
        assert_eq!(ended, Ended { code: 0, out: expected, err: String::new() });
    }
}

#[test]
fn uri_without_a_primary_prints_what_is_known() {
    let mut status = healthy();
    status["primary"] = serde_json::Value::Null;
    assert_eq!(rsctl(&["uri"]).asking(&Controller::with(status.to_string())).run().code, 0);
    status["seeds"] = serde_json::json!([]);
    status["waiting"] = serde_json::json!(["2 of 3 expected tasks answer"]);
    let ended = rsctl(&["uri"]).asking(&Controller::with(status.to_string())).run();
    let err = "error: no members are known; waiting: 2 of 3 expected tasks answer\n".to_owned();
    assert_eq!(ended, Ended { code: 4, out: String::new(), err });
}

#[test]
fn uri_waits_until_the_set_is_ready() {
    let mut growing = healthy();
    growing["seeds"] = serde_json::json!(["mongo-node1:27017"]);
    growing["others"] = serde_json::json!([{"host": "mongo-node2:27017", "state": "blank", "note": null}]);
    let controller = Controller::new(move |_, earlier| {
        Act::Answer(200, if earlier < 2 { growing.to_string() } else { healthy().to_string() })
    });
    let ended = rsctl(&["uri", "--format", "hosts", "--wait", "10s"]).asking(&controller).run();
    assert_eq!(ended.out, "mongo-node1:27017,mongo-node2:27017,mongo-node3:27017\n");
}

#[test]
fn waiting_ends_with_what_was_missing() {
    let mut status = healthy();
    status["primary"] = serde_json::Value::Null;
    let controller = Controller::with(status.to_string());
    let ended = rsctl(&["uri", "--wait", "300ms"]).asking(&controller).run();
    let err = "error: timed out after 300ms: 3 of 3 members listed, no primary\n".to_owned();
    assert_eq!(ended, Ended { code: 124, out: String::new(), err });
}

#[test]
fn wait_ends_once_the_set_is_usable() {
    let mut growing = healthy();
    growing["primary"] = serde_json::Value::Null;
    let controller = Controller::new(move |_, earlier| {
        Act::Answer(200, if earlier < 2 { growing.to_string() } else { healthy().to_string() })
    });
    let ended = rsctl(&["wait", "--timeout", "30s"]).asking(&controller).run();
    let progress = "note: waiting for usable: 3 of 3 members listed, no primary\n";
    assert_eq!(ended, Ended { code: 0, out: String::new(), err: progress.to_owned() });
    let mut status = healthy();
    status["primary"] = serde_json::Value::Null;
    let ended = rsctl(&["wait", "--timeout", "300ms"]).asking(&Controller::with(status.to_string())).run();
    let err = format!("{progress}error: timed out after 300ms: 3 of 3 members listed, no primary\n");
    assert_eq!(ended, Ended { code: 124, out: String::new(), err });
}

#[test]
fn wait_tells_each_change_of_what_is_missing_and_not_each_second() {
    let copies = |seconds: usize| {
        let mut status = healthy();
        status["members"][1]["state"] = "STARTUP2".into();
        let gone = format!("mongo-node3:27017 has been gone for {seconds} s; it is removed after 30 s");
        status["waiting"] = serde_json::json!([gone]);
        status.to_string()
    };
    let controller = Controller::new(move |_, earlier| {
        Act::Answer(200, if earlier < 4 { copies(earlier) } else { healthy().to_string() })
    });
    let ended = rsctl(&["wait", "--for", "synced"]).asking(&controller).run();
    let err = "note: waiting for synced: mongo-node2:27017 is STARTUP2; waiting: mongo-node3:27017 has been gone for 0 s; \
               it is removed after 30 s\n";
    assert_eq!(ended, Ended { code: 0, out: String::new(), err: err.to_owned() });
    let ended = rsctl(&["wait", "--for", "members=4", "--timeout", "300ms"]).asking(&controller).run();
    let err = "note: waiting for members=4: 3 members, and not 4\nerror: timed out after 300ms: 3 members, and not 4\n";
    assert_eq!(ended, Ended { code: 124, out: String::new(), err: err.to_owned() });
}

#[test]
fn no_answer_is_told_with_its_reasons() {
    let ended = rsctl(&["uri"]).run();
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    let (note, error) = ended.err.split_once('\n').unwrap();
    assert!(note.starts_with("note: http://127.0.0.1:1 cannot be reached: Connection refused"), "{note}");
    assert!(error.starts_with("error: no members are known; waiting: "), "{error}");
    let ended = rsctl(&["uri", "--wait", "100ms"]).run();
    assert_eq!(ended.code, 124);
    let start = "error: timed out after 100ms: http://127.0.0.1:1 cannot be reached: Connection refused";
    assert!(ended.err.starts_with(start) && ended.err.lines().count() == 1, "{}", ended.err);
}

#[test]
fn a_request_that_reaches_no_admin_endpoint_says_where_to_run_it() {
    for request in [["remove", "node4"].as_slice(), &["pause"], &["resume"]] {
        let ended = rsctl(request).env("RSCTL_ADMIN", "http://127.0.0.1:1").run();
        assert_eq!((ended.code, ended.out.as_str()), (1, ""));
        assert!(
            ended.err.starts_with("error: no admin endpoint at http://127.0.0.1:1: it listens on "),
            "{}",
            ended.err
        );
        assert!(ended.err.contains("`deploy/swarm/rsctl STACK COMMAND`: Connection refused"), "{}", ended.err);
    }
}

#[test]
fn strangers_and_garbage_are_told_from_controllers() {
    let endless =
        b"HTTP/1.1 200 X\r\ncontent-length: 9999999\r\n\r\n".iter().chain(&[b' '; 2_000_000]).copied().collect();
    let garbled = healthy().to_string().replace("mongo-node1:27017", "evil@host/?x=");
    let cases = [
        (Act::Answer(200, "hunter2".to_owned()), "is not an rsctl controller: its answer is not a status"),
        (Act::Answer(200, "{\"set\": \"rs\"}".to_owned()), "is not an rsctl controller: its answer is not a status"),
        (Act::Answer(200, "[".repeat(100_000)), "is not an rsctl controller: its answer is not a status"),
        (Act::Answer(500, "on\u{7} fire\nhunter2".to_owned()), "answers 500: on fire"),
        (Act::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "does not speak HTTP"),
        (
            Act::Bytes(b"HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{".to_vec()),
            "is not an rsctl controller: its answer breaks off",
        ),
        (Act::Bytes(endless), "is not an rsctl controller: its answer does not end"),
        (Act::Bytes(Vec::new()), "does not speak HTTP"),
        (Act::Answer(200, garbled), "the answer holds no usable addresses"),
    ];
    // Each run goes on to look for itself, which takes its time.
    std::thread::scope(|scope| {
        for (answer, expected) in cases {
            scope.spawn(move || {
                let answer = std::sync::Mutex::new(Some(answer));
                let controller = Controller::new(move |_, _| answer.lock().unwrap().take().unwrap_or(Act::Silence));
                let ended = rsctl(&["uri"]).asking(&controller).run();
                assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{expected}");
                assert!(ended.err.contains(expected) && !ended.err.contains("hunter2"), "{expected}: {}", ended.err);
            });
        }
    });
}

#[test]
fn a_controller_that_hangs_does_not_hang_us() {
    let controller = Controller::new(|_, _| Act::Silence);
    let started = Instant::now();
    let ended = rsctl(&["uri", "--wait", "500ms"]).asking(&controller).run();
    assert_eq!(ended.code, 124);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn healthcheck_asks_the_controller_of_its_own_container() {
    let alive = Controller::new(|path, _| match path {
        "/healthz" => Act::Answer(200, "ok\n".to_owned()),
        _ => Act::Answer(404, String::new()),
    });
    let ended = rsctl(&["healthcheck"]).env("RSCTL_ADMIN_LISTEN", &alive.address.to_string()).run();
    assert_eq!(ended, Ended { code: 0, out: "ok\n".to_owned(), err: String::new() });

    let stuck = Controller::new(|_, _| Act::Answer(503, "the newest observation is 40 s old\n".to_owned()));
    let ended = rsctl(&["healthcheck", "--admin-listen", &stuck.address.to_string()]).run();
    let err = format!("error: {} answers 503: the newest observation is 40 s old\n", stuck.url());
    assert_eq!(ended, Ended { code: 1, out: String::new(), err });

    let ended = rsctl(&["healthcheck", "--admin-listen", "127.0.0.1:1"]).run();
    assert_eq!((ended.code, ended.err.lines().count()), (1, 1));
}

#[test]
fn completions_know_flags_and_choices() {
    let script = rsctl(&["completions", "bash"]).run().out;
    assert!(script.contains("--member-address") && script.contains("seed-list"));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut run = rsctl(&["completions", "zsh"]);
    let mut child = run.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
