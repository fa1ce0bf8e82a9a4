//! A network namespace for the test, and one for each mongod, so that the test can cut mongods off from each other.
//!
//! The test runs itself again in a new network namespace. The namespace and its contents end with the test. Each mongod
//! runs in its own namespace behind a bridge, as a container does. To cut a connection, the test sends its packets to
//! an unused link address. The packets then get no answer, as behind a firewall, and no refusal. Without the permission
//! to make namespaces, everything runs on loopback, and no connection can be cut.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::support::mongods::free_ip;
use crate::support::process::{DIE_WITH_US, spawn};

pub const PORT: u16 = 27017;
/// The address of clients and controllers. RFC 2544 reserves 198.18.0.0/15 for network tests.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The limit of the one system call of `unshare`, on a busy machine.
const NAMESPACE_LIMIT: Duration = Duration::from_secs(30);
/// An unused link address.
const NOBODY: &str = "02:00:00:00:de:ad";
const INSIDE: &str = "RSCTL_NEMESIS_INSIDE";

/// Runs a test of this program in a new network namespace, if possible.
pub fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() || !has_namespaces() {
        return test();
    }
    let mut command = Command::new(DIE_WITH_US[0]);
    command.args(&DIE_WITH_US[1..]).args(["unshare", "-n"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = spawn(command).unwrap().wait_with_output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The inner program also prints a test report. It is left out, so that no test counts twice.
    for line in told.lines().filter(|l| !l.starts_with("running ") && !l.starts_with("test ") && !l.is_empty()) {
        println!("{line}");
    }
    assert!(output.status.success(), "{errors}");
}

fn has_namespaces() -> bool {
    let mut attempt = Command::new("unshare");
    attempt.args(["-n", "nsenter", "--net=/proc/self/ns/net", "ip", "link", "add", "br0", "type", "bridge"]);
    let possible = attempt.stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if !possible {
        println!("SKIPPED: partitions: this needs root, unshare, nsenter and ip");
    }
    possible
}

/// The network of the test.
pub struct Network {
    namespaces: bool,
    given: u16,
}

impl Network {
    pub fn new() -> Self {
        let namespaces = std::env::var_os(INSIDE).is_some();
        if namespaces {
            ip("link set lo up");
            ip("link add br0 type bridge");
            ip(&format!("addr add {OUTSIDE}/16 dev br0"));
            ip("link set br0 up");
        }
        Self { namespaces, given: 1 }
    }

    pub fn can_cut(&self) -> bool {
        self.namespaces
    }

    pub fn fresh_ip(&mut self) -> Ipv4Addr {
        if !self.namespaces {
            return free_ip(PORT);
        }
        self.given += 1;
        Ipv4Addr::new(198, 18, (self.given / 250) as u8, (self.given % 250) as u8 + 2)
    }

    /// Drops all packets from processes of this user to that address. Packets of other users arrive.
    pub fn blind(&self, user: u32, there: Ipv4Addr) {
        ip("link add hole type veth peer name bottom");
        ip("link set hole up");
        ip("link set bottom up");
        ip(&format!("neigh add {there} lladdr {NOBODY} dev hole nud permanent"));
        ip(&format!("route add {there}/32 dev hole table {user}"));
        ip(&format!("rule add to {there}/32 uidrange {user}-{user} lookup {user}"));
    }

    /// Ends [`Self::blind`].
    pub fn unblind(&self) {
        ip("link del hole");
    }

    /// A network namespace for one mongod. `None` without namespaces.
    pub fn lodging(&mut self, number: usize) -> Option<Lodging> {
        self.namespaces.then(|| Lodging::new(number))
    }
}

/// A network namespace. A sleeping process keeps it alive.
pub struct Lodging {
    namespace_holder: Child,
}

impl Lodging {
    fn new(number: usize) -> Self {
        let mut command = Command::new(DIE_WITH_US[0]);
        command.args(&DIE_WITH_US[1..]).args(["unshare", "-n", "sleep", "infinity"]);
        let namespace_holder = spawn(command).unwrap();
        let lodging = Self { namespace_holder };
        let ours = fs::read_link("/proc/self/ns/net").unwrap();
        let began = Instant::now();
        while fs::read_link(lodging.path()).is_ok_and(|theirs| theirs == ours) {
            assert!(began.elapsed() < NAMESPACE_LIMIT, "no network namespace of its own for mongod {number}");
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = lodging.namespace_holder.id();
        ip(&format!("link add v{number} type veth peer name eth0 netns {pid}"));
        ip(&format!("link set v{number} master br0 up"));
        lodging.ip("link set lo up");
        lodging
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.namespace_holder.id())
    }

    /// The command that runs a program in this namespace.
    pub fn entrance(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net={}", self.path())]
    }

    fn ip(&self, words: &str) {
        let mut entrance = self.entrance();
        entrance.push("ip".to_owned());
        run(&entrance, words);
    }

    /// Sets the only address of the namespace. The link address is made from it, as Docker does, so that caches of the
    /// neighbours stay right.
    pub fn settle_at(&self, at: Ipv4Addr) {
        let [a, b, c, d] = at.octets();
        self.ip("link set eth0 down");
        self.ip("addr flush dev eth0");
        self.ip(&format!("link set eth0 address 02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}"));
        self.ip(&format!("addr add {at}/16 dev eth0"));
        self.ip("link set eth0 up");
    }

    /// Takes the interface down. Its address is silent from then on.
    pub fn leave(&self) {
        self.ip("link set eth0 down");
    }

    /// Drops all packets from this namespace to that address.
    pub fn cut(&self, there: Ipv4Addr) {
        self.ip(&format!("neigh replace {there} lladdr {NOBODY} dev eth0 nud permanent"));
    }

    /// Drops all packets from this namespace to clients and controllers.
    pub fn cut_outside(&self) {
        self.cut(OUTSIDE);
    }

    pub fn mend(&self) {
        self.ip("neigh flush dev eth0 nud permanent");
    }
}

impl Drop for Lodging {
    fn drop(&mut self) {
        let _ = self.namespace_holder.kill();
        let _ = self.namespace_holder.wait();
    }
}

fn ip(words: &str) {
    run(&["ip".to_owned()], words);
}

fn run(program: &[String], words: &str) {
    let output = Command::new(&program[0]).args(&program[1..]).args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}
