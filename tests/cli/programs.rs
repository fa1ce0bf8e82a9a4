//! `rsctl exec` and `rsctl env`: the environment of the applications that they start.

use std::os::unix::fs::PermissionsExt;

use super::answers::healthy;
use super::harness::{Act, Controller, Ended, Folder, rsctl};

const HOSTS: &str = "mongo-node1:27017,mongo-node2:27017,mongo-node3:27017";

#[test]
fn a_program_finds_its_variables_right() {
    let controller = Controller::with(healthy().to_string());
    let show = "echo $LCB_DATABASE_URI; echo $ARGS; echo $KEPT; exit 7";
    let sets = ["exec", "--set", "LCB_DATABASE_URI", "--set", "ARGS=-dbhost {hosts} -rplSet {replica_set}", "--"];
    let args: Vec<&str> = sets.into_iter().chain(["sh", "-c", show]).collect();
    let run = rsctl(&args).asking(&controller).env("KEPT", "as it was");
    let ended = run.env("LCB_DATABASE_URI", "mongodb://u:p%40ss@mongo:27017/letschat?x=y").run();
    let out = format!("mongodb://u:p%40ss@{HOSTS}/letschat?x=y&replicaSet=rs\n-dbhost {HOSTS} -rplSet rs\nas it was\n");
    assert_eq!(ended, Ended { code: 7, out, err: String::new() });
}

#[test]
fn the_program_takes_over_the_process() {
    let controller = Controller::with(healthy().to_string());
    let mut run = rsctl(&["exec", "--set", "A={uri}", "--", "sh", "-c", "echo $$"]).asking(&controller);
    let child = run.command().stdout(std::process::Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), id);
}

#[test]
fn credentials_come_from_a_file_when_asked_for() {
    let folder = Folder::new("credentials");
    let password = folder.file("password", "p@ss/w:rd\n");
    let controller = Controller::with(healthy().to_string());
    let args = ["--database", "chat", "--username", "chat", "--password-file", &password];
    let uri = format!("mongodb://chat:p%40ss%2Fw%3Ard@{HOSTS}/chat?replicaSet=rs&authSource=admin\n");
    let line: Vec<&str> = ["uri"].into_iter().chain(args).collect();
    assert_eq!(rsctl(&line).asking(&controller).run().out, uri);
    let line: Vec<&str> = ["exec", "--set", "A={uri}"].into_iter().chain(args).chain(["--", "printenv", "A"]).collect();
    assert_eq!(rsctl(&line).asking(&controller).run().out, uri);
    // The login in the environment is for the controller. `rsctl uri` must not print it.
    let run = rsctl(&["uri"]).asking(&controller).env("RSCTL_USERNAME", "root").env("RSCTL_PASSWORD_FILE", &password);
    assert_eq!(run.run().out, format!("mongodb://{HOSTS}/?replicaSet=rs\n"));
}

#[test]
fn a_program_never_starts_without_the_user_that_it_was_given() {
    let folder = Folder::new("user");
    let password = folder.file("password", "p@ss\n");
    let controller = Controller::with(healthy().to_string());
    let start = |set: &str, uri: &str| {
        let args = ["exec", "--username", "chat", "--password-file", &password, "--set", set, "--", "printenv", "URL"];
        rsctl(&args).asking(&controller).env("URL", uri).run()
    };
    let uri = format!("mongodb://chat:p%40ss@{HOSTS}/chat?authSource=admin&replicaSet=rs\n");
    assert_eq!(start("URL", "mongodb://mongo/chat"), Ended { code: 0, out: uri, err: String::new() });
    let refused = |error: &str| Ended { code: 2, out: String::new(), err: format!("error: --set: {error}\n") };
    let other = "URL: holds a URI with a user of its own, and --username gives another one";
    assert_eq!(start("URL", "mongodb://other:p@mongo/chat"), refused(other));
    let nowhere = "no variable has a place for --username: give one a mongodb:// URI, or a template with {uri}";
    assert_eq!(start("HOSTS={hosts}", "mongodb://mongo/chat"), refused(nowhere));
}

#[test]
fn names_may_have_dots_and_hosts_may_come_without_their_port() {
    let controller = Controller::with(healthy().to_string());
    let name = "spring.data.mongodb.uri";
    let run = rsctl(&["exec", "--set", name, "--", "printenv", name]).asking(&controller);
    let ended = run.env(name, "mongodb://mongo/app").run();
    assert_eq!(ended.out, format!("mongodb://{HOSTS}/app?replicaSet=rs\n"));
    let args = ["exec", "--set", "H={names}", "--set", "P={port}", "--", "sh", "-c", "echo $H $P"];
    assert_eq!(rsctl(&args).asking(&controller).run().out, "mongo-node1,mongo-node2,mongo-node3 27017\n");
    let args = ["env", "--format", "export", "--out", "-", "--set", "a.b={uri}"];
    let err = "error: --format export: no shell has a variable named a.b\n".to_owned();
    assert_eq!(rsctl(&args).asking(&controller).run(), Ended { code: 2, out: String::new(), err });
}

