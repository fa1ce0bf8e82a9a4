//! The control loop: observe, plan, execute, pause. It is one async task, and it does at most one step per observation.
//!
//! **Invariant:** no observation ends the loop. Only `shutdown` ends it.

mod age;
mod event_log;
mod execute;
mod families;
mod history;
mod host_history;
mod last_addresses;
mod named;
mod observe;
mod pace;
mod pasts;
mod plan_log;
mod progress;
mod repeats;
mod requests;
mod source_requests;
mod switchovers;
#[cfg(test)]
mod tests;
mod users;

use crate::discovery::Discovery;
use crate::model::{
    Host, Member, Naming, Node, NodeState, Observed, Pause, Policy, ProbeError, RecoveryRequest, ReplConfig,
    RequestState, Subject, TaskList,
};
use crate::mongo::Admin;
use crate::outcome::Chain;
use crate::plan::{Plan, Reason, Step, Verdict, evidence, plan, readdressing, successor_for};
use age::WhileRecent;
pub use event_log::EventLog;
use execute::StepError;
use futures_util::future::join_all;
use observe::Observer;
use pace::Pace;
use plan_log::PlanLog;
pub use progress::Progress;
pub use requests::AdminRequests;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
pub use users::{UserKeeper, UserTroubles, place_for_users};

/// Time between two DNS queries for the tasks while nothing is expected to change. Half of this would make DNS the
/// largest part of what an idle controller costs (measured).
const DNS_POLL: Duration = Duration::from_secs(1);
/// Time between two DNS queries for the tasks while the controller waits for a change, which may be a new task.
const DNS_POLL_UNSETTLED: Duration = Duration::from_millis(100);

/// Time between two questions to a primary whether it has installed the config that it was just sent.
const CONFIG_POLL: Duration = Duration::from_millis(10);
/// How long the primary may take to answer one of these questions.
const CONFIG_POLL_LIMIT: Duration = Duration::from_millis(250);

/// A switchover that fails more often than this is given up until DNS lists the primary again.
const SWITCHOVER_TRIES: u32 = 100;

/// Everything that the control loop works with.
pub struct Loop<'p, D, A> {
    /// Lists the tasks.
    pub discovery: &'p D,
    /// Probes mongods and sends them commands.
    pub admin: &'p A,
    /// What the operator wants.
    pub policy: &'p Policy,
    /// The longest time between two observations.
    pub interval: Duration,
    /// The requests of the operator.
    pub requests: &'p AdminRequests,
    /// What is wrong with the declared users.
    pub users: &'p UserTroubles,
    /// What was done, for people.
    pub event_log: &'p EventLog,
    /// Notified when the state of a mongod or a connection to it changes.
    pub wake: &'p Notify,
}

