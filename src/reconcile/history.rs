//! What the controller remembers from look to look: since when, not what to do about it.
//!
//! **Invariant:** durations grow by at most two intervals an observation, so that a controller that was frozen or cut off
//! does not wake up believing that everybody has been gone for an hour. They start at zero with the controller, and
//! count from the first observation that showed the fact, never from the last one that showed the opposite.

use super::pace;
use crate::model::{Host, Lock, NameAnswer, Node, NodeState, Observed, ProcessId, Refusal, SyncSourceRequest};
use crate::plan::{ANY_RECONFIG, Step};
use bson::oid::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// The controller's memory.
#[derive(Debug, Default)]
pub(super) struct History {
    observed_at: Option<Instant>,
    hosts: BTreeMap<Host, Since>,
    blank: (BTreeSet<ProcessId>, Duration),
    locks: Vec<(Lock, Duration)>,
    known_set: Option<ObjectId>,
    still: (Vec<StateFingerprint>, Duration),
    recovered_at: Option<Instant>,
    fsynced: BTreeSet<ProcessId>,
    sync_source_requests: Vec<Lined>,
    refusals: Vec<Remembered>,
}

/// What a process says of itself and its set, as far as a recovery builds on it.
type StateFingerprint = (Host, ProcessId, NodeState, Option<(Option<i64>, i64)>, Option<Host>);

/// What is remembered of one address.
#[derive(Debug, Default)]
struct Since {
    ever_listed: bool,
    unlisted: HeldFor,
    silent: HeldFor,
    unhealthy: HeldFor,
    down_observations: u32,
}

/// For how long a fact has held, since the first observation that showed it; none while it does not hold.
#[derive(Clone, Copy, Debug, Default)]
struct HeldFor(Option<Duration>);

impl HeldFor {
    /// One more observation shows the fact.
    fn holds(&mut self, passed: Duration) {
        self.0 = Some(self.0.map_or(Duration::ZERO, |so_far| so_far + passed));
    }

    fn ends(&mut self) {
        self.0 = None;
    }

    fn time(self) -> Duration {
        self.0.unwrap_or_default()
    }
}

#[derive(Debug)]
struct Remembered {
    subjects: Vec<String>,
    reason: String,
    times: u32,
    until: Instant,
}

/// The last request of two members to copy one from the other: how often they were told, and until when it is given time.
#[derive(Debug)]
struct Lined {
    on: ProcessId,
    behind: ProcessId,
    times: u32,
    until: Instant,
}

/// A refusal, or a request to line up, is forgotten so long after its wait is over: the step was not proposed again.
const DROP_REFUSAL_AFTER: Duration = Duration::from_secs(120);

/// Whether DNS lists an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Yes,
    No,
    Unknown,
}

impl Listed {
    /// What the answer about a member's name means for its being listed, once its addresses are compared.
    pub(super) fn of_name(answer: &NameAnswer, any_listed: bool) -> Self {
        match answer {
            NameAnswer::Trouble(_) => Self::Unknown,
            NameAnswer::Addresses(_) if any_listed => Self::Yes,
            NameAnswer::Addresses(_) | NameAnswer::NoSuchName => Self::No,
        }
    }
}

impl History {
    /// Fills in how long everything has held, and remembers this observation. `listed` tells of each address whether DNS
    /// lists it.
    pub(super) fn complete(
        &mut self,
        observed: &mut Observed,
        listed: &BTreeMap<Host, Listed>,
        now: Instant,
        cap: Duration,
    ) {
        let passed = self.observed_at.map_or(Duration::ZERO, |then| now.duration_since(then).min(cap));
        self.observed_at = Some(now);
        let good = observed.tasks.is_good();
        self.hosts.retain(|host, _| observed.nodes.contains_key(host));
        for (host, node) in &mut observed.nodes {
            let since = self.hosts.entry(host.clone()).or_default();
            let is_listed = listed.get(host).copied().unwrap_or(Listed::Unknown);
            match is_listed {
                Listed::Yes => {
                    since.ever_listed = true;
                    since.unlisted.ends();
                }
                Listed::No if good => since.unlisted.holds(passed),
                Listed::No | Listed::Unknown => {}
            }
            if node.answer.is_ok() {
                since.silent.ends()
            } else {
                since.silent.holds(passed)
            }
            since.down_observations = match &node.answer {
                Ok(_) => 0,
                Err(error) if error.is_down() => since.down_observations + 1,
                // A closed port, and then a task that DNS has dropped: a removed container goes like that, and its
                // address turns silent before the port can be found closed again.
                Err(_) if since.down_observations > 0 && good && is_listed == Listed::No => since.down_observations + 1,
                // Silence tells nothing of a port that was closed a while ago: whoever was there may be back, and cut off
                // from us alone.
                Err(_) => since.down_observations.min(1),
            };
            node.ever_listed = since.ever_listed;
            node.unlisted_for = since.unlisted.time();
            node.silent_for = since.silent.time();
            node.down_observations = since.down_observations;
        }
        self.health(observed, passed);
        self.blankness(observed, passed);
        self.claims(observed, passed);
        self.stillness(observed, passed);
        observed.recovered_for = self.recovered_at.map(|then| now.duration_since(then));
        observed.known_set = self.known_set;
        observed.fsynced = self.fsynced.clone();
        let request = |l: &Lined| SyncSourceRequest { on: l.on, behind: l.behind, fresh: now < l.until };
        observed.sync_source_requests = self.sync_source_requests.iter().map(request).collect();
        observed.refusals = self.refusals(now);
    }

