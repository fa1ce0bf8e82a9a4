//! Real mongods on loopback: start, kill, freeze, move, wipe.
//!
//! Each test process uses its own loopback addresses, so that tests can run at the same time. The members of a set use one
//! port and differ by IP, like the tasks of a Swarm service.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::private_network::is_private;
use super::process::{DIE_WITH_US, spawn};

/// The limit from the start to the first accepted connection, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The limit from SIGTERM to the end of the process.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// Settings for small data directories: 5 MB instead of 300 MB.
const FLAGS: [&str; 9] = [
    "--wiredTigerCacheSizeGB=0.25",
    "--wiredTigerEngineConfigString=log=(prealloc=false,file_max=8MB)",
    "--nounixsocket",
    "--logappend",
    "--setParameter=diagnosticDataCollectionEnabled=false",
    "--setParameter=ttlMonitorEnabled=false",
    "--setParameter=disableLogicalSessionCacheRefresh=true",
    "--setParameter=taskExecutorPoolSize=1",
    "--setParameter=enableTestCommands=1",
];

/// Turns off the wait of 15 s after SIGTERM (quiesce mode), which 4.4 does not have.
const SHORT_QUIESCE: &str = "--setParameter=shutdownTimeoutMillisForSignaledShutdown=100";

/// Options to start a mongod: `MongodOptions { keyfile: …, ..MongodOptions::at(ip, port) }`.
#[derive(Clone, Debug)]
pub struct MongodOptions {
    pub ip: Ipv4Addr,
    pub port: u16,
    /// `None` starts a standalone.
    pub replset: Option<String>,
    /// An existing data directory, which is kept. `None`: a new one, which is deleted when the mongod is dropped.
    pub dir: Option<PathBuf>,
    pub keyfile: Option<PathBuf>,
    pub args: Vec<String>,
    /// A command that runs the program, for example in another network namespace.
    pub through: Vec<String>,
    /// A program that prepares the data directory before it becomes mongod, as the entrypoint of an image does.
    pub entrypoint: Vec<String>,
    pub name: Option<NamedNode>,
    /// A version that `scripts/mongod` fetches. `None`: the default of `scripts/mongod`.
    pub version: Option<&'static str>,
}

/// A mongod with its own host name and its own hosts file, to find others by name. It needs root.
#[derive(Clone, Debug)]
pub struct NamedNode {
    pub hostname: String,
    pub hosts: Vec<(IpAddr, String)>,
}

impl MongodOptions {
    /// An empty mongod for the set `rs`.
    pub fn at(ip: Ipv4Addr, port: u16) -> Self {
        Self {
            ip,
            port,
            replset: Some("rs".into()),
            dir: None,
            keyfile: None,
            args: Vec::new(),
            through: Vec::new(),
            entrypoint: Vec::new(),
            name: None,
            version: None,
        }
    }
}

/// One mongod and its data directory. The mongod may be down. Dropping this value ends the process and deletes the data.
pub struct Mongod {
    options: MongodOptions,
    dir: PathBuf,
    child: Option<Child>,
}

impl Mongod {
    /// Starts a mongod, and waits until it accepts connections.
    pub async fn start(options: MongodOptions) -> Result<Self, MongodError> {
        let dir = options.dir.clone().unwrap_or_else(new_dir);
        fs::create_dir_all(dir.join("data"))
            .map_err(|e| MongodError(format!("cannot create {}: {e}", dir.display())))?;
        let mut mongod = Self { options, dir, child: None };
        mongod.restart().await?;
        Ok(mongod)
    }

    /// The address where it listens, or last listened.
    pub fn address(&self) -> SocketAddr {
        (self.options.ip, self.options.port).into()
    }

    pub fn ip(&self) -> Ipv4Addr {
        self.options.ip
    }

