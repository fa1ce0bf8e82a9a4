//! A network of its own for one test, with addresses that are not loopback ones. All traffic stays on the device `lo` of
//! that network. The test process has a hosts file of its own there, `/etc/hosts`. It needs root.

#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::process::{Command, Stdio};

/// Set inside the network.
const INSIDE: &str = "RSCTL_TEST_PRIVATE_NETWORK";
/// All addresses of the network are those of this machine, as 127.0.0.0/8 is elsewhere.
const SETUP: &str =
    r#"ip link set lo up && ip addr add 10.0.0.1/8 dev lo && mount --bind "$1" /etc/hosts && shift && exec "$@""#;

/// Whether this process runs in such a network.
pub fn is_private() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Whether this process runs in such a network. If not, runs this one test again in one, and passes on its result.
pub fn in_private_network(test: &str) -> bool {
    if is_private() {
        return true;
    }
    let hosts = std::env::temp_dir().join(format!("rsctl-hosts-{}-{}", std::process::id(), test.replace(':', "-")));
    std::fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    let inside = || {
        let mut command = Command::new("unshare");
        command.args(["-n", "-m", "sh", "-c", SETUP, "sh"]).arg(&hosts);
        command
    };
    let possible = inside().arg("true").stderr(Stdio::null()).status();
    let outcome = possible.is_ok_and(|status| status.success()).then(|| {
        let program = std::env::current_exe().unwrap();
        inside().arg(program).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").status().unwrap()
    });
    let _ = std::fs::remove_file(&hosts);
    match outcome {
        None => println!("skipped: a network of its own needs namespaces (root) and the command `ip`"),
        Some(status) => assert!(status.success(), "{test} failed in its own network"),
    }
    false
}
