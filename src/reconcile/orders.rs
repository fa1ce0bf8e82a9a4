//! What an operator asked of the running controller. Kept in memory: a restart forgets what was not begun. Whom to leave
//! out is then noted on the mongods themselves.

use crate::model::{DataId, Fate, Host, Node, Observed, RecoveryOrder, ReplConfig};
use crate::publish::http::TakesOrders;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

/// An order to recover is followed within this time or not at all: its giver still looks on.
const RECOVERY_VALID_FOR: Duration = Duration::from_secs(30);

/// The operator's orders, shared between the door that takes them and the loop that follows them.
#[derive(Debug)]
pub struct Orders {
    /// By address, as it was told.
    forget: Mutex<BTreeMap<String, Leaver>>,
    recovery: Mutex<Option<Recovery>>,
    wake: Arc<Notify>,
}

/// Whom to leave out.
#[derive(Clone, Copy, Debug, Default)]
struct Leaver {
    /// A look has begun since the order was given. What an older one shows may be another node than the one meant.
    looked_for: bool,
    /// The directory there, as soon as it is known.
    directory: Option<DataId>,
}

/// The newest order to recover, and what became of it.
#[derive(Clone, Debug)]
struct Recovery {
    order: RecoveryOrder,
    given_at: Instant,
    fate: Fate,
}

impl TakesOrders for Orders {
    fn forget(&self, host: String) {
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).insert(host, Leaver::default());
        self.wake.notify_one();
    }

    fn recover(&self, order: RecoveryOrder) {
        let recovery = Recovery { order, given_at: Instant::now(), fate: Fate::Pending };
        *self.recovery.lock().unwrap_or_else(PoisonError::into_inner) = Some(recovery);
        self.wake.notify_one();
    }

    fn fate(&self, order: &RecoveryOrder) -> Option<Fate> {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().filter(|r| r.order == *order).map(|r| r.fate.clone())
    }
}

impl Orders {
    /// No orders yet; a new one wakes the loop.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { forget: Mutex::default(), recovery: Mutex::default(), wake }
    }

    /// The orders that are here by now can be followed by what this look shows.
    pub(super) fn look_begins(&self) {
        let mut forget = self.forget.lock().unwrap_or_else(PoisonError::into_inner);
        forget.values_mut().for_each(|leaver| leaver.looked_for = true);
    }

    /// Where those are whom to leave out. An order is about the node that had the address when it was given: IPs pass from
    /// task to task, so there it follows the directory. One that `concerns` nobody any more is done.
    pub(super) fn forgotten(&self, look: &Observed, concerns: impl Fn(&BTreeSet<Host>) -> bool) -> BTreeSet<Host> {
        let mut forgotten = BTreeSet::new();
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).retain(|text, leaver| {
            let Ok(host) = text.parse::<Host>() else { return false };
            if !leaver.looked_for {
                return true;
            }
            let found = look.probe(&host).and_then(|p| p.data);
            if leaver.directory.is_none() && found.is_some_and(|data| is_another(look, &host, data)) {
                warn!(%host, "nobody is taken out: another member's data answers at this address; ask again when it is settled");
                return false;
            }
            let directory = leaver.directory.or(found).or_else(|| tagged(look, &host));
            leaver.directory = directory;
            let holds = |node: &Node| directory.is_some() && node.probe().is_some_and(|p| p.data == directory);
            let mut hosts = BTreeSet::new();
            if host.name().is_none() {
                hosts.extend(look.nodes.iter().filter(|(_, node)| holds(node)).map(|(at, _)| at.clone()));
            }
            if host.name().is_some() || found.is_none() || found == directory {
                hosts.insert(host);
            }
            let kept = concerns(&hosts);
            forgotten.extend(hosts);
            kept
        });
        forgotten
    }

    /// The order that waits to be followed.
    pub(super) fn to_recover(&self) -> Option<RecoveryOrder> {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().filter(|r| r.fate == Fate::Pending).map(|r| r.order.clone())
    }

    /// The waiting order has had its time.
    pub(super) fn is_overdue(&self) -> bool {
        let recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.as_ref().is_some_and(|r| r.given_at.elapsed() >= RECOVERY_VALID_FOR)
    }

    /// Notes what became of the order that this look was about.
    pub(super) fn settle(&self, order: &RecoveryOrder, fate: Fate) {
        let mut recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recovery) = recovery.as_mut().filter(|r| r.order == *order) {
            recovery.fate = fate;
        }
    }
}

/// The directory that the newest config has at this address.
fn tagged(look: &Observed, host: &Host) -> Option<DataId> {
    newest(look)?.member_at(host)?.data
}

/// The address is one member's in the newest config, and the directory another's. Nobody can tell which of them was
/// meant: the one may have come there since the order was given, or the config may not have followed it yet.
fn is_another(look: &Observed, host: &Host, data: DataId) -> bool {
    newest(look).is_some_and(|config| {
        let elsewhere = config.members().iter().any(|m| m.data == Some(data) && m.host != *host);
        elsewhere && config.member_at(host).is_some()
    })
}

fn newest(look: &Observed) -> Option<&ReplConfig> {
    ReplConfig::newest(look.nodes.values().filter_map(Node::probe).filter_map(|p| p.config.as_ref()))
}
