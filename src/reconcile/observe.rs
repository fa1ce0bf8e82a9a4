//! One observation: ask DNS, probe all mongods concurrently under one deadline, and say how long each fact has held.
//!
//! **Invariant:** an observation always ends, and it never fails.

use super::age::Age;
use super::families::excuse_other_addresses;
use super::history::History;
use super::host_history::Listed;
use super::last_addresses::LastAddresses;
use super::named::ConfigFilter;
use crate::discovery::{Discovery, QUESTION_LIMIT};
use crate::model::{
    AddressKind, Found, Host, MemberAddress, NameAnswer, Naming, Node, Observed, Policy, Probe, ProbeError, ProcessId,
    ReplConfig, TaskList, is_container_id,
};
use crate::mongo::Admin;
use futures_util::future::{join, join_all};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a probe of one mongod may take.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// The longest probe of a mongod that did not answer the last probe. It must not slow down every observation.
const SILENT_LIMIT: Duration = Duration::from_millis(250);
/// A mongod that has just become silent may take this many times as long as its last answer took. The first
/// observations without it decide how soon another primary is elected when its container is gone, so they must be
/// short.
const SILENT_TIMES: u32 = 4;
/// How often one of the silent mongods gets the whole [`PROBE_LIMIT`]. A mongod that answers slowly must not count as
/// silent for ever because of one missed answer.
const PATIENT_PROBE_EVERY: Duration = Duration::from_secs(10);
/// The most addresses that a task can have: a virtual IP and its own, of each family.
const OWN_ADDRESSES_MAX: usize = 4;
/// The shortest probe of a mongod that has just become silent.
const SILENT_MIN: Duration = Duration::from_millis(30);

type Answers = BTreeMap<SocketAddr, Result<Arc<Probe>, ProbeError>>;
type Names = BTreeMap<String, NameAnswer>;

/// How an address that did not answer is probed.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// How long the next probe may take.
    limit: Duration,
    /// When it last had the whole [`PROBE_LIMIT`].
    patient_at: Instant,
}

/// Makes observations and keeps their history.
pub(super) struct Observer<'p, D, A> {
    discovery: &'p D,
    admin: &'p A,
    policy: &'p Policy,
    interval: Duration,
    /// Addresses of members and of the seeds that locks name, from the previous observation.
    known: BTreeSet<Host>,
    /// The addresses that did not answer, and how each is probed next.
    silent: BTreeMap<SocketAddr, Silence>,
    /// Those of them that did not even answer an attempt to connect, in the last observation.
    unconnected: BTreeSet<SocketAddr>,
    /// How long the last answer of each address took.
    took: BTreeMap<SocketAddr, Duration>,
    last_addresses: LastAddresses,
    pub(super) history: History,
    /// The kind of address that an operator wants the members to have.
    pub(super) wanted: Option<AddressKind>,
    /// The age of the last observation.
    pub(super) age: Age,
}

impl<'p, D: Discovery, A: Admin> Observer<'p, D, A> {
    pub(super) fn new(discovery: &'p D, admin: &'p A, policy: &'p Policy, interval: Duration) -> Self {
        Self {
            discovery,
            admin,
            policy,
            interval,
            known: BTreeSet::new(),
            silent: BTreeMap::new(),
            unconnected: BTreeSet::new(),
            took: BTreeMap::new(),
            last_addresses: LastAddresses::default(),
            history: History::default(),
            wanted: None,
            age: Age::start(),
        }
    }

