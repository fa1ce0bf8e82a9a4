use std::ffi::OsString;
use std::time::Duration;

use super::*;
use crate::model::MemberAddress;
use crate::outcome::Chain;

fn parsed(args: &[&str], environment: &Environment) -> Result<Settings, String> {
    let args: Vec<OsString> = std::iter::once("rsctl").chain(args.iter().copied()).map(OsString::from).collect();
    parse(args, environment).map_err(|usage| Chain(&usage).to_string())
}

fn run<const N: usize>(args: &[&str], variables: [(&str, &str); N]) -> Result<RunSettings, String> {
    let args: Vec<&str> = std::iter::once("run").chain(args.iter().copied()).collect();
    match parsed(&args, &variables.into())?.command {
        Command::Run(run) => Ok(*run),
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_are_those_of_the_design() {
    let run = run(&[], []).unwrap();
    assert_eq!(run.nodes.services, ["mongo".parse().unwrap()]);
    assert_eq!((run.nodes.replica_set.as_str(), run.nodes.port, run.nodes.expect), ("rs", 27017, 3));
    assert_eq!(
        (run.behaviour.replace_after, run.behaviour.remove_after),
        (Duration::from_secs(30), Duration::from_secs(600))
    );
    assert_eq!(
        (run.behaviour.stable_for, run.behaviour.interval),
        (Duration::from_millis(300), Duration::from_secs(5))
    );
    assert_eq!(run.behaviour.member_address, MemberAddress::Auto);
    assert!(matches!(run.nodes.login, Login::None));
    assert_eq!(run.behaviour, Behaviour::default(), "a command without a controller works with the same defaults");
}

#[test]
fn flags_win_over_variables_and_those_over_names_of_other_tools() {
    let all = [("RSCTL_PORT", "2"), ("MONGO_PORT", "3"), ("MONGODB_PORT_NUMBER", "4")];
    assert_eq!(run(&["--port", "1"], all).unwrap().nodes.port, 1);
    assert_eq!(run(&[], all).unwrap().nodes.port, 2);
    assert_eq!(run(&[], [all[1], all[2]]).unwrap().nodes.port, 3);
    assert_eq!(run(&[], [all[2]]).unwrap().nodes.port, 4);
}

#[test]
fn empty_variables_are_unset() {
    assert_eq!(run(&[], [("RSCTL_PORT", ""), ("MONGO_PORT", "3")]).unwrap().nodes.port, 3);
    assert_eq!(run(&[], [("RSCTL_DNS", ""), ("RSCTL_KEYFILE", "")]).unwrap().nodes.dns, None);
}

#[test]
fn a_bad_value_is_told_with_its_origin_and_what_is_accepted() {
    for (args, variables, expected) in [
        (
            vec![],
            ("RSCTL_PORT", "70000"),
            "RSCTL_PORT (--port): `70000` is not accepted; accepted: a port from 1 to 65535",
        ),
        (vec!["--port", "x"], ("RSCTL_PORT", "1"), "--port: `x` is not accepted; accepted: a port from 1 to 65535"),
        (
            vec![],
            ("RSCTL_MEMBER_ADDRESS", "dns"),
            "RSCTL_MEMBER_ADDRESS (--member-address): `dns` is not accepted; accepted: auto, hostname, ip",
        ),
        (
            vec![],
            ("RSCTL_INTERVAL", "5"),
            "RSCTL_INTERVAL (--interval): `5` is not accepted; accepted: a time with its unit: 300ms, 30s, 10m, 2h or 1m30s",
        ),
        (
            vec![],
            ("RSCTL_ADMIN_LISTEN", "0.0.0.0:1"),
            "RSCTL_ADMIN_LISTEN (--admin-listen): `0.0.0.0:1` is not accepted; accepted: a loopback address such as 127.0.0.1:8081, because every client there can change the set",
        ),
        (
            vec![],
            ("RSCTL_LOG_LEVEL", "loud"),
            "RSCTL_LOG_LEVEL (--log-level): `loud` is not accepted; accepted: error, warn, info, debug or trace",
        ),
        (vec![], ("RSCTL_TLS", "maybe"), "RSCTL_TLS (--tls): `maybe` is not accepted; accepted: true or false"),
        (vec!["--tls-ca-file", "/x"], ("A", "b"), "--tls-ca-file needs --tls (RSCTL_TLS=true)"),
        (vec!["--remove-after", "5s"], ("A", "b"), "--remove-after 5s is shorter than --replace-after 30s"),
        (vec!["--username", "u"], ("A", "b"), "--username needs --password-file (RSCTL_PASSWORD_FILE)"),
        (
            vec![],
            ("RSCTL_PASSWORD", "hunter2"),
            "RSCTL_PASSWORD is set: put the secret in a file and set RSCTL_PASSWORD_FILE",
        ),
        (
            vec![],
            ("MONGO_INITDB_ROOT_USERNAME", "root"),
            "MONGO_INITDB_ROOT_USERNAME is set and needs MONGO_INITDB_ROOT_PASSWORD_FILE",
        ),
    ] {
        assert_eq!(run(&args, [variables]).unwrap_err(), expected);
    }
}

/// Kubernetes and Docker links set such variables for no program in particular.
#[test]
fn a_name_of_another_tool_counts_only_where_its_value_could_be_meant() {
    let link = ("MONGO_PORT", "tcp://10.0.0.3:27017");
    assert_eq!(run(&[], [link]).unwrap().nodes.port, 27017);
    assert_eq!(run(&[], [link, ("MONGODB_PORT_NUMBER", "4")]).unwrap().nodes.port, 4);
    assert_eq!(run(&[], [("MONGO_SERVICE_NAME", "a b")]).unwrap().nodes.services, ["mongo".parse().unwrap()]);
    let level = parsed(&["run"], &Environment::from([("LOGLEVEL", "chatty")])).unwrap().log.level;
    assert_eq!(level, LevelFilter::INFO);
    assert!(run(&[], [("RSCTL_PORT", "tcp://10.0.0.3:27017")]).is_err(), "rsctl's own name is meant for rsctl");
    assert_eq!(parsed(&["run"], &Environment::from([link])).unwrap().unusable, ["MONGO_PORT"]);
}

#[test]
fn names_of_other_tools_count_only_in_the_controllers_container() {
    let environment = Environment::from([("SERVICE_NAME", "letschat"), ("MONGO_PORT", "tcp://1")]);
    let Command::Uri(uri) = parsed(&["uri"], &environment).unwrap().command else { panic!() };
    assert_eq!(uri.source.nodes.services, ["mongo".parse().unwrap()]);
}

#[test]
fn log_levels_of_other_tools_are_understood() {
    let level = |variables: [(&str, &str); 2]| parsed(&["run"], &variables.into()).unwrap().log.level;
    assert_eq!(level([("DEBUG", "1"), ("X", "")]), LevelFilter::DEBUG);
    assert_eq!(level([("DEBUG", "1"), ("LOGLEVEL", "WARNING")]), LevelFilter::WARN);
    assert_eq!(level([("DEBUG", "express:*"), ("X", "")]), LevelFilter::INFO);
}

#[test]
fn names_of_networks_are_ignored_aloud() {
    let settings = parsed(&["run"], &[("OVERLAY_NETWORK_NAME", "backend")].into()).unwrap();
    assert_eq!(settings.ignored, ["OVERLAY_NETWORK_NAME"]);
}

/// A file that is gone at the end of the test.
struct File(PathBuf);

impl File {
    fn holding(text: &str) -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rsctl-settings-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn secrets_come_from_files_and_show_nowhere() {
    let file = File::holding("hunter2secret\n");
    let Login::Keyfile(key) = run(&["--keyfile", file.path()], []).unwrap().nodes.login else { panic!() };
    assert_eq!(key.first.expose(), "hunter2secret");
    let variables = [("MONGO_INITDB_ROOT_USERNAME", "root"), ("MONGO_INITDB_ROOT_PASSWORD_FILE", file.path())];
    let run = run(&[], variables).unwrap();
    assert!(matches!(&run.nodes.login, Login::Password { username, .. } if username == "root"));
    let args = ["exec", "--set", "A=mongodb://u:hunter2@{hosts}", "--set", "B", "--username", "u", "--password-file"];
    let args: Vec<&str> = args.into_iter().chain([file.path(), "--", "true"]).collect();
    let environment = Environment::from([("B", "mongodb://u:hunter2secret@h/"), ("C", "hunter2")]);
    let settings = parsed(&args, &environment).unwrap();
    for text in [format!("{run:?}"), format!("{settings:?}"), format!("{environment:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn both_forms_of_a_secret_are_a_mistake() {
    let both = [("RSCTL_PASSWORD", "hunter2"), ("RSCTL_PASSWORD_FILE", "/run/secrets/p")];
    assert_eq!(
        run(&[], both).unwrap_err(),
        "RSCTL_PASSWORD and RSCTL_PASSWORD_FILE are both set: keep RSCTL_PASSWORD_FILE"
    );
    let both = [("MONGO_INITDB_ROOT_PASSWORD", "hunter2"), ("MONGO_INITDB_ROOT_PASSWORD_FILE", "/run/secrets/p")];
    assert!(run(&[], both).unwrap_err().contains("are both set"));
}

#[test]
fn a_bad_keyfile_is_named_with_what_is_accepted() {
    let file = File::holding("no!");
    let error = run(&[], [("RSCTL_KEYFILE", file.path())]).unwrap_err();
    let expected = "is no keyfile: accepted are 6 to 1024 base64 characters, or a YAML list of one or two such keys";
    assert_eq!(error, format!("RSCTL_KEYFILE (--keyfile): {}: {expected}", file.path()));
}

#[test]
fn our_own_login_wins_over_names_of_other_tools() {
    let (key, password) = (File::holding("abcdef12"), File::holding("pw"));
    let variables = [
        ("MONGODB_KEYFILE", "/nowhere"),
        ("MONGO_INITDB_ROOT_PASSWORD", "plain"),
        ("RSCTL_USERNAME", "u"),
        ("RSCTL_PASSWORD_FILE", password.path()),
    ];
    assert!(matches!(run(&[], variables).unwrap().nodes.login, Login::Password { .. }));
    let error = run(&["--keyfile", key.path()], variables).unwrap_err();
    assert_eq!(error, "--keyfile and --username/--password-file: give one or the other");
}

#[test]
fn a_switch_can_be_set_by_variable() {
    assert!(run(&[], [("RSCTL_TLS", "true")]).unwrap().nodes.tls.is_some());
    assert!(run(&[], [("RSCTL_TLS", "0")]).unwrap().nodes.tls.is_none());
    assert!(run(&["--tls"], []).unwrap().nodes.tls.is_some());
}
