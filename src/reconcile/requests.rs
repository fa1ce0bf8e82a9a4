//! The requests of an operator to the running controller. They are kept in memory, so a restart loses those that were
//! not begun. A removal that was begun is marked on the mongods themselves.

use super::switchovers::Switchovers;
use crate::admin::{AdminEndpoint, NotRemovable};
use crate::model::{
    AddressKind, DataId, Host, MEMBERS_MAX, Node, NodeState, Observed, PauseWord, Probe, RecoveryRequest,
    RemovalTarget, ReplConfig, RequestState, SwitchoverId, SwitchoverState,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

/// The maximum number of removals that are not done yet. While DNS fails, none is done, and the addresses of the members
/// can change.
pub(super) const REMOVALS_MAX: usize = 2 * MEMBERS_MAX;

/// A request to recover is dropped if it cannot be executed within this time, while the operator still watches.
const RECOVERY_VALID_FOR: Duration = Duration::from_secs(30);

/// The operator's requests, shared between the admin endpoint that receives them and the loop that executes them.
#[derive(Debug)]
pub struct AdminRequests {
    /// The last observation that an operator can have seen. A request is about what this observation shows.
    shown: Mutex<Arc<Observed>>,
    /// By address, with the data directory that was there when the request came, if it was known.
    removals: Mutex<BTreeMap<Host, Option<DataId>>>,
    readdress: Mutex<Option<AddressKind>>,
    pub(super) switchovers: Switchovers,
    recovery: Mutex<Option<Recovery>>,
    /// The newest word about a pause that this controller knows.
    pause: Mutex<Option<PauseWord>>,
    wake: Arc<Notify>,
}

/// The newest request to recover, and its state.
#[derive(Clone, Debug)]
struct Recovery {
    request: RecoveryRequest,
    received_at: Instant,
    request_state: RequestState,
}

impl AdminEndpoint for AdminRequests {
    fn remove(&self, host: &str) -> Result<(), NotRemovable> {
        let host: Host = host.parse().map_err(|_| NotRemovable::NoAddress)?;
        let directory = self.directory_at(&host)?;
        let mut removals = self.removals.lock().unwrap_or_else(PoisonError::into_inner);
        if removals.len() >= REMOVALS_MAX && !removals.contains_key(&host) {
            return Err(NotRemovable::TooMany);
        }
        removals.insert(host, directory);
        drop(removals);
        self.wake.notify_one();
        Ok(())
    }

    fn readdress(&self, kind: AddressKind) {
        *self.readdress.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
        self.wake.notify_one();
    }

    fn pause(&self, length: Duration, why: &str) {
        self.say(|before| PauseWord::pause(now_ms(), length, why, before));
    }

    fn resume(&self) {
        self.say(|before| PauseWord::resume(now_ms(), before));
    }

    fn switch_over(&self, from: &str, to: Option<&str>, only_asks: bool) -> Option<SwitchoverId> {
        let observed = Arc::clone(&self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        let from = observed.probe(&from.parse().ok()?).filter(|probe| probe.state == NodeState::Primary)?.process;
        let to = to.map(str::parse).transpose().ok()?;
        let id = self.switchovers.request(from, to, only_asks);
        self.wake.notify_one();
        Some(id)
    }

    fn switchover_state(&self, id: SwitchoverId) -> Option<SwitchoverState> {
        self.switchovers.state(id)
    }

    fn recover(&self, request: RecoveryRequest) {
        let recovery = Recovery { request, received_at: Instant::now(), request_state: RequestState::Pending };
        *self.recovery.lock().unwrap_or_else(PoisonError::into_inner) = Some(recovery);
        self.wake.notify_one();
    }

    fn request_state(&self, request: &RecoveryRequest) -> Option<RequestState> {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().filter(|r| r.request == *request).map(|r| r.request_state.clone())
    }
}

impl AdminRequests {
    /// Starts without requests. Every new request notifies `wake`.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self {
            shown: Mutex::default(),
            removals: Mutex::default(),
            readdress: Mutex::default(),
            switchovers: Switchovers::default(),
            recovery: Mutex::default(),
            pause: Mutex::default(),
            wake,
        }
    }

    /// Sets the observation that later requests are about.
    pub(super) fn show(&self, observed: &Arc<Observed>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(observed);
    }

    /// The data directory that a request with this address is about now, or `None` if it is not known. A request with a
    /// host name is about the node that has the name, whatever its directory.
    ///
    /// # Errors
    /// [`NotRemovable::EitherOfTwo`] if the address can mean two directories.
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

    /// The nodes to remove. A request by IP is about the directory that was at the IP when the request came, wherever
    /// that directory is now, because Docker gives the same IP to different tasks. A request is done when `concerns`
    /// returns false for the addresses that it is about.
    pub(super) fn removals(
        &self,
        observed: &Observed,
        concerns: impl Fn(&BTreeSet<Host>) -> bool,
    ) -> BTreeSet<RemovalTarget> {
        let mut removal_targets = BTreeSet::new();
        self.removals.lock().unwrap_or_else(PoisonError::into_inner).retain(|host, directory| {
            let is_it = |data: Option<DataId>| data.is_some() && data == *directory;
            let found = [observed.probe(host).and_then(|p| p.data), tagged(observed, host)];
            let still_there = host.name().is_some() || found.iter().all(|data| data.is_none() || is_it(*data));
            let mut hosts = hosts_of(observed, is_it);
            hosts.extend(still_there.then(|| host.clone()));
            let kept = concerns(&hosts);
            if directory.is_none() && !still_there && !kept {
                warn!(%host, "no member is removed: the node at this address was not known when the request came, and now a node answers there");
            }
            if kept {
                removal_targets.extend(still_there.then(|| RemovalTarget::At(host.clone())));
                removal_targets.extend(directory.map(RemovalTarget::Holding));
            }
            kept
        });
        removal_targets
    }

    /// The kind of address that the members are to have, until all have it.
    pub(super) fn to_readdress(&self) -> Option<AddressKind> {
        *self.readdress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends this request, if it is still the newest.
    pub(super) fn all_readdressed(&self, kind: AddressKind) {
        self.readdress.lock().unwrap_or_else(PoisonError::into_inner).take_if(|newest| *newest == kind);
    }

    fn say(&self, word: impl FnOnce(Option<&PauseWord>) -> PauseWord) {
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = Some(word(pause.as_ref()));
        drop(pause);
        self.wake.notify_one();
    }

    /// The newest word about a pause: what this controller was told or has seen, or what the nodes of the set keep. It
    /// remembers only what nodes of the set that it knows say. In the first observation it knows none.
    pub(super) fn newest_pause(&self, observed: &Observed) -> Option<PauseWord> {
        let set_of = |probe: &Probe| probe.config.as_ref().and_then(ReplConfig::replica_set_id);
        let ours = |probe: &&Probe| observed.known_set.is_none_or(|set| set_of(probe) == Some(set));
        let kept = observed.nodes.values().filter_map(Node::probe).filter(ours).filter_map(|probe| probe.pause.clone());
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = PauseWord::newest(kept.chain(pause.clone()), now_ms());
        if observed.known_set.is_some() {
            pause.clone_from(&newest);
        }
        newest
    }

    /// The request to recover that is still to be executed.
    pub(super) fn to_recover(&self) -> Option<RecoveryRequest> {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().filter(|r| r.request_state == RequestState::Pending).map(|r| r.request.clone())
    }

    /// Whether the request to recover has waited too long.
    pub(super) fn is_overdue(&self) -> bool {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().is_some_and(|r| r.received_at.elapsed() >= RECOVERY_VALID_FOR)
    }

    /// Records the state of this request, if it is still the newest.
    pub(super) fn record(&self, request: &RecoveryRequest, request_state: RequestState) {
        let mut recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recovery) = recovery.as_mut().filter(|r| r.request == *request) {
            recovery.request_state = request_state;
        }
    }
}

/// A pause outlives the controller, so its end is a time of the clock.
pub(super) fn now_ms() -> i64 {
    bson::DateTime::now().timestamp_millis()
}

/// The addresses at which a directory is, and the address that the newest config has for it.
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

/// Whether the newest config has this address for one member and this directory for another. The config has not yet
/// followed an exchange of addresses.
fn is_another(observed: &Observed, host: &Host, data: DataId) -> bool {
    newest(observed).is_some_and(|config| {
        let elsewhere = config.members().iter().any(|m| m.data == Some(data) && m.host != *host);
        elsewhere && config.member_at(host).is_some()
    })
}

fn newest(observed: &Observed) -> Option<&ReplConfig> {
    ReplConfig::newest(observed.nodes.values().filter_map(Node::probe).filter_map(|p| p.config.as_ref()))
}
