//! A set of one of the shapes of `shapes.rs`, made by hand, with real mongods.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::try_join_all;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress, Tls, TlsOptions};
use rsctl::publish::{Health, Status};
use tokio::time::Instant;

use crate::adopted::until;
use crate::auth::{KEY, keyfile, member_client};
use crate::cluster::{Cluster, LIMIT, PORT, is_settled, member, name};
use crate::shapes::{Access, At, Shape};
use crate::support::controller::Controller;
use crate::support::dns::{Answer, DnsServer};
use crate::support::mongods::{Mongod, MongodOptions, NamedNode, free_ip, write_hosts};
use crate::support::writer::{MajorityWriter, majority_writer};
use crate::tls::Papers;

/// A set of a shape, as it is now. The arbiter is behind the tasks in each of the lists.
pub struct ShapedSet {
    shape: &'static Shape,
    pub cluster: Cluster,
    ips: Vec<Ipv4Addr>,
    hostnames: Vec<String>,
    key: Option<PathBuf>,
    /// The certificates, and the one of this test.
    papers: Option<(Papers, String)>,
}

impl ShapedSet {
    pub async fn made(shape: &'static Shape) -> Self {
        let count = shape.tasks.len() + usize::from(shape.arbiter);
        let papers = || {
            let papers = Papers::new();
            let own = papers.signed_for(&[]);
            (papers, own)
        };
        let mut set = Self {
            shape,
            cluster: Cluster { dns: DnsServer::start().await, nodes: Vec::new() },
            ips: (0..count).map(|_| free_ip(PORT)).collect(),
            hostnames: Vec::new(),
            key: (shape.access == Access::Keyfile).then(|| keyfile(KEY)),
            papers: (shape.access == Access::Tls).then(papers),
        };
        set.hostnames = (0..count).map(|n| set.new_hostname(n)).collect();
        let nodes = (0..count).map(|n| Mongod::start(set.options(n)));
        set.cluster.nodes = try_join_all(nodes).await.unwrap();
        set.tell();
        set.initiate().await;
        set
    }

    fn task(&self, n: usize) -> Option<(At, &'static str)> {
        self.shape.tasks.get(n).copied()
    }

    /// The name that a new container of this task has.
    fn new_hostname(&self, n: usize) -> String {
        static CONTAINERS: AtomicU64 = AtomicU64::new(0x3f25_04e0_4f89);
        let is_named = self.task(n).is_some_and(|(at, _)| at.gets_name() || self.shape.deployed_anew);
        if is_named { name(n) } else { format!("{:012x}", CONTAINERS.fetch_add(1, Ordering::Relaxed)) }
    }

    fn options(&self, n: usize) -> MongodOptions {
        let demands = self.papers.as_ref().map(|(papers, _)| {
            let certificate = papers.signed_for_names(&[&self.hostnames[n]]);
            papers.demanded(&certificate)
        });
        let name = NamedNode { hostname: self.hostnames[n].clone(), hosts: self.hosts_at(n) };
        MongodOptions {
            name: Some(name),
            keyfile: self.key.clone(),
            args: demands.unwrap_or_default(),
            ..MongodOptions::at(self.ips[n], PORT)
        }
    }

    /// The names that lead to tasks.
    fn names(&self) -> Vec<(IpAddr, String)> {
        let named = (0..self.shape.tasks.len()).filter(|n| self.hostnames[*n] == name(*n));
        named.map(|n| (self.ips[n].into(), self.hostnames[n].clone())).collect()
    }

    /// The same, and what leads to the task in its own container only.
    fn hosts_at(&self, n: usize) -> Vec<(IpAddr, String)> {
        let own = (self.ips[n].into(), self.hostnames[n].clone());
        let is_at_localhost = self.task(n).is_some_and(|(at, _)| at == At::Localhost);
        let local = is_at_localhost.then(|| (self.ips[n].into(), "localhost".to_owned()));
        self.names().into_iter().chain([own]).chain(local).collect()
    }

    /// Tells everybody where the tasks are: the mongods, the application, and DNS.
    fn tell(&mut self) {
        for n in 0..self.cluster.nodes.len() {
            let hosts = self.hosts_at(n);
            self.cluster.nodes[n].set_hosts(hosts);
        }
        write_hosts(Path::new("/etc/hosts"), &self.names());
        for (ip, name) in self.names() {
            self.cluster.dns.set_both(&name, Answer::Records(vec![ip]));
        }
        self.cluster.list(self.ips[..self.shape.tasks.len()].iter().copied());
    }

