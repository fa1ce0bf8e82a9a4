//! From settings to the real runtime: DNS, mongods, and what the planner wants to know.

use crate::discovery::{DiscoveryError, SwarmDns};
use crate::model::{Policy, Token};
use crate::mongo::{Access, Mongods};
use crate::reconcile::{AdminRequests, Loop};
use crate::settings::{Login, Run};
use bson::oid::ObjectId;
use mongodb::options::{AuthMechanism, Credential, Tls, TlsOptions};
use std::sync::Arc;
use tokio::sync::Notify;

/// The outside world as the loop sees it.
pub(crate) struct Runtime {
    discovery: SwarmDns,
    admin: Mongods,
    policy: Policy,
    requests: Arc<AdminRequests>,
    wake: Arc<Notify>,
    interval: std::time::Duration,
}

impl Runtime {
    pub(crate) fn new(settings: &Run) -> Result<Self, DiscoveryError> {
        let discovery = SwarmDns::new(settings.nodes.services.clone(), settings.nodes.port, settings.nodes.dns)?;
        let wake = Arc::new(Notify::new());
        let admin = Mongods::new(access(settings), Arc::clone(&wake));
        let requests = Arc::new(AdminRequests::new(Arc::clone(&wake)));
        Ok(Self { discovery, admin, policy: policy(settings), requests, wake, interval: settings.interval })
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
        let Self { discovery, admin, policy, requests, wake, interval } = self;
        Loop { discovery, admin, policy, interval: *interval, requests, wake }
    }
}

fn policy(settings: &Run) -> Policy {
    Policy {
        set: settings.nodes.replica_set.clone(),
        expect: settings.nodes.expect,
        member_address: settings.member_address,
        replace_after: settings.replace_after,
        remove_after: settings.remove_after,
        stable_for: settings.stable_for,
        recovery: settings.recovery,
        bootstrap: settings.bootstrap,
        replica_set_id: settings.nodes.replica_set_id,
        token: Token(ObjectId::new().to_hex()),
    }
}

fn access(settings: &Run) -> Access {
    let tls = settings.nodes.tls.as_ref().map(|tls| {
        let mut options = TlsOptions::default();
        options.ca_file_path.clone_from(&tls.ca_file);
        options.cert_key_file_path.clone_from(&tls.cert_key_file);
        Tls::Enabled(options)
    });
    Access { credential: credential(&settings.login), tls }
}

fn credential(login: &Login) -> Option<Credential> {
    let mut credential = Credential::default();
    credential.mechanism = Some(AuthMechanism::ScramSha256);
    match login {
        Login::None => return None,
        Login::Keyfile(key) => {
            // The identity of the members themselves: valid in every state, before the first initiate too.
            credential.username = Some("__system".to_owned());
            credential.source = Some("local".to_owned());
            credential.password = Some(key.expose().to_owned());
        }
        Login::Password { username, password, auth_source } => {
            credential.mechanism = None;
            credential.username = Some(username.clone());
            credential.source = Some(auth_source.clone());
            credential.password = Some(password.expose().to_owned());
        }
    }
    Some(credential)
}
