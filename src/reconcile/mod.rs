//! The loop: observe → plan → execute → pause. One task, one step a look.
//!
//! **Invariant:** nothing that is observed makes the loop end; only `shutdown` does.

mod execute;
mod journal;
mod memory;
mod observe;
mod pace;
#[cfg(test)]
mod tests;

use crate::discovery::Discovery;
use crate::model::{Observed, Policy, ReplConfig, TaskList};
use crate::mongo::Admin;
use crate::plan::{Plan, Step, plan};
use journal::Journal;
use observe::Observer;
use pace::Pace;
use std::future::Future;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// How often DNS is asked while nothing else is going on.
const DNS_POLL: Duration = Duration::from_millis(500);

/// Everything the loop works with.
pub struct Loop<'p, D, A> {
    /// Where tasks come from.
    pub discovery: &'p D,
    /// The door to mongods.
    pub admin: &'p A,
    /// What the operator wants.
    pub policy: &'p Policy,
    /// A look at least this often.
    pub interval: Duration,
    /// Notified when a mongod's state or connection changes.
    pub wake: &'p Notify,
}

impl<D: Discovery, A: Admin> Loop<'_, D, A> {
    /// Runs until `shutdown`; a step that has begun is finished first. Every plan goes to `report`.
    pub async fn run(&self, mut report: impl FnMut(&Observed, &Plan), shutdown: impl Future<Output = ()>) {
        let mut observer = Observer::new(self.discovery, self.admin, self.policy.member_address, self.interval);
        let mut pace = Pace::new(self.interval);
        let mut journal = Journal::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // Both choices are biased so that the simulation can live through a seed twice.
            let look = tokio::select! {
                biased;
                look = observer.look() => look,
                () = &mut shutdown => return,
            };
            let plan = plan(&look, self.policy);
            if let Some(set) = plan.config.as_ref().and_then(ReplConfig::replica_set_id) {
                observer.memory.settled_on(set);
            }
            journal.planned(&plan);
            report(&look, &plan);
            if plan.next != Step::Wait {
                self.act(&look, &plan, &mut observer, &mut journal).await;
                continue;
            }
            let pause = pace.pause(&plan);
            let paused_at = Instant::now();
            tokio::select! {
                biased;
                () = self.wake.notified() => sleep(pace.news(paused_at.elapsed())).await,
                () = sleep(pause) => {}
                () = self.dns_changes(&look.tasks) => {}
                () = &mut shutdown => return,
            }
        }
    }

    /// One look and what would be done, changing nothing.
    pub async fn once(&self) -> (Observed, Plan) {
        let look = Observer::new(self.discovery, self.admin, self.policy.member_address, self.interval).look().await;
        let plan = plan(&look, self.policy);
        (look, plan)
    }

    async fn act(&self, look: &Observed, plan: &Plan, observer: &mut Observer<'_, D, A>, journal: &mut Journal) {
        journal.starting(plan);
        let started = Instant::now();
        let outcome = execute::execute(self.admin, look, &plan.next).await;
        let subjects = plan.next.subjects();
        match outcome {
            Ok(()) => {
                journal.done(&plan.next, started.elapsed());
                observer.memory.worked(&subjects);
                if matches!(plan.next, Step::Recover { .. }) {
                    observer.memory.recovered(Instant::now());
                }
                if let Step::Fsync { on } = &plan.next
                    && let Some(probe) = look.probe(on)
                {
                    observer.memory.fsynced(probe.process);
                }
            }
            Err(error) => {
                let wait = |times| pace::retry_after(&plan.next, times);
                let times = observer.memory.refused(subjects, error.to_string(), Instant::now(), wait);
                journal.failed(&plan.next, &error, times);
            }
        }
    }

    async fn dns_changes(&self, seen: &TaskList) {
        loop {
            sleep(DNS_POLL).await;
            if self.discovery.tasks().await != *seen {
                return;
            }
        }
    }
}
