//! The loop: observe → plan → execute → pause. One task, one step an observation.
//!
//! **Invariant:** nothing that is observed makes the loop end; only `shutdown` does.

mod execute;

mod history;
mod observe;
mod pace;
mod plan_log;
mod requests;
#[cfg(test)]
mod tests;

use crate::discovery::Discovery;
use crate::model::{
    Host, Naming, Node, NodeState, Observed, Policy, ProbeError, RecoveryRequest, ReplConfig, RequestState, TaskList,
};
use crate::mongo::Admin;
use crate::plan::{ANY_RECONFIG, Plan, Step, Verdict, evidence, plan};
use execute::StepError;
use futures_util::future::join_all;
use observe::Observer;
use pace::Pace;
use plan_log::PlanLog;
pub use requests::AdminRequests;
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
const CONFIG_POLL: Duration = Duration::from_millis(10);
const CONFIG_POLL_LIMIT: Duration = Duration::from_millis(250);

/// Everything the loop works with.
pub struct Loop<'p, D, A> {
    /// Where tasks come from.
    pub discovery: &'p D,
    /// The endpoint to mongods.
    pub admin: &'p A,
    /// What the operator wants.
    pub policy: &'p Policy,
    /// A look at least this often.
    pub interval: Duration,
    /// What an operator asked for.
    pub requests: &'p AdminRequests,
    /// Notified when a mongod's state or connection changes.
    pub wake: &'p Notify,
}

