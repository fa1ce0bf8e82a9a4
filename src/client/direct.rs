//! One observation without a controller, from DNS and the nodes. It changes nothing.

use crate::discovery::DiscoveryError;
use crate::model::{Host, Observed, ProbeError};
use crate::publish::{FindingLevel, FindingStatus, Health, Status, summarize};
use crate::runtime::Runtime;
use crate::settings::{Behaviour, Login, Nodes};
use futures_util::future::join_all;
use std::collections::BTreeSet;

/// Why no observation is possible.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObserveError {
    /// There is no name server to ask.
    #[error("no tasks can be looked up")]
    Discovery(#[source] DiscoveryError),
}

/// Observes the replica set once.
pub(crate) async fn observe(nodes: &Nodes) -> Result<Status, ObserveError> {
    let runtime = Runtime::new(nodes, &Behaviour::default()).map_err(ObserveError::Discovery)?;
    let (observed, plan) = runtime.reconciler().once().await;
    let status = summarize(&observed, &plan, runtime.policy());
    if status.seeds.is_empty() {
        Ok(with_public_view(status, &observed, &runtime, &nodes.login).await)
    } else {
        Ok(status)
    }
}

/// Completes a status whose nodes refuse the login. An application has no credential of the members, and it needs none,
/// because the command `hello` needs no login.
async fn with_public_view(mut status: Status, observed: &Observed, runtime: &Runtime, login: &Login) -> Status {
    let locked =
        observed.nodes.values().filter(|node| matches!(node.answer, Err(ProbeError::Login(_) | ProbeError::Denied(_))));
    let views = join_all(locked.filter_map(|node| node.at).map(|at| runtime.mongods().hello(at))).await;
    let ours = views.into_iter().flatten().filter(|view| view.set.as_ref() == Some(&runtime.policy().set));
    // The view of a node that knows the primary is the newest.
    let Some(view) = ours.max_by_key(|view| (view.primary.is_some(), view.hosts.len())) else { return status };
    let leads = |host: &Host| !observed.tasks.leads_nowhere(host);
    let hosts: BTreeSet<Host> = view.hosts.into_iter().filter(leads).collect();
    status.seeds = hosts.iter().map(Host::to_string).collect();
    status.primary = view.primary.as_ref().map(Host::to_string);
    status.health = if status.primary.is_some() { Health::Degraded } else { Health::NoPrimary };
    status.others.clear();
    // What follows from nodes without an answer is no help: they answer, to those who log in.
    status.waiting.clear();
    status.steps.clear();
    (status.next, status.because, status.recovery) = ("nothing".to_owned(), "only a login shows more".to_owned(), None);
    if matches!(login, Login::None) {
        let text =
            "the mongods tell more only after a login, and none is given: give --keyfile or --username".to_owned();
        status.findings = vec![FindingStatus { severity: FindingLevel::Warning, text }];
    }
    status
}
