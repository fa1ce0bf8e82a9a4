//! The world that a scenario describes, and the observation that a controller makes of it.

use crate::words;
use bson::oid::ObjectId;
use rsctl::model::{
    AddressKind, Certificates, DataId, DnsTrouble, EvidenceId, FailedSyncs, FeatureVersion, Found, Host, Lock, Naming,
    Node, NodeState, Observed, OpTime, Past, Pause, PauseWord, Peer, Policy, Probe, ProbeError, ProcessId, Proof,
    RecoveryRequest, Refusal, RemovalTarget, ReplConfig, SetName, SetView, SwitchoverRequest, SyncSourceRequest,
    TaskList, Token, UserData, UserTrouble, WireVersion,
};
use rsctl::plan::evidence;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// All that a scenario describes.
#[derive(Clone)]
pub struct World {
    pub policy: Policy,
    /// The configs by label. Every node stores the one with the empty label, unless the scenario says otherwise.
    pub configs: BTreeMap<String, ReplConfig>,
    /// The nodes by the word of their address.
    pub nodes: BTreeMap<String, Spec>,
    pub trouble: Vec<DnsTrouble>,
    /// Whether tasks report a name that resolves to them: `a` reports `@a`.
    pub names: bool,
    pub blank_for: Duration,
    pub config_ever_seen: bool,
    pub recovered_for: Option<Duration>,
    pub lock_ages: BTreeMap<String, Duration>,
    pub unsynced: BTreeSet<String>,
    pub refusals: Vec<Refusal>,
    pub removals: BTreeSet<RemovalTarget>,
    pub request: Option<Request>,
    pub readdress: Option<AddressKind>,
    pub pause: Option<Duration>,
    pub certificates: Certificates,
    pub sync_source_requests: Vec<SyncSourceRequest>,
    pub switched_over: BTreeSet<ProcessId>,
    /// Whom an operator wants to lead instead of the primary, and since when.
    pub switchover: Option<(Option<String>, Duration)>,
    pub users: Vec<UserTrouble>,
}

/// A recovery that an operator requested. It has the evidence of this world, unless it is stale.
#[derive(Clone)]
pub struct Request {
    pub accepts_loss_of: Option<SetName>,
    pub stale: bool,
}

/// The description of one address in a scenario. `None` means the default that follows from the rest.
#[derive(Clone, Default)]
pub struct Spec {
    pub answer: Answer,
    pub config: Option<String>,
    pub data: Option<Option<String>>,
    pub process: Option<String>,
    pub set: Option<SetName>,
    pub started_for: Option<SetName>,
    pub wire: Option<i32>,
    pub feature: Option<FeatureVersion>,
    pub sees: Option<Option<String>>,
    pub sees_down: Vec<String>,
    pub unasked: Vec<String>,
    pub unheard: Vec<(String, Duration)>,
    pub sees_up: Vec<String>,
    pub applied: Option<u32>,
    /// `None`: the server does not report it, as before MongoDB 8.0.
    pub written: Option<u32>,
    /// The term of its optimes. `None`: the term of its config.
    pub term: Option<i64>,
    pub source: Option<String>,
    pub committed: Option<u32>,
    pub failed_syncs: Option<u32>,
    /// The last durable write that was observed in its directory before.
    pub held: Option<u32>,
    pub user_data: Option<UserData>,
    pub lock: Option<(String, String, Option<String>)>,
    pub marked_removed: bool,
    pub naming: Option<Naming>,
    pub unlisted: Option<Option<Duration>>,
    pub answers_elsewhere: bool,
    pub unresolved: Duration,
    pub silent: Option<Duration>,
    pub unhealthy: Option<Duration>,
    pub down_observations: Option<u32>,
    pub closed: Duration,
    /// For how long no attempt to connect was answered.
    pub unconnected: Duration,
    pub state_for: Duration,
    pub sourceless: Duration,
    /// An arbiter that rsctl cannot log in to.
    pub unproven: bool,
    /// The host name that it reports.
    pub hostname: Option<String>,
    /// Nothing leads there, and the node says that it is the member with this address.
    pub by_its_word: bool,
}

/// Whether an address answers.
#[derive(Clone, Default)]
pub enum Answer {
    /// It answers with this state.
    State(NodeState),
    /// It does not answer.
    Error(ProbeError),
    /// It is another address of the node at that word.
    SameAs(String),
    #[default]
    Unsaid,
}

/// The last entry of every oplog, unless a scenario says otherwise.
const APPLIED: u32 = 10;