#[test]
fn a_uri_in_a_secret_file_is_passed_on_in_another_one() {
    let controller = Controller::with(healthy().to_string());
    let folder = Folder::new("secret-file");
    let secret = folder.file("uri", "mongodb://u:hunter2@mongo/db\n");
    let expected = format!("mongodb://u:hunter2@{HOSTS}/db?replicaSet=rs\n");
    let show = "stat -c %a $URL_FILE; cat $URL_FILE; echo ${URL-unset}; readlink -f $URL_FILE >$PATH_OF";
    for (set, on_change, stays) in [("URL", "ignore", true), ("URL_FILE", "restart", false)] {
        let path_of = folder.path("path");
        let args = ["exec", "--set", set, "--on-change", on_change, "--", "sh", "-c", show];
        let ended = rsctl(&args).asking(&controller).env("URL_FILE", &secret).env("PATH_OF", &path_of).run();
        assert_eq!(ended, Ended { code: 0, out: format!("600\n{expected}unset\n"), err: String::new() });
        let path = std::fs::read_to_string(&path_of).unwrap();
        assert_eq!(std::fs::exists(path.trim()).unwrap(), stays, "rsctl removes it if it is still there");
        let _ = std::fs::remove_file(path.trim());
    }
    let out = folder.path("app.env");
    let env = |out: &str| rsctl(&["env", "--set", "URL", "--out", out]).asking(&controller).env("URL_FILE", &secret);
    assert_eq!(env(&out).run(), Ended { code: 0, out: String::new(), err: String::new() });
    assert_eq!(std::fs::read_to_string(&out).unwrap(), format!("URL_FILE={out}.URL_FILE\n"));
    assert_eq!(std::fs::read_to_string(format!("{out}.URL_FILE")).unwrap(), expected);
    assert_eq!(std::fs::metadata(format!("{out}.URL_FILE")).unwrap().permissions().mode() & 0o777, 0o600);
    let err = "error: --out -: URL_FILE names a file, which needs a place beside FILE\n".to_owned();
    assert_eq!(env("-").run(), Ended { code: 2, out: String::new(), err });
    assert_eq!(
        std::fs::read_to_string(&secret).unwrap(),
        "mongodb://u:hunter2@mongo/db\n",
        "the secret stays as it is"
    );
}

#[test]
fn a_program_that_cannot_start_is_told_as_a_shell_would() {
    let controller = Controller::with(healthy().to_string());
    let folder = Folder::new("programs");
    let file = folder.file("not-a-program", "x");
    let missing = rsctl(&["exec", "--set", "A={uri}", "--", "no-such-program"]).asking(&controller).run();
    let err = "error: no-such-program: no such program: check its path, and that the image has it\n".to_owned();
    assert_eq!(missing, Ended { code: 127, out: String::new(), err });
    let ended = rsctl(&["exec", "--set", "A={uri}", "--", &file]).asking(&controller).run();
    let err = format!("error: {file}: cannot be run: Permission denied (os error 13)\n");
    assert_eq!(ended, Ended { code: 126, out: String::new(), err });
}

