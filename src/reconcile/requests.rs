//! What an operator asked of the running controller. Kept in memory: a restart loses what was not begun. Whom to leave
//! out is then noted on the mongods themselves.

use crate::admin::{AdminEndpoint, NotRemovable};
use crate::model::{DataId, Host, Node, Observed, RecoveryRequest, RemovalTarget, ReplConfig, RequestState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

/// A request to recover is followed within this time or not at all: its giver still looks on.
const RECOVERY_VALID_FOR: Duration = Duration::from_secs(30);

/// The operator's requests, shared between the endpoint that takes them and the loop that follows them.
#[derive(Debug)]
pub struct AdminRequests {
    /// What an operator can have seen: a request means what stood there.
    shown: Mutex<Arc<Observed>>,
    /// By address, with the directory there when the request was given, where it was known.
    removals: Mutex<BTreeMap<Host, Option<DataId>>>,
    recovery: Mutex<Option<Recovery>>,
    wake: Arc<Notify>,
}

/// The newest request to recover, and what became of it.
#[derive(Clone, Debug)]
struct Recovery {
    request: RecoveryRequest,
    given_at: Instant,
    request_state: RequestState,
}

impl AdminEndpoint for AdminRequests {
    fn remove(&self, host: &str) -> Result<(), NotRemovable> {
        let host: Host = host.parse().map_err(|_| NotRemovable::NoAddress)?;
        let directory = self.directory_at(&host)?;
        self.removals.lock().unwrap_or_else(PoisonError::into_inner).insert(host, directory);
        self.wake.notify_one();
        Ok(())
    }

    fn recover(&self, request: RecoveryRequest) {
        let recovery = Recovery { request, given_at: Instant::now(), request_state: RequestState::Pending };
        *self.recovery.lock().unwrap_or_else(PoisonError::into_inner) = Some(recovery);
        self.wake.notify_one();
    }

    fn request_state(&self, request: &RecoveryRequest) -> Option<RequestState> {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().filter(|r| r.request == *request).map(|r| r.request_state.clone())
    }
}

impl AdminRequests {
    /// No requests yet; a new one wakes the loop.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { shown: Mutex::default(), removals: Mutex::default(), recovery: Mutex::default(), wake }
    }

    /// From now on a request is about what this observation shows.
    pub(super) fn show(&self, observed: &Arc<Observed>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(observed);
    }

    /// The directory that a request with this address means now, where it is known. A name means whoever has it.
    ///
    /// # Errors
    /// When two could be meant.
    pub fn directory_at(&self, host: &Host) -> Result<Option<DataId>, NotRemovable> {
        if host.name().is_some() {
            return Ok(None);
        }
        let observed = Arc::clone(&self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        let (found, tagged) = (observed.probe(host).and_then(|p| p.data), tagged(&observed, host));
        match (found, tagged) {
            (Some(found), Some(tagged)) if found != tagged => Err(NotRemovable::EitherOfTwo),
            (Some(found), None) if is_another(&observed, host, found) => Err(NotRemovable::EitherOfTwo),
            _ => Ok(tagged.or(found)),
        }
    }

    /// Whom to leave out. A request by IP is about who had it when it was given, wherever that is now: IPs pass from
    /// task to task. One that `concerns` nobody any more is done.
    pub(super) fn removals(
        &self,
        observed: &Observed,
        concerns: impl Fn(&BTreeSet<Host>) -> bool,
    ) -> BTreeSet<RemovalTarget> {
        let mut removal_targets = BTreeSet::new();
        self.removals.lock().unwrap_or_else(PoisonError::into_inner).retain(|host, directory| {
            let its = |data: Option<DataId>| data.is_some() && data == *directory;
            let found = [observed.probe(host).and_then(|p| p.data), tagged(observed, host)];
            let there = host.name().is_some() || found.iter().all(|data| data.is_none() || its(*data));
            let mut hosts = hosts_of(observed, its);
            hosts.extend(there.then(|| host.clone()));
            let kept = concerns(&hosts);
            if directory.is_none() && !there && !kept {
                warn!(%host, "nobody is taken out: who was there when the request came was not known, and now somebody answers");
            }
            if kept {
                removal_targets.extend(there.then(|| RemovalTarget::At(host.clone())));
                removal_targets.extend(directory.map(RemovalTarget::Holding));
            }
            kept
        });
        removal_targets
    }

    /// The request that waits to be followed.
    pub(super) fn to_recover(&self) -> Option<RecoveryRequest> {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().filter(|r| r.request_state == RequestState::Pending).map(|r| r.request.clone())
    }

    /// The waiting request has had its time.
    pub(super) fn is_overdue(&self) -> bool {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().is_some_and(|r| r.given_at.elapsed() >= RECOVERY_VALID_FOR)
    }

    /// Notes what became of the request that this observation was about.
    pub(super) fn record(&self, request: &RecoveryRequest, request_state: RequestState) {
        let mut recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recovery) = recovery.as_mut().filter(|r| r.request == *request) {
            recovery.request_state = request_state;
        }
    }
}

/// Where a directory is, and where the newest config has it.
fn hosts_of(observed: &Observed, its: impl Fn(Option<DataId>) -> bool) -> BTreeSet<Host> {
    let holds = |node: &Node| its(node.probe().and_then(|p| p.data));
    let found = observed.nodes.iter().filter(|(_, node)| holds(node)).map(|(at, _)| at);
    let members = newest(observed).into_iter().flat_map(ReplConfig::members).filter(|m| its(m.data)).map(|m| &m.host);
    found.chain(members).cloned().collect()
}

/// The directory that the newest config has at this address.
fn tagged(observed: &Observed, host: &Host) -> Option<DataId> {
    newest(observed)?.member_at(host)?.data
}

/// The address is one member's in the newest config, and the directory another's: the config has not followed yet.
fn is_another(observed: &Observed, host: &Host, data: DataId) -> bool {
    newest(observed).is_some_and(|config| {
        let elsewhere = config.members().iter().any(|m| m.data == Some(data) && m.host != *host);
        elsewhere && config.member_at(host).is_some()
    })
}

fn newest(observed: &Observed) -> Option<&ReplConfig> {
    ReplConfig::newest(observed.nodes.values().filter_map(Node::probe).filter_map(|p| p.config.as_ref()))
}