    /// Makes one complete observation.
    pub(super) async fn observe(&mut self) -> Observed {
        let mut age = Age::start();
        self.unconnected.clear();
        let mut names = Names::new();
        let mut answers = Answers::new();
        let wanted = self.known.iter().filter_map(Host::name).map(str::to_owned).collect();
        let (tasks, found) = join(self.discovery.tasks(), self.resolve(wanted)).await;
        age.end_phase(QUESTION_LIMIT);
        names.extend(found);
        let leads = |host: &&Host| !tasks.leads_nowhere(host);
        let dropped = self.dropped(&names, &tasks);
        let last = self.known.iter().flat_map(|host| self.last_addresses.of(host, &names, &tasks)).chain(dropped);
        let at = sockets(tasks.hosts.iter().chain(&self.known).filter(leads), &names).into_iter().chain(last).collect();
        self.ask(at, &mut answers).await;
        age.end_phase(PROBE_LIMIT);
        // Addresses that the answers name are probed in the same observation, so that no decision misses a member.
        let known = self.filter().members_and_seeds(probes(&answers));
        let reported = self.reported(&answers, &names);
        let new_names = known.iter().filter_map(Host::name).map(str::to_owned).chain(reported);
        let new_names: BTreeSet<String> = new_names.filter(|n| !names.contains_key(n)).collect();
        names.extend(self.resolve(new_names).await);
        age.end_phase(QUESTION_LIMIT);
        let own = addresses_of_own_names(&answers, &names);
        let at = sockets(known.iter().filter(leads), &names).into_iter().chain(own).collect();
        self.ask(at, &mut answers).await;
        age.end_phase(PROBE_LIMIT);
        self.age = age;
        let previously_known = self.known.clone();
        self.known.extend(known);
        self.last_addresses.learn(&names, &self.known);
        let observed = self.assemble(tasks, &names, &answers);
        self.drop_old_answers(&observed, &answers, previously_known);
        observed
    }

    /// Where members whose names DNS has dropped answered in the last observation. Swarm's DNS drops the names of a task
    /// two seconds before Swarm stops it, so a mongod that still answers there can hand over. A container that is gone must
    /// not slow the observations down: it gets the limit of a silent mongod, and what did not answer is not asked again.
    fn dropped(&mut self, names: &Names, tasks: &TaskList) -> BTreeSet<SocketAddr> {
        let found = self.known.iter().flat_map(|host| self.last_addresses.of_dropped(host, names, tasks));
        let answered = |at: &SocketAddr| self.took.contains_key(at) && !self.silent.contains_key(at);
        let dropped: BTreeSet<_> = found.filter(answered).collect();
        let brief = Silence { limit: SILENT_LIMIT, patient_at: Instant::now() };
        self.silent.extend(dropped.iter().map(|at| (*at, brief)));
        dropped
    }

