//! A service `mongo` of real mongods, its DNS, and the real controller beside it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use rsctl::publish::{MemberStatus, Status};

use crate::support::controller::Controller;
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions, free_ip};

pub const PORT: u16 = 27017;
/// Long enough for a busy machine; nothing here takes half of it on a quiet one.
pub const LIMIT: Duration = Duration::from_secs(40);

/// Short graces, so that a test does not take half a minute to believe that a node is gone.
pub const HASTY: [(&str, &str); 2] = [("RSCTL_REMOVE_AFTER", "2s"), ("RSCTL_FORGET_AFTER", "6s")];

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

    /// The place of the mongod that a status calls by this address.
    pub fn position(&self, host: &str) -> usize {
        self.nodes.iter().position(|node| node.address().to_string() == host).unwrap()
    }

    pub fn primary(&self, status: &Status) -> usize {
        self.position(status.primary.as_deref().unwrap())
    }
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
