//! A service `mongo` of real mongods, its DNS, and the real controller beside it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use rsctl::publish::{MemberStatus, Status};

use crate::support::controller::Controller;
use crate::support::dns::{Answer, DnsServer};
use crate::support::mongods::{Mongod, MongodOptions, NamedNode, free_ip};

pub const PORT: u16 = 27017;
/// Long enough for a busy machine; nothing here takes half of it on a quiet one.
pub const LIMIT: Duration = Duration::from_secs(40);

/// Short graces, so that a test does not take half a minute to believe that a node is gone.
pub const HASTY: [(&str, &str); 2] = [("RSCTL_REPLACE_AFTER", "2s"), ("RSCTL_REMOVE_AFTER", "6s")];

pub struct Cluster {
    pub dns: DnsServer,
    pub nodes: Vec<Mongod>,
}

impl Cluster {
    /// This many blank mongods that DNS lists.
    pub async fn blank(count: usize) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(blank_node().await);
        }
        let cluster = Self { dns: DnsServer::start().await, nodes };
        cluster.list_all();
        cluster
    }

    /// The same, of one version.
    pub async fn of(version: &'static str, count: usize) -> Self {
        let mut cluster = Self { dns: DnsServer::start().await, nodes: Vec::new() };
        cluster.grow(version, count).await;
        cluster
    }

    /// This many more, blank, of one version; listed when all of them are there.
    pub async fn grow(&mut self, version: &'static str, count: usize) {
        for _ in 0..count {
            let options = MongodOptions { version: Some(version), ..MongodOptions::at(free_ip(PORT), PORT) };
            self.nodes.push(Mongod::start(options).await.unwrap());
        }
        self.list_all();
    }

    /// Mongods with stable names, as those of the stack that ships: each has a host name and a hosts file of its own.
    pub async fn named(count: usize, version: Option<&'static str>) -> Self {
        let ips: Vec<_> = (0..count).map(|_| free_ip(PORT)).collect();
        let mut nodes = Vec::new();
        for (n, ip) in ips.iter().enumerate() {
            let name = Some(NamedNode { hostname: name(n), hosts: hosts_file(&ips) });
            nodes.push(Mongod::start(MongodOptions { name, version, ..MongodOptions::at(*ip, PORT) }).await.unwrap());
        }
        let cluster = Self { dns: DnsServer::start().await, nodes };
        cluster.tell_names();
        cluster
    }

    /// DNS as Swarm's: the tasks, and every name leading to its task.
    pub fn tell_names(&self) {
        self.list_all();
        for (n, node) in self.nodes.iter().enumerate() {
            self.dns.set_both(&name(n), Answer::Records(vec![IpAddr::V4(node.ip())]));
        }
    }

    /// A set of three that has settled, with its controller.
    pub async fn settled(settings: &[(&str, &str)]) -> (Self, Controller) {
        let cluster = Self::blank(3).await;
        let controller = cluster.controller(settings);
        controller.until("a settled set of three", LIMIT, is_settled(3)).await;
        (cluster, controller)
    }

    /// DNS lists every mongod.
    pub fn list_all(&self) {
        self.list(self.nodes.iter().map(Mongod::ip));
    }

    /// DNS lists exactly these.
    pub fn list(&self, ips: impl IntoIterator<Item = Ipv4Addr>) {
        self.dns.tasks("mongo", ips);
    }

    pub fn controller(&self, settings: &[(&str, &str)]) -> Controller {
        let hasty: Vec<_> = HASTY.iter().chain(settings).copied().collect();
        Controller::start(Path::new(env!("CARGO_BIN_EXE_rsctl")), self.dns.address(), &hasty).unwrap()
    }

    /// The place of the mongod that a status calls so.
    pub fn position(&self, host: &str) -> usize {
        self.nodes.iter().position(|node| node.host() == host).unwrap()
    }

    pub fn primary(&self, status: &Status) -> usize {
        self.position(status.primary.as_deref().unwrap())
    }
}

fn name(n: usize) -> String {
    format!("mongo-node{}", n + 1)
}

/// Where the names lead, by these addresses.
pub fn hosts_file(ips: &[Ipv4Addr]) -> Vec<(IpAddr, String)> {
    ips.iter().enumerate().map(|(n, ip)| (IpAddr::V4(*ip), name(n))).collect()
}

pub async fn blank_node() -> Mongod {
    Mongod::start(MongodOptions::at(free_ip(PORT), PORT)).await.unwrap()
}

/// A primary, this many voters, everybody well, and nothing left to do.
pub fn is_settled(voters: usize) -> impl Fn(&Status) -> bool {
    move |status| {
        let well = status.members.iter().all(|m| m.healthy);
        status.primary.is_some() && well && votes(status) == voters && status.next == "nothing" && is_quiet(status)
    }
}

pub fn is_quiet(status: &Status) -> bool {
    status.waiting.is_empty()
}

pub fn votes(status: &Status) -> usize {
    status.members.iter().map(|m| usize::from(m.votes)).sum()
}

pub fn member<'s>(status: &'s Status, host: &str) -> &'s MemberStatus {
    status.members.iter().find(|m| m.host == host).unwrap()
}

/// The config that a mongod stores, as it stores it.
pub async fn stored_config(node: &Mongod) -> Document {
    let client = node.client();
    let configs = client.database("local").collection::<Document>("system.replset");
    let config = configs.find_one(doc! {}).await.unwrap().unwrap();
    client.shutdown().immediate(true).await;
    config
}
