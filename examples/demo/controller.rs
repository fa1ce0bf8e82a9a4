//! The real `rsctl`: the controller as a child process, its status over HTTP, and its commands as a user runs them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::Failure;
use crate::support::controller::{clean, free_address, get};
use crate::support::process::{DIE_WITH_US, spawn};

/// The limit of one HTTP exchange on loopback.
const HTTP_LIMIT: Duration = Duration::from_secs(2);
/// The limit of one command, including its `--wait 30s`.
const COMMAND_LIMIT: Duration = Duration::from_secs(40);

/// A running controller. It ends when dropped.
pub(crate) struct Controller {
    child: Child,
    program: PathBuf,
    listen: SocketAddr,
    log: PathBuf,
}

impl Controller {
    pub(crate) fn start(dns: SocketAddr) -> Result<Self, Failure> {
        let program = program()?;
        let (listen, admin) = (free_address()?, free_address()?);
        let log = std::env::temp_dir().join(format!("rsctl-demo-{}.log", std::process::id()));
        let output = File::create(&log)?;
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).arg(&program).arg("run");
        clean(&mut command)
            .env("RSCTL_SERVICE", "mongo")
            .env("RSCTL_DNS", dns.to_string())
            .env("RSCTL_EXPECT", "3")
            .env("RSCTL_LISTEN", listen.to_string())
            .env("RSCTL_ADMIN_LISTEN", admin.to_string())
            // All members run on this machine, so they all report the same host name.
            .env("RSCTL_MEMBER_ADDRESS", "ip")
            // Shorter than the default, so that the demo does not wait half a minute.
            .env("RSCTL_REPLACE_AFTER", "3s")
            .env("RSCTL_REMOVE_AFTER", "10s")
            .env("RSCTL_INTERVAL", "1s")
            .env("RSCTL_LOG_FORMAT", "text");
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        Ok(Self { child: spawn(command)?, program, listen, log })
    }

    /// The URL of its HTTP endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The path of the program, as a user here would type it.
    pub(crate) fn program(&self) -> String {
        let here = std::env::current_dir().ok();
        let short = here.and_then(|here| self.program.strip_prefix(here).ok().map(Path::to_path_buf));
        short.unwrap_or_else(|| self.program.clone()).display().to_string()
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The newest status. `None` while the controller does not answer.
    pub(crate) async fn status(&self) -> Option<Value> {
        let body = timeout(HTTP_LIMIT, get(self.listen, "/v1/status")).await.ok()?.ok()?;
        serde_json::from_str(&body).ok()
    }

    /// Fails if the process has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(Failure(format!("`rsctl run` ended by itself: {status}\n{}", self.log_tail()))),
        }
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("The end of its log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    /// Runs `rsctl …` against this controller. Exit codes 3 and 4 of `rsctl status` mean an unhealthy set, and are an answer.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = tokio::process::Command::new(&self.program);
        clean(command.as_std_mut());
        command.args(arguments).env("RSCTL_CONTROLLER", self.url()).kill_on_drop(true);
        let shown = format!("rsctl {}", arguments.join(" "));
        let late = |_| Failure(format!("`{shown}` did not end within {} s", COMMAND_LIMIT.as_secs()));
        let Output { status, stdout, stderr } = timeout(COMMAND_LIMIT, command.output()).await.map_err(late)??;
        match status.code() {
            Some(0 | 3 | 4) => Ok(String::from_utf8_lossy(&stdout).into_owned()),
            _ => Err(Failure(format!("`{shown}`: {status}\n{}", String::from_utf8_lossy(&stderr)))),
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// The path of `rsctl`: Cargo puts examples into a folder beside it.
fn program() -> Result<PathBuf, Failure> {
    let me = std::env::current_exe()?;
    let program = me.parent().and_then(Path::parent).map(|dir| dir.join("rsctl"));
    match program.filter(|p| p.exists()) {
        Some(program) => Ok(program),
        None => Err(Failure("rsctl is not built: run scripts/demo, or `cargo build` first".into())),
    }
}
