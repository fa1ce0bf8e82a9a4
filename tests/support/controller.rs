//! The real `rsctl`: the controller as a child process, its status over HTTP, and its commands as a user runs them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rsctl::publish::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::process::{DIE_WITH_US, spawn};

/// The limit of one HTTP exchange on loopback.
const HTTP_LIMIT: Duration = Duration::from_secs(2);
/// The limit of one command, including its `--wait`.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A running controller. It ends when dropped.
pub struct Controller {
    child: Child,
    program: PathBuf,
    listen: SocketAddr,
    admin: SocketAddr,
    log: PathBuf,
}

impl Controller {
    /// Starts `rsctl run` with exactly these settings.
    pub fn start(program: &Path, dns: SocketAddr, settings: &[(&str, &str)]) -> std::io::Result<Self> {
        Self::start_through(&[], program, dns, settings)
    }

    /// The same, with more options of `setpriv`, for example another user.
    pub fn start_through(
        privileges: &[&str],
        program: &Path,
        dns: SocketAddr,
        settings: &[(&str, &str)],
    ) -> std::io::Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("rsctl-{}-{number}.log", std::process::id()));
        let output = File::create(&log)?;
        let chosen = settings.iter().find(|(name, _)| *name == "RSCTL_LISTEN").map(|(_, at)| at.parse());
        let listen = chosen.transpose().map_err(std::io::Error::other)?.map_or_else(free_address, Ok)?;
        let admin = free_address()?;
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).args(privileges).arg(program).arg("run");
        clean(&mut command)
            .env("RSCTL_SERVICE", "mongo")
            .env("RSCTL_DNS", dns.to_string())
            .env("RSCTL_LISTEN", listen.to_string())
            .env("RSCTL_ADMIN_LISTEN", admin.to_string())
            .env("RSCTL_INTERVAL", "1s")
            .env("RSCTL_LOG_FORMAT", "text")
            .envs(settings.iter().copied());
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        Ok(Self { child: spawn(command)?, program: program.to_owned(), listen, admin, log })
    }

    /// The URL of its HTTP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The URL of its admin endpoint.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The newest status. `None` while the controller does not answer.
    pub async fn status(&self) -> Option<Status> {
        let body = timeout(HTTP_LIMIT, self.get("/v1/status")).await.ok()?.ok()?;
        serde_json::from_str(&body).ok()
    }

    /// Waits for a status that `wanted` accepts. Panics after `limit`, and prints the last status and the log.
    pub async fn until(&self, what: &str, limit: Duration, wanted: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.status().await;
            if let Some(status) = status.as_ref().filter(|s| wanted(s)) {
                return status.clone();
            }
            let log = || self.log();
            assert!(Instant::now() < deadline, "waited {limit:?} for {what}\n{status:#?}\n{}", log());
            sleep(POLL).await;
        }
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGTERM, and waits for the end. Returns how long it took; `None` if it took longer than `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Option<Duration> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).ok()?);
        let began = Instant::now();
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok()?;
        while self.is_running() {
            if began.elapsed() > limit {
                return None;
            }
            sleep(Duration::from_millis(1)).await;
        }
        Some(began.elapsed())
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Runs `rsctl …` against this controller.
    pub async fn run(&self, arguments: &[&str]) -> std::io::Result<Output> {
        self.run_at(&self.url(), arguments).await
    }

    /// Runs `rsctl …` as if there were no controller.
    pub async fn run_alone(&self, arguments: &[&str]) -> std::io::Result<Output> {
        self.run_at("http://127.0.0.1:9", arguments).await
    }

    async fn run_at(&self, url: &str, arguments: &[&str]) -> std::io::Result<Output> {
        let mut command = tokio::process::Command::new(&self.program);
        clean(command.as_std_mut());
        command.args(arguments).env("RSCTL_CONTROLLER", url).kill_on_drop(true);
        timeout(COMMAND_LIMIT, command.output()).await.map_err(std::io::Error::other)?
    }

    /// The body of a GET.
    pub async fn get(&self, path: &str) -> std::io::Result<String> {
        get(self.listen, path).await
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Clears the environment, so that settings in the environment of the tests have no effect.
pub fn clean(command: &mut Command) -> &mut Command {
    command.env_clear();
    for kept in ["PATH", "TERM", "NO_COLOR"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// An address that was free a moment ago. Another process may take it before its use.
pub fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The body of a GET. It uses HTTP/1.0, so the body ends with the connection.
pub async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    match reply.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(format!("no 200: {reply}"))),
    }
}

/// A GET with more headers. Returns the entity tag and the body of a 200.
pub async fn exchange(address: SocketAddr, path: &str, headers: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    let found = reply.split_once("\r\n\r\n").filter(|(head, _)| head.contains(" 200 "));
    let (head, body) = found.ok_or_else(|| std::io::Error::other(format!("no 200: {reply}")))?;
    let tag = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("etag: ").map(str::to_owned));
    Ok((tag.unwrap_or_default(), body.to_owned()))
}
