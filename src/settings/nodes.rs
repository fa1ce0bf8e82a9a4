//! Where the nodes are, which set they form, and how to speak with them.

use std::net::SocketAddr;
use std::path::PathBuf;

use bson::oid::ObjectId;

use super::{Login, Usage};
use crate::cli;
use crate::discovery::ServiceName;
use crate::model::SetName;

/// What the controller and everybody who looks past it must agree on.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// Where DNS finds the tasks.
    pub services: Vec<ServiceName>,
    /// The name of the set.
    pub replica_set: SetName,
    /// The port of every task, unless SRV says otherwise.
    pub port: u16,
    /// The size of the service: nodes that must answer before the first initiate.
    pub expect: usize,
    /// Pins one of two sets.
    pub replica_set_id: Option<ObjectId>,
    /// A name server instead of the system's.
    pub dns: Option<SocketAddr>,
    /// TLS with the nodes. `None` is off.
    pub tls: Option<Tls>,
    /// The credential for the nodes.
    pub login: Login,
}

/// TLS with the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Who may sign their certificates.
    pub ca_file: Option<PathBuf>,
    /// What to show them.
    pub cert_key_file: Option<PathBuf>,
}

impl Nodes {
    pub(super) fn new(cli: cli::DiscoveryArgs, login: Login) -> Result<Self, Usage> {
        let tls = tls(&cli)?;
        let cli::DiscoveryArgs { service, replica_set, port, expect, replica_set_id, dns, .. } = cli;
        Ok(Self { services: service.0, replica_set, port, expect, replica_set_id, dns, tls, login })
    }
}

fn tls(discovery: &cli::DiscoveryArgs) -> Result<Option<Tls>, Usage> {
    let tls = Tls { ca_file: discovery.tls_ca_file.clone(), cert_key_file: discovery.tls_cert_key_file.clone() };
    for (flag, file) in [("--tls-ca-file", &tls.ca_file), ("--tls-cert-key-file", &tls.cert_key_file)] {
        let Some(path) = file else { continue };
        if !discovery.tls {
            return Err(Usage::conflict(format!("{flag} needs --tls (RSCTL_TLS=true)")));
        }
        if let Err(error) = std::fs::File::open(path) {
            return Err(Usage::conflict(format!("{flag}: {} cannot be read: {error}", path.display())));
        }
    }
    Ok(discovery.tls.then_some(tls))
}