    /// For how long the primary has seen each member down. Without a primary nothing is added.
    fn health(&mut self, observed: &mut Observed, passed: Duration) {
        let mut health: BTreeMap<Host, bool> = BTreeMap::new();
        // With more than one, of two sets or before the old one notices: who is healthy for one of them is healthy.
        let primaries = observed.nodes.values().filter_map(Node::probe).filter(|p| p.state == NodeState::Primary);
        for primary in primaries {
            let (Some(config), Some(view)) = (&primary.config, &primary.view) else { continue };
            for member in config.members() {
                let Some(peer) = view.peers.get(&member.id) else { continue };
                *health.entry(member.host.clone()).or_default() |= peer.healthy;
            }
        }
        for (host, node) in &mut observed.nodes {
            let Some(since) = self.hosts.get_mut(host) else { continue };
            match health.get(host) {
                Some(true) => since.unhealthy.ends(),
                Some(false) => since.unhealthy.holds(passed),
                None => {}
            }
            node.unhealthy_for = since.unhealthy.time();
        }
    }

    fn blankness(&mut self, observed: &mut Observed, passed: Duration) {
        let listed = || observed.nodes.values().filter(|node| node.listed);
        let all_blank = listed().all(|n| n.probe().is_some_and(|p| p.state == NodeState::Blank));
        let processes: BTreeSet<ProcessId> = listed().filter_map(Node::probe).map(|p| p.process).collect();
        let same = all_blank && observed.tasks.is_good() && self.blank.0 == processes;
        self.blank = if same { (processes, self.blank.1 + passed) } else { (processes, Duration::ZERO) };
        observed.blank_for = self.blank.1;
    }

    fn stillness(&mut self, observed: &mut Observed, passed: Duration) {
        let words = |(host, node): (&Host, &Node)| {
            let probe = node.probe()?;
            let config = probe.config.as_ref().map(|c| (c.term(), c.version()));
            Some((host.clone(), probe.process, probe.state, config, probe.sees_primary.clone()))
        };
        let said: Vec<StateFingerprint> = observed.nodes.iter().filter_map(words).collect();
        let same = observed.tasks.is_good() && said == self.still.0;
        self.still = (said, if same { self.still.1 + passed } else { Duration::ZERO });
        observed.still_for = self.still.1;
    }

    fn claims(&mut self, observed: &mut Observed, passed: Duration) {
        let mut claims: Vec<(Lock, Duration)> = Vec::new();
        for lock in observed.nodes.values().filter_map(Node::probe).filter_map(|p| p.lock.as_ref()) {
            if claims.iter().any(|(known, _)| known == lock) {
                continue;
            }
            let before = self.locks.iter().find(|(known, _)| known == lock);
            claims.push((lock.clone(), before.map_or(Duration::ZERO, |(_, held)| *held + passed)));
        }
        observed.locks = claims.clone();
        self.locks = claims;
    }

    fn refusals(&mut self, now: Instant) -> Vec<Refusal> {
        self.refusals.retain(|r| now < r.until + DROP_REFUSAL_AFTER);
        let to_refusal = |r: &Remembered| Refusal {
            subjects: r.subjects.clone(),
            reason: r.reason.clone(),
            times: r.times,
            retry_in: r.until.saturating_duration_since(now),
        };
        self.refusals.iter().map(to_refusal).collect()
    }

    /// A step failed; `wait` tells, from how often in a row it did, how long it is left alone.
    pub(super) fn refused(
        &mut self,
        subjects: Vec<String>,
        reason: String,
        now: Instant,
        wait: impl Fn(u32) -> Duration,
    ) -> u32 {
        let before = self.refusals.iter().find(|r| r.subjects == subjects).map_or(0, |r| r.times);
        let times = before + 1;
        self.refusals.retain(|r| r.subjects != subjects);
        self.refusals.push(Remembered { subjects, reason, times, until: now + wait(times) });
        times
    }

    /// How often in a row this failed.
    pub(super) fn failures(&self, subject: &str) -> u32 {
        self.refusals.iter().find(|r| r.subjects == [subject]).map_or(0, |r| r.times)
    }

    /// A step worked.
    pub(super) fn did(&mut self, step: &Step, observed: &Observed, now: Instant) {
        self.worked(&step.subjects());
        let process = |host| observed.probe(host).map(|p| p.process);
        match step {
            Step::Reconfig { .. } => self.worked(&[ANY_RECONFIG.to_owned()]),
            Step::Recover { .. } | Step::AcceptLoss { .. } => self.recovered_at = Some(now),
            Step::Fsync { on } => self.fsynced.extend(process(on)),
            Step::SetSyncSource { on, behind, .. } => {
                if let Some((on, behind)) = process(on).zip(process(behind)) {
                    self.told_to_chain(on, behind, now);
                }
            }
            _ => {}
        }
    }

    fn told_to_chain(&mut self, on: ProcessId, behind: ProcessId, now: Instant) {
        let same = |l: &Lined| [(on, behind), (behind, on)].contains(&(l.on, l.behind));
        self.sync_source_requests.retain(|l| now < l.until + DROP_REFUSAL_AFTER);
        let times = self.sync_source_requests.iter().find(|l| same(l)).map_or(1, |l| l.times + 1);
        // What it was told before is over.
        self.sync_source_requests.retain(|l| !same(l) && l.on != on);
        self.sync_source_requests.push(Lined { on, behind, times, until: now + pace::sync_source_retry_after(times) });
    }

    /// A step worked: whatever part of it was refused before counts no more.
    pub(super) fn worked(&mut self, subjects: &[String]) {
        self.refusals.retain(|r| !r.subjects.iter().any(|s| subjects.contains(s)));
    }

    /// This is the set that the plan was about.
    pub(super) fn settled_on(&mut self, set: ObjectId) {
        self.known_set = Some(set);
    }
}