    fn filter(&self) -> ConfigFilter<'p> {
        ConfigFilter::new(self.policy, self.history.known_set)
    }

    async fn resolve(&self, names: BTreeSet<String>) -> Names {
        let questions = names.into_iter().map(|name| async {
            let answer = self.discovery.name(&name).await;
            (name, answer)
        });
        join_all(questions).await.into_iter().collect()
    }

    async fn ask(&mut self, at: BTreeSet<SocketAddr>, answers: &mut Answers) {
        let admin = self.admin;
        self.be_patient_with_one(&at, Instant::now());
        let questions = at.into_iter().filter(|at| !answers.contains_key(at)).map(|at| {
            let silence = self.silent.get(&at).copied();
            let limit = silence.map_or(PROBE_LIMIT, |silence| silence.limit);
            async move {
                let asked = Instant::now();
                let probing = async { (admin.probe(at, limit).await.map(Arc::new), asked.elapsed()) };
                let connecting =
                    async { silence.is_none() || matches!(timeout(limit, admin.listens(at)).await, Ok(true)) };
                let ((answer, took), connects) = join(probing, connecting).await;
                (at, answer, took, connects)
            }
        });
        for (at, answer, took, connects) in join_all(questions).await {
            if answer.is_ok() {
                self.took.insert(at, took);
            }
            if !connects && matches!(answer, Err(ProbeError::Timeout | ProbeError::Unreachable(_))) {
                self.unconnected.insert(at);
            }
            answers.insert(at, answer);
        }
    }

    /// Gives the whole limit to the silent address that has not had it for the longest time. One at a time: several would
    /// slow down no observation more, but more observations.
    fn be_patient_with_one(&mut self, at: &BTreeSet<SocketAddr>, now: Instant) {
        let due = |silence: &Silence| now.duration_since(silence.patient_at) >= PATIENT_PROBE_EVERY;
        let candidates = self.silent.iter_mut().filter(|(address, silence)| at.contains(address) && due(silence));
        if let Some((_, silence)) = candidates.min_by_key(|(_, silence)| silence.patient_at) {
            *silence = Silence { limit: PROBE_LIMIT, patient_at: now };
        }
    }

    /// The host names to resolve: those that nodes report whose address is no member's, and all if members get names.
    fn reported(&self, answers: &Answers, names: &Names) -> BTreeSet<String> {
        let by_name = self.wanted == Some(AddressKind::Name);
        let has_names = || self.known.iter().any(|host| host.name().is_some());
        if self.policy.member_address == MemberAddress::Ip && !by_name && !has_names() {
            return BTreeSet::new();
        }
        let members = if by_name { BTreeSet::new() } else { sockets(&self.filter().members(probes(answers)), names) };
        let outside = answers.iter().filter(|(at, _)| !members.contains(at));
        let hostnames = outside.filter_map(|(_, answer)| answer.as_ref().ok()?.hostname.clone());
        hostnames.filter(|name| !is_container_id(name)).collect()
    }

    fn assemble(&mut self, tasks: TaskList, names: &Names, answers: &Answers) -> Observed {
        let mut observed = Observed::default();
        let mut listed = BTreeMap::new();
        let claims = self.claims(answers);
        for host in tasks.hosts.iter().chain(&self.known) {
            let (mut at, mut answer, mut is_listed) = locate(host, &tasks, names, answers);
            let mut found = Found::AtAddress;
            if matches!(answer, Err(ProbeError::Local | ProbeError::NoSuchName))
                && let Some(claimed_at) = claims.get(host).and_then(only_one)
                && let Some(claim) = answers.get(&claimed_at)
            {
                (at, answer, found) = (Some(claimed_at), claim.clone(), Found::ByItsWord);
            }
            let port = at.map_or(host.port(), |at| at.port());
            let naming = naming(port, &answer, names, answers);
            let is_empty = |at: &SocketAddr| answers.get(at).is_some_and(is_silence);
            if is_listed == Listed::Failing && !self.last_addresses.of(host, names, &tasks).iter().all(is_empty) {
                is_listed = Listed::Unknown;
            }
            listed.insert(host.clone(), is_listed);
            let unconnected = at.is_some_and(|at| self.unconnected.contains(&at));
            let node = Node { found, unconnected, ..Node::new(at, answer, naming, is_listed == Listed::Yes) };
            observed.nodes.insert(host.clone(), node);
        }
        observed.tasks = tasks;
        observed.certificates = self.admin.certificates();
        observed.believe_only_the_proven();
        excuse_other_addresses(&mut observed, &named(names, answers));
        self.history.complete(&mut observed, &listed, Instant::now(), self.interval.saturating_mul(2));
        observed
    }

    /// For each member's address, the mongods that say in their own config that they are that member.
    fn claims(&self, answers: &Answers) -> BTreeMap<Host, BTreeMap<ProcessId, SocketAddr>> {
        let filter = self.filter();
        let mut claims: BTreeMap<Host, BTreeMap<ProcessId, SocketAddr>> = BTreeMap::new();
        for (at, probe) in answers.iter().filter_map(|(at, answer)| Some((at, answer.as_deref().ok()?))) {
            let config = probe.config.as_ref().filter(|config| filter.counts(config));
            let me = probe.view.as_ref().and_then(|view| view.me);
            if let Some(member) = config.zip(me).and_then(|(config, me)| config.member(me)) {
                claims.entry(member.host.clone()).or_default().entry(probe.process).or_insert(*at);
            }
        }
        claims
    }

    /// Forgets addresses that neither a task nor a member of the known set names any more. A node that DNS has dropped
    /// must not stay observed only because its own config names it.
    fn drop_old_answers(&mut self, observed: &Observed, answers: &Answers, previously_known: BTreeSet<Host>) {
        let next = |at| match self.silent.get(at) {
            Some(before) => Silence { limit: (before.limit * 2).min(SILENT_LIMIT), ..*before },
            None => {
                let limit = self.took.get(at).map_or(SILENT_LIMIT, |took| silent_limit(*took));
                Silence { limit, patient_at: Instant::now() }
            }
        };
        self.silent = answers.iter().filter(|(_, a)| a.is_err()).map(|(at, _)| (*at, next(at))).collect();
        self.took.retain(|at, _| answers.contains_key(at));
        let ours = |p: &Probe| p.config.as_ref().and_then(ReplConfig::replica_set_id) == observed.known_set;
        let counts = |at: &SocketAddr, p: &Probe| observed.tasks.hosts.contains(&Host::from(*at)) || ours(p);
        let answered = answers.iter().filter_map(|(at, answer)| Some((at, answer.as_deref().ok()?)));
        let probes = answered.filter(|(at, p)| counts(at, p)).map(|(_, p)| p);
        let still_named = self.filter().members_and_seeds(probes);
        // If no answer counts, the members are only silent. What a node outside the set names is not kept, because it can
        // name new addresses in every observation.
        self.known = if still_named.is_empty() { previously_known } else { still_named };
        self.admin.keep_only(&answers.keys().copied().collect());
    }
}

