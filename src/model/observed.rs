//! One observation: everything that is known at one moment, and for how long each fact has held.
//!
//! **Invariant:** an observation cannot fail. An unknown fact is a value in it, and differs from an absent fact.

use super::{
    AddressKind, Certificates, DataId, Host, Lock, NodeState, Past, Pause, Peer, Probe, ProbeError, ProcessId, Proof,
    RecoveryRequest, Refusal, RemovalTarget, ReplConfig, SwitchoverRequest, TaskList, UserTrouble,
};
use bson::oid::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// All facts for one decision.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The tasks that DNS lists.
    pub tasks: TaskList,
    /// Every address that was asked: the addresses of tasks, of configured members, and of seeds in locks.
    pub nodes: BTreeMap<Host, Node>,
    /// For how long the listed tasks have been the same processes, all of them blank.
    pub blank_for: Duration,
    /// For how long the same processes have answered with the same states, configs and primaries.
    pub still_for: Duration,
    /// Time since this controller's last recovery.
    pub recovered_for: Option<Duration>,
    /// The `replicaSetId` of the set that the controller manages. It is none until the controller has seen one. After
    /// that, this controller run must not initiate another set.
    pub known_set: Option<ObjectId>,
    /// For how long each lock has not changed.
    pub locks: Vec<(Lock, Duration)>,
    /// Requests to copy from another member: the last request to each secondary, and the last request between any two
    /// members. The newest one is at the end.
    pub sync_source_requests: Vec<SyncSourceRequest>,
    /// Primaries that a switchover replaced because DNS did not list them, and that DNS has not listed since.
    pub switched_over: BTreeSet<ProcessId>,
    /// Processes that have written their state to disk since they became members.
    pub fsynced: BTreeSet<ProcessId>,
    /// What each data directory was seen to hold before this observation, in this controller's life.
    pub pasts: BTreeMap<DataId, Past>,
    /// The members that an operator wants to remove.
    pub removals: BTreeSet<RemovalTarget>,
    /// The kind of address that an operator wants all members to have.
    pub readdress: Option<AddressKind>,
    /// A switchover that an operator requested.
    pub switchover: Option<SwitchoverRequest>,
    /// A recovery that an operator requested.
    pub request: Option<RecoveryRequest>,
    /// Steps that failed a short time ago.
    pub refusals: Vec<Refusal>,
    /// What is wrong with the users that the controller keeps. No rule reads it.
    pub users: Vec<UserTrouble>,
    /// An operator's pause. No rule reads it: the step that they choose is held back.
    pub pause: Option<Pause>,
    /// The certificates of rsctl and of the nodes, and the files for TLS that are not usable.
    pub certificates: Certificates,
}

/// One address in an observation.
#[derive(Clone, Debug)]
pub struct Node {
    /// The socket address that was asked. It is none if the node's name has no address.
    pub at: Option<SocketAddr>,
    /// The node's answer, or the reason why there is none.
    pub answer: Result<Arc<Probe>, ProbeError>,
    /// Whether DNS lists the node as a task now.
    pub listed: bool,
    /// The node does not answer, and its task answers at another address. So nothing is missing.
    pub answers_elsewhere: bool,
    /// Whether DNS has listed the node as a task at any time in this controller's life.
    pub ever_listed: bool,
    /// For how long good DNS answers have not listed the node. It is zero while one lists it.
    pub unlisted_for: Duration,
    /// For how long DNS has failed for the node's name (SERVFAIL, REFUSED), while it listed the tasks well, all of them
    /// answered, and nothing answered where the name led before. It is zero as soon as one of these does not hold.
    pub unresolved_for: Duration,
    /// For how long the node has not answered. It is zero while the node answers.
    pub silent_for: Duration,
    /// For how long the primary has seen the node down. It is zero while the primary sees it up.
    pub unhealthy_for: Duration,
    /// The number of observations since the node's last answer that found its port closed, or that found, after its
    /// port was closed, that DNS no longer lists it. When a task that is still listed becomes silent, at most one of
    /// those observations counts.
    pub down_observations: u32,
    /// For how long the node's port has been closed, without an answer in between.
    pub closed_for: Duration,
    /// Whether no attempt to connect to the node was answered in this observation. The kernel of a machine answers such an
    /// attempt while its mongod hangs, so this shows more than a missing answer.
    pub unconnected: bool,
    /// For how long this has been so.
    pub unconnected_for: Duration,
    /// For how long the node's mongod has reported the same state. It is zero while the node does not answer.
    pub state_for: Duration,
    /// For how long the node's mongod has been a SECONDARY that copies from no member. It is zero if it copies from one,
    /// or if that is unknown.
    pub sourceless_for: Duration,
    /// What the host name that the node reports resolves to.
    pub naming: Naming,
    /// How the node's mongod was found.
    pub found: Found,
}

