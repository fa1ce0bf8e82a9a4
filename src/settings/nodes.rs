//! Where the nodes are, which replica set they form, and how to connect to them.

use std::net::SocketAddr;
use std::path::PathBuf;

use bson::oid::ObjectId;

use super::{Login, Usage};
use crate::cli;
use crate::discovery::ServiceName;
use crate::model::SetName;

/// The nodes. The controller needs this, and so does every command that works without one.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// The services whose tasks are the nodes, or the nodes themselves.
    pub services: Vec<ServiceName>,
    /// The name of the replica set.
    pub replica_set: SetName,
    /// The port of every node whose service has none. SRV records have their own.
    pub port: u16,
    /// The number of nodes that must answer before the replica set is initiated.
    pub expect: usize,
    /// The replica set to manage if several use the same name.
    pub replica_set_id: Option<ObjectId>,
    /// The name server to use instead of the system's.
    pub dns: Option<SocketAddr>,
    /// TLS with the nodes. `None` is off.
    pub tls: Option<Tls>,
    /// The credential for the nodes.
    pub login: Login,
}

/// TLS with the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate authorities of the nodes' certificates.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its key.
    pub cert_key_file: Option<PathBuf>,
}

impl Nodes {
    pub(super) fn new(cli: cli::DiscoveryArgs, login: Login) -> Result<Self, Usage> {
        let tls = tls(&cli)?;
        if matches!(login, Login::Certificate) && tls.as_ref().is_none_or(|tls| tls.cert_key_file.is_none()) {
            return Err(Usage::conflict("--x509 needs --tls and --tls-cert-key-file (RSCTL_TLS_CERT_KEY_FILE)"));
        }
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