impl World {
    /// The node that answers at a word, after aliases.
    pub fn owner(&self, word: &str) -> Option<(&str, &Spec)> {
        let (key, spec) = self.nodes.get_key_value(word)?;
        match &spec.answer {
            Answer::SameAs(other) => self.owner(other),
            _ => Some((key, spec)),
        }
    }

    pub fn state(&self, word: &str) -> Option<NodeState> {
        match self.owner(word)?.1.answer {
            Answer::State(state) => Some(state),
            _ => None,
        }
    }

    /// The config that a node stores.
    pub fn config_of(&self, spec: &Spec) -> Option<&ReplConfig> {
        match (&spec.config, &spec.answer) {
            (Some(label), _) => self.configs.get(label),
            (None, Answer::State(NodeState::Blank | NodeState::Standalone)) => None,
            (None, _) => self.configs.get(""),
        }
    }

    /// The word for an address.
    pub fn word(&self, host: &Host) -> Option<&str> {
        let short = words::shorten(&host.to_string());
        self.nodes.get_key_value(&short).map(|(word, _)| word.as_str())
    }

    fn rid_of(&self, spec: &Spec) -> Option<ObjectId> {
        self.config_of(spec)?.replica_set_id()
    }

    pub fn data_of(&self, word: &str, spec: &Spec) -> Option<String> {
        if let Some(said) = &spec.data {
            return said.clone();
        }
        use NodeState as S;
        let complete = [S::Primary, S::Secondary, S::Recovering, S::Rollback, S::Removed];
        matches!(spec.answer, Answer::State(state) if complete.contains(&state)).then(|| words::default_data(word))
    }

    pub fn process_of(&self, word: &str, spec: &Spec) -> String {
        spec.process.clone().unwrap_or_else(|| word.to_owned())
    }

    /// Whether the address answers the heartbeats of a member.
    fn answers_heartbeats(&self, from: &Spec, host: &Host) -> bool {
        let Some((word, to)) = self.word(host).and_then(|word| self.owner(word)) else { return false };
        let of_the_set = !matches!(
            self.state(word),
            None | Some(NodeState::Blank | NodeState::Removed | NodeState::Standalone | NodeState::Startup)
        );
        of_the_set && self.rid_of(from) == self.rid_of(to)
    }

    fn optime(&self, spec: &Spec, seconds: Option<u32>) -> OpTime {
        let term = spec.term.or_else(|| self.config_of(spec)?.term()).unwrap_or(1);
        OpTime { term, seconds: seconds.unwrap_or(APPLIED), counter: 1 }
    }

    fn view(&self, word: &str, spec: &Spec) -> Option<SetView> {
        use NodeState as S;
        let Answer::State(state) = spec.answer else { return None };
        if matches!(state, S::Blank | S::Removed | S::Standalone | S::Startup) {
            return None;
        }
        let config = self.config_of(spec)?;
        let term = config.term().unwrap_or(1);
        let optime = |seconds| self.optime(spec, seconds);
        let peers = config.members().iter().map(|member| {
            let said = |list: &[String]| list.iter().any(|w| words::host(w) == member.host);
            let own = self.word(&member.host).and_then(|w| self.owner(w)).is_some_and(|(w, _)| w == word);
            let healthy =
                own || (said(&spec.sees_up) || self.answers_heartbeats(spec, &member.host)) && !said(&spec.sees_down);
            let asked = !said(&spec.unasked);
            let healthy = healthy && asked;
            let there = self.word(&member.host).and_then(|w| self.owner(w));
            let state = there.and_then(|(w, _)| self.state(w)).filter(|_| healthy);
            // A node that only the other members can reach is a secondary.
            let state = state.unwrap_or(if healthy { S::Secondary } else { S::Other });
            let applied = optime(there.and_then(|(_, s)| s.applied));
            let written = there.and_then(|(_, s)| s.written).map(|at| optime(Some(at)));
            let unheard_for = spec.unheard.iter().find(|(w, _)| words::host(w) == member.host).map(|(_, time)| *time);
            (
                member.id,
                Peer { healthy, asked, unheard_for, state, applied, written, applied_wall_ms: None, message: None },
            )
        });
        let committed = optime(spec.committed);
        let sync_source = spec.source.as_ref().map(|word| words::host(word));
        let (applied, peers) = (optime(spec.applied), peers.collect());
        let written = spec.written.map(|at| optime(Some(at)));
        let durable = written.unwrap_or(applied);
        let reason = || "InvalidOptions: the reason".to_owned();
        let failed_syncs = spec.failed_syncs.map(|times| FailedSyncs { times, reason: reason() });
        Some(SetView {
            term,
            committed,
            applied,
            written,
            durable,
            applied_wall_ms: None,
            sync_source,
            failed_syncs,
            initial_sync: None,
            elected_for: None,
            peers,
            me: None,
        })
    }

