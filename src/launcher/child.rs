//! The program as a child process: starts it, sends it signals, kills it, and reaps it with all that it leaves behind.
//!
//! rsctl adopts the orphans of the program ([PR_SET_CHILD_SUBREAPER]): when npm ends before the server that it started,
//! the server becomes a child of rsctl, in whatever process group it is.
//!
//! **Invariant:** no other code waits for children. Code of `std` or `tokio` would race with this module for exit codes.
//!
//! [PR_SET_CHILD_SUBREAPER]: https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

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
}

/// Reaps children.
pub(super) struct Reaper {
    ended: Stream,
    /// Children that this process had before it started the program. A script that becomes rsctl may have started them.
    before: BTreeSet<Pid>,
}

impl Reaper {
    /// Must be called before the first child is started.
    pub(super) fn new() -> io::Result<Self> {
        set_child_subreaper(true)?;
        Ok(Self { ended: signal(SignalKind::child())?, before: children() })
    }

    /// Waits for the end of the child. Returns its exit code, or 128 plus the number of the signal that ended it.
    pub(super) async fn wait(&mut self, child: &Child) -> u8 {
        loop {
            if let Some(code) = reap(child.id) {
                return code;
            }
            self.ended.recv().await;
        }
    }

    /// The processes that an ended child left behind and that are children of rsctl now. Reaps those that have ended.
    /// The children of a process that is left are in the list when that process has ended.
    pub(super) fn left_behind(&self, child: &Child) -> Vec<Pid> {
        reap(child.id);
        children().difference(&self.before).copied().collect()
    }
}

/// Reaps all ended children. Returns the exit code of `child` if it is among them.
fn reap(child: Pid) -> Option<u8> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(id, code)) if id == child => ended = u8::try_from(code).ok(),
            Ok(WaitStatus::Signaled(id, signal, _)) if id == child => ended = u8::try_from(128 + signal as i32).ok(),
            Ok(WaitStatus::StillAlive) => return ended,
            Ok(_) | Err(Errno::EINTR) => {}
            // `nix` cannot represent some ends, such as one by a real-time signal.
            Err(_) => return ended.or_else(|| kill(child, None).is_err().then_some(u8::MAX)),
        }
    }
}

/// The children of this process that have not been reaped.
fn children() -> BTreeSet<Pid> {
    let own = getpid().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_ours = |id: &i32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything. The state and the parent follow.
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(own.as_str())
    };
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(is_ours).map(Pid::from_raw).collect()
}
