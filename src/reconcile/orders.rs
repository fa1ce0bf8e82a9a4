//! What an operator asked of the running controller. Kept in memory: a restart forgets what was not begun. Whom to leave
//! out is then noted on the mongods themselves.

use crate::model::{DataId, Fate, Host, Leaver, Node, Observed, RecoveryOrder, ReplConfig};
use crate::publish::http::{NotForgotten, TakesOrders};
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
    /// What an operator can have seen: an order means what stood there.
    shown: Mutex<Arc<Observed>>,
    /// By address, with the directory there when the order was given, where it was known.
    forget: Mutex<BTreeMap<Host, Option<DataId>>>,
    recovery: Mutex<Option<Recovery>>,
    wake: Arc<Notify>,
}

/// The newest order to recover, and what became of it.
#[derive(Clone, Debug)]
struct Recovery {
    order: RecoveryOrder,
    given_at: Instant,
    fate: Fate,
}

impl TakesOrders for Orders {
    fn forget(&self, host: &str) -> Result<(), NotForgotten> {
        let host: Host = host.parse().map_err(|_| NotForgotten::NoAddress)?;
        let directory = self.directory_at(&host)?;
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).insert(host, directory);
        self.wake.notify_one();
        Ok(())
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
        Self { shown: Mutex::default(), forget: Mutex::default(), recovery: Mutex::default(), wake }
    }

    /// From now on an order is about what this look shows.
    pub(super) fn show(&self, look: &Arc<Observed>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(look);
    }

    /// The directory that an order with this address means now, where it is known. A name means whoever has it.
    ///
    /// # Errors
    /// When two could be meant.
    pub fn directory_at(&self, host: &Host) -> Result<Option<DataId>, NotForgotten> {
        if host.name().is_some() {
            return Ok(None);
        }
        let look = Arc::clone(&self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        let (found, tagged) = (look.probe(host).and_then(|p| p.data), tagged(&look, host));
        match (found, tagged) {
            (Some(found), Some(tagged)) if found != tagged => Err(NotForgotten::EitherOfTwo),
            (Some(found), None) if is_another(&look, host, found) => Err(NotForgotten::EitherOfTwo),
            _ => Ok(tagged.or(found)),
        }
    }

    /// Whom to leave out. An order by IP is about who had it when it was given, wherever that is now: IPs pass from
    /// task to task. One that `concerns` nobody any more is done.
    pub(super) fn forgotten(&self, look: &Observed, concerns: impl Fn(&BTreeSet<Host>) -> bool) -> BTreeSet<Leaver> {
        let mut leavers = BTreeSet::new();
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).retain(|host, directory| {
            let its = |data: Option<DataId>| data.is_some() && data == *directory;
            let found = [look.probe(host).and_then(|p| p.data), tagged(look, host)];
            let there = host.name().is_some() || found.iter().all(|data| data.is_none() || its(*data));
            let mut hosts = hosts_of(look, its);
            hosts.extend(there.then(|| host.clone()));
            let kept = concerns(&hosts);
            if directory.is_none() && !there && !kept {
                warn!(%host, "nobody is taken out: who was there when the order came was not known, and now somebody answers");
            }
            if kept {
                leavers.extend(there.then(|| Leaver::At(host.clone())));
                leavers.extend(directory.map(Leaver::Holding));
            }
            kept
        });
        leavers
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

/// Where a directory is, and where the newest config has it.
fn hosts_of(look: &Observed, its: impl Fn(Option<DataId>) -> bool) -> BTreeSet<Host> {
    let holds = |node: &Node| its(node.probe().and_then(|p| p.data));
    let found = look.nodes.iter().filter(|(_, node)| holds(node)).map(|(at, _)| at);
    let members = newest(look).into_iter().flat_map(ReplConfig::members).filter(|m| its(m.data)).map(|m| &m.host);
    found.chain(members).cloned().collect()
}

/// The directory that the newest config has at this address.
fn tagged(look: &Observed, host: &Host) -> Option<DataId> {
    newest(look)?.member_at(host)?.data
}

/// The address is one member's in the newest config, and the directory another's: the config has not followed yet.
fn is_another(look: &Observed, host: &Host, data: DataId) -> bool {
    newest(look).is_some_and(|config| {
        let elsewhere = config.members().iter().any(|m| m.data == Some(data) && m.host != *host);
        elsewhere && config.member_at(host).is_some()
    })
}

fn newest(look: &Observed) -> Option<&ReplConfig> {
    ReplConfig::newest(look.nodes.values().filter_map(Node::probe).filter_map(|p| p.config.as_ref()))
}
