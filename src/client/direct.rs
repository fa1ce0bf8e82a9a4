//! One observation without a controller, from DNS and the nodes. It changes nothing.

use crate::discovery::DiscoveryError;
use crate::model::{Host, Node, NodeState, Observed, ProbeError};
use crate::mongo::Told;
use crate::publish::{FindingLevel, FindingStatus, Health, HistoryStatus, Status, last, summarize};
use crate::runtime::Runtime;
use crate::settings::{Behaviour, Login, Nodes};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// Why no observation is possible.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObserveError {
    /// There is no name server to ask.
    #[error("no tasks can be looked up")]
    Discovery(#[source] DiscoveryError),
}

/// How much to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What applications need. They may ask often.
    Essential,
    /// What people look at, too.
    All,
}

/// Observes the replica set once.
pub(crate) async fn observe(nodes: &Nodes, detail: Detail) -> Result<Status, ObserveError> {
    let runtime = Runtime::new(nodes, &Behaviour::default()).map_err(ObserveError::Discovery)?;
    let (mut observed, plan) = runtime.reconciler().once().await;
    if detail == Detail::All {
        ask_aside(&mut observed, &runtime).await;
    }
    let mut status = summarize(&observed, &plan, runtime.policy());
    status.history = last(&runtime.event_log().history(&observed));
    status.name_nodes(&nodes.services);
    if status.seeds.is_empty() {
        Ok(with_public_view(status, &observed, &runtime, &nodes.login).await)
    } else {
        Ok(status)
    }
}

/// The history that the members keep.
pub(crate) async fn history(nodes: &Nodes) -> Result<HistoryStatus, ObserveError> {
    let runtime = Runtime::new(nodes, &Behaviour::default()).map_err(ObserveError::Discovery)?;
    let (mut observed, _) = runtime.reconciler().once().await;
    ask_aside(&mut observed, &runtime).await;
    Ok(HistoryStatus::from(&*runtime.event_log().history(&observed)))
}

/// Adds what a controller would ask beside its observations.
async fn ask_aside(observed: &mut Observed, runtime: &Runtime) {
    let has_an_oplog = |node: &&Node| {
        node.probe().is_some_and(|probe| matches!(probe.state, NodeState::Primary | NodeState::Secondary))
    };
    let at: BTreeSet<SocketAddr> = observed.nodes.values().filter(has_an_oplog).filter_map(|node| node.at).collect();
    let asking = at.into_iter().map(|at| async move { (at, runtime.mongods().ask_aside(at).await) });
    let told: BTreeMap<SocketAddr, Told> = join_all(asking).await.into_iter().collect();
    for node in observed.nodes.values_mut() {
        let told = node.at.and_then(|at| told.get(&at));
        if let (Some(Told { oplog, history }), Ok(probe)) = (told, &mut node.answer) {
            let probe = Arc::make_mut(probe);
            (probe.oplog, probe.history) = (*oplog, history.clone());
        }
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
        let text = "the mongods tell more only after a login, and none is given: give --keyfile, --x509 or --username"
            .to_owned();
        status.findings = vec![FindingStatus { severity: FindingLevel::Warning, text }];
    }
    status
}
