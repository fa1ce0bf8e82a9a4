//! What an operator asked of the running controller. Kept in memory: a restart forgets what was not begun. Whom to leave
//! out is then noted on the mongods themselves.

use crate::model::{Fate, RecoveryOrder};
use crate::publish::http::TakesOrders;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// An order to recover is followed within this time or not at all: its giver still looks on.
const RECOVERY_VALID_FOR: Duration = Duration::from_secs(30);

/// The operator's orders, shared between the door that takes them and the loop that follows them.
#[derive(Debug)]
pub struct Orders {
    forget: Mutex<BTreeSet<String>>,
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
    fn forget(&self, host: String) {
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).insert(host);
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

    /// Whom to leave out.
    pub(super) fn forgotten(&self) -> BTreeSet<String> {
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An order that has nobody left to be about is done.
    pub(super) fn keep_only(&self, concerned: impl Fn(&str) -> bool) {
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).retain(|host| concerned(host));
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