/// How the mongod of an address was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// The address leads to it.
    #[default]
    AtAddress,
    /// The address leads nowhere: DNS does not know the name, or every machine means itself by it. The mongod answers at
    /// another address and says that it is the member with this one.
    ByItsWord,
}

/// Whether the host name that a node reports can be its address as a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// It is unknown, because the node or DNS did not answer. The IP address does not replace the name then.
    Unknown,
    /// The name resolves to exactly this node.
    Stable(Host),
    /// The name is a container id, or DNS does not know it, or it resolves to another node.
    Unstable,
}

impl Node {
    /// A node about whose past nothing is known yet: every duration is zero.
    pub fn new(at: Option<SocketAddr>, answer: Result<Arc<Probe>, ProbeError>, naming: Naming, listed: bool) -> Self {
        Self {
            at,
            answer,
            listed,
            answers_elsewhere: false,
            ever_listed: false,
            unlisted_for: Duration::ZERO,
            unresolved_for: Duration::ZERO,
            silent_for: Duration::ZERO,
            unhealthy_for: Duration::ZERO,
            down_observations: 0,
            closed_for: Duration::ZERO,
            unconnected: false,
            unconnected_for: Duration::ZERO,
            state_for: Duration::ZERO,
            sourceless_for: Duration::ZERO,
            naming,
            found: Found::AtAddress,
        }
    }

    /// Whether DNS lists the node as a task, and no other address of the task answers for it.
    pub fn must_answer(&self) -> bool {
        self.listed && !self.answers_elsewhere
    }

    /// The node's answer, if there is one.
    pub fn probe(&self) -> Option<&Probe> {
        self.answer.as_deref().ok()
    }
}

/// One mongod that answered, with all addresses that lead to it.
#[derive(Clone, Debug)]
pub struct Process<'a> {
    /// The identity of the process.
    pub id: ProcessId,
    /// The answer of the process, at its first address.
    pub probe: &'a Probe,
    /// Every address that leads to the process, in order. There is at least one.
    pub hosts: Vec<&'a Host>,
    /// Whether DNS lists the process as a task.
    pub listed: bool,
}

impl Observed {
    /// The node at an address.
    pub fn node(&self, host: &Host) -> Option<&Node> {
        self.nodes.get(host)
    }

    /// The answer of the node at an address.
    pub fn probe(&self, host: &Host) -> Option<&Probe> {
        self.node(host).and_then(Node::probe)
    }

    /// Drops the answers of nodes without a proof. It keeps the answer of an arbiter if a member with a proof has an
    /// arbiter at that address in its config. The remaining answers may be merged, counted and trusted.
    pub fn believe_only_the_proven(&mut self) {
        let proven = self.nodes.values().filter_map(Node::probe).filter(|probe| probe.proof != Proof::None);
        let members = proven.filter_map(|probe| probe.config.as_ref()).flat_map(ReplConfig::members);
        let arbiters: BTreeSet<&Host> = members.filter(|member| member.arbiter).map(|member| &member.host).collect();
        let at: BTreeSet<SocketAddr> = arbiters.iter().filter_map(|host| self.nodes.get(*host)?.at).collect();
        for node in self.nodes.values_mut() {
            let unproven = node.probe().is_some_and(|probe| probe.proof == Proof::None);
            if unproven && !node.at.is_some_and(|place| at.contains(&place)) {
                let reason = "it calls itself an arbiter, and no member's config has one there";
                node.answer = Err(ProbeError::Unproven(reason.to_owned()));
            }
        }
    }