    /// Makes the set as a person does, without rsctl's tags.
    async fn initiate(&self) {
        let members = (0..self.shape.members).chain(self.shape.tasks.len()..self.ips.len());
        let config = doc! { "_id": "rs", "members": members.map(|n| self.first_member(n)).collect::<Vec<_>>() };
        self.command(0, doc! { "replSetInitiate": config }).await.unwrap();
        for n in 0..self.shape.members {
            let state = async || self.command(n, doc! { "replSetGetStatus": 1 }).await.ok()?.get_i32("myState").ok();
            until("a member that serves", || async { matches!(state().await, Some(1 | 2)) }).await;
        }
        // The servers' own first election takes 10 s.
        let step_up = async || self.command(0, doc! { "replSetStepUp": 1 }).await.is_ok();
        until("a primary", || async { step_up().await && self.leader().await.is_some() }).await;
        // An old set is on disk. Without this, a kill so soon after the start could lose the identity of a directory.
        for n in 0..self.shape.members {
            until("an fsync", || async { self.command(n, doc! { "fsync": 1 }).await.is_ok() }).await;
        }
    }

    fn first_member(&self, n: usize) -> Document {
        let (at, more) = self.task(n).unwrap_or((At::Ip, r#"{"arbiterOnly": true}"#));
        let mut member = match more {
            "" => Document::new(),
            more => serde_json::from_str(more).unwrap(),
        };
        let host = match at {
            At::Ip => format!("{}:{PORT}", self.ips[n]),
            At::Name | At::ContainerId => format!("{}:{PORT}", self.hostnames[n]),
            At::Localhost => format!("localhost:{PORT}"),
        };
        member.extend(doc! { "_id": n as i32, "host": host });
        member
    }

    /// The address of the member once the set is adopted.
    fn host(&self, n: usize) -> String {
        let by_name = self.task(n).is_some_and(|(at, _)| at.gets_name());
        if by_name { format!("{}:{PORT}", self.hostnames[n]) } else { format!("{}:{PORT}", self.ips[n]) }
    }

    fn client(&self, n: usize) -> Client {
        let node = &self.cluster.nodes[n];
        let Some((papers, own)) = &self.papers else {
            return if self.key.is_some() { member_client(node) } else { node.client() };
        };
        let tls = TlsOptions::builder()
            .ca_file_path(PathBuf::from(papers.authority()))
            .cert_key_file_path(PathBuf::from(own))
            .build();
        let at = ServerAddress::Tcp { host: self.hostnames[n].clone(), port: Some(PORT) };
        let options = ClientOptions::builder().hosts(vec![at]).direct_connection(true).tls(Tls::Enabled(tls)).build();
        Client::with_options(options).unwrap()
    }

    async fn command(&self, n: usize, command: Document) -> mongodb::error::Result<Document> {
        let client = self.client(n);
        let reply = client.database("admin").run_command(command).await;
        client.shutdown().immediate(true).await;
        reply
    }

    async fn leader(&self) -> Option<usize> {
        for n in 0..self.shape.members {
            let hello = self.command(n, doc! { "hello": 1 }).await;
            if hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)) {
                return Some(n);
            }
        }
        None
    }

    /// Writes these ids where the writer of an application will write, and makes the application's user.
    pub async fn insert(&self, ids: &[i64]) {
        let leader = self.leader().await.unwrap();
        let documents: Vec<_> = ids.iter().map(|id| doc! { "_id": id }).collect();
        let insert = doc! { "insert": "writes", "documents": documents, "writeConcern": { "w": "majority" } };
        let client = self.client(leader);
        client.database("test").run_command(insert).await.unwrap();
        client.shutdown().immediate(true).await;
        if self.key.is_some() {
            let user = doc! { "createUser": "app", "pwd": "hush", "roles": ["readWriteAnyDatabase"] };
            self.command(leader, user).await.unwrap();
        }
    }

    pub fn controller(&self) -> Controller {
        let mut settings = vec![("RSCTL_BOOTSTRAP", "never".to_owned())];
        settings.extend(self.key.iter().map(|key| ("RSCTL_KEYFILE", key.display().to_string())));
        if let Some((papers, own)) = &self.papers {
            settings.push(("RSCTL_TLS", "true".to_owned()));
            settings.push(("RSCTL_TLS_CA_FILE", papers.authority()));
            settings.push(("RSCTL_TLS_CERT_KEY_FILE", own.clone()));
        }
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.cluster.controller(&settings)
    }

