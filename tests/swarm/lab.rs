//! The engines: calls `scripts/lab` and other programs, each with a time limit.

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

/// The directory of this lab. It is never the one of `scripts/lab`, which a developer may use.
const DIR: &str = "/var/tmp/rsctl-lab-story";
/// The limit with an empty cache: it includes installing packages and building images.
const UP_LIMIT: Duration = Duration::from_secs(900);
const BUILD_LIMIT: Duration = Duration::from_secs(1500);
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// The images that `scripts/lab` makes: the default MongoDB, the last one for old drivers, the applications.
const IMAGES: [&[&str]; 3] = [&["mongo-image"], &["mongo-image", OLD_MONGO], &["apps-image"]];
/// The newest version of `scripts/mongod` that Let's Chat's driver can write to.
pub(super) const OLD_MONGO: &str = "5.0.4";
/// The exit code of `scripts/lab` if a Swarm is impossible here.
const IMPOSSIBLE: i32 = 77;

/// A Swarm on this machine.
pub(super) struct Lab {
    root: PathBuf,
    dir: String,
    rsctl: OnceCell<String>,
    /// Whether the images of the recipes are built.
    pub(super) recipes: tokio::sync::OnceCell<()>,
}

/// Whether a Swarm is possible.
pub(super) enum Up {
    Ready,
    Impossible(String),
}

impl Lab {
    pub(super) fn new() -> Self {
        let dir = std::env::var("RSCTL_LAB_DIR").unwrap_or_else(|_| DIR.to_owned());
        Self {
            root: env!("CARGO_MANIFEST_DIR").into(),
            dir,
            rsctl: OnceCell::new(),
            recipes: tokio::sync::OnceCell::new(),
        }
    }

    pub(super) fn dir(&self) -> &str {
        &self.dir
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Starts engines in one Swarm, with all images.
    pub(super) async fn up(&self, engines: usize) -> Outcome<Up> {
        // The engines mostly wait while they start, so the build runs at the same time. Without engines there is no build.
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

    /// Starts the engines, with every image that needs no build of rsctl.
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

    /// Removes the lab completely.
    pub(super) async fn down(&self) -> Outcome {
        self.lab(Duration::from_secs(120), &["down"]).await.map(drop)
    }

    /// Adds one engine, with both images of the stack.
    pub(super) async fn add(&self, node: &str) -> Outcome {
        self.lab(Duration::from_secs(120), &["add", node]).await?;
        let mongo = self.lab(ASK_LIMIT, &["mongo-image"]).await?;
        let rsctl = self.path(".cache/images/rsctl-test.tar");
        self.lab(ASK_LIMIT, &["load", mongo.trim(), node]).await?;
        self.lab(ASK_LIMIT, &["load", &rsctl.to_string_lossy(), node]).await.map(drop)
    }

    /// The binary that `scripts/build` makes.
    pub(super) fn rsctl(&self) -> &str {
        self.rsctl.get().map_or("rsctl", String::as_str)
    }

    /// Runs a subcommand of `scripts/lab`. Returns its output.
    pub(super) async fn lab(&self, limit: Duration, args: &[&str]) -> Outcome<String> {
        let output = self.output(limit, self.script(args)).await?;
        succeeded(&format!("scripts/lab {}", args.join(" ")), output)
    }

    /// Runs the docker client of an engine. Returns its stdout.
    pub(super) async fn docker(&self, node: &str, args: &[&str]) -> Outcome<String> {
        succeeded(&format!("docker {}", args.join(" ")), self.output(ASK_LIMIT, self.client(node, args)).await?)
    }

    /// The same, with its stderr, which has the logs of services.
    pub(super) async fn spoken(&self, node: &str, args: &[&str]) -> Outcome<String> {
        let output = self.output(ASK_LIMIT, self.client(node, args)).await?;
        Ok([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
    }

    /// Runs a program of the repository with the variables of the lab. Returns its output.
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

    /// The command of `scripts/lab docker`, without the shell, because it runs many times a second.
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

    /// Every program ends with this process.
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

/// A program and its process group. Both are killed when this is dropped. The engines leave the group, and stay.
struct Group(Option<u32>);

impl Group {
    fn disband(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Fails only if all of them have ended.
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