    /// The host of the primary in the config that this node stores.
    fn named_primary(&self, spec: &Spec) -> Option<Host> {
        let config = self.config_of(spec)?;
        config
            .members()
            .iter()
            .map(|m| &m.host)
            .find(|host| {
                let there = self.word(host).and_then(|w| self.owner(w));
                there.is_some_and(|(w, s)| {
                    self.state(w) == Some(NodeState::Primary) && self.rid_of(s) == self.rid_of(spec)
                })
            })
            .cloned()
    }

    fn lock(&self, (token, seed, process): &(String, String, Option<String>)) -> Lock {
        let current = || self.owner(seed).map_or_else(|| seed.clone(), |(word, spec)| self.process_of(word, spec));
        let process = process.clone().unwrap_or_else(current);
        Lock { token: Token(token.clone()), seed: words::host(seed), seed_process: words::process(&process) }
    }

    fn probe(&self, word: &str, spec: &Spec) -> Result<Probe, ProbeError> {
        let state = match &spec.answer {
            Answer::State(state) => *state,
            Answer::Error(error) => return Err(error.clone()),
            Answer::SameAs(_) | Answer::Unsaid => panic!("{word}: nothing is said about it"),
        };
        let blank = state == NodeState::Blank;
        let in_set = !matches!(state, NodeState::Blank | NodeState::Standalone);
        let data = self.data_of(word, spec);
        let process = words::process(&self.process_of(word, spec));
        let wire = WireVersion(spec.wire.unwrap_or(17));
        Ok(Probe {
            feature: spec.feature,
            hostname: spec.hostname.clone(),
            proof: if spec.unproven { Proof::None } else { Proof::NotAsked },
            started_for: spec.started_for.clone(),
            set: spec.set.clone().or_else(|| (state != NodeState::Standalone).then(|| SetName::new("rs"))),
            sees_primary: match &spec.sees {
                Some(said) => said.as_deref().map(words::host),
                None => in_set.then(|| self.named_primary(spec)).flatten(),
            },
            config: self.config_of(spec).cloned(),
            data: data.as_deref().map(words::data),
            user_data: spec.user_data.unwrap_or(if blank { UserData::None } else { UserData::Unknown }),
            lock: spec.lock.as_ref().map(|lock| self.lock(lock)),
            marked_removed: spec.marked_removed,
            view: self.view(word, spec),
            oplog_end: (state == NodeState::Removed).then(|| self.optime(spec, spec.applied)),
            ..Probe::new(process, wire, state)
        })
    }

    fn naming(&self, word: &str, answers: bool) -> Naming {
        let (word, spec) = self.owner(word).unwrap_or_else(|| panic!("{word}: nothing is said about it"));
        match &spec.naming {
            Some(said) => said.clone(),
            None if !answers => Naming::Unknown,
            None if word.starts_with('@') => Naming::Stable(words::host(word)),
            None if self.names => Naming::Stable(words::host(&format!("@{word}"))),
            None => Naming::Unstable,
        }
    }

    fn node(&self, word: &str, spec: &Spec) -> Node {
        let (owner, owned) = self.owner(word).unwrap_or_else(|| panic!("{word}: nothing is said about it"));
        let answer = self.probe(owner, owned).map(Arc::new);
        let listed = spec.unlisted.is_none() && !spec.by_its_word;
        let answers = answer.is_ok();
        let silent = spec.silent.unwrap_or(if answers { Duration::ZERO } else { Duration::from_secs(5) });
        let down = answer.as_ref().is_err_and(ProbeError::is_down);
        Node {
            at: words::host(word).socket().or_else(|| answers.then_some(([10, 9, 9, 9], 27017).into())),
            naming: self.naming(word, answers),
            answer,
            listed,
            answers_elsewhere: spec.answers_elsewhere,
            ever_listed: spec.unlisted != Some(None),
            // A node that was never listed has been unlisted for as long as it has been silent.
            unlisted_for: spec.unlisted.map_or(Duration::ZERO, |said| said.unwrap_or(silent)),
            unresolved_for: spec.unresolved,
            silent_for: silent,
            unhealthy_for: spec.unhealthy.unwrap_or(silent),
            down_observations: spec.down_observations.unwrap_or(u32::from(down)),
            closed_for: spec.closed,
            unconnected: !spec.unconnected.is_zero(),
            unconnected_for: spec.unconnected,
            state_for: spec.state_for,
            sourceless_for: spec.sourceless,
            found: if spec.by_its_word { Found::ByItsWord } else { Found::AtAddress },
        }
    }

