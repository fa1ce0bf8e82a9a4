//! A service `mongo` of real mongods, its DNS, and the real controller.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use rsctl::publish::{MemberStatus, Status};

use crate::support::controller::Controller;
use crate::support::dns::{Answer, DnsServer};
use crate::support::mongods::{Mongod, MongodOptions, NamedNode, can_be_named, free_ip};

pub const PORT: u16 = 27017;
/// The limit of every wait. On an idle machine nothing takes half of it.
pub const LIMIT: Duration = Duration::from_secs(40);

/// Short waiting times, so that a test does not wait half a minute.
pub const HASTY: [(&str, &str); 2] = [("RSCTL_REPLACE_AFTER", "2s"), ("RSCTL_REMOVE_AFTER", "6s")];

pub struct Cluster {
    pub dns: DnsServer,
    pub nodes: Vec<Mongod>,
}

/// Whether mongods can have host names of their own here. If not, it says that the test is skipped.
pub fn names_work() -> bool {
    let works = can_be_named();
    if !works {
        println!("skipped: naming a mongod needs namespaces (root)");
    }
    works
}

impl Cluster {
    /// This many empty mongods, listed in DNS.
    pub async fn blank(count: usize) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(blank_node().await);
        }
        let cluster = Self { dns: DnsServer::start().await, nodes };
        cluster.list_all();
        cluster
    }

    /// The same, with one version of MongoDB.
    pub async fn of(version: &'static str, count: usize) -> Self {
        let mut cluster = Self { dns: DnsServer::start().await, nodes: Vec::new() };
        cluster.grow(version, count).await;
        cluster
    }

    /// Starts this many more empty mongods of one version. DNS lists them when all of them run.
    pub async fn grow(&mut self, version: &'static str, count: usize) {
        for _ in 0..count {
            let options = MongodOptions { version: Some(version), ..MongodOptions::at(free_ip(PORT), PORT) };
            self.nodes.push(Mongod::start(options).await.unwrap());
        }
        self.list_all();
    }

    /// Mongods with stable names, as in the stack in `deploy/swarm`: each has its own host name and hosts file.
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

    /// Answers as Swarm's DNS: the tasks, and the name of each task.
    pub fn tell_names(&self) {
        self.list_all();
        for (n, node) in self.nodes.iter().enumerate() {
            self.dns.set_both(&name(n), Answer::Records(vec![IpAddr::V4(node.ip())]));
        }
    }

    /// A set of three that has nothing left to do, and its controller.
    pub async fn settled(settings: &[(&str, &str)]) -> (Self, Controller) {
        let cluster = Self::blank(3).await;
        let controller = cluster.controller(settings);
        controller.until("a settled set of three", LIMIT, is_settled(3)).await;
        (cluster, controller)
    }

    /// Makes DNS list every mongod.
    pub fn list_all(&self) {
        self.list(self.nodes.iter().map(Mongod::ip));
    }

    /// Makes DNS list exactly these addresses.
    pub fn list(&self, ips: impl IntoIterator<Item = Ipv4Addr>) {
        self.dns.tasks("mongo", ips);
    }

    pub fn controller(&self, settings: &[(&str, &str)]) -> Controller {
        let hasty: Vec<_> = HASTY.iter().chain(settings).copied().collect();
        Controller::start(Path::new(env!("CARGO_BIN_EXE_rsctl")), self.dns.address(), &hasty).unwrap()
    }

    /// The index of the mongod with this `host`.
    pub fn position(&self, host: &str) -> usize {
        self.nodes.iter().position(|node| node.host() == host).unwrap()
    }

    pub fn primary(&self, status: &Status) -> usize {
        self.position(status.primary.as_deref().unwrap())
    }
}

/// The host name of a task.
pub fn name(n: usize) -> String {
    format!("mongo-node{}", n + 1)
}

/// The hosts file entries for these addresses.
pub fn hosts_file(ips: &[Ipv4Addr]) -> Vec<(IpAddr, String)> {
    ips.iter().enumerate().map(|(n, ip)| (IpAddr::V4(*ip), name(n))).collect()
}

pub async fn blank_node() -> Mongod {
    Mongod::start(MongodOptions::at(free_ip(PORT), PORT)).await.unwrap()
}

/// Whether a status shows a primary, this many voters, only healthy members, and nothing left to do.
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

/// The config document that a mongod stores.
pub async fn stored_config(node: &Mongod) -> Document {
    let client = node.client();
    let configs = client.database("local").collection::<Document>("system.replset");
    let config = configs.find_one(doc! {}).await.unwrap().unwrap();
    client.shutdown().immediate(true).await;
    config
}
