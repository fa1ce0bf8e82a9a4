//! The newest request of an operator for another primary, and what became of it.

use crate::model::{Host, ProcessId, SwitchoverId, SwitchoverRequest, SwitchoverState};
use crate::plan::{NoSuccessor, Plan, outranked_by};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A request is dropped if it cannot be executed within this time, while the operator still watches.
const VALID_FOR: Duration = Duration::from_secs(30);

/// The newest request. A newer one replaces it, done or not.
#[derive(Debug, Default)]
pub(super) struct Switchovers(Mutex<Option<Newest>>);

#[derive(Debug)]
struct Newest {
    id: SwitchoverId,
    from: ProcessId,
    to: Option<Host>,
    only_asks: bool,
    received_at: Instant,
    /// When the next primary was told to stand for election, the last time.
    ordered_at: Option<Instant>,
    state: SwitchoverState,
}

impl Newest {
    fn is_pending(&self) -> bool {
        self.state == SwitchoverState::Pending
    }
}

impl Switchovers {
    /// Takes a request against the primary `from`. With `only_asks` nothing is changed. A controller that was restarted
    /// does not give the same number again.
    pub(super) fn request(&self, from: ProcessId, to: Option<Host>, only_asks: bool) -> SwitchoverId {
        let id = SwitchoverId(RandomState::new().hash_one(0u8));
        let (received_at, ordered_at, state) = (Instant::now(), None, SwitchoverState::Pending);
        *self.newest() = Some(Newest { id, from, to, only_asks, received_at, ordered_at, state });
        id
    }

    /// The state of this request. `None` if it is not the newest.
    pub(super) fn state(&self, id: SwitchoverId) -> Option<SwitchoverState> {
        self.newest().as_ref().filter(|newest| newest.id == id).map(|newest| newest.state.clone())
    }

    /// The request that the planner is to execute.
    pub(super) fn to_execute(&self) -> Option<SwitchoverRequest> {
        let newest = self.newest();
        let newest = newest.as_ref().filter(|newest| newest.is_pending() && !newest.only_asks)?;
        Some(SwitchoverRequest { from: newest.from, to: newest.to.clone(), age: newest.received_at.elapsed() })
    }

    /// Records that a member is told to stand for election now.
    pub(super) fn ordered(&self) {
        if let Some(newest) = self.newest().as_mut().filter(|newest| newest.is_pending()) {
            newest.ordered_at = Some(Instant::now());
        }
    }

    /// Records what an observation shows: the process that leads, and by `successor` who could take over from it.
    pub(super) fn judge(
        &self,
        plan: &Plan,
        leads: Option<ProcessId>,
        successor: impl FnOnce(Option<&Host>) -> Result<Host, NoSuccessor>,
    ) {
        let mut newest = self.newest();
        let Some(newest) = newest.as_mut().filter(|newest| newest.is_pending()) else { return };
        let outranking = |host: &Host| plan.config.as_ref().and_then(|config| outranked_by(config, host)).cloned();
        let overdue = |newest: &Newest| {
            let waiting: Vec<_> = plan.waiting.iter().map(ToString::to_string).collect();
            let late = newest.received_at.elapsed() >= VALID_FOR;
            late.then(|| SwitchoverState::Dropped(format!("it could not be done in time: {}", waiting.join("; "))))
        };
        let is_wanted = |primary: &Host| newest.to.as_ref().is_none_or(|to| to == primary);
        let state = match (leads, &plan.primary) {
            // Another one than the wanted one was elected: it must give way too.
            (Some(process), Some(primary)) if process != newest.from && !is_wanted(primary) => {
                newest.from = process;
                overdue(newest)
            }
            (Some(process), Some(primary)) if process != newest.from => Some(SwitchoverState::Done {
                primary: primary.clone(),
                within: newest.ordered_at.map(|at| at.elapsed()),
                outranked_by: outranking(primary),
            }),
            (Some(_), Some(_)) => match successor(newest.to.as_ref()) {
                Err(why) => Some(SwitchoverState::Refused(why.to_string())),
                Ok(to) if newest.only_asks => Some(SwitchoverState::Possible { outranked_by: outranking(&to), to }),
                Ok(_) => overdue(newest),
            },
            _ => overdue(newest),
        };
        newest.state = state.unwrap_or(SwitchoverState::Pending);
    }

    fn newest(&self) -> MutexGuard<'_, Option<Newest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