impl<D: Discovery, A: Admin> Loop<'_, D, A> {
    /// Runs until `shutdown` completes. A step that has begun is finished first. Every plan is passed to `report`, and what
    /// becomes of its step.
    pub async fn run(&self, mut report: impl FnMut(Progress<'_>), shutdown: impl Future<Output = ()>) {
        let mut observer = Observer::new(self.discovery, self.admin, self.policy, self.interval);
        let mut pace = Pace::new(self.interval);
        let mut plan_log = PlanLog::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // Both selects are biased so that the simulation repeats a seed exactly.
            let mut observed = tokio::select! {
                biased;
                observed = self.observe(&mut observer) => observed,
                () = &mut shutdown => return,
            };
            self.take_pause(&mut observed);
            let observed = Arc::new(observed);
            self.requests.show(&observed);
            let plan = plan(&observed, self.policy);
            self.judge_request(&observed, &plan);
            self.judge_readdressing(&observed, &plan);
            self.judge_switchover(&observed, &plan);
            if let Some(set) = plan.config.as_ref().and_then(ReplConfig::replica_set_id) {
                observer.history.known_set = Some(set);
            }
            plan_log.planned(&observed, &plan);
            self.keep_history(&observed, &plan);
            self.keep_pause(&observed, &plan);
            report(Progress::Planned { observed: &observed, plan: &plan });
            if plan.next != Step::Wait {
                self.act(&observed, &plan, &mut observer, &mut plan_log, &mut report).await;
                continue;
            }
            let pause = pace.pause(&plan, &observed);
            let dns_poll = if pace.recently_changed() { DNS_POLL_UNSETTLED } else { DNS_POLL };
            let paused_at = Instant::now();
            tokio::select! {
                biased;
                () = self.wake.notified() => sleep(pace.change_event_delay(paused_at.elapsed())).await,
                () = sleep(pause) => {}
                () = self.dns_changes(&observed.tasks, dns_poll) => {}
                () = self.port_opened(&observed) => {}
                () = &mut shutdown => return,
            }
        }
    }

    /// Observes and acts until a primary accepts writes, or until `enough` returns true. Everything after that is left
    /// to a running controller. Returns the last observation and its plan. It is what an operator asks for now, so a pause
    /// does not hold it back.
    pub async fn until_writable(&self, mut enough: impl FnMut(&Observed, &Plan) -> bool) -> (Observed, Plan) {
        let mut observer = Observer::new(self.discovery, self.admin, self.policy, self.interval);
        let mut pace = Pace::new(self.interval);
        let mut plan_log = PlanLog::new();
        loop {
            let observed = self.observe(&mut observer).await;
            let plan = plan(&observed, self.policy);
            self.judge_request(&observed, &plan);
            plan_log.planned(&observed, &plan);
            self.keep_history(&observed, &plan);
            if enough(&observed, &plan) || plan.primary.is_some() {
                return (observed, plan);
            }
            if plan.next != Step::Wait {
                self.act(&observed, &plan, &mut observer, &mut plan_log, &mut |_| {}).await;
                continue;
            }
            let pause = pace.pause(&plan, &observed);
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Makes one observation and the plan for it. Changes nothing.
    pub async fn once(&self) -> (Observed, Plan) {
        let mut observer = Observer::new(self.discovery, self.admin, self.policy, self.interval);
        observer.wanted = self.requests.to_readdress();
        let mut observed = observer.observe().await;
        self.take_pause(&mut observed);
        let plan = plan(&observed, self.policy);
        (observed, plan)
    }

    async fn act(
        &self,
        observed: &Observed,
        plan: &Plan,
        observer: &mut Observer<'_, D, A>,
        plan_log: &mut PlanLog,
        report: &mut impl FnMut(Progress<'_>),
    ) {
        plan_log.starting(plan);
        let started = Instant::now();
        // A request is used up even if the step fails. A second attempt needs a second request.
        let forces = matches!(plan.next, Step::Recover { .. } | Step::AcceptLoss { .. });
        let request = observed.request.as_ref().filter(|_| forces);
        self.record_state(request, RequestState::Begun);
        if matches!((&plan.next, &plan.because), (Step::StepUp { .. }, Reason::SwitchoverRequested { .. })) {
            self.requests.switchovers.ordered();
        }
        let admin = WhileRecent { admin: self.admin, age: observer.age };
        let mut doing = std::pin::pin!(execute::execute(&admin, observed, &plan.next));
        let outcome = tokio::select! {
            biased;
            outcome = &mut doing => outcome,
            (observed, plan) = self.in_force(observed, plan) => {
                report(Progress::InForce { observed: &observed, plan: &plan });
                doing.await
            }
        };
        self.record_state(
            request,
            outcome.as_ref().map_or_else(|e| RequestState::Dropped(Chain(e).to_string()), |()| RequestState::Done),
        );
        match outcome {
            Ok(()) => {
                plan_log.done(&plan.next, started.elapsed());
                self.event_log.done(plan);
                observer.history.succeeded(&plan.next, observed, Instant::now());
            }
            Err(error) => {
                let wait = |times| pace::retry_after(&plan.next, times);
                let subjects = blamed(&plan.next, &error, observer.history.failures(&Subject::AnyReconfig));
                let why = (Chain(&error).to_string(), error.cause());
                let times = observer.history.refused(subjects, why, Instant::now(), wait);
                plan_log.failed(&plan.next, &error, times);
                report(Progress::Failed { plan });
                self.event_log.failed(plan);
                if matches!(plan.next, Step::StepUp { .. }) && times > SWITCHOVER_TRIES {
                    observer.history.record_switchover(observed);
                }
            }
        }
    }

    /// Notes what others did, and has every member that answers keep what is new in the history.
    fn keep_history(&self, observed: &Observed, plan: &Plan) {
        self.event_log.observed(observed, plan);
        let Some(config) = &plan.config else { return };
        let events = self.event_log.take_unkept();
        if events.is_empty() {
            return;
        }
        let answering = |member: &Member| observed.node(&member.host).filter(|node| node.probe().is_some())?.at;
        config.members().iter().filter_map(answering).for_each(|at| self.admin.keep_history(at, &events));
    }

    /// Waits until the primary has installed the config that it was just sent. The server answers the command only when
    /// a majority has the config, which takes one more heartbeat. The connection string does not need to wait for that.
    async fn in_force(&self, observed: &Observed, plan: &Plan) -> (Observed, Plan) {
        let Step::Reconfig { on, next } = &plan.next else { return std::future::pending().await };
        let Some(node) = observed.node(on) else { return std::future::pending().await };
        let Some(at) = node.at else { return std::future::pending().await };
        loop {
            sleep(CONFIG_POLL).await;
            let Ok(probe) = self.admin.probe(at, CONFIG_POLL_LIMIT).await else { continue };
            if let Some(config) = probe.config.clone().filter(|config| config.is_newer_than(next.base())) {
                let mut seen = observed.clone();
                seen.nodes.insert(on.clone(), Node { answer: Ok(Arc::new(probe)), ..node.clone() });
                return (seen, Plan { config: Some(config), ..plan.clone() });
            }
        }
    }

    /// Waits until a task that refused connections in this observation accepts one.
    async fn port_opened(&self, observed: &Observed) {
        let refused = |node: &&Node| matches!(node.answer, Err(ProbeError::Refused)) && !node.answers_elsewhere;
        let closed: Vec<_> = observed.nodes.values().filter(refused).filter_map(|node| node.at).collect();
        if closed.is_empty() {
            return std::future::pending().await;
        }
        for wait in pace::connect_backoff() {
            sleep(wait).await;
            if join_all(closed.iter().map(|at| self.admin.listens(*at))).await.contains(&true) {
                return;
            }
        }
    }

    /// Makes one observation and adds the operator's requests that apply to it.
    async fn observe(&self, observer: &mut Observer<'_, D, A>) -> Observed {
        observer.wanted = self.requests.to_readdress();
        let mut observed = observer.observe().await;
        observed.readdress = observer.wanted;
        observed.users = self.users.newest();
        self.take_requests(&mut observed);
        observed
    }

    /// Adds the pause that lasts.
    fn take_pause(&self, observed: &mut Observed) {
        let Some(word) = self.requests.newest_pause(observed) else { return };
        let Some(left) = word.left(requests::now_ms()) else { return };
        let kept_by = observed.processes().iter().filter(|p| p.probe.pause.as_ref() == Some(&word)).count();
        observed.pause = Some(Pause { word, left, kept_by });
    }

    /// Has every member that answers keep the newest word about a pause. So every controller knows it as long as one of
    /// these members answers.
    fn keep_pause(&self, observed: &Observed, plan: &Plan) {
        let (Some(config), Some(word)) = (&plan.config, self.requests.newest_pause(observed)) else { return };
        let lacks = |node: &&Node| node.probe().is_some_and(|probe| probe.pause.as_ref() != Some(&word));
        let lacking = |member: &Member| observed.node(&member.host).filter(lacks)?.at;
        config.members().iter().filter_map(lacking).for_each(|at| self.admin.keep_pause(at, &word));
    }

    /// Adds the pending requests to the observation. A request to remove a node is done when neither DNS nor a config
    /// names the node. It is also done when the node is out of the config and knows why, because every controller can
    /// see that.
    fn take_requests(&self, observed: &mut Observed) {
        let members = observed.nodes.values().filter_map(Node::probe).filter_map(|p| p.config.as_ref());
        let hosts: Vec<Host> = members.flat_map(ReplConfig::members).map(|m| m.host.clone()).collect();
        let named = |host: &Host| hosts.contains(host) || observed.node(host).is_some_and(|node| node.listed);
        let unsure = !observed.tasks.is_good() || hosts.is_empty();
        let due = |host: &Host| named(host) && !is_out(observed, host);
        let removals = self.requests.removals(observed, |hosts| unsure || hosts.iter().any(due));
        (observed.request, observed.removals) = (self.requests.to_recover(), removals);
        observed.switchover = self.requests.switchovers.to_execute();
    }

    fn record_state(&self, request: Option<&RecoveryRequest>, request_state: RequestState) {
        if let Some(request) = request {
            self.requests.record(request, request_state);
        }
    }

    /// Ends a request for another kind of address when every member that is a task has it.
    fn judge_readdressing(&self, observed: &Observed, plan: &Plan) {
        if let Some(kind) = observed.readdress
            && plan.primary.is_some()
            && readdressing(observed, self.policy, kind).is_empty()
        {
            self.requests.all_readdressed(kind);
        }
    }

    /// Tells the operator what became of a request for another primary.
    fn judge_switchover(&self, observed: &Observed, plan: &Plan) {
        let leads = plan.primary.as_ref().and_then(|primary| observed.probe(primary)).map(|probe| probe.process);
        self.requests.switchovers.judge(plan, leads, |to| successor_for(observed, self.policy, to));
    }

    /// Drops a request to recover that no longer fits what the operator saw, and records the reason.
    fn judge_request(&self, observed: &Observed, plan: &Plan) {
        let Some(request) = &observed.request else { return };
        let now = evidence(observed, self.policy);
        let waiting = || plan.waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let request_state = match now.verdict {
            Verdict::Primary(_) | Verdict::Electing => RequestState::Done,
            _ if now.id() != request.evidence => {
                RequestState::Dropped("the evidence has changed since it was shown".to_owned())
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

/// Whether no primary's config names the host, and the mongod there is marked as removed.
fn is_out(observed: &Observed, host: &Host) -> bool {
    let marked = |(at, node): (&Host, &Node)| {
        let there = at == host || matches!(&node.naming, Naming::Stable(name) if name == host);
        there && node.probe().is_some_and(|p| p.marked_removed)
    };
    let primaries = || observed.nodes.values().filter_map(Node::probe).filter(|p| p.state == NodeState::Primary);
    let mut configs = primaries().filter_map(|p| p.config.as_ref());
    observed.nodes.iter().any(marked) && primaries().count() > 0 && configs.all(|c| c.member_at(host).is_none())
}

/// The subjects under which a failure is remembered. A reconfig that lost a race was not refused because of its
/// changes. Error 103 can mean either, so it counts against the changes only when it comes again.
fn blamed(step: &Step, error: &StepError, overtaken: u32) -> Vec<Subject> {
    let race = error.is_lost_race() || (error.is_incompatible() && overtaken < 2);
    if matches!(step, Step::Reconfig { .. }) && race { vec![Subject::AnyReconfig] } else { step.subjects() }
}
