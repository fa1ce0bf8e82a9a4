//! The history of one address: for how long each fact about it has held.

use crate::model::{DnsTroubleKind, NameAnswer, Node, NodeState, Probe, ProbeError};
use std::time::Duration;

/// For how long a fact has held, counted from the first observation that showed it. `None` while it does not hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeldFor(Option<Duration>);

impl HeldFor {
    /// Records that one more observation shows the fact.
    pub(super) fn holds(&mut self, passed: Duration) {
        self.0 = Some(self.0.map_or(Duration::ZERO, |so_far| so_far.saturating_add(passed)));
    }

    /// Records whether one more observation shows the fact.
    pub(super) fn is(&mut self, holds: bool, passed: Duration) {
        if holds { self.holds(passed) } else { self.ends() }
    }

    pub(super) fn ends(&mut self) {
        self.0 = None;
    }

    pub(super) fn time(self) -> Duration {
        self.0.unwrap_or_default()
    }
}

/// The history of one address.
#[derive(Debug, Default)]
pub(super) struct HostHistory {
    ever_listed: bool,
    unlisted: HeldFor,
    unresolved: HeldFor,
    silent: HeldFor,
    pub(super) unhealthy: HeldFor,
    down_observations: u32,
    closed: HeldFor,
    unconnected: HeldFor,
    state: Option<NodeState>,
    in_state: HeldFor,
    sourceless: HeldFor,
}

impl HostHistory {
    /// Records what this observation shows of the address, and writes into it for how long each fact has held.
    pub(super) fn complete(&mut self, node: &mut Node, listed: Listed, tasks: TasksSeen, passed: Duration) {
        let good = tasks != TasksSeen::Badly;
        match listed {
            Listed::Yes => {
                self.ever_listed = true;
                self.unlisted.ends();
            }
            Listed::No if good => self.unlisted.holds(passed),
            Listed::No | Listed::Failing | Listed::Unknown => {}
        }
        self.unresolved.is(listed == Listed::Failing && tasks == TasksSeen::Completely, passed);
        self.silent.is(node.answer.is_err(), passed);
        let gone_from_dns = good && listed == Listed::No;
        self.down_observations = self.down_observations_after(&node.answer.as_ref().map(drop), gone_from_dns);
        self.closed.is(self.down_observations > 0, passed);
        self.unconnected.is(node.unconnected, passed);
        self.record_state(node.probe().map(|probe| probe.state), passed);
        self.sourceless.is(node.probe().is_some_and(copies_from_nobody), passed);
        node.ever_listed = self.ever_listed;
        node.unlisted_for = self.unlisted.time();
        node.unresolved_for = self.unresolved.time();
        node.silent_for = self.silent.time();
        node.down_observations = self.down_observations;
        node.closed_for = self.closed.time();
        node.unconnected_for = self.unconnected.time();
        node.state_for = self.in_state.time();
        node.sourceless_for = self.sourceless.time();
    }

    fn down_observations_after(&self, answer: &Result<(), &ProbeError>, gone_from_dns: bool) -> u32 {
        let before = self.down_observations;
        match answer {
            Ok(()) => 0,
            Err(error) if error.is_down() => before.saturating_add(1),
            // The node accepted a connection, so its process lives.
            Err(ProbeError::Dropped) => 0,
            // When a container is removed, its port closes first, and then DNS drops the task. The address can become
            // silent before an observation finds the port closed a second time.
            Err(_) if before > 0 && gone_from_dns => before.saturating_add(1),
            // Silence proves nothing about a port that was closed some time ago. The mongod may be back, and only the
            // path from this controller may be cut.
            Err(_) => before.min(1),
        }
    }

    fn record_state(&mut self, state: Option<NodeState>, passed: Duration) {
        if state != self.state {
            self.in_state.ends();
        }
        self.state = state;
        self.in_state.is(state.is_some(), passed);
    }
}

fn copies_from_nobody(probe: &Probe) -> bool {
    probe.state == NodeState::Secondary && probe.view.as_ref().is_some_and(|view| view.sync_source.is_none())
}

/// How well an observation shows the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TasksSeen {
    /// DNS gave no good answer.
    Badly,
    /// DNS lists them well, and some do not answer.
    Partly,
    /// DNS lists them well, and all of them answer.
    Completely,
}

/// Whether DNS lists an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Yes,
    No,
    /// DNS answers that it fails for the name, and nothing answers at the name's last addresses.
    Failing,
    Unknown,
}

impl Listed {
    /// Whether DNS lists the member with this name. `any_listed` is whether one of the name's addresses is a task's
    /// address.
    pub(super) fn of_name(answer: &NameAnswer, any_listed: bool) -> Self {
        match answer {
            NameAnswer::Trouble(trouble) => match trouble.kind {
                DnsTroubleKind::ServFail | DnsTroubleKind::Refused => Self::Failing,
                _ => Self::Unknown,
            },
            NameAnswer::Addresses(_) if any_listed => Self::Yes,
            NameAnswer::Addresses(_) | NameAnswer::NoSuchName => Self::No,
        }
    }
}
