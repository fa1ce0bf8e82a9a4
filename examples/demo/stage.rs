//! Mongods that come and go like Swarm tasks, and a DNS server that lists them as Swarm's DNS does.

use std::net::{IpAddr, Ipv4Addr, TcpListener};

use crate::Failure;
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions};

/// The port of every node. In a Swarm service all tasks have the same port.
pub(crate) const PORT: u16 = 27017;
/// How many addresses a run has. After that, it uses old ones again.
const ADDRESSES: u8 = 250;

/// All nodes, and the DNS that lists them.
pub(crate) struct Stage {
    pub(crate) dns: DnsServer,
    pub(crate) nodes: Vec<Mongod>,
    network: u8,
    given: u8,
}

impl Stage {
    pub(crate) async fn set_up() -> Result<Self, Failure> {
        let free = |network: &u8| (1..=6).all(|n| TcpListener::bind((ip(*network, n), PORT)).is_ok());
        let network = (10..250).find(free);
        let network = network.ok_or_else(|| Failure(format!("port {PORT} is taken on 127.0.10.1 and all others")))?;
        Ok(Self { dns: DnsServer::start().await, nodes: Vec::new(), network, given: 0 })
    }

    /// An address that no node had before, as on Swarm.
    fn new_ip(&mut self) -> Ipv4Addr {
        self.given = self.given % ADDRESSES + 1;
        ip(self.network, self.given)
    }

    /// Starts this many new, empty nodes at the same time. DNS does not know them yet.
    pub(crate) async fn add(&mut self, count: usize) -> Result<(), Failure> {
        let starting: Vec<_> =
            (0..count).map(|_| tokio::spawn(Mongod::start(MongodOptions::at(self.new_ip(), PORT)))).collect();
        for node in starting {
            self.nodes.push(node.await??);
        }
        Ok(())
    }

    /// Makes DNS list exactly the running nodes, as on Swarm.
    pub(crate) fn publish(&mut self) {
        let running = self.nodes.iter_mut().filter_map(|n| n.is_running().then_some(n.ip()));
        let ips: Vec<_> = running.collect();
        self.dns.tasks("mongo", ips);
    }

    /// The node behind `host:port`.
    pub(crate) fn at(&self, host: &str) -> Result<usize, Failure> {
        let found = self.nodes.iter().position(|n| n.address().to_string() == host);
        found.ok_or_else(|| Failure(format!("the status names {host}, but no node has that address")))
    }

    /// Does what Swarm does after a task with a named volume died: a new task, a new address, the same data.
    pub(crate) async fn replace(&mut self, index: usize) -> Result<String, Failure> {
        let ip = self.new_ip();
        self.nodes[index].restart_at(ip, PORT).await?;
        self.publish();
        Ok(self.nodes[index].address().to_string())
    }

    /// Nodes whose process has ended although this program did not end it.
    pub(crate) fn dead(&mut self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&i| !self.nodes[i].is_running()).collect()
    }

    /// The addresses of all nodes, as text.
    pub(crate) fn addresses(&self) -> String {
        self.nodes.iter().map(|n| IpAddr::from(n.ip()).to_string()).collect::<Vec<_>>().join(", ")
    }
}

fn ip(network: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, network, last)
}