#[test]
fn a_program_never_starts_with_what_cannot_be_meant() {
    let known = "known are {uri} {hosts} {names} {port} {replica_set} {database}, and {{ and }} for braces";
    let controller = Controller::with(healthy().to_string());
    for (flags, variable, expected) in [
        (vec!["A"], "", "--set: A is not set; set it to a mongodb:// URI, or give a template such as A={uri}"),
        (vec!["A"], "mongo:27017", "--set: A: does not hold a URI that begins with mongodb:// or mongodb+srv://"),
        (vec!["A"], "http://mongo/db", "--set: A: does not hold a URI that begins with mongodb:// or mongodb+srv://"),
        (
            vec!["A"],
            "\"mongodb://mongo/db\"",
            "--set: A: holds a URI in quotes; write it without them, because `docker run --env-file` keeps quotes",
        ),
        (
            vec!["A"],
            "mongodb://u:p%zz@mongo/db",
            "--set: A: holds credentials with a character that must be percent-encoded (one of @ / ? # %)",
        ),
        (vec!["A"], "mongodb://mongo/a/b", "--set: A: holds a URI whose database has a slash"),
        (vec!["A"], "mongodb:///db", "--set: A: holds a URI whose hosts cannot be read"),
        (vec!["A"], "mongodb://mongo:99999/db", "--set: A: holds a URI whose hosts cannot be read"),
        (vec!["A", "--set", "A={hosts}"], "mongodb://mongo/db", "--set: A is set twice"),
        (vec!["=x"], "", "--set: the part before `=` is not a name of a variable (letters, digits, `_`, `.` and `-`)"),
        (vec!["B={hots}"], "", &format!("--set: the template of B has an unknown placeholder at character 1; {known}")),
        (vec!["B={uri"], "", &format!("--set: the template of B has a `{{` without its `}}` at character 1; {known}")),
        (
            vec!["B={uri}", "--database", "a/b"],
            "",
            "--database: `a/b` is not accepted; accepted: a database name of at most 63 bytes without / \\ . \" $ * < > : | ? and space",
        ),
        (
            vec!["B={uri}", "--on-change", "signal=KILL"],
            "",
            "--on-change: `signal=KILL` is not accepted; accepted: ignore, restart, signal, or signal=NAME with HUP, INT, QUIT, TERM, USR1, USR2 or WINCH",
        ),
        (
            vec!["B={uri}", "--wait", "1"],
            "",
            "--wait: `1` is not accepted; accepted: a time with its unit: 300ms, 30s, 10m, 2h or 1m30s",
        ),
    ] {
        let args: Vec<&str> = ["exec", "--set"].into_iter().chain(flags).chain(["--", "echo", "started"]).collect();
        let ended = rsctl(&args).asking(&controller).env("A", variable).run();
        assert_eq!(ended, Ended { code: 2, out: String::new(), err: format!("error: {expected}\n") });
    }
}

#[test]
fn a_program_does_not_start_before_the_set_is_ready() {
    let mut status = healthy();
    status["primary"] = serde_json::Value::Null;
    let controller = Controller::with(status.to_string());
    let args = ["exec", "--set", "A={uri}", "--wait", "300ms", "--", "echo", "started"];
    let ended = rsctl(&args).asking(&controller).run();
    let err = "error: timed out after 300ms: 3 of 3 members listed, no primary\n".to_owned();
    assert_eq!(ended, Ended { code: 124, out: String::new(), err });
}

#[test]
fn a_program_can_wait_until_every_member_votes() {
    let mut joining = healthy();
    joining["members"][2]["awaits_vote"] = true.into();
    let args = ["exec", "--set", "A={hosts}", "--until", "all-voting", "--wait", "300ms", "--", "printenv", "A"];
    let ended = rsctl(&args).asking(&Controller::with(joining.to_string())).run();
    let err = "error: timed out after 300ms: mongo-node3:27017 has no vote yet\n".to_owned();
    assert_eq!(ended, Ended { code: 124, out: String::new(), err });
    let ended = rsctl(&args).asking(&Controller::with(healthy().to_string())).run();
    assert_eq!(ended, Ended { code: 0, out: format!("{HOSTS}\n"), err: String::new() });
    let ended = rsctl(&["env", "--out", "-", "--set", "A={uri}", "--until", "synced", "--wait", "0s"]).run();
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(ended.err.starts_with("error: --until synced: --wait 0s does not wait for it"), "{}", ended.err);
}

#[test]
fn mistakes_are_found_before_anybody_waits() {
    let controller = Controller::new(|_, _| Act::Silence);
    let started = tokio::time::Instant::now();
    let run = rsctl(&["exec", "--set", "URI", "--", "echo", "started"]).asking(&controller);
    let ended = run.env("URI", "mongodb://u:hunter2/x@mongo/db").run();
    let err = "error: --set: URI: holds credentials with a character that must be percent-encoded (one of @ / ? # %)\n";
    assert_eq!(ended, Ended { code: 2, out: String::new(), err: err.to_owned() });
    assert!(started.elapsed() < std::time::Duration::from_secs(3));
}

#[test]
fn variables_can_be_had_as_a_file() {
    let controller = Controller::with(healthy().to_string());
    let folder = Folder::new("env");
    let path = folder.file("mongo.env", "old");
    let ended =
        rsctl(&["env", "--out", &path, "--set", "URI={uri}", "--set", "RS={replica_set}"]).asking(&controller).run();
    assert_eq!(ended, Ended { code: 0, out: String::new(), err: String::new() });
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("URI=mongodb://{HOSTS}/?replicaSet=rs\nRS=rs\n"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let ended = rsctl(&["env", "--out", "/nowhere/x", "--set", "A={uri}"]).asking(&controller).run();
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (1, "error: cannot write /nowhere/x: No such file or directory (os error 2)\n")
    );
}

