//! What the controller remembers from one observation to the next: how long each fact has held. It decides nothing.
//!
//! **Invariant:** a duration grows by at most two intervals per observation. A controller that was frozen or cut off
//! therefore does not believe, when it continues, that every member has been absent for an hour.
//!
//! **Invariant:** every duration starts at zero when the controller starts. It counts from the first observation that
//! showed the fact, not from the last observation that showed the opposite.

use super::host_history::{HostHistory, Listed, TasksSeen};
use super::pasts::Pasts;
use super::repeats::Repeats;
use super::source_requests::SourceRequests;
use crate::model::{Cause, Host, Lock, Node, NodeState, Observed, ProcessId, Refusal, Subject};
use crate::plan::Step;
use bson::oid::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long a refusal or a sync source request is kept after its wait is over. After that time the planner has not
/// proposed the step again, so the count of attempts starts anew.
const DROP_REFUSAL_AFTER: Duration = Duration::from_secs(120);

/// Everything that one controller remembers.
#[derive(Debug, Default)]
pub(super) struct History {
    observed_at: Option<Instant>,
    hosts: BTreeMap<Host, HostHistory>,
    blank: BlankProcesses,
    locks: Vec<(Lock, Duration)>,
    pub(super) known_set: Option<ObjectId>,
    unchanged: UnchangedState,
    recovered_at: Option<Instant>,
    /// Processes that have written their state to disk, with the address at which each was told to.
    fsynced: BTreeMap<ProcessId, Host>,
    sync_source_requests: SourceRequests,
    /// Primaries that a switchover replaced, with the address that each had.
    switched_over: BTreeMap<ProcessId, Host>,
    refusals: Vec<RefusedStep>,
    repeats: Repeats,
    pasts: Pasts,
}

/// The blank processes that DNS listed in the last observation, and how long this has been so.
#[derive(Debug, Default)]
struct BlankProcesses {
    processes: BTreeSet<ProcessId>,
    held_for: Duration,
}

/// What all processes reported in the last observation, and how long this has not changed.
#[derive(Debug, Default)]
struct UnchangedState {
    fingerprints: Vec<StateFingerprint>,
    held_for: Duration,
}

/// What one process reports about itself and its set, as far as a recovery depends on it.
#[derive(Debug, PartialEq)]
struct StateFingerprint {
    host: Host,
    process: ProcessId,
    state: NodeState,
    /// Term and version of its config.
    config: Option<(Option<i64>, i64)>,
    sees_primary: Option<Host>,
}

/// A step that failed `times` times in a row. It is not tried again before `until`.
#[derive(Debug)]
struct RefusedStep {
    subjects: Vec<Subject>,
    reason: String,
    cause: Cause,
    times: u32,
    until: Instant,
}

impl History {
    /// Writes into the observation how long each fact has held, and remembers the observation. `listed` says for each
    /// address whether DNS lists it. No duration grows by more than `cap`.
    pub(super) fn complete(
        &mut self,
        observed: &mut Observed,
        listed: &BTreeMap<Host, Listed>,
        now: Instant,
        cap: Duration,
    ) {
        let passed = self.observed_at.map_or(Duration::ZERO, |then| now.duration_since(then).min(cap));
        self.observed_at = Some(now);
        self.record_hosts(observed, listed, passed);
        self.record_health(observed, passed);
        self.record_blank_processes(observed, passed);
        self.record_locks(observed, passed);
        self.record_unchanged_state(observed, passed);
        observed.recovered_for = self.recovered_at.map(|then| now.duration_since(then));
        observed.known_set = self.known_set;
        self.pasts.complete(observed, self.known_set);
        self.forget_ended_processes(observed);
        observed.fsynced = self.fsynced.keys().copied().collect();
        observed.switched_over = self.switched_over.keys().copied().collect();
        self.sync_source_requests.observe(observed);
        observed.sync_source_requests = self.sync_source_requests.show(now);
        self.repeats.observe(observed);
        observed.refusals = self.refusals(now);
        let repeats = self.repeats.refusals(observed, now);
        observed.refusals.extend(repeats);
    }

