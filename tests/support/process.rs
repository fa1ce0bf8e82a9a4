//! Child processes that never outlive us, not even when we are killed.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a child. The kernel ties a death signal to the *thread* that started the child, and runtime threads come and
/// go: one thread of our own, which lives as long as the process, starts them all.
pub fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                // A group of its own: Ctrl-C is for us to handle, not for every child at once.
                command.process_group(0);
                // Whoever ordered may be gone by now; then the child dies with us, at the latest.
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (reply, child) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts children is gone");
    starter.lock().unwrap().send((command, reply)).map_err(|_| gone(()))?;
    child.recv().map_err(|_| gone(()))?
}

/// What to put before a program so that it is killed when we end, however we end. Part of util-linux, thus everywhere.
pub const DIE_WITH_US: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];