    /// The address in this config of the member that was asked at `at`.
    pub fn member_at<'c>(&self, config: &'c ReplConfig, at: SocketAddr) -> Option<&'c Host> {
        let mut hosts = config.members().iter().map(|member| &member.host);
        hosts.find(|host| self.is_at(host, at))
    }

    /// Whether the node of this address was asked at `at`.
    pub fn is_at(&self, host: &Host, at: SocketAddr) -> bool {
        self.node(host).is_some_and(|node| node.at == Some(at))
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

    /// Whether the directory with this answer lacks writes that it was seen to hold: see [`Past`].
    pub fn is_rewound(&self, probe: &Probe) -> bool {
        let past = probe.data.and_then(|data| self.pasts.get(&data));
        past.is_some_and(|past| probe.is_rewound(past))
    }

    /// The view that the node with this answer has of the member at `host`.
    pub fn peer(&self, by: &Probe, host: &Host) -> Option<Peer> {
        let id = by.config.as_ref()?.member_at(host)?.id;
        by.view.as_ref()?.peers.get(&id).cloned()
    }
}

impl Process<'_> {
    /// The state that the process reports of itself.
    pub fn state(&self) -> NodeState {
        self.probe.state
    }

    /// Whether this is one of the addresses of the process.
    pub fn is_at(&self, host: &Host) -> bool {
        self.hosts.contains(&host)
    }
}

/// A request that made a secondary copy from another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncSourceRequest {
    /// The secondary.
    pub on: ProcessId,
    /// The member that the secondary must copy from.
    pub source: ProcessId,
    /// Whether the request is recent, and may still take effect.
    pub fresh: bool,
    /// For how long it has been known.
    pub age: Duration,
    /// Whether the secondary copies from the source.
    pub taken: Taken,
}

/// Whether a secondary has taken the sync source that it was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It may name the source, but nothing shows that it has got writes from it.
    NotYet,
    /// The same, and it copied from nobody when it was told. It takes the source when it looks for one, within a second.
    OnWaking,
    /// It has got writes from it.
    Yes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WireVersion;
    use bson::doc;

    fn probe(proof: Proof, config: Option<ReplConfig>) -> Probe {
        let state = if proof == Proof::None { NodeState::Arbiter } else { NodeState::Primary };
        Probe { proof, config, ..Probe::new(ProcessId(ObjectId::new()), WireVersion(17), state) }
    }

    fn node(n: u8, probe: Probe) -> (Host, Node) {
        let at = SocketAddr::from(([10, 0, 0, n], 27017));
        let node = Node::new(Some(at), Ok(Arc::new(probe)), Naming::Unknown, true);
        (Host::from(at), node)
    }

    fn config(arbiter: u8) -> ReplConfig {
        let member =
            |id: i32, n: u8| doc! { "_id": id, "host": format!("10.0.0.{n}:27017"), "arbiterOnly": n == arbiter };
        let members = [member(0, 1), member(1, 2)];
        ReplConfig::from_stored(doc! { "_id": "rs", "version": 1, "term": 1_i64, "members": members }).unwrap()
    }

    #[test]
    fn an_unproven_node_counts_only_as_the_arbiter_of_a_proven_member_s_config() {
        for (voucher, stays) in [(Proof::Secret, true), (Proof::NotAsked, true), (Proof::None, false)] {
            let nodes = [node(1, probe(voucher, Some(config(2)))), node(2, probe(Proof::None, None))];
            let mut observed = Observed { nodes: nodes.into(), ..Observed::default() };
            observed.believe_only_the_proven();
            assert_eq!(observed.nodes[&Host::from(SocketAddr::from(([10, 0, 0, 2], 27017)))].answer.is_ok(), stays);
        }
    }

    #[test]
    fn an_unproven_node_at_any_other_address_said_nothing() {
        for arbiter in [0, 1] {
            let nodes = [node(1, probe(Proof::Secret, Some(config(arbiter)))), node(2, probe(Proof::None, None))];
            let mut observed = Observed { nodes: nodes.into(), ..Observed::default() };
            observed.believe_only_the_proven();
            let answers: Vec<bool> = observed.nodes.values().map(|node| node.answer.is_ok()).collect();
            assert_eq!(answers, [true, false]);
            assert_eq!(observed.processes().len(), 1);
        }
    }
}