    /// How long DNS has not listed each address, and how long nothing has answered there.
    fn record_hosts(&mut self, observed: &mut Observed, listed: &BTreeMap<Host, Listed>, passed: Duration) {
        let mut tasks = observed.nodes.values().filter(|node| node.must_answer());
        let tasks = match (observed.tasks.is_good(), tasks.all(|node| node.answer.is_ok())) {
            (false, _) => TasksSeen::Badly,
            (true, false) => TasksSeen::Partly,
            (true, true) => TasksSeen::Completely,
        };
        self.hosts.retain(|host, _| observed.nodes.contains_key(host));
        for (host, node) in &mut observed.nodes {
            let known = self.hosts.entry(host.clone()).or_default();
            let is_listed = listed.get(host).copied().unwrap_or(Listed::Unknown);
            known.complete(node, is_listed, tasks, passed);
        }
    }

    /// How long the primary has reported each member as down. Without a primary no time is added.
    fn record_health(&mut self, observed: &mut Observed, passed: Duration) {
        let mut health: BTreeMap<Host, bool> = BTreeMap::new();
        // There can be two primaries: of two sets, or before the old one steps down. A member that is healthy for one
        // of them is healthy.
        let primaries = observed.nodes.values().filter_map(Node::probe).filter(|p| p.state == NodeState::Primary);
        for primary in primaries {
            let (Some(config), Some(view)) = (&primary.config, &primary.view) else { continue };
            for member in config.members() {
                let Some(peer) = view.peers.get(&member.id) else { continue };
                *health.entry(member.host.clone()).or_default() |= peer.healthy;
            }
        }
        for (host, node) in &mut observed.nodes {
            let Some(known) = self.hosts.get_mut(host) else { continue };
            match health.get(host) {
                Some(true) => known.unhealthy.ends(),
                Some(false) => known.unhealthy.holds(passed),
                None => {}
            }
            node.unhealthy_for = known.unhealthy.time();
        }
    }

    /// How long DNS has listed the same processes, all of them blank.
    fn record_blank_processes(&mut self, observed: &mut Observed, passed: Duration) {
        let listed = || observed.nodes.values().filter(|node| node.must_answer());
        let all_blank = listed().all(|n| n.probe().is_some_and(|p| p.state == NodeState::Blank));
        let processes: BTreeSet<ProcessId> = listed().filter_map(Node::probe).map(|p| p.process).collect();
        let same = all_blank && observed.tasks.is_good() && self.blank.processes == processes;
        let held_for = if same { self.blank.held_for.saturating_add(passed) } else { Duration::ZERO };
        self.blank = BlankProcesses { processes, held_for };
        observed.blank_for = held_for;
    }

    /// How long every process has reported the same state.
    fn record_unchanged_state(&mut self, observed: &mut Observed, passed: Duration) {
        let fingerprint = |(host, node): (&Host, &Node)| {
            let probe = node.probe()?;
            Some(StateFingerprint {
                host: host.clone(),
                process: probe.process,
                state: probe.state,
                config: probe.config.as_ref().map(|c| (c.term(), c.version())),
                sees_primary: probe.sees_primary.clone(),
            })
        };
        let fingerprints: Vec<_> = observed.nodes.iter().filter_map(fingerprint).collect();
        let same = observed.tasks.is_good() && fingerprints == self.unchanged.fingerprints;
        let held_for = if same { self.unchanged.held_for.saturating_add(passed) } else { Duration::ZERO };
        self.unchanged = UnchangedState { fingerprints, held_for };
        observed.still_for = held_for;
    }

    /// Forgets processes that have ended: the address is no longer observed, or another process answers there. A process that
    /// answers at any address is kept, and so is one whose address is silent.
    fn forget_ended_processes(&mut self, observed: &Observed) {
        let answering: BTreeSet<ProcessId> =
            observed.nodes.values().filter_map(Node::probe).map(|probe| probe.process).collect();
        let silent = |host: &Host| observed.node(host).is_some_and(|node| node.probe().is_none());
        self.fsynced.retain(|process, host| answering.contains(process) || silent(host));
        let listed = |process: &ProcessId| {
            let mut its_nodes = observed.nodes.values().filter(|n| n.probe().is_some_and(|p| p.process == *process));
            its_nodes.any(|node| node.listed)
        };
        // DNS lists it again: when it is dropped the next time, there is a new reason.
        self.switched_over.retain(|process, host| !listed(process) && (answering.contains(process) || silent(host)));
    }