    /// The observation of a controller, with the requests that it got.
    pub fn observe(&self) -> Observed {
        let mut observed = self.seen();
        observed.request = self.request.as_ref().map(|request| RecoveryRequest {
            evidence: if request.stale { EvidenceId::new(0) } else { evidence(&observed, &self.policy).id() },
            accepts_loss_of: request.accepts_loss_of.clone(),
        });
        observed
    }

    fn seen(&self) -> Observed {
        let mut whole = self.clone();
        whole.add_names();
        let nodes: BTreeMap<Host, Node> =
            whole.nodes.iter().map(|(word, spec)| (words::host(word), whole.node(word, spec))).collect();
        let listed = nodes.iter().filter(|(host, node)| node.listed && host.name().is_none());
        let hosts = listed.map(|(host, _)| host.clone()).collect();
        let probes = || nodes.values().filter_map(Node::probe);
        let mut locks: Vec<(Lock, Duration)> = Vec::new();
        for lock in probes().filter_map(|p| p.lock.clone()) {
            let age = self.lock_ages.get(&lock.token.0).copied().unwrap_or_default();
            if !locks.contains(&(lock.clone(), age)) {
                locks.push((lock, age));
            }
        }
        let unsynced: BTreeSet<_> = self.unsynced.iter().map(|word| words::process(word)).collect();
        let fsynced = probes().map(|p| p.process).filter(|p| !unsynced.contains(p)).collect();
        Observed {
            tasks: TaskList { hosts, trouble: self.trouble.clone() },
            blank_for: self.blank_for,
            known_set: self.config_ever_seen.then(|| words::generation("R1")),
            still_for: self.blank_for,
            recovered_for: self.recovered_for,
            locks,
            fsynced,
            pasts: self.pasts(),
            removals: self.removals.clone(),
            readdress: self.readdress,
            pause: self.pause.map(|left| Pause { word: PauseWord::pause(0, left, "", None), left, kept_by: 0 }),
            certificates: self.certificates.clone(),
            request: None,
            sync_source_requests: self.sync_source_requests.clone(),
            switched_over: self.switched_over.clone(),
            switchover: self.switchover_request(),
            refusals: self.refusals.clone(),
            users: self.users.clone(),
            nodes,
        }
    }

    fn switchover_request(&self) -> Option<SwitchoverRequest> {
        let (to, age) = self.switchover.as_ref()?;
        let (word, spec) = self.nodes.iter().find(|(word, _)| self.state(word) == Some(NodeState::Primary))?;
        let from = words::process(&self.process_of(word, spec));
        Some(SwitchoverRequest { from, to: to.as_ref().map(|word| words::host(word)), age: *age })
    }

    fn pasts(&self) -> BTreeMap<DataId, Past> {
        let past = |(word, spec): (&String, &Spec)| {
            let data = words::data(&self.data_of(word, spec)?);
            let held = self.optime(spec, Some(spec.held?));
            Some((data, Past { held: OpTime { term: 1, ..held }, was_whole: true }))
        };
        self.nodes.iter().filter_map(past).collect()
    }

    /// Makes each name in a config resolve to the task of its letter, unless the scenario says otherwise.
    fn add_names(&mut self) {
        let configs = self.configs.clone();
        for (label, member) in configs.iter().flat_map(|(label, c)| c.members().iter().map(move |m| (label, m))) {
            if self.word(&member.host).is_some() {
                continue;
            }
            let short = words::shorten(&member.host.to_string());
            let task = words::task_of_name(&short).and_then(|letter| self.nodes.get_key_value(&letter));
            let Some((letter, task)) = task else {
                assert!(!label.is_empty() || member.host.port() == 9, "member {short}: nothing is said about it");
                let silent = Answer::Error(ProbeError::Timeout);
                self.nodes.insert(short, Spec { answer: silent, unlisted: Some(None), ..Spec::default() });
                continue;
            };
            let naming = Some(Naming::Stable(words::host(&format!("@{letter}"))));
            assert!(
                task.naming.is_none() || task.naming == naming,
                "{letter} has another name, so say what {short} is"
            );
            let unlisted = task.unlisted;
            let alias = Spec { answer: Answer::SameAs(letter.clone()), unlisted, ..Spec::default() };
            self.nodes.insert(short, alias);
        }
    }
}