    /// Its `host` as a member: its name if it has one, else its address.
    pub fn host(&self) -> String {
        let Self { options: MongodOptions { ip, port, name, .. }, .. } = self;
        name.as_ref().map_or_else(|| format!("{ip}:{port}"), |name| format!("{}:{port}", name.hostname))
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the process exists. A frozen process does.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Sends SIGKILL, as in a crash, or when Docker's grace period ends. The data stays.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends SIGTERM, and waits until the process has ended.
    pub async fn stop(&mut self) -> Result<(), MongodError> {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while self.is_running() {
            if Instant::now() > deadline {
                return Err(self.error("did not end within 30 s of SIGTERM"));
            }
            sleep(POLL).await;
        }
        self.child = None;
        Ok(())
    }

    /// Sends SIGSTOP: the process lives and keeps its connections, but does not answer.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Restarts it with the same data and another version of the program.
    pub async fn upgrade_to(&mut self, version: &'static str) -> Result<(), MongodError> {
        self.options.version = Some(version);
        self.restart().await
    }

    /// Kills it if it runs, and starts it again on the same data at the same address.
    pub async fn restart(&mut self) -> Result<(), MongodError> {
        self.kill();
        self.child = Some(self.launch()?);
        // An entrypoint starts mongod twice.
        let starts = if self.options.entrypoint.is_empty() { 1 } else { 3 };
        let deadline = Instant::now() + START_LIMIT * starts;
        loop {
            // A busy machine may delay a connection attempt, so each attempt has a limit too.
            if let Ok(Ok(_)) = timeout(Duration::from_secs(1), TcpStream::connect(self.address())).await {
                return Ok(());
            }
            if !self.is_running() {
                return Err(self.error("ended instead of listening"));
            }
            if Instant::now() > deadline {
                return Err(self.error("did not listen in time"));
            }
            sleep(POLL).await;
        }
    }

    /// Restarts it with one more argument. Later restarts use the argument too.
    pub async fn restart_with(&mut self, argument: &str) -> Result<(), MongodError> {
        self.options.args.push(argument.to_owned());
        self.restart().await
    }

    /// Restarts it with these arguments instead of the ones before. Later restarts use them too.
    pub async fn restart_with_only(&mut self, arguments: Vec<String>) -> Result<(), MongodError> {
        self.options.args = arguments;
        self.restart().await
    }

    /// Empties its data directory, and starts it without the entrypoint.
    pub async fn begin_without_entrypoint(&mut self) -> Result<(), MongodError> {
        self.options.entrypoint.clear();
        self.wipe();
        self.restart().await
    }

    /// Restarts it with the same data at a new address, as after a change of a Swarm task.
    pub async fn restart_at(&mut self, ip: Ipv4Addr, port: u16) -> Result<(), MongodError> {
        self.kill();
        (self.options.ip, self.options.port) = (ip, port);
        self.restart().await
    }

    /// The same with another name, as after a change of the container.
    pub async fn restart_as(&mut self, name: NamedNode, ip: Ipv4Addr) -> Result<(), MongodError> {
        self.options.name = Some(name);
        self.restart_at(ip, self.options.port).await
    }

    /// Kills it if it runs, and empties its data directory, as if its volume were lost.
    pub fn wipe(&mut self) {
        self.kill();
        let data = self.dir.join("data");
        fs::remove_dir_all(&data).unwrap();
        fs::create_dir(&data).unwrap();
    }

    /// Copies the data directory of another mongod. Both must be down.
    pub fn clone_data_from(&mut self, other: &mut Mongod) {
        assert!(!self.is_running() && !other.is_running(), "a volume is cloned at rest");
        self.wipe();
        let copied = Command::new("cp").arg("-a").arg(other.dir.join("data/.")).arg(self.dir.join("data")).status();
        assert!(copied.unwrap().success());
    }

    /// Rewrites its hosts file in place, so that the running mongod uses it at its next lookup.
    pub fn set_hosts(&mut self, hosts: Vec<(IpAddr, String)>) {
        let node = self.options.name.as_mut().unwrap();
        node.hosts = hosts;
        write_hosts(&self.dir.join("hosts"), &node.hosts);
    }

    /// A client of this mongod only, in any member state.
    pub fn client(&self) -> Client {
        let address = ServerAddress::from(self.address());
        let options = ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .server_selection_timeout(Duration::from_secs(2))
            .build();
        Client::with_options(options).unwrap()
    }

    /// Runs one command on `admin` with a new client. This is slow.
    pub async fn command(&self, command: Document) -> Result<Document, mongodb::error::Error> {
        let client = self.client();
        let reply = client.database("admin").run_command(command).await;
        client.shutdown().immediate(true).await;
        reply
    }

    /// Its sync source, empty if it has none. `None` while it is down.
    pub async fn sync_source(&self) -> Option<String> {
        let status = self.command(doc! { "replSetGetStatus": 1 }).await.ok()?;
        status.get_str("syncSourceHost").ok().map(str::to_owned)
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // Fails only if the process has ended, which needs no signal.
            let _ = kill(Pid::from_raw(child.id() as i32), signal);
        }
    }