impl<D: Discovery, A: Admin> Loop<'_, D, A> {
    /// Runs until `shutdown`; a step that has begun is finished first. Every plan goes to `report`.
    pub async fn run(&self, mut report: impl FnMut(&Observed, &Plan), shutdown: impl Future<Output = ()>) {
        let mut observer = Observer::new(self.discovery, self.admin, self.policy.member_address, self.interval);
        let mut pace = Pace::new(self.interval);
        let mut plan_log = PlanLog::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // Both choices are biased so that the simulation can live through a seed twice.
            let observed = tokio::select! {
                biased;
                observed = self.observe(&mut observer) => Arc::new(observed),
                () = &mut shutdown => return,
            };
            self.requests.show(&observed);
            let plan = plan(&observed, self.policy);
            self.judge_request(&observed, &plan);
            if let Some(set) = plan.config.as_ref().and_then(ReplConfig::replica_set_id) {
                observer.memory.settled_on(set);
            }
            plan_log.planned(&plan);
            report(&observed, &plan);
            if plan.next != Step::Wait {
                self.act(&observed, &plan, &mut observer, &mut plan_log, &mut report).await;
                continue;
            }
            let pause = pace.pause(&plan);
            let dns_poll = if pace.recently_changed() { DNS_POLL_UNSETTLED } else { DNS_POLL };
            let paused_at = Instant::now();
            tokio::select! {
                biased;
                () = self.wake.notified() => sleep(pace.news(paused_at.elapsed())).await,
                () = sleep(pause) => {}
                () = self.dns_changes(&observed.tasks, dns_poll) => {}
                () = self.port_opened(&observed) => {}
                () = &mut shutdown => return,
            }
        }
    }

    /// Looks and acts until somebody takes writes or `enough` says so. What comes after that is a controller's to do.
    /// Returns what is known at the end.
    pub async fn until_writable(&self, mut enough: impl FnMut(&Observed, &Plan) -> bool) -> (Observed, Plan) {
        let mut observer = Observer::new(self.discovery, self.admin, self.policy.member_address, self.interval);
        let mut pace = Pace::new(self.interval);
        let mut plan_log = PlanLog::new();
        loop {
            let observed = self.observe(&mut observer).await;
            let plan = plan(&observed, self.policy);
            self.judge_request(&observed, &plan);
            plan_log.planned(&plan);
            if enough(&observed, &plan) || plan.primary.is_some() {
                return (observed, plan);
            }
            if plan.next != Step::Wait {
                self.act(&observed, &plan, &mut observer, &mut plan_log, &mut |_, _| {}).await;
                continue;
            }
            let pause = pace.pause(&plan);
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One observation and what would be done, changing nothing.
    pub async fn once(&self) -> (Observed, Plan) {
        let observed =
            Observer::new(self.discovery, self.admin, self.policy.member_address, self.interval).observe().await;
        let plan = plan(&observed, self.policy);
        (observed, plan)
    }

    async fn act(
        &self,
        observed: &Observed,
        plan: &Plan,
        observer: &mut Observer<'_, D, A>,
        plan_log: &mut PlanLog,
        report: &mut impl FnMut(&Observed, &Plan),
    ) {
        plan_log.starting(plan);
        let started = Instant::now();
        // Whether it fails or not: a second try takes a second request.
        let forces = matches!(plan.next, Step::Recover { .. } | Step::AcceptLoss { .. });
        let request = observed.request.as_ref().filter(|_| forces);
        self.record_state(request, RequestState::Begun);
        let mut doing = std::pin::pin!(execute::execute(self.admin, observed, &plan.next));
        let outcome = tokio::select! {
            biased;
            outcome = &mut doing => outcome,
            (seen, plan) = self.in_force(observed, plan) => {
                report(&seen, &plan);
                doing.await
            }
        };
        self.record_state(
            request,
            outcome.as_ref().map_or_else(|e| RequestState::Dropped(e.to_string()), |()| RequestState::Done),
        );
        match outcome {
            Ok(()) => {
                plan_log.done(&plan.next, started.elapsed());
                observer.memory.did(&plan.next, observed, Instant::now());
            }
            Err(error) => {
                let wait = |times| pace::retry_after(&plan.next, times);
                let subjects = blamed(&plan.next, &error, observer.memory.failures(ANY_RECONFIG));
                let times = observer.memory.refused(subjects, error.to_string(), Instant::now(), wait);
                plan_log.failed(&plan.next, &error, times);
            }
        }
    }

    /// A new config is in force as soon as the primary has it, but the server answers only when a majority does, a
    /// heartbeat later. What applications start with need not wait for that.
    async fn in_force(&self, observed: &Observed, plan: &Plan) -> (Observed, Plan) {
        let Step::Reconfig { on, base, .. } = &plan.next else { return std::future::pending().await };
        let Some(node) = observed.node(on) else { return std::future::pending().await };
        let Some(at) = node.at else { return std::future::pending().await };
        loop {
            sleep(CONFIG_POLL).await;
            let Ok(probe) = self.admin.probe(at, CONFIG_POLL_LIMIT).await else { continue };
            if let Some(config) = probe.config.clone().filter(|config| config.is_newer_than(base)) {
                let mut seen = observed.clone();
                seen.nodes.insert(on.clone(), Node { answer: Ok(Arc::new(probe)), ..node.clone() });
                return (seen, Plan { config: Some(config), ..plan.clone() });
            }
        }
    }

    /// A task that refused connections in this observation takes them now.
    async fn port_opened(&self, observed: &Observed) {
        let shut = |node: &Node| matches!(node.answer, Err(ProbeError::Refused));
        let shut: Vec<_> = observed.nodes.values().filter(|node| shut(node)).filter_map(|node| node.at).collect();
        if shut.is_empty() {
            return std::future::pending().await;
        }
        for wait in pace::connect_backoff() {
            sleep(wait).await;
            if join_all(shut.iter().map(|at| self.admin.listens(*at))).await.contains(&true) {
                return;
            }
        }
    }

    /// One observation, with the requests that it can be followed by.
    async fn observe(&self, observer: &mut Observer<'_, D, A>) -> Observed {
        let mut observed = observer.observe().await;
        self.take_requests(&mut observed);
        observed
    }

    /// AdminRequests are about nodes in sight; one that nobody lists or configures any more is done. So is one that stands on
    /// the node itself, once it is out: it is the same for every controller then.
    fn take_requests(&self, observed: &mut Observed) {
        let members = observed.nodes.values().filter_map(Node::probe).filter_map(|p| p.config.as_ref());
        let hosts: Vec<Host> = members.flat_map(ReplConfig::members).map(|m| m.host.clone()).collect();
        let in_sight = |host: &Host| hosts.contains(host) || observed.node(host).is_some_and(|node| node.listed);
        let unsure = !observed.tasks.is_good() || hosts.is_empty();
        let due = |host: &Host| in_sight(host) && !is_out(observed, host);
        let forget = self.requests.removals(observed, |concerned| unsure || concerned.iter().any(due));
        (observed.request, observed.removals) = (self.requests.to_recover(), forget);
    }

    fn record_state(&self, request: Option<&RecoveryRequest>, request_state: RequestState) {
        if let Some(request) = request {
            self.requests.record(request, request_state);
        }
    }

    /// A request that can no longer be followed as it was meant is dropped, with the reason.
    fn judge_request(&self, observed: &Observed, plan: &Plan) {
        let Some(request) = &observed.request else { return };
        let now = evidence(observed, self.policy);
        let waiting = || plan.waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let request_state = match now.verdict {
            Verdict::Primary(_) | Verdict::Electing => RequestState::Done,
            _ if now.id() != request.evidence => {
                RequestState::Dropped("the evidence is no longer what was shown".to_owned())
            }
            _ if self.requests.is_overdue() => {
                RequestState::Dropped(format!("it could not be done in time: {}", waiting()))
            }
            _ => return,
        };
        self.requests.record(request, request_state);
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
fn is_out(observed: &Observed, host: &Host) -> bool {
    let told = |(at, node): (&Host, &Node)| {
        let there = at == host || matches!(&node.naming, Naming::Stable(name) if name == host);
        there && node.probe().is_some_and(|p| p.marked_removed)
    };
    let primaries = || observed.nodes.values().filter_map(Node::probe).filter(|p| p.state == NodeState::Primary);
    let mut configs = primaries().filter_map(|p| p.config.as_ref());
    observed.nodes.iter().any(told) && primaries().count() > 0 && configs.all(|c| c.member_at(host).is_none())
}

/// What a failure is remembered under. A reconfig that somebody else overtook was not refused for what it changes; 103
/// may mean either, so it counts against the change only when it comes again.
fn blamed(step: &Step, error: &StepError, overtaken: u32) -> Vec<String> {
    let race = error.is_lost_race() || (error.is_incompatible() && overtaken < 2);
    if matches!(step, Step::Reconfig { .. }) && race { vec![ANY_RECONFIG.to_owned()] } else { step.subjects() }
}