    /// How long each lock has been the same.
    fn record_locks(&mut self, observed: &mut Observed, passed: Duration) {
        let mut locks: Vec<(Lock, Duration)> = Vec::new();
        for lock in observed.nodes.values().filter_map(Node::probe).filter_map(|p| p.lock.as_ref()) {
            if locks.iter().any(|(known, _)| known == lock) {
                continue;
            }
            let before = self.locks.iter().find(|(known, _)| known == lock);
            locks.push((lock.clone(), before.map_or(Duration::ZERO, |(_, held)| held.saturating_add(passed))));
        }
        observed.locks = locks.clone();
        self.locks = locks;
    }

    fn refusals(&mut self, now: Instant) -> Vec<Refusal> {
        self.refusals.retain(|r| now < r.until + DROP_REFUSAL_AFTER);
        let to_refusal = |r: &RefusedStep| Refusal {
            subjects: r.subjects.clone(),
            reason: r.reason.clone(),
            cause: r.cause,
            times: r.times,
            retry_in: r.until.saturating_duration_since(now),
        };
        self.refusals.iter().map(to_refusal).collect()
    }

    /// Records that a step failed, and returns how many times in a row it has failed now. `wait` returns, for this
    /// number, how long the step is not tried again.
    pub(super) fn refused(
        &mut self,
        subjects: Vec<Subject>,
        (reason, cause): (String, Cause),
        now: Instant,
        wait: impl Fn(u32) -> Duration,
    ) -> u32 {
        let before = self.refusals.iter().find(|r| r.subjects == subjects).map_or(0, |r| r.times);
        let times = before.saturating_add(1);
        self.refusals.retain(|r| r.subjects != subjects);
        self.refusals.push(RefusedStep { subjects, reason, cause, times, until: now + wait(times) });
        times
    }

    /// How many times in a row the steps with this one subject have failed.
    pub(super) fn failures(&self, subject: &Subject) -> u32 {
        self.refusals.iter().find(|r| r.subjects == std::slice::from_ref(subject)).map_or(0, |r| r.times)
    }

    /// Records that a step succeeded.
    pub(super) fn succeeded(&mut self, step: &Step, observed: &Observed, now: Instant) {
        self.drop_refusals(&step.subjects());
        self.repeats.succeeded(step, observed, now);
        let process = |host| observed.probe(host).map(|p| p.process);
        match step {
            Step::Reconfig { .. } => self.drop_refusals(&[Subject::AnyReconfig]),
            Step::Recover { .. } => self.recovered_at = Some(now),
            Step::AcceptLoss { .. } => {
                self.recovered_at = Some(now);
                self.pasts.loss_was_accepted();
            }
            Step::StepUp { .. } => self.record_switchover(observed),
            Step::Fsync { on } => self.fsynced.extend(process(on).map(|process| (process, on.clone()))),
            Step::SetSyncSource { on, source, .. } => {
                if let Some(pair) = observed.probe(on).zip(observed.probe(source)) {
                    self.sync_source_requests.sent(observed, pair, now, DROP_REFUSAL_AFTER);
                }
            }
            _ => {}
        }
    }

    /// Records that the primary was told to give way. The reason has gone away only when DNS lists it again.
    pub(super) fn record_switchover(&mut self, observed: &Observed) {
        let answers = observed.nodes.iter().filter_map(|(host, node)| Some((host, node.probe()?)));
        let primaries = answers.filter(|(_, probe)| probe.state == NodeState::Primary);
        self.switched_over.extend(primaries.map(|(host, probe)| (probe.process, host.clone())));
    }

    /// Drops every refusal that shares a subject with a step that succeeded.
    fn drop_refusals(&mut self, subjects: &[Subject]) {
        self.refusals.retain(|r| !r.subjects.iter().any(|s| subjects.contains(s)));
    }

    /// How many facts are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let lists = self.locks.len() + self.sync_source_requests.len() + self.refusals.len() + self.repeats.len();
        let processes = self.blank.processes.len()
            + self.unchanged.fingerprints.len()
            + self.fsynced.len()
            + self.switched_over.len();
        self.hosts.len() + lists + processes + self.pasts.len()
    }
}