    fn launch(&self) -> Result<Child, MongodError> {
        let MongodOptions { ip, port, replset, dir: _, keyfile, args, through, entrypoint, name, version } =
            &self.options;
        let mut words: Vec<String> = through.clone();
        if let Some(node) = name {
            let hosts = self.dir.join("hosts");
            write_hosts(&hosts, &node.hosts);
            // A new mount namespace for the hosts file, and a new UTS namespace for the host name.
            let script =
                r#"mount --bind "$1" /etc/hosts && echo "$2" >/proc/sys/kernel/hostname && shift 2 && exec "$@""#;
            words.extend(["unshare", "-m", "-u", "sh", "-c", script, "sh"].map(String::from));
            words.extend([hosts.display().to_string(), node.hostname.clone()]);
        }
        words.extend(DIE_WITH_US.map(String::from));
        words.extend(entrypoint.iter().cloned());
        words.push(binary(*version)?.display().to_string());
        words.extend([format!("--bind_ip={ip}"), format!("--port={port}")]);
        words.push(format!("--dbpath={}", self.dir.join("data").display()));
        words.push(format!("--logpath={}", self.log().display()));
        words.extend(FLAGS.map(String::from));
        let has_size = args.iter().any(|word| word.starts_with("--oplogSize"));
        words.extend((!has_size).then(|| "--oplogSize=64".to_owned()));
        if !version.is_some_and(|v| v.starts_with("4.")) {
            words.push(SHORT_QUIESCE.to_owned());
        }
        words.extend(replset.iter().map(|set| format!("--replSet={set}")));
        words.extend(keyfile.iter().map(|file| format!("--keyFile={}", file.display())));
        words.extend(args.iter().cloned());
        let failed = |e| MongodError(format!("cannot start {}: {e}", words[0]));
        // mongod reports wrong flags before it opens its log.
        let early = File::options().create(true).append(true).open(self.dir.join("early.log")).map_err(failed)?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stderr(early.try_clone().map_err(failed)?).stdout(early);
        spawn(command).map_err(failed)
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("mongod.log")
    }

    fn error(&self, what: &str) -> MongodError {
        let tail = |file: PathBuf| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(15)..].join("\n")
        };
        let (early, log) = (tail(self.dir.join("early.log")), tail(self.log()));
        MongodError(format!("mongod at {} {what}\n{early}\n{log}", self.address()))
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        self.kill();
        if self.options.dir.is_none() {
            // The next run removes what remains.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Why a mongod does not run, with the end of its log.
pub struct MongodError(String);

impl fmt::Display for MongodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same text as `Display`, because a failed `unwrap` prints it.
impl fmt::Debug for MongodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for MongodError {}

/// The path that `scripts/mongod` prints. The script runs once per process and version.
pub fn binary(version: Option<&'static str>) -> Result<PathBuf, MongodError> {
    static FOUND: Mutex<BTreeMap<Option<&str>, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap();
    let asked = found.entry(version).or_insert_with(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mongod");
        // Its stderr is shown: it reports a download, which takes some time.
        let output = Command::new(script).args(version).stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| format!("{script}: {e}"))?;
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let failed = || format!("{script} {} found no mongod", version.unwrap_or_default());
        if output.status.success() { Ok(path.into()) } else { Err(failed()) }
    });
    asked.clone().map_err(MongodError)
}

/// A loopback address that no other test process uses, and that is free at `port`.
pub fn free_ip(port: u16) -> Ipv4Addr {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    // 127.0.x.x is left to other programs. Each process has one 127.A.B.0/24. Two clash only if their pids are equal modulo
    // 64000.
    let block = std::process::id() % 64_000;
    for _ in 0..254 {
        let last = 1 + COUNTER.fetch_add(1, Ordering::Relaxed) % 254;
        let net = if is_private() { 10 } else { 127 };
        let ip = Ipv4Addr::new(net, 1 + (block / 256) as u8, (block % 256) as u8, last as u8);
        if TcpListener::bind((ip, port)).is_ok() {
            return ip;
        }
    }
    panic!("all 254 loopback addresses of this process are in use at port {port}");
}

/// Whether [`MongodOptions::name`] works here. In a container, even root may lack the permission.
pub fn can_be_named() -> bool {
    Command::new("unshare").args(["-m", "-u", "true"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Writes in place: the file is bind-mounted, so a new file with the same name has no effect.
pub fn write_hosts(path: &Path, hosts: &[(IpAddr, String)]) {
    let own = (IpAddr::V4(Ipv4Addr::LOCALHOST), "localhost".to_owned());
    let lines = std::iter::once(&own).chain(hosts).map(|(ip, name)| format!("{ip} {name}\n"));
    fs::write(path, lines.collect::<String>()).unwrap();
}

fn new_dir() -> PathBuf {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    static SWEPT: OnceLock<()> = OnceLock::new();
    SWEPT.get_or_init(sweep);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("{DIR_PREFIX}{}-{number}", std::process::id()))
}

const DIR_PREFIX: &str = "rsctl-mongod-";

/// Removes the directories of earlier test processes that were killed.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(DIR_PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
