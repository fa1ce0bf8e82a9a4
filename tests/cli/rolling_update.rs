//! Runs `deploy/swarm/rolling-update` against a `docker` that only answers: which images it begins with.

use std::path::Path;
use std::process::Command;

use super::answers::healthy;
use super::harness::{Ended, Folder};

/// Answers as a manager of a healthy stack. An update is written down and fails, which ends the script.
const DOCKER: &str = r#"#!/bin/sh
case "$*" in
  *UpdateConfig.Delay*) echo 15s ;;
  "service inspect"*) echo rsctl:1 ;;
  "service ps -q"*) printf 'one\ntwo\nthree\n' ;;
  "service ps"*) printf 'node%s is Running 5 minutes ago\n' 1 2 3 ;;
  *"status --output json") cat "$FAKE/status" ;;
  *status) cat "$FAKE/text" ;;
  *"--entrypoint mongod"*) printf 'db version v%s.9\nBuild Info: {}\n' "$RELEASE" ;;
  "service update"*) echo "$*" >>"$FAKE/updates"; exit 9 ;;
esac
"#;
const ADVICE: &str = "the mongods are MongoDB 6.0 and the set behaves as 5.0 (featureCompatibilityVersion), on which the \
    next major version does not start: if there is no way back to 5.0, run on the primary \
    `db.adminCommand({ setFeatureCompatibilityVersion: \"6.0\" })`";

/// Runs the script, and says whether it began.
fn update(folder: &Folder, release: &str, arguments: &[&str]) -> (bool, Ended) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/swarm/rolling-update");
    let path = format!("{}:/usr/bin:/bin", folder.path("bin"));
    let mut command = Command::new(script);
    command
        .arg("db")
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("FAKE", folder.path(""))
        .env("RELEASE", release);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ended = Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    (std::fs::remove_file(folder.path("updates")).is_ok(), ended)
}

fn manager(name: &str, feature: Option<&str>) -> Folder {
    let folder = Folder::new(name);
    std::fs::create_dir(folder.path("bin")).unwrap();
    let docker = folder.file("bin/docker", DOCKER);
    assert!(Command::new("chmod").args(["755", &docker]).status().unwrap().success());
    let mut status = healthy();
    (status["feature_version"], status["observed_ms_ago"]) = (feature.into(), 0.into());
    folder.file("status", &format!("{status}\n"));
    folder.file("text", &format!("warning:  {ADVICE}\n"));
    folder
}

#[test]
fn an_update_begins_only_with_a_mongodb_that_starts_on_the_data() {
    let starts = [("5.0", "4.4"), ("6.0", "5.0"), ("6.0", "6.0"), ("8.0", "7.0"), ("8.3", "8.0"), ("8.3", "8.2")];
    let starts = starts.into_iter().chain([("9.0", "8.0"), ("9.0", "8.3")]).map(|pair| (pair, true));
    let fails = [("6.0", "4.4"), ("7.0", "5.0"), ("8.3", "7.0"), ("9.0", "8.2"), ("8.3", "8.1"), ("5.0", "6.0")];
    for ((release, feature), begins) in starts.chain(fails.map(|pair| (pair, false))) {
        let folder = manager(&format!("rolling-{release}-{feature}"), Some(feature));
        let (began, ended) = update(&folder, release, &["--image", "mongo:8"]);
        assert_eq!(began, begins, "{release} on {feature}: {ended:?}");
        let refused = format!("mongo:8 is MongoDB {release}, which does not start on data of the featureCompatibility");
        assert_eq!(ended.err.contains(&refused), !begins, "{ended:?}");
        assert_eq!(ended.err.contains(ADVICE), !begins, "the command to run: {ended:?}");
    }
}

#[test]
fn a_restart_and_an_unknown_feature_version_are_no_reason_to_stop() {
    let folder = manager("rolling-restart", Some("5.0"));
    assert!(update(&folder, "8.0", &[]).0, "the image stays");
    let folder = manager("rolling-unknown", None);
    let (began, ended) = update(&folder, "8.0", &["--image=mongo:8"]);
    assert!(began && ended.err.contains("featureCompatibilityVersion is unknown"), "{ended:?}");
}

#[test]
fn an_image_that_does_not_tell_its_version_is_refused() {
    let folder = manager("rolling-image", Some("5.0"));
    let (began, ended) = update(&folder, "", &["--image", "other:1"]);
    assert!(!began && ended.err.contains("docker cannot run other:1 here"), "{ended:?}");
}
