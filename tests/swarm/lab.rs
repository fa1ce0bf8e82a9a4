//! The engines: `scripts/lab` and other programs, every call with a time limit.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;

use super::Outcome;
use super::support::process::DIE_WITH_US;

/// A place of its own: never the lab that somebody is looking around in.
const DIR: &str = "/var/tmp/rsctl-lab-story";
/// From an empty cache, with packages to install and images to build.
const UP_LIMIT: Duration = Duration::from_secs(900);
const BUILD_LIMIT: Duration = Duration::from_secs(1500);
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// What `scripts/lab` makes images of: MongoDB of today, the last one for old drivers, the applications.
const IMAGES: [&[&str]; 3] = [&["mongo-image"], &["mongo-image", OLD_MONGO], &["apps-image"]];
/// The newest that Let's Chat's driver can write to, as `scripts/mongod` knows it.
pub(super) const OLD_MONGO: &str = "5.0.4";
/// The exit code of `scripts/lab` where a Swarm cannot be had.
const IMPOSSIBLE: i32 = 77;

/// A Swarm on this machine.
pub(super) struct Lab {
    root: PathBuf,
    dir: String,
    rsctl: OnceCell<String>,
}

/// Whether there is one.
pub(super) enum Up {
    Ready,
    Impossible(String),
}

impl Lab {
    pub(super) fn new() -> Self {
        let dir = std::env::var("RSCTL_LAB_DIR").unwrap_or_else(|_| DIR.to_owned());
        Self { root: env!("CARGO_MANIFEST_DIR").into(), dir, rsctl: OnceCell::new() }
    }

    pub(super) fn dir(&self) -> &str {
        &self.dir
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Engines in one Swarm, with all images.
    pub(super) async fn up(&self, engines: usize) -> Outcome<Up> {
        // The engines mostly wait while they start, and the compiler does not. Without engines nothing need be compiled.
        let engines = async {
            match self.engines(engines).await {
                Ok(Up::Ready) => Ok(()),
                other => Err(other),
            }
        };
        let build = async { self.run(BUILD_LIMIT, &self.path("scripts/build"), &[]).await.map_err(Err) };
        let binary = match tokio::try_join!(engines, build) {
            Ok(((), binary)) => binary,
            Err(ended) => return ended,
        };
        self.lab(UP_LIMIT, &["rsctl-image", binary.trim()]).await?;
        self.rsctl.get_or_init(|| binary.trim().to_owned());
        Ok(Up::Ready)
    }

    /// The engines, with every image that needs nothing to be compiled by us.
    async fn engines(&self, engines: usize) -> Outcome<Up> {
        let up = self.output(UP_LIMIT, self.script(&["up", &engines.to_string()])).await?;
        if up.status.code() == Some(IMPOSSIBLE) {
            let text = String::from_utf8_lossy(&up.stderr);
            let why = text.lines().rev().find_map(|line| line.strip_prefix("skipped: "));
            return Ok(Up::Impossible(why.unwrap_or("no reason given").to_owned()));
        }
        succeeded("scripts/lab up", up)?;
        for image in IMAGES {
            let tar = self.lab(UP_LIMIT, image).await?;
            self.lab(UP_LIMIT, &["load", tar.trim()]).await?;
        }
        Ok(Up::Ready)
    }

    /// Removes every trace.
    pub(super) async fn down(&self) -> Outcome {
        self.lab(Duration::from_secs(120), &["down"]).await.map(drop)
    }

    /// One more engine, with both images of the stack.
    pub(super) async fn add(&self, node: &str) -> Outcome {
        self.lab(Duration::from_secs(120), &["add", node]).await?;
        let mongo = self.lab(ASK_LIMIT, &["mongo-image"]).await?;
        let rsctl = self.path(".cache/images/rsctl-test.tar");
        self.lab(ASK_LIMIT, &["load", mongo.trim(), node]).await?;
        self.lab(ASK_LIMIT, &["load", &rsctl.to_string_lossy(), node]).await.map(drop)
    }

    /// The binary that `scripts/build` made.
    pub(super) fn rsctl(&self) -> &str {
        self.rsctl.get().map_or("rsctl", String::as_str)
    }

    /// A subcommand of `scripts/lab`; what it prints.
    pub(super) async fn lab(&self, limit: Duration, args: &[&str]) -> Outcome<String> {
        let output = self.output(limit, self.script(args)).await?;
        succeeded(&format!("scripts/lab {}", args.join(" ")), output)
    }

    /// The docker client of an engine; what it prints on stdout.
    pub(super) async fn docker(&self, node: &str, args: &[&str]) -> Outcome<String> {
        succeeded(&format!("docker {}", args.join(" ")), self.output(ASK_LIMIT, self.client(node, args)).await?)
    }

    /// The same, with what it says on stderr: logs of services are there.
    pub(super) async fn spoken(&self, node: &str, args: &[&str]) -> Outcome<String> {
        let output = self.output(ASK_LIMIT, self.client(node, args)).await?;
        Ok([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
    }

    /// Any program of the repository, with the variables of a session in the lab; what it prints.
    pub(super) async fn run(&self, limit: Duration, program: &Path, args: &[&str]) -> Outcome<String> {
        let mut command = self.command(program);
        command.args(args);
        succeeded(&program.to_string_lossy(), self.output(limit, command).await?)
    }

    /// `docker` as a person at this engine would have it, with more variables.
    pub(super) async fn session(
        &self,
        limit: Duration,
        program: &str,
        args: &[&str],
        variables: &BTreeMap<&str, &str>,
    ) -> Outcome<String> {
        let mut command = self.command(Path::new(program));
        command.args(args);
        for line in self.lab(ASK_LIMIT, &["env"]).await?.lines() {
            if let Some((name, value)) = line.strip_prefix("export ").and_then(|line| line.split_once('=')) {
                command.env(name, value);
            }
        }
        command.envs(variables);
        succeeded(program, self.output(limit, command).await?)
    }

    /// What `scripts/lab docker` runs, without that shell: it is asked many times a second.
    fn client(&self, node: &str, args: &[&str]) -> Command {
        let mut command = self.command(Path::new("docker"));
        command.arg("-H").arg(format!("unix://{}/{node}/docker.sock", self.dir)).args(args);
        command.env("DOCKER_CONFIG", format!("{}/client", self.dir)).env("DOCKER_BUILDKIT", "0");
        for mine in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"] {
            command.env_remove(mine);
        }
        command
    }

    fn script(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.path("scripts/lab"));
        command.args(args);
        command
    }

    /// What is put before every program ends with us.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).arg("--").arg(program).current_dir(&self.root).env("RSCTL_LAB_DIR", &self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }

    async fn output(&self, limit: Duration, mut command: Command) -> Outcome<Output> {
        let words = command.as_std().get_args().skip(DIE_WITH_US.len()).map(|word| word.to_string_lossy().into_owned());
        let what = words.collect::<Vec<_>>().join(" ");
        let child = command.spawn()?;
        let group = Group(child.id());
        let done = tokio::time::timeout(limit, child.wait_with_output()).await;
        let output = done.map_err(|_| format!("gave up after {limit:?} waiting for {what}"))??;
        group.disband();
        Ok(output)
    }
}

/// A program with all that it started, unless that made itself independent as the engines do. Killed when dropped.
struct Group(Option<u32>);

impl Group {
    fn disband(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Fails only when all of them are gone.
            let _ = killpg(Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
    }
}

fn succeeded(what: &str, output: Output) -> Outcome<String> {
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<_> = text.trim().lines().rev().take(8).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    Err(format!("{what} failed ({}): {}", output.status, tail.join("; ")).into())
}
