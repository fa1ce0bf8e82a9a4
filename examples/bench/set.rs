//! Mongods like the tasks of a Swarm service: all on one port, known by IP or by stable names, listed by a DNS server.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use futures_util::future::join_all;
use mongodb::bson::Document;
use tokio::time::Instant;

use crate::support::dns::{Answer, DnsServer};
use crate::support::mongods::{Mongod, MongodOptions, NamedNode, free_ip};

pub(crate) const PORT: u16 = 27017;

/// How members are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// By stable host names, as in the stack in `deploy/swarm`.
    Names,
    /// By IP addresses.
    Ips,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Names, Self::Ips];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Ips => "IPs",
        }
    }

    /// The value of `--member-address`.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Names => "hostname",
            Self::Ips => "ip",
        }
    }
}

/// The running mongods, and addresses for later ones.
pub(crate) struct Set {
    pub(crate) kind: Kind,
    pub(crate) dns: DnsServer,
    pub(crate) nodes: Vec<Mongod>,
    ips: Vec<Ipv4Addr>,
}

impl Set {
    /// A service with this many tasks. None of them runs yet.
    pub(crate) async fn planned(kind: Kind, tasks: usize) -> Self {
        let ips = (0..tasks).map(|_| free_ip(PORT)).collect();
        let set = Self { kind, dns: DnsServer::start().await, nodes: Vec::new(), ips };
        set.tell_ourselves();
        set
    }

    /// Starts the next mongods at the same time. Returns the moment when the last of them answered.
    pub(crate) async fn start(&mut self, count: usize) -> Instant {
        let from = self.nodes.len();
        // Swarm's DNS lists a task before its program listens.
        self.list(from + count);
        let starting = (from..from + count).map(|n| {
            let name = (self.kind == Kind::Names).then(|| NamedNode { hostname: name(n), hosts: self.names() });
            tokio::spawn(Mongod::start(MongodOptions { name, ..MongodOptions::at(self.ips[n], PORT) }))
        });
        for node in join_all(starting.collect::<Vec<_>>()).await {
            self.nodes.push(node.unwrap().unwrap());
        }
        Instant::now()
    }

    /// Makes DNS list exactly the running mongods, and resolve every name.
    pub(crate) fn announce(&mut self) {
        let running: Vec<_> = self.nodes.iter_mut().filter_map(|n| n.is_running().then_some(n.ip())).collect();
        self.tell(running);
    }

    /// Makes DNS list all running mongods but this one, as Swarm does before it stops a task.
    pub(crate) fn drop_from_dns(&mut self, leaving: usize) {
        let others = self.nodes.iter_mut().enumerate().filter(|(n, _)| *n != leaving);
        let running: Vec<_> = others.filter_map(|(_, node)| node.is_running().then_some(node.ip())).collect();
        self.tell(running);
    }

    fn list(&self, first: usize) {
        self.tell(self.ips[..first].to_vec());
    }

    fn tell(&self, tasks: Vec<Ipv4Addr>) {
        self.dns.tasks("mongo", tasks);
        for (n, ip) in self.ips.iter().enumerate() {
            self.dns.set_both(&name(n), Answer::Records(vec![IpAddr::V4(*ip)]));
        }
    }

    /// Kills these and starts them with the same data at other addresses. Returns the moment when the last one answered.
    pub(crate) async fn relocate(&mut self, which: &[usize]) -> Instant {
        for &n in which {
            self.nodes[n].kill();
            self.ips[n] = free_ip(PORT);
        }
        self.tell_ourselves();
        if self.kind == Kind::Names {
            let names = self.names();
            self.nodes.iter_mut().for_each(|node| node.set_hosts(names.clone()));
        }
        self.list(self.nodes.len());
        let ips = self.ips.clone();
        let moving = self.nodes.iter_mut().enumerate().filter(|(n, _)| which.contains(n));
        let restarts = moving.map(|(n, node)| node.restart_at(ips[n], PORT));
        for restarted in join_all(restarts.collect::<Vec<_>>()).await {
            restarted.unwrap();
        }
        Instant::now()
    }

    /// The `host` of the member in a config.
    pub(crate) fn host(&self, n: usize) -> String {
        match self.kind {
            Kind::Names => format!("{}:{PORT}", name(n)),
            Kind::Ips => format!("{}:{PORT}", self.ips[n]),
        }
    }

    /// The connection string with all running mongods.
    pub(crate) fn uri(&self) -> String {
        let hosts: Vec<_> = (0..self.nodes.len()).map(|n| self.host(n)).collect();
        format!("mongodb://{}/?replicaSet=rs", hosts.join(","))
    }

    pub(crate) fn position(&self, host: &str) -> Option<usize> {
        (0..self.nodes.len()).find(|n| self.host(*n) == host)
    }

    /// Runs one command on `admin`.
    pub(crate) async fn command(&self, n: usize, command: Document) -> mongodb::error::Result<Document> {
        self.nodes[n].command(command).await
    }

    fn names(&self) -> Vec<(IpAddr, String)> {
        self.ips.iter().enumerate().map(|(n, ip)| (IpAddr::V4(*ip), name(n))).collect()
    }

    /// Writes the hosts file that `scripts/bench` made: the driver in this process resolves names with it.
    fn tell_ourselves(&self) {
        if self.kind == Kind::Ips {
            return;
        }
        let Some(file) = std::env::var_os("BENCH_HOSTS").map(PathBuf::from) else { return };
        let lines = self.names().into_iter().map(|(ip, name)| format!("{ip} {name}\n")).collect::<String>();
        std::fs::write(file, format!("127.0.0.1 localhost\n{lines}")).unwrap();
    }
}

fn name(n: usize) -> String {
    format!("mongo-node{}", n + 1)
}
