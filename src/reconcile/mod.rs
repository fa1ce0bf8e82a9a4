//! The loop: observe → plan → execute → pause. One task, one step a look.
//!
//! **Invariant:** nothing that is observed makes the loop end; only `shutdown` does.

mod execute;
mod journal;
mod memory;
mod observe;
mod orders;
mod pace;
#[cfg(test)]
mod tests;

use crate::discovery::Discovery;
use crate::model::{
    Fate, Host, Naming, Node, NodeState, Observed, Policy, ProbeError, RecoveryOrder, ReplConfig, TaskList,
};
use crate::mongo::Admin;
use crate::plan::{ANY_RECONFIG, Plan, Step, Verdict, evidence, plan};
use execute::StepError;
use futures_util::future::join_all;
use journal::Journal;
use observe::Observer;
pub use orders::Orders;
use pace::Pace;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// How often DNS is asked for the tasks while all is calm, or has been waited for in vain: asked twice as often, it would
/// be the most that an idle controller spends (measured),
const DNS_POLL: Duration = Duration::from_secs(1);
/// and while something is waited for, which may well be a task.
const DNS_POLL_UNSETTLED: Duration = Duration::from_millis(100);

/// How soon, and how often, a primary is asked whether it has the config that it was just given.
const PEEK: Duration = Duration::from_millis(10);
const PEEK_LIMIT: Duration = Duration::from_millis(250);

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
    /// What an operator asked for.
    pub orders: &'p Orders,
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
                look = self.look(&mut observer) => Arc::new(look),
                () = &mut shutdown => return,
            };
            self.orders.show(&look);
            let plan = plan(&look, self.policy);
            self.judge_order(&look, &plan);
            if let Some(set) = plan.config.as_ref().and_then(ReplConfig::replica_set_id) {
                observer.memory.settled_on(set);
            }
            journal.planned(&plan);
            report(&look, &plan);
            if plan.next != Step::Wait {
                self.act(&look, &plan, &mut observer, &mut journal, &mut report).await;
                continue;
            }
            let pause = pace.pause(&plan);
            let dns_poll = if pace.is_hopeful() { DNS_POLL_UNSETTLED } else { DNS_POLL };
            let paused_at = Instant::now();
            tokio::select! {
                biased;
                () = self.wake.notified() => sleep(pace.news(paused_at.elapsed())).await,
                () = sleep(pause) => {}
                () = self.dns_changes(&look.tasks, dns_poll) => {}
                () = self.a_door_opens(&look) => {}
                () = &mut shutdown => return,
            }
        }
    }

    /// Looks and acts until somebody takes writes or `enough` says so. What comes after that is a controller's to do.
    /// Returns what is known at the end.
    pub async fn until_writable(&self, mut enough: impl FnMut(&Observed, &Plan) -> bool) -> (Observed, Plan) {
        let mut observer = Observer::new(self.discovery, self.admin, self.policy.member_address, self.interval);
        let mut pace = Pace::new(self.interval);
        let mut journal = Journal::new();
        loop {
            let look = self.look(&mut observer).await;
            let plan = plan(&look, self.policy);
            self.judge_order(&look, &plan);
            journal.planned(&plan);
            if enough(&look, &plan) || plan.primary.is_some() {
                return (look, plan);
            }
            if plan.next != Step::Wait {
                self.act(&look, &plan, &mut observer, &mut journal, &mut |_, _| {}).await;
                continue;
            }
            let pause = pace.pause(&plan);
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One look and what would be done, changing nothing.
    pub async fn once(&self) -> (Observed, Plan) {
        let look = Observer::new(self.discovery, self.admin, self.policy.member_address, self.interval).look().await;
        let plan = plan(&look, self.policy);
        (look, plan)
    }

    async fn act(
        &self,
        look: &Observed,
        plan: &Plan,
        observer: &mut Observer<'_, D, A>,
        journal: &mut Journal,
        report: &mut impl FnMut(&Observed, &Plan),
    ) {
        journal.starting(plan);
        let started = Instant::now();
        // Whether it fails or not: a second try takes a second order.
        let forces = matches!(plan.next, Step::Recover { .. } | Step::AcceptLoss { .. });
        let order = look.order.as_ref().filter(|_| forces);
        self.settle_order(order, Fate::Begun);
        let mut doing = std::pin::pin!(execute::execute(self.admin, look, &plan.next));
        let outcome = tokio::select! {
            biased;
            outcome = &mut doing => outcome,
            (seen, plan) = self.in_force(look, plan) => {
                report(&seen, &plan);
                doing.await
            }
        };
        self.settle_order(order, outcome.as_ref().map_or_else(|e| Fate::Dropped(e.to_string()), |()| Fate::Done));
        match outcome {
            Ok(()) => {
                journal.done(&plan.next, started.elapsed());
                observer.memory.did(&plan.next, look, Instant::now());
            }
            Err(error) => {
                let wait = |times| pace::retry_after(&plan.next, times);
                let subjects = blamed(&plan.next, &error, observer.memory.failures(ANY_RECONFIG));
                let times = observer.memory.refused(subjects, error.to_string(), Instant::now(), wait);
                journal.failed(&plan.next, &error, times);
            }
        }
    }

    /// A new config is in force as soon as the primary has it, but the server answers only when a majority does, a
    /// heartbeat later. What applications start with need not wait for that.
    async fn in_force(&self, look: &Observed, plan: &Plan) -> (Observed, Plan) {
        let Step::Reconfig { on, base, .. } = &plan.next else { return std::future::pending().await };
        let Some(node) = look.node(on) else { return std::future::pending().await };
        let Some(at) = node.at else { return std::future::pending().await };
        loop {
            sleep(PEEK).await;
            let Ok(probe) = self.admin.probe(at, PEEK_LIMIT).await else { continue };
            if let Some(config) = probe.config.clone().filter(|config| config.is_newer_than(base)) {
                let mut seen = look.clone();
                seen.nodes.insert(on.clone(), Node { answer: Ok(Arc::new(probe)), ..node.clone() });
                return (seen, Plan { config: Some(config), ..plan.clone() });
            }
        }
    }

    /// A task that refused connections in this look takes them now.
    async fn a_door_opens(&self, look: &Observed) {
        let shut = |node: &Node| matches!(node.answer, Err(ProbeError::Refused));
        let shut: Vec<_> = look.nodes.values().filter(|node| shut(node)).filter_map(|node| node.at).collect();
        if shut.is_empty() {
            return std::future::pending().await;
        }
        for wait in pace::knocks() {
            sleep(wait).await;
            if join_all(shut.iter().map(|at| self.admin.listens(*at))).await.contains(&true) {
                return;
            }
        }
    }

    /// One look, with the orders that it can be followed by.
    async fn look(&self, observer: &mut Observer<'_, D, A>) -> Observed {
        let mut look = observer.look().await;
        self.take_orders(&mut look);
        look
    }

    /// Orders are about nodes in sight; one that nobody lists or configures any more is done. So is one that stands on
    /// the node itself, once it is out: it is the same for every controller then.
    fn take_orders(&self, look: &mut Observed) {
        let members = look.nodes.values().filter_map(Node::probe).filter_map(|p| p.config.as_ref());
        let hosts: Vec<Host> = members.flat_map(ReplConfig::members).map(|m| m.host.clone()).collect();
        let in_sight = |host: &Host| hosts.contains(host) || look.node(host).is_some_and(|node| node.listed);
        let unsure = !look.tasks.is_good() || hosts.is_empty();
        let due = |host: &Host| in_sight(host) && !is_out(look, host);
        let forget = self.orders.forgotten(look, |concerned| unsure || concerned.iter().any(due));
        (look.order, look.forget) = (self.orders.to_recover(), forget);
    }

    fn settle_order(&self, order: Option<&RecoveryOrder>, fate: Fate) {
        if let Some(order) = order {
            self.orders.settle(order, fate);
        }
    }

    /// An order that can no longer be followed as it was meant is dropped, with the reason.
    fn judge_order(&self, look: &Observed, plan: &Plan) {
        let Some(order) = &look.order else { return };
        let now = evidence(look, self.policy);
        let waiting = || plan.waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let fate = match now.verdict {
            Verdict::Primary(_) | Verdict::Electing => Fate::Done,
            _ if now.id() != order.evidence => Fate::Dropped("the evidence is no longer what was shown".to_owned()),
            _ if self.orders.is_overdue() => Fate::Dropped(format!("it could not be done in time: {}", waiting())),
            _ => return,
        };
        self.orders.settle(order, fate);
    }

    async fn dns_changes(&self, seen: &TaskList, poll: Duration) {
        loop {
            sleep(poll).await;
            if self.discovery.differ(seen).await {
                return;
            }
        }
    }
}

/// A primary's config does not name the host, and the mongod there knows why.
fn is_out(look: &Observed, host: &Host) -> bool {
    let told = |(at, node): (&Host, &Node)| {
        let there = at == host || matches!(&node.naming, Naming::Stable(name) if name == host);
        there && node.probe().is_some_and(|p| p.leaves)
    };
    let primaries = || look.nodes.values().filter_map(Node::probe).filter(|p| p.state == NodeState::Primary);
    let mut configs = primaries().filter_map(|p| p.config.as_ref());
    look.nodes.iter().any(told) && primaries().count() > 0 && configs.all(|c| c.member_at(host).is_none())
}

/// What a failure is remembered under. A reconfig that somebody else overtook was not refused for what it changes; 103
/// may mean either, so it counts against the change only when it comes again.
fn blamed(step: &Step, error: &StepError, overtaken: u32) -> Vec<String> {
    let race = error.is_lost_race() || (error.is_incompatible() && overtaken < 2);
    if matches!(step, Step::Reconfig { .. }) && race { vec![ANY_RECONFIG.to_owned()] } else { step.subjects() }
}
