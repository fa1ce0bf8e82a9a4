//! Kernel settings that protect the memory of a command that holds secrets.

use nix::errno::Errno;
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

/// From now on, no other process of the same user can read this process's memory (`ptrace`, `/proc/PID/mem`), and the
/// kernel writes no core file of this process. The setting does not pass to a program that this process executes or
/// starts ([prctl(2)](https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html), `PR_SET_DUMPABLE`).
///
/// # Errors
///
/// The kernel refuses the setting, for example because of a seccomp profile.
pub fn hide_memory() -> Result<(), Errno> {
    set_dumpable(false)
}

/// From now on, the kernel writes no core file of this process, or of a program that it starts.
///
/// # Errors
///
/// The kernel refuses the setting, for example because of a seccomp profile.
pub fn no_core_files() -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}
