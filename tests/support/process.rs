//! Child processes that end with this process, even if it is killed.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a child. The kernel sends the death signal when the *thread* that started the child ends, and threads of the
/// runtime may end early. So one thread, which lives as long as the process, starts all children.
pub fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                // A new process group: this process handles Ctrl-C, not each child.
                command.process_group(0);
                // The caller may have ended by now. Then the child ends with this process.
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (reply, child) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts children has ended");
    starter.lock().unwrap().send((command, reply)).map_err(|_| gone(()))?;
    child.recv().map_err(|_| gone(()))?
}

/// The command that runs a program and has it killed when this process ends for any reason. It is part of util-linux.
pub const DIE_WITH_US: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];
