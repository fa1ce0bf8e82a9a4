//! The program as a child process: starts it, sends it signals, kills it, and reaps it. As PID 1 of a container it reaps
//! orphaned processes too.
//!
//! **Invariant:** no other code waits for children. Code of `std` or `tokio` would race with this module for exit codes.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::{Instant, sleep};

/// How long to wait until killed processes are gone. The kernel normally needs a few milliseconds.
const CLEAR_WITHIN: Duration = Duration::from_secs(5);
const CLEAR_POLL: Duration = Duration::from_millis(5);

/// The running program.
pub(super) struct Child {
    id: Pid,
    own_group: bool,
}

impl Child {
    /// Starts the program. On a terminal it shares rsctl's process group, so that the terminal's signals reach it and the
    /// shell stops and continues both together. Elsewhere it leads its own process group, which can be killed as a whole.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        let own_group = !io::stdin().is_terminal();
        if own_group {
            command.process_group(0);
        }
        let id = command.spawn()?.id();
        let id = Pid::from_raw(id.try_into().map_err(io::Error::other)?);
        Ok(Self { id, own_group })
    }

    /// Sends the program a signal. It has no effect if the program has ended.
    pub(super) fn send(&self, signal: Signal) {
        let _ = kill(self.id, signal);
    }

    /// Forwards a signal that rsctl received. A terminal sends its signals to both processes, so these are not forwarded.
    pub(super) fn forward(&self, signal: Signal) {
        let by_terminal = matches!(signal, Signal::SIGINT | Signal::SIGQUIT | Signal::SIGWINCH);
        if self.own_group || !by_terminal {
            self.send(signal);
        }
    }

    /// Kills the program, and its descendants that are still in its process group.
    pub(super) fn kill(&self) {
        let _ = if self.own_group { killpg(self.id, Signal::SIGKILL) } else { kill(self.id, Signal::SIGKILL) };
    }

    /// Whether a process is left in the program's own process group.
    fn has_descendants(&self) -> bool {
        self.own_group && killpg(self.id, None).is_ok()
    }
}

/// Reaps children.
pub(super) struct Reaper {
    ended: Stream,
    scope: Scope,
}

/// Which children rsctl reaps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The program only. Another process is PID 1 and reaps orphaned processes.
    Program,
    /// All children. rsctl is PID 1.
    AllChildren,
}

impl Reaper {
    /// Must be called before the first child is started.
    pub(super) fn new() -> io::Result<Self> {
        let scope = if std::process::id() == 1 { Scope::AllChildren } else { Scope::Program };
        Ok(Self { ended: signal(SignalKind::child())?, scope })
    }

    /// Waits for the end of the child. Returns its exit code, or 128 plus the number of the signal that ended it.
    pub(super) async fn wait(&mut self, child: &Child) -> u8 {
        loop {
            if let Some(code) = self.reap(child.id) {
                return code;
            }
            self.ended.recv().await;
        }
    }

    /// Kills the descendants of an ended child and waits until they are gone, because they may hold a port.
    pub(super) async fn clear(&self, child: &Child) {
        let deadline = Instant::now() + CLEAR_WITHIN;
        while child.has_descendants() && Instant::now() < deadline {
            child.kill();
            sleep(CLEAR_POLL).await;
            self.reap(child.id);
        }
    }

    fn reap(&self, child: Pid) -> Option<u8> {
        let any = Pid::from_raw(-1);
        let target = if self.scope == Scope::AllChildren { any } else { child };
        loop {
            match waitpid(target, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(id, code)) if id == child => return u8::try_from(code).ok(),
                Ok(WaitStatus::Signaled(id, signal, _)) if id == child => {
                    return u8::try_from(128 + signal as i32).ok();
                }
                Ok(WaitStatus::StillAlive) => return None,
                Ok(_) | Err(Errno::EINTR) => {}
                // `nix` cannot represent some ends, such as one by a real-time signal.
                Err(_) => return kill(child, None).is_err().then_some(u8::MAX),
            }
        }
    }
}
