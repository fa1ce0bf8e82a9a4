//! The balancer of the applications, with the real HAProxy: tasks come, go and die, and sessions stay.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::LIMIT;
use crate::haproxy::is_there;
use crate::support::controller::clean;
use crate::support::dns::{Answer, DnsServer};
use crate::support::mongods::free_ip;
use crate::support::process::{DIE_WITH_US, spawn};

const PORT: u16 = 8080;

/// A task of an application. It answers with its own address. As express-session does in Let's Chat, it begins a session
/// with the cookie `connect.sid` for a client that has none.
struct Task {
    ip: Ipv4Addr,
    ended: Arc<AtomicBool>,
}

impl Task {
    fn start() -> Self {
        static SESSIONS: AtomicUsize = AtomicUsize::new(0);
        let ip = free_ip(PORT);
        let ended = Arc::new(AtomicBool::new(false));
        let (listener, over) = (TcpListener::bind((ip, PORT)).unwrap(), ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return; // which closes the port, so further connections are refused
                }
                std::thread::spawn(move || answer(stream, ip, || SESSIONS.fetch_add(1, Ordering::SeqCst)));
            }
        });
        Self { ip, ended }
    }

    /// The task is dead, and DNS may still list it.
    fn kill(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((self.ip, PORT));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answer(mut stream: TcpStream, ip: Ipv4Addr, session: impl Fn() -> usize) {
    let Some(request) = head(&mut stream) else { return };
    let mut cookie = String::new();
    if !request.contains("connect.sid=") && !request.starts_with("GET /login") {
        cookie = format!("Set-Cookie: connect.sid=s%3A{:08}.sig; Path=/; HttpOnly\r\n", session());
    }
    let body = ip.to_string();
    let reply = format!("HTTP/1.1 200 OK\r\n{cookie}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(reply.as_bytes());
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(read) => text.extend_from_slice(&buffer[..read]),
        }
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// HAProxy with the configuration in `deploy/haproxy/apps.cfg`. It ends when dropped.
struct Balancer {
    child: Child,
    chat: SocketAddr,
    orion: SocketAddr,
    log: PathBuf,
}

impl Balancer {
    fn start(dns: &DnsServer) -> Self {
        let door = || SocketAddr::from((free_ip(PORT), PORT));
        let (chat, orion) = (door(), door());
        let log = std::env::temp_dir().join(format!("rsctl-balancer-{}.log", std::process::id()));
        let output = File::create(&log).unwrap();
        let configuration = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/haproxy/apps.cfg");
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).args(["haproxy", "-db", "-f", configuration]);
        clean(&mut command).env("DNS", dns.address().to_string());
        command.env("CHAT", format!("tasks.chat:{PORT}")).env("ORION", format!("tasks.orion:{PORT}"));
        command.env("CHAT_DOOR", chat.to_string()).env("ORION_DOOR", orion.to_string());
        command.stdin(Stdio::null()).stderr(output.try_clone().unwrap()).stdout(output);
        Self { child: spawn(command).unwrap(), chat, orion, log }
    }

    /// Waits until clients without a session meet exactly these tasks.
    fn deals_to(&self, door: SocketAddr, tasks: &[&Task]) {
        let wanted: BTreeSet<String> = tasks.iter().map(|task| task.ip.to_string()).collect();
        let deadline = Instant::now() + LIMIT;
        loop {
            let met: BTreeSet<_> =
                (0..wanted.len() * 2).filter_map(|_| ask(door, None).map(|(task, _)| task)).collect();
            if met == wanted {
                return;
            }
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(Instant::now() < deadline, "{met:?} in place of {wanted:?}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// The task that answers with 200, and the new session if it begins one.
fn ask(door: SocketAddr, session: Option<&str>) -> Option<(String, Option<String>)> {
    let mut stream = TcpStream::connect(door).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let cookie = session.map(|session| format!("Cookie: theme=dark; connect.sid={session}\r\n")).unwrap_or_default();
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n{cookie}\r\n").as_bytes()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let session = head.lines().find(|line| line.to_lowercase().starts_with("set-cookie:"));
    let session = session.and_then(|line| Some(line.split_once("connect.sid=")?.1.split_once(';')?.0.to_owned()));
    head.starts_with("HTTP/1.1 200").then(|| (body.to_owned(), session))
}

/// A session, and the task that it belongs to.
struct Session {
    id: String,
    task: String,
}

impl Session {
    fn begin(door: SocketAddr) -> Self {
        let (task, id) = ask(door, None).unwrap();
        Self { id: id.expect("a client without a session gets one"), task }
    }

    fn goes_on(&self, door: SocketAddr) -> String {
        let (task, new) = ask(door, Some(&self.id)).expect("no request of a session fails");
        assert_eq!(new, None, "the task gets the cookie as it gave it");
        task
    }
}

fn list(dns: &DnsServer, tasks: &[&Task]) {
    let ips = || tasks.iter().map(|task| IpAddr::V4(task.ip)).collect();
    dns.set_both("tasks.chat", Answer::Records(ips()));
    dns.set_both("tasks.orion", Answer::Records(ips()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_stay_with_their_task_while_tasks_come_go_and_die() {
    if !is_there() {
        return;
    }
    let dns = DnsServer::start().await;
    let (one, two, three) = (Task::start(), Task::start(), Task::start());
    list(&dns, &[&one]);
    let balancer = Balancer::start(&dns);
    let chat = balancer.chat;
    balancer.deals_to(chat, &[&one]);
    let mut sessions: Vec<Session> = (0..3).map(|_| Session::begin(chat)).collect();

    // 1 → 3: the old sessions stay where they are, and new ones go to all tasks.
    list(&dns, &[&one, &two, &three]);
    balancer.deals_to(chat, &[&one, &two, &three]);
    sessions.extend((0..9).map(|_| Session::begin(chat)));
    let homes: BTreeSet<_> = sessions.iter().skip(3).map(|session| session.task.clone()).collect();
    assert_eq!(homes.len(), 3, "round robin");
    for _ in 0..3 {
        for session in &sessions {
            assert_eq!(session.goes_on(chat), session.task);
        }
    }

    // A task dies, and DNS still lists it: its sessions go on elsewhere and stay there, the others do not notice.
    two.kill();
    let dead = two.ip.to_string();
    for session in &mut sessions {
        let now = session.goes_on(chat);
        assert_eq!(now == session.task, session.task != dead, "only sessions of the dead task move");
        session.task = now;
    }
    assert!(sessions.iter().all(|session| session.goes_on(chat) == session.task));

    // 3 → 2: DNS does not list it any more.
    list(&dns, &[&one, &three]);
    balancer.deals_to(chat, &[&one, &three]);
    assert!(sessions.iter().all(|session| session.goes_on(chat) == session.task));

    // Orion has no sessions: every request may go to another task, whatever cookie it has.
    balancer.deals_to(balancer.orion, &[&one, &three]);
    let met: BTreeSet<_> = (0..4).map(|_| ask(balancer.orion, Some("s%3A1.sig")).unwrap().0).collect();
    assert_eq!(met.len(), 2, "round robin");
}