#[cfg(test)]
impl<D, A> Observer<'_, D, A> {
    /// How many addresses and facts are remembered.
    pub(super) fn remembered(&self) -> usize {
        self.known.len()
            + self.silent.len()
            + self.unconnected.len()
            + self.took.len()
            + self.last_addresses.len()
            + self.history.len()
    }
}

/// The limit of the first probe after a mongod became silent, from the time that its last answer took.
fn silent_limit(took: Duration) -> Duration {
    (took * SILENT_TIMES).clamp(SILENT_MIN, SILENT_LIMIT)
}

/// Where the only claimant is. Of two mongods that say to be one member, neither counts.
fn only_one(claimants: &BTreeMap<ProcessId, SocketAddr>) -> Option<SocketAddr> {
    claimants.values().next().copied().filter(|_| claimants.len() == 1)
}

/// Whether nothing is at an address, as far as this controller can see.
fn is_silence(answer: &Result<Arc<Probe>, ProbeError>) -> bool {
    matches!(answer, Err(ProbeError::Refused | ProbeError::Timeout | ProbeError::Unreachable(_)))
}

fn probes(answers: &Answers) -> impl Iterator<Item = &Probe> + Clone {
    answers.values().filter_map(|answer| answer.as_deref().ok())
}

fn sockets<'h>(hosts: impl IntoIterator<Item = &'h Host>, names: &Names) -> BTreeSet<SocketAddr> {
    hosts.into_iter().flat_map(|host| sockets_of(host, names)).collect()
}

fn sockets_of(host: &Host, names: &Names) -> Vec<SocketAddr> {
    match host.name().and_then(|name| names.get(name)) {
        Some(NameAnswer::Addresses(ips)) => ips.iter().map(|ip| SocketAddr::new(*ip, host.port())).collect(),
        Some(NameAnswer::NoSuchName | NameAnswer::Trouble(_)) => Vec::new(),
        None => host.socket().into_iter().collect(),
    }
}

/// The socket address of a host, the answer there, and whether DNS lists it as a task.
fn locate(
    host: &Host,
    tasks: &TaskList,
    names: &Names,
    answers: &Answers,
) -> (Option<SocketAddr>, Result<Arc<Probe>, ProbeError>, Listed) {
    if tasks.leads_nowhere(host) {
        return (None, Err(ProbeError::Local), Listed::Unknown);
    }
    let is_listed = |at: &SocketAddr| tasks.hosts.contains(&Host::from(*at));
    let mut sockets = sockets_of(host, names);
    // The task's own address comes before a virtual IP.
    sockets.sort_by_key(|at| !is_listed(at));
    let any_listed = sockets.iter().any(is_listed);
    let answer_at = |at: &SocketAddr| answers.get(at).cloned().unwrap_or(Err(ProbeError::Timeout));
    let Some(name) = host.name() else {
        let listed = if any_listed { Listed::Yes } else { Listed::No };
        let at = sockets.first().copied();
        return (at, at.map_or(Err(ProbeError::Timeout), |at| answer_at(&at)), listed);
    };
    let Some(answer) = names.get(name) else { return (None, Err(ProbeError::NameUnknown), Listed::Unknown) };
    let listed = Listed::of_name(answer, any_listed);
    match (answer, sockets.as_slice()) {
        (NameAnswer::Trouble(_), _) => (None, Err(ProbeError::NameUnknown), listed),
        (_, []) => (None, Err(ProbeError::NoSuchName), listed),
        (_, sockets) => match one_process(sockets, answers) {
            Some(at) => (Some(at), answer_at(&at), listed),
            None => (None, Err(ProbeError::NameAmbiguous(sockets.len())), listed),
        },
    }
}

