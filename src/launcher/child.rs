//! The program as a child: started, told, killed, and buried. As process 1 of a container we reap orphans too.
//!
//! **Invariant:** nobody else waits for children here; `std` and `tokio` would race with us for who has ended.

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

/// How long a killed process may take to be gone. On a machine in its right mind it takes no time.
const CLEAR_WITHIN: Duration = Duration::from_secs(5);
const CLEAR_POLL: Duration = Duration::from_millis(5);

/// The running program.
pub(super) struct Child {
    id: Pid,
    own_group: bool,
}

impl Child {
    /// On a terminal the program shares our process group: the terminal then reaches it as if we were not there, and
    /// the shell stops and continues us together. Elsewhere it leads a group of its own, which can be killed whole.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        let own_group = !io::stdin().is_terminal();
        if own_group {
            command.process_group(0);
        }
        let id = command.spawn()?.id();
        let id = Pid::from_raw(id.try_into().map_err(io::Error::other)?);
        Ok(Self { id, own_group })
    }

    /// Sends it a signal. One that has ended has nobody to tell.
    pub(super) fn tell(&self, signal: Signal) {
        let _ = kill(self.id, signal);
    }

    /// Sends it a signal that we got; unless a terminal sent it, and thus to both of us.
    pub(super) fn pass_on(&self, signal: Signal) {
        let by_terminal = matches!(signal, Signal::SIGINT | Signal::SIGQUIT | Signal::SIGWINCH);
        if self.own_group || !by_terminal {
            self.tell(signal);
        }
    }

    /// Kills it with everything that it started, as far as that is still in its group.
    pub(super) fn kill(&self) {
        let _ = if self.own_group { killpg(self.id, Signal::SIGKILL) } else { kill(self.id, Signal::SIGKILL) };
    }

    /// Whether somebody is left of what it started, as far as that can be told from us.
    fn has_descendants(&self) -> bool {
        self.own_group && killpg(self.id, None).is_ok()
    }
}

/// Learns how children end.
pub(super) struct Reaper {
    news: Stream,
    whose: Whose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The system's first process buries the orphans.
    Ours,
    /// We are that process.
    Everybodys,
}

impl Reaper {
    /// To be made before the first child is started.
    pub(super) fn new() -> io::Result<Self> {
        let whose = if std::process::id() == 1 { Whose::Everybodys } else { Whose::Ours };
        Ok(Self { news: signal(SignalKind::child())?, whose })
    }

    /// Waits for the end of the child. Its exit code, or 128 and the number of the signal that it died of.
    pub(super) async fn ended(&mut self, child: &Child) -> u8 {
        loop {
            if let Some(code) = self.reap(child.id) {
                return code;
            }
            self.news.recv().await;
        }
    }

    /// Kills what an ended child left behind, and waits until the kernel has done it: a server may hold a port.
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
        let whom = if self.whose == Whose::Everybodys { any } else { child };
        loop {
            match waitpid(whom, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(id, code)) if id == child => return u8::try_from(code).ok(),
                Ok(WaitStatus::Signaled(id, signal, _)) if id == child => {
                    return u8::try_from(128 + signal as i32).ok();
                }
                Ok(WaitStatus::StillAlive) => return None,
                Ok(_) | Err(Errno::EINTR) => {}
                // It has ended in a way that nobody can name: by a real-time signal, say.
                Err(_) => return kill(child, None).is_err().then_some(u8::MAX),
            }
        }
    }
}
