//! One application that `rsctl exec` starts, and its output.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::driver::Driver;
use super::names::Hosts;
use crate::support::controller::{Controller, clean};
use crate::support::process::{DIE_WITH_US, spawn};
use crate::support::report::Outcome;

pub const DATABASE: &str = "drivers";
const POLL: Duration = Duration::from_millis(10);

/// What it said so far.
#[derive(Clone, Default)]
pub struct Told {
    pub version: String,
    /// How often the program has started.
    pub starts: usize,
    /// Acknowledged ids, each with the time of its acknowledgement in milliseconds since 1970.
    pub acknowledged: Vec<(i64, u64)>,
    /// Failed writes, and other errors.
    pub complaints: Vec<String>,
}

/// It ends when dropped.
pub struct Application {
    pub driver: &'static Driver,
    child: Child,
    told: Arc<Mutex<Told>>,
}

impl Application {
    /// `rsctl exec --on-change restart --set VARIABLE -- PROGRAM`.
    pub fn start(
        driver: &'static Driver,
        program: &[PathBuf],
        controller: &Controller,
        hosts: Option<&Hosts>,
    ) -> Outcome<Self> {
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).args(hosts.map(Hosts::words).unwrap_or_default());
        command.arg(Path::new(env!("CARGO_BIN_EXE_rsctl")));
        command.args(["exec", "--on-change", "restart", "--set", driver.variable, "--"]).args(program);
        clean(&mut command).env(driver.variable, driver.uri).env("COLLECTION", driver.name);
        command.envs(driver.variables.iter().copied());
        // Without its controller, it must not find other services on this machine.
        command.env("RSCTL_CONTROLLER", controller.url()).env("RSCTL_DNS", "127.0.0.1:9");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command)?;
        let told = Arc::new(Mutex::new(Told::default()));
        listen(child.stdout.take(), &told, Told::hear);
        listen(child.stderr.take(), &told, |told, line| told.complaints.push(line.to_owned()));
        Ok(Self { driver, child, told })
    }

    /// What it said so far.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// Waits for the acknowledgement of a write that began after this call. `None` if there is none within the limit.
    pub async fn writes_again(&self, limit: Duration) -> Option<()> {
        // One write may be in progress already; the second one from here began later.
        let goal = self.told().acknowledged.len() + 2;
        let deadline = Instant::now() + limit;
        while self.told().acknowledged.len() < goal {
            if Instant::now() > deadline {
                return None;
            }
            sleep(POLL).await;
        }
        Some(())
    }

    /// Stops it as Docker does, and returns its whole output.
    pub async fn stop(mut self) -> Outcome<Told> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        let deadline = Instant::now() + Duration::from_secs(15);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(format!("{} did not end within 15 s of SIGTERM", self.driver.name).into());
            }
            sleep(POLL).await;
        }
        // Its last lines may still be in the pipe.
        while Arc::strong_count(&self.told) > 1 && Instant::now() < deadline {
            sleep(POLL).await;
        }
        Ok(self.told().clone())
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // The program ends at its next line, because nothing reads it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Told {
    fn hear(&mut self, line: &str) {
        if let Some(version) = line.strip_prefix("start ") {
            version.clone_into(&mut self.version);
            self.starts += 1;
            return;
        }
        let numbers = line.split_once(' ').and_then(|(id, at)| Some((id.parse().ok()?, at.parse().ok()?)));
        match numbers {
            Some(acknowledged) => self.acknowledged.push(acknowledged),
            None => self.complaints.push(line.to_owned()),
        }
    }
}

fn listen(stream: Option<impl Read + Send + 'static>, told: &Arc<Mutex<Told>>, hear: fn(&mut Told, &str)) {
    let told = told.clone();
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            hear(&mut told.lock().unwrap(), &line);
        }
    });
}