#[test]
fn a_file_can_be_made_readable_for_another_user() {
    let controller = Controller::with(healthy().to_string());
    let folder = Folder::new("readers");
    let path = folder.path("mongo.env");
    let args = ["env", "--readers", "everyone", "--out", &path, "--set", "A={uri}"];
    assert_eq!(rsctl(&args).asking(&controller).run().code, 0);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_program_that_becomes_us_finds_its_variables_in_a_file_too() {
    let controller = Controller::with(healthy().to_string());
    let folder = Folder::new("out");
    let path = folder.path("mongo.env");
    let args = ["exec", "--set", "A={hosts}", "--out", &path, "--", "cat", &path];
    assert_eq!(rsctl(&args).asking(&controller).run().out, format!("A={HOSTS}\n"));
    let args = ["exec", "--set", "A={hosts}", "--out", "/nowhere/x", "--", "echo", "started"];
    let ended = rsctl(&args).asking(&controller).run();
    let err = "error: cannot write /nowhere/x: No such file or directory (os error 2)\n".to_owned();
    assert_eq!(ended, Ended { code: 1, out: String::new(), err }, "never with half of what was asked for");
}

#[test]
fn a_list_that_is_too_long_for_orion_1_is_mentioned_once() {
    let args = ["exec", "--set", "A=-dbhost {hosts}", "--set", "B={hosts}", "--set", "C={uri}", "--", "true"];
    let note = "note: A holds a host list of 64 characters; Orion before 2.3 accepts at most 63 and does not check\n";
    for (port, expected) in [(2701, ""), (27017, note)] {
        let mut status = healthy();
        status["seeds"] =
            serde_json::json!([format!("{}:27017", "a".repeat(40)), format!("{}:{port}", "b".repeat(11))]);
        let ended = rsctl(&args).asking(&Controller::with(status.to_string())).run();
        assert_eq!(ended, Ended { code: 0, out: String::new(), err: expected.to_owned() });
    }
    let mut status = healthy();
    status["seeds"] = serde_json::json!([format!("{}:27017", "a".repeat(63))]);
    let ended = rsctl(&["exec", "--set", "C={uri}", "--", "true"]).asking(&Controller::with(status.to_string())).run();
    assert_eq!(ended.err, "", "a URI has room");
}

#[test]
fn a_shell_reads_back_what_it_is_to_export() {
    let controller = Controller::with(healthy().to_string());
    let args = ["env", "--format", "export", "--out", "-", "--set", "A=it's \"$HOME\" `x` \\ {replica_set}"];
    let lines = rsctl(&args).asking(&controller).run().out;
    let shell = std::process::Command::new("sh").args(["-c", &format!("{lines}printf %s \"$A\"")]).output().unwrap();
    assert_eq!(String::from_utf8(shell.stdout).unwrap(), "it's \"$HOME\" `x` \\ rs");
}

#[test]
fn no_secret_shows_in_anything_that_goes_wrong() {
    let folder = Folder::new("secrets");
    let password = folder.file("password", "hunter2\n");
    let nobody = Controller::new(|_, _| Act::Answer(500, String::new()));
    let set = "A=mongodb://u:hunter2@{hosts}/{nonsense}";
    let log = ["--log-level", "trace"];
    for args in [
        vec!["exec", "--set", set, "--", "true"],
        vec!["exec", "--set", "B", "--", "true"],
        vec![
            "exec",
            "--set",
            "A={uri}",
            "--wait",
            "300ms",
            "--username",
            "u",
            "--password-file",
            &password,
            "--",
            "true",
        ],
        vec!["uri", "--username", "u", "--password-file", "hunter2"],
        vec!["uri", "--password=hunter2"],
        vec!["status", "--keyfile", "hunter2"],
        vec!["status", "--username", "u", "--password-file", &password],
        vec!["run", "--keyfile", "hunter2"],
    ] {
        let args: Vec<&str> = args.iter().take(1).copied().chain(log).chain(args.iter().skip(1).copied()).collect();
        let run = rsctl(&args).asking(&nobody).env("B", "mongodb://u:hunter2@w@mongo/db");
        let ended = run.env("RSCTL_PASSWORD", if args[0] == "run" { "hunter2" } else { "" }).run();
        assert_ne!(ended.code, 0, "{args:?}");
        assert!(!format!("{}{}", ended.out, ended.err).contains("hunter2"), "{args:?}: {}", ended.err);
    }
}
