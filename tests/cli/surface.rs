//! A controller on a machine with hostile neighbours: idle connections, core files, and access to its memory.

use super::harness::{Folder, rsctl, until};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use tokio::net::{TcpSocket, TcpStream};

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts a controller without mongods, with this command. Returns its public and its admin address too.
fn controller(command: &mut Command) -> (Process, SocketAddr, SocketAddr) {
    let (listen, admin) = (free_address(), free_address());
    command.env("RSCTL_LISTEN", listen.to_string()).env("RSCTL_ADMIN_LISTEN", admin.to_string());
    command.env("RSCTL_DNS", "127.0.0.1:9").env("RSCTL_BOOTSTRAP", "never");
    let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("a controller that is alive", || is_healthy(admin));
    (process, listen, admin)
}

fn is_healthy(admin: SocketAddr) -> bool {
    rsctl(&["healthcheck"]).env("RSCTL_ADMIN_LISTEN", &admin.to_string()).run().code == 0
}

/// Connections from four addresses that send and read nothing. They use all connections of the public listener.
async fn silent_connections(to: SocketAddr) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for n in 0..512_u16 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 8, (n / 128) as u8 + 1), 0).into()).unwrap();
        silent.push(socket.connect(to).await.unwrap());
    }
    silent
}

#[tokio::test]
async fn connections_that_do_nothing_do_not_make_the_health_check_fail() {
    let (_controller, listen, admin) = controller(rsctl(&["run"]).command());
    let silent = silent_connections(listen).await;
    let url = format!("http://{listen}");
    let asked = rsctl(&["status"]).env("RSCTL_CONTROLLER", &url).run();
    assert!(asked.out.contains("does not answer in time"), "the public listener is full: {asked:?}");
    assert!(is_healthy(admin));
    drop(silent);
}

#[tokio::test]
async fn commands_send_the_token_that_the_controller_demands() {
    let folder = Folder::new("token");
    let (right, wrong) = (folder.path("right"), folder.path("wrong"));
    std::fs::write(&right, "s3cret-token\n").unwrap();
    std::fs::write(&wrong, "other-token\n").unwrap();
    let (_controller, listen, _) = controller(rsctl(&["run"]).env("RSCTL_TOKEN_FILE", &right).command());
    let ask = |token: Option<&str>| {
        let url = format!("http://{listen}");
        let asking = rsctl(&["history"]).env("RSCTL_CONTROLLER", &url).env("RSCTL_DNS", "127.0.0.1:9");
        match token {
            Some(path) => asking.env("RSCTL_TOKEN_FILE", path).run(),
            None => asking.run(),
        }
    };
    let ended = ask(Some(right.as_str()));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    for token in [Some(wrong.as_str()), None] {
        let ended = ask(token);
        assert!(ended.err.contains("answers 401: this needs the token of --token-file"), "{ended:?}");
        assert!(!ended.err.contains("s3cret") && !ended.err.contains("other-token"), "{ended:?}");
    }
}

/// Ends a process like a crash. Returns whether the kernel wrote a core file.
fn dumps_core(process: &mut Process) -> bool {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-ABRT", &id]).status().unwrap().success());
    process.0.wait().unwrap().core_dumped()
}

#[test]
fn a_controller_leaves_no_core_file() {
    let folder = Folder::new("core");
    let unlimited = |program: &str, argument: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$1\"", program, argument]);
        shell.current_dir(folder.path(""));
        shell
    };
    let mut other = Process(unlimited("sleep", "600").spawn().unwrap());
    until("a program that sleeps", || comm(other.0.id()) == "sleep");
    if !dumps_core(&mut other) {
        println!("skipped: this machine writes no core files");
        return;
    }
    let (mut controller, ..) = controller(&mut unlimited(env!("CARGO_BIN_EXE_rsctl"), "run"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", controller.0.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"]);
    assert!(!dumps_core(&mut controller));
}

fn comm(id: u32) -> String {
    std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default().trim().to_owned()
}

/// If other processes of the same user may not trace a process, the kernel makes root the owner of its `/proc/PID`.
#[test]
fn a_program_of_the_same_user_cannot_read_the_memory_of_the_controller() {
    const NOBODY: u32 = 65_534;
    let owner = |process: &Process| std::fs::metadata(format!("/proc/{}/mem", process.0.id())).unwrap().uid();
    let as_nobody = |command: &mut Command| {
        command.uid(NOBODY).gid(NOBODY);
    };
    let mut sleep = Command::new("sleep");
    sleep.arg("600");
    as_nobody(&mut sleep);
    let Ok(other) = sleep.spawn() else { return println!("skipped: only root can start programs as another user") };
    let other = Process(other);
    assert_eq!(owner(&other), NOBODY, "other programs can be traced");
    let mut run = rsctl(&["run"]);
    as_nobody(run.command());
    let (controller, ..) = controller(run.command());
    assert_eq!(owner(&controller), 0);
    // Its status stays readable for every user.
    let status = std::fs::read_to_string(format!("/proc/{}/status", controller.0.id())).unwrap();
    assert!(status.lines().any(|line| line.starts_with("VmRSS:")));
}
