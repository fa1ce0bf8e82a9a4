//! The parts that the loop works with, built from settings: DNS, clients of the mongods, and the policy.

use crate::discovery::{DiscoveryError, SwarmDns};
use crate::model::{Policy, Token};
use crate::mongo::{Access, Account, Identity, Mongods, Names, Tls};
use crate::outcome::plain;
use crate::reconcile::{AdminRequests, EventLog, Loop, UserTroubles};
use crate::settings::{Behaviour, Login, Nodes};
use bson::oid::ObjectId;
use futures_util::FutureExt;
use std::sync::Arc;
use tokio::sync::Notify;

/// Everything that the loop works with.
pub(crate) struct Runtime {
    discovery: SwarmDns,
    admin: Mongods,
    policy: Policy,
    requests: Arc<AdminRequests>,
    users: UserTroubles,
    event_log: EventLog,
    wake: Arc<Notify>,
    interval: std::time::Duration,
}

impl Runtime {
    /// Builds the resolver and the clients. Connects to nothing.
    ///
    /// # Errors
    ///
    /// There is no name server to ask.
    pub(crate) fn new(nodes: &Nodes, behaviour: &Behaviour) -> Result<Self, DiscoveryError> {
        let discovery = SwarmDns::new(nodes.services.clone(), nodes.port, nodes.dns)?;
        let wake = Arc::new(Notify::new());
        let admin = Mongods::new(access(nodes, &discovery), Arc::clone(&wake));
        let requests = Arc::new(AdminRequests::new(Arc::clone(&wake)));
        let users = UserTroubles::new(Arc::clone(&wake));
        let policy = policy(nodes, behaviour);
        let event_log = EventLog::new(own_name());
        Ok(Self { discovery, admin, policy, requests, users, event_log, wake, interval: behaviour.interval })
    }

    pub(crate) fn mongods(&self) -> &Mongods {
        &self.admin
    }

    pub(crate) fn requests(&self) -> Arc<AdminRequests> {
        Arc::clone(&self.requests)
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn reconciler(&self) -> Loop<'_, SwarmDns, Mongods> {
        let Self { discovery, admin, policy, requests, users, event_log, wake, interval } = self;
        Loop { discovery, admin, policy, interval: *interval, requests, users, event_log, wake }
    }

    pub(crate) fn users(&self) -> &UserTroubles {
        &self.users
    }

    pub(crate) fn event_log(&self) -> &EventLog {
        &self.event_log
    }
}

/// The host name of this machine or container, by which people know this controller.
fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    plain(name.trim())
}

fn policy(nodes: &Nodes, behaviour: &Behaviour) -> Policy {
    Policy {
        set: nodes.replica_set.clone(),
        expect: nodes.expect,
        member_address: behaviour.member_address,
        replace_after: behaviour.replace_after,
        remove_after: behaviour.remove_after,
        failover_after: behaviour.failover_after,
        stable_for: behaviour.stable_for,
        recovery: behaviour.recovery,
        bootstrap: behaviour.bootstrap,
        replica_set_id: nodes.replica_set_id,
        token: Token(ObjectId::new().to_hex()),
    }
}

fn access(nodes: &Nodes, dns: &SwarmDns) -> Access {
    let tls = nodes.tls.as_ref().map(|tls| {
        let dns = dns.clone();
        let names = Names::by(move |name, ip| {
            let dns = dns.clone();
            async move { dns.leads_to(&name, ip).await }.boxed()
        });
        Tls::new(tls.ca_file.clone(), tls.cert_key_file.clone(), names)
    });
    let identity = match &nodes.login {
        Login::None => Identity::None,
        Login::Certificate => Identity::Certificate,
        Login::Keyfile(keyfile) => Identity::Account(Account::of_members(keyfile.clone())),
        Login::Password { username, password, auth_source } => {
            let (username, source, password) = (username.clone(), auth_source.clone(), password.clone());
            Identity::Account(Account { username, source, password, second: None })
        }
    };
    Access { identity, tls }
}