/// The address to use for a name, if all addresses of the name lead to one mongod. A task has at most one address of
/// each family, and its mongod need not listen on both. More than one of a family are a virtual IP beside the task's own
/// address, or several tasks: then all must answer, as one process.
fn one_process(sockets: &[SocketAddr], answers: &Answers) -> Option<SocketAddr> {
    let process = |at: &SocketAddr| Some((*at, answers.get(at)?.as_ref().ok()?.process));
    let answering: Vec<_> = sockets.iter().filter_map(process).collect();
    let of_family = |v4: bool| sockets.iter().filter(|at| at.is_ipv4() == v4).count();
    let all_answer = answering.len() == sockets.len();
    if !all_answer && (of_family(true) > 1 || of_family(false) > 1) {
        return None;
    }
    match answering.split_first() {
        Some(((at, one), others)) => others.iter().all(|(_, other)| other == one).then_some(*at),
        None => sockets.first().copied(),
    }
}

/// The other addresses of the names that mongods report and that lead to them, such as a virtual IP. Only what answers at
/// all of them shows whether a name leads to one mongod.
fn addresses_of_own_names(answers: &Answers, names: &Names) -> BTreeSet<SocketAddr> {
    let own = answers.iter().filter_map(|(at, answer)| {
        let host = Host::named(answer.as_ref().ok()?.hostname.as_deref()?, at.port()).ok()?;
        let sockets = sockets_of(&host, names);
        (host.name().is_some() && sockets.contains(at) && sockets.len() <= OWN_ADDRESSES_MAX).then_some(sockets)
    });
    own.flatten().collect()
}

/// The addresses of each name that leads to one mongod.
fn named(names: &Names, answers: &Answers) -> Vec<BTreeSet<SocketAddr>> {
    let ports: BTreeSet<u16> = answers.keys().map(SocketAddr::port).collect();
    let hosts = names.keys().flat_map(|name| ports.iter().filter_map(|port| Host::named(name, *port).ok()));
    let sockets = hosts.map(|host| sockets_of(&host, names));
    sockets.filter(|sockets| one_process(sockets, answers).is_some()).map(|all| all.into_iter().collect()).collect()
}

/// Where the host name that a node reports leads.
fn naming(port: u16, answer: &Result<Arc<Probe>, ProbeError>, names: &Names, answers: &Answers) -> Naming {
    let Ok(probe) = answer else { return Naming::Unknown };
    let Some(hostname) = probe.hostname.as_deref() else { return Naming::Unknown };
    let Ok(host) = Host::named(hostname, port) else { return Naming::Unstable };
    if is_container_id(hostname) || host.name().is_none() {
        return Naming::Unstable;
    }
    let sockets = match names.get(hostname) {
        None | Some(NameAnswer::Trouble(_)) => return Naming::Unknown,
        Some(NameAnswer::NoSuchName) => return Naming::Unstable,
        Some(NameAnswer::Addresses(_)) => sockets_of(&host, names),
    };
    let there = one_process(&sockets, answers).and_then(|at| answers.get(&at)?.as_ref().ok());
    if there.is_some_and(|p| p.process == probe.process) { Naming::Stable(host) } else { Naming::Unstable }
}
