//! One complete look at the world, with how long each fact has held.
//!
//! **Invariant:** an observation cannot fail. What is unknown stands in it as a value, apart from what is absent.

use super::{
    DataId, Host, Lock, NodeState, Past, Peer, Probe, ProbeError, ProcessId, RecoveryRequest, Refusal, RemovalTarget,
    TaskList,
};
use bson::oid::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Everything one decision is made from.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What DNS listed.
    pub tasks: TaskList,
    /// Every address that was asked: those of the tasks, those of configured members, those that a lock names.
    pub nodes: BTreeMap<Host, Node>,
    /// How long the same processes, all of them blank, have been what DNS lists.
    pub blank_for: Duration,
    /// For how long the same processes have answered with the same words: states, configs, primaries they name.
    pub still_for: Duration,
    /// Time since this controller's last recovery.
    pub recovered_for: Option<Duration>,
    /// The generation that the last observation without doubt was about. Once there was one, no other may begin in this
    /// controller's life.
    pub known_set: Option<ObjectId>,
    /// How long each lock has looked the same.
    pub locks: Vec<(Lock, Duration)>,
    /// AdminRequests to copy from another member: to each the last one, of any two the last one, and the last one at the end.
    pub sync_source_requests: Vec<SyncSourceRequest>,
    /// Processes that were told to write their state to disk since they became members.
    pub fsynced: BTreeSet<ProcessId>,
    /// What each data directory was seen to hold before this observation, in this controller's life.
    pub pasts: BTreeMap<DataId, Past>,
    /// Whom an operator wants out.
    pub removals: BTreeSet<RemovalTarget>,
    /// A recovery that an operator ordered.
    pub request: Option<RecoveryRequest>,
    /// Steps that failed not long ago.
    pub refusals: Vec<Refusal>,
}

/// One address in an observation.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it was asked; none when its name led nowhere.
    pub at: Option<SocketAddr>,
    /// What it said, or why nothing.
    pub answer: Result<Arc<Probe>, ProbeError>,
    /// DNS lists it as a task now.
    pub listed: bool,
    /// DNS has listed it at some time in this controller's life.
    pub ever_listed: bool,
    /// For how long good DNS answers have not listed it.
    pub unlisted_for: Duration,
    /// For how long it has not answered.
    pub silent_for: Duration,
    /// For how long the primary has seen it down.
    pub unhealthy_for: Duration,
    /// Observations since its last answer that found its port closed, or DNS without it once the port was closed. Silence of a
    /// listed task leaves one of them.
    pub down_observations: u32,
    /// Where the host name that it reports leads.
    pub naming: Naming,
}

/// What became of the host name that a node reports, as a candidate for its member address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Not known: the node did not answer, or DNS did not. Wait, do not fall back to the IP.
    Unknown,
    /// DNS leads from the name to exactly this node.
    Stable(Host),
    /// A container id, or a name that DNS does not know or that leads elsewhere.
    Unstable,
}

impl Node {
    /// The answer, if there is one.
    pub fn probe(&self) -> Option<&Probe> {
        self.answer.as_deref().ok()
    }
}

/// One mongod, however many addresses lead to it.
#[derive(Clone, Debug)]
pub struct Process<'a> {
    /// Which one.
    pub id: ProcessId,
    /// What it said, through its first address.
    pub probe: &'a Probe,
    /// Every address that led to it, in order.
    pub hosts: Vec<&'a Host>,
    /// DNS lists it as a task.
    pub listed: bool,
}

impl Observed {
    /// The node at an address.
    pub fn node(&self, host: &Host) -> Option<&Node> {
        self.nodes.get(host)
    }

    /// What the node at an address said.
    pub fn probe(&self, host: &Host) -> Option<&Probe> {
        self.node(host).and_then(Node::probe)
    }

    /// Every mongod that answered, each once.
    pub fn processes(&self) -> Vec<Process<'_>> {
        let mut found: BTreeMap<ProcessId, Process<'_>> = BTreeMap::new();
        for (host, node) in &self.nodes {
            let Some(probe) = node.probe() else { continue };
            let process = found.entry(probe.process).or_insert_with(|| Process {
                id: probe.process,
                probe,
                hosts: Vec::new(),
                listed: false,
            });
            process.hosts.push(host);
            process.listed |= node.listed;
        }
        found.into_values().collect()
    }

    /// Whether this directory, by what it says now, lacks writes that it was seen to hold: see [`Past`].
    pub fn is_rewound(&self, probe: &Probe) -> bool {
        let past = probe.data.and_then(|data| self.pasts.get(&data));
        past.is_some_and(|past| probe.is_rewound(past))
    }

    /// How the node at `by` sees the member at `host`.
    pub fn peer(&self, by: &Probe, host: &Host) -> Option<Peer> {
        let id = by.config.as_ref()?.member_at(host)?.id;
        by.view.as_ref()?.peers.get(&id).cloned()
    }
}

impl Process<'_> {
    /// Its own state.
    pub fn state(&self) -> NodeState {
        self.probe.state
    }

    /// One of its addresses is this one.
    pub fn is_at(&self, host: &Host) -> bool {
        self.hosts.contains(&host)
    }
}

/// A secondary was told to copy from another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncSourceRequest {
    /// Who was told.
    pub on: ProcessId,
    /// Its source to be.
    pub source: ProcessId,
    /// It may still be about to follow.
    pub fresh: bool,
}
