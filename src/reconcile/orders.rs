//! What an operator asked of the running controller. Kept in memory only: a restart forgets it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The operator's orders, shared between the door that takes them and the loop that follows them.
#[derive(Debug)]
pub struct Orders {
    forget: Mutex<BTreeSet<String>>,
    wake: Arc<Notify>,
}

impl Orders {
    /// No orders yet; a new one wakes the loop.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { forget: Mutex::default(), wake }
    }

    /// Take this member out of the set, and leave it out while its task runs.
    pub fn forget(&self, host: String) {
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).insert(host);
        self.wake.notify_one();
    }

    /// Whom to leave out.
    pub(super) fn forgotten(&self) -> BTreeSet<String> {
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An order that has nobody left to be about is done.
    pub(super) fn keep_only(&self, concerned: impl Fn(&str) -> bool) {
        self.forget.lock().unwrap_or_else(PoisonError::into_inner).retain(|host| concerned(host));
    }
}
