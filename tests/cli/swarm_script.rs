//! Runs `deploy/swarm/rsctl` with a `docker` and an `ssh` that only answer: what is run, and where.

use std::path::Path;
use std::process::Command;

use super::harness::{Ended, Folder};

/// Answers as a manager `here`. Its stack has the controllers that `$CONTROLLERS` names.
const DOCKER: &str = r#"#!/bin/sh
case "$*" in
  "service inspect"*) [ "$5" = db_rsctl ] && echo rsctl:1 ;;
  "info"*) echo here ;;
  "service ps"*) printf '%s\n' $CONTROLLERS ;;
  "inspect --type task starting"*) echo "starting here " ;;
  "inspect --type task local"*) echo "running here c0ffee" ;;
  "inspect --type task far"*) echo "running there decaf" ;;
  "node inspect"*) echo "node3 10.0.0.3" ;;
  *) echo "docker $*" ;;
esac
"#;
const SSH: &str = r#"#!/bin/sh
case "$*" in
  *BatchMode*) exit "$SSH_FAILS" ;;
  *) echo "ssh $*" ;;
esac
"#;

fn script(name: &str, controllers: &str, ssh_fails: &str, arguments: &[&str]) -> Ended {
    let folder = Folder::new(name);
    std::fs::create_dir(folder.path("bin")).unwrap();
    for (program, text) in [("bin/docker", DOCKER), ("bin/ssh", SSH)] {
        let file = folder.file(program, text);
        assert!(Command::new("chmod").args(["755", &file]).status().unwrap().success());
    }
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/swarm/rsctl"));
    command.args(arguments).env_clear().env("PATH", format!("{}:/usr/bin:/bin", folder.path("bin")));
    let output = command.env("CONTROLLERS", controllers).env("SSH_FAILS", ssh_fails).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn what_reads_runs_in_the_network_of_the_stack() {
    let ended = script("script-reads", "", "1", &["db", "status", "--output", "json"]);
    let expected = "docker run --rm --network db_backend rsctl:1 status --output json\n";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    let ended = script("script-usage", "", "1", &["db"]);
    assert!(ended.code == 2 && ended.err.contains("rsctl STACK COMMAND"), "{ended:?}");
}

#[test]
fn what_changes_the_set_goes_to_a_controller_wherever_it_runs() {
    let pause = ["db", "pause", "--reason", "new disks"];
    let ended = script("script-local", "starting far local", "1", &pause);
    assert_eq!(ended.out, "docker exec c0ffee /rsctl pause --reason new disks\n", "{}", ended.err);
    let ended = script("script-ssh", "far", "0", &pause);
    assert_eq!(ended.out, "ssh 10.0.0.3 docker exec decaf /rsctl pause --reason new\\ disks \n", "{}", ended.err);
    let ended = script("script-far", "far", "1", &pause);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    let says = "the controller runs on node3, and ssh 10.0.0.3 does not work from here without a question; run on node3:\n  \
        docker exec decaf /rsctl pause --reason new\\ disks\n";
    assert!(ended.err.ends_with(says), "{}", ended.err);
    let ended = script("script-none", "starting", "1", &pause);
    assert!(ended.code == 1 && ended.err.contains("no controller of db runs"), "{}", ended.err);
}

#[test]
fn every_command_that_asks_an_admin_endpoint_goes_to_a_controller() {
    let help = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_rsctl")).args(arguments).arg("--help").env_clear().output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let help_of_all = help(&[]);
    let listed =
        help_of_all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<_> = listed.filter_map(|line| line.split_whitespace().next()).filter(|c| *c != "help").collect();
    assert!(commands.contains(&"status") && commands.contains(&"switchover"), "{commands:?}");
    for command in commands {
        let goes = script("script-all", "local", "1", &["db", command]).out.starts_with("docker exec");
        assert_eq!(goes, help(&[command]).contains("--admin <"), "{command}");
    }
}