    /// Waits until the set is healthy with each task at its address, and nothing is left to say. Checks the URI.
    pub async fn settled(&self, controller: &Controller, what: &str, more: impl Fn(&Status) -> bool) -> Status {
        let wanted: BTreeSet<String> = (0..self.ips.len()).map(|n| self.host(n)).collect();
        let settled = is_settled(self.ips.len());
        let is_well = |s: &Status| s.health == Health::Ok && s.findings.is_empty();
        let is_there = |s: &Status| s.members.iter().map(|m| m.host.clone()).collect::<BTreeSet<_>>() == wanted;
        let status = controller.until(what, LIMIT, |s| settled(s) && is_well(s) && is_there(s) && more(s)).await;
        let margin = status.margin.as_ref().unwrap();
        assert!(margin.live == margin.voters && margin.can_lose >= 1, "{what}: {status:?}");
        let hidden = |n: usize| self.task(n).is_none_or(|(_, more)| more.contains("hidden"));
        let seeds: BTreeSet<String> = (0..self.ips.len()).filter(|n| !hidden(*n)).map(|n| self.host(n)).collect();
        assert_eq!(status.seeds.iter().cloned().collect::<BTreeSet<_>>(), seeds, "{what}");
        let uri = controller.get("/v1/uri").await.unwrap();
        assert_eq!(uri.trim(), format!("mongodb://{}/?replicaSet=rs", status.seeds.join(",")), "{what}");
        status
    }

    pub fn primary(&self, status: &Status) -> usize {
        (0..self.ips.len()).find(|n| status.primary == Some(self.host(*n))).unwrap()
    }

    pub fn ids(&self, status: &Status) -> Vec<i64> {
        (0..self.ips.len()).map(|n| member(status, &self.host(n)).id).collect()
    }

    /// The set's URI, as an application gets it, with what the application knows by itself.
    pub async fn uri(&self, controller: &Controller) -> String {
        let uri = controller.get("/v1/uri?database=test").await.unwrap();
        match &self.papers {
            Some((papers, own)) => {
                let file = |path: &str| path.replace('/', "%2F");
                let files = (file(&papers.authority()), file(own));
                format!("{}&tls=true&tlsCAFile={}&tlsCertificateKeyFile={}", uri.trim(), files.0, files.1)
            }
            None if self.key.is_some() => uri.trim().replace("mongodb://", "mongodb://app:hush@") + "&authSource=admin",
            None => uri.trim().to_owned(),
        }
    }

    pub async fn writer(&self, controller: &Controller) -> MajorityWriter {
        let writer = majority_writer(&self.uri(controller).await).await.unwrap();
        assert!(writer.next_acknowledged(LIMIT).await, "{:?}", writer.tally().last_error);
        writer
    }

    /// A plain secondary's task goes for good, and another one comes: an empty directory at a new address.
    pub async fn replace_a_member(&mut self, status: &Status) {
        let primary = self.primary(status);
        let is_plain = |n: &usize| *n != primary && self.task(*n).is_some_and(|(_, more)| more.is_empty());
        let n = (0..self.ips.len()).find(is_plain).unwrap();
        self.cluster.nodes[n].kill();
        (self.ips[n], self.hostnames[n]) = (free_ip(PORT), self.new_hostname(n));
        let new = Mongod::start(self.options(n)).await.unwrap();
        self.cluster.nodes[n] = new;
        self.tell();
    }

    /// The stack is removed and comes back with its directories: every task has a new address, and is a new container.
    pub async fn deploy_anew(&mut self) -> Instant {
        let tasks = self.shape.tasks.len();
        self.cluster.nodes[..tasks].iter_mut().for_each(Mongod::kill);
        for n in 0..tasks {
            (self.ips[n], self.hostnames[n]) = (free_ip(PORT), self.new_hostname(n));
        }
        let names = (0..tasks).map(|n| NamedNode { hostname: self.hostnames[n].clone(), hosts: self.hosts_at(n) });
        let names: Vec<NamedNode> = names.collect();
        let (nodes, ips) = (self.cluster.nodes[..tasks].iter_mut(), &self.ips);
        try_join_all(nodes.zip(ips).zip(names).map(|((node, ip), name)| node.restart_as(name, *ip))).await.unwrap();
        self.tell();
        Instant::now()
    }
}

impl Drop for ShapedSet {
    fn drop(&mut self) {
        let _ = self.key.as_ref().map(std::fs::remove_file);
    }
}
