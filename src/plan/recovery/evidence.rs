//! The evidence about a set without a primary: the directories that are found, the votes that are missing, and what
//! rsctl can do.
//!
//! **Invariant:** this module only evaluates. The step that it names is a step of [`super`], and rsctl takes it only on
//! a request that names this exact evidence.

use super::super::failover::effective_config;
use super::super::situation::{Situation, voters_but};
use super::super::{Context, Finding, Severity, Step};
use super::loss::{self, Loss};
use super::{Obstacle, by_itself, by_request, found_voters, in_place};
use crate::model::{
    DataId, EvidenceDigest, EvidenceId, Host, Member, MemberId, NodeState, Observed, OpTime, Policy, ProbeError,
    Process, ReplConfig,
};
use std::fmt;

/// What is known about a set without a primary, and what rsctl can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Every data directory of this set that answers.
    pub directories: Vec<Directory>,
    /// Voters whose directory, or arbiter, is not found.
    pub missing: Vec<Missing>,
    /// The number of voters that are found.
    pub have: usize,
    /// The number of voters that an election needs. It is zero when no config is known.
    pub need: usize,
    /// The newest write that any mongod here knows a majority to hold.
    pub committed: Option<OpTime>,
    /// Directories that may have gone back to an older state. This controller has never seen them hold everything that
    /// a primary had committed, so it cannot know. They are not part of the evidence id.
    pub unchecked: Vec<Host>,
    /// What rsctl can do.
    pub verdict: Verdict,
}

/// A data directory, or an arbiter.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    /// The identity of the directory. It is none for an arbiter, or while the directory is not complete.
    pub data: Option<DataId>,
    /// The address at which the directory answers.
    pub host: Host,
    /// The state of the directory's mongod.
    pub state: NodeState,
    /// The newest write in the directory, if the mongod shows one.
    pub newest: Option<OpTime>,
    /// The version of the config that the directory stores.
    pub config_version: Option<i64>,
    /// The member of the directory, by the member's tag, or by its address if the member has no tag.
    pub member: Option<MemberId>,
    /// Whether the directory has a vote that counts now.
    pub counts: bool,
}

/// A voter that is not found.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// The voter's `_id` in the config.
    pub id: MemberId,
    /// The voter's address in the config.
    pub host: Host,
    /// The voter's directory, if the config names it.
    pub data: Option<DataId>,
    /// Whether the voter is an arbiter, which holds no data.
    pub arbiter: bool,
    /// What is at the voter's address instead.
    pub instead: Absence,
}

/// Why a voter counts as missing: what is at its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The voter's own directory answers, in a state in which its vote does not count.
    InState(NodeState),
    /// Another mongod answers, in this state.
    OtherMongod(NodeState),
    /// The voter's own directory answers, but in an older state than before.
    Rewound {
        /// The address at which the directory answers.
        at: Host,
    },
    /// The address gives no answer.
    NoAnswer(ProbeError),
    /// The address was not asked.
    NotAsked,
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InState(state) => write!(f, "is {state}"),
            Self::OtherMongod(state) => write!(f, "has another mongod at its address, which is {state}"),
            Self::Rewound { at } => {
                write!(f, "has its data directory at {at}, which lacks writes that it held before")
            }
            Self::NoAnswer(error) => error.fmt(f),
            Self::NotAsked => f.write_str("was not asked"),
        }
    }
}

/// What rsctl can do about a set without a primary.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing is needed: this member is the primary.
    Primary(Host),
    /// Nothing is needed: a majority keeps its addresses and elects a primary without rsctl.
    Electing,
    /// The data of a majority is found, so rsctl can bring the set back without loss.
    Safe {
        /// The step that brings the set back.
        step: Step,
        /// Whether the controller takes the step without a request.
        by_itself: bool,
    },
    /// The data of less than a majority is found, so writes may be lost.
    Loss(Loss),
    /// rsctl can do nothing, for these reasons.
    Refused(Vec<Obstacle>),
    /// Too little is known to do anything, for these reasons.
    Unknown(Vec<Obstacle>),
}

impl Evidence {
    /// The id of this evidence. It changes whenever anything changes that affects the step, or the loss that the step
    /// causes. The same evidence has the same id in every controller of this version.
    pub fn id(&self) -> EvidenceId {
        let mut digest = EvidenceDigest::default();
        for directory in &self.directories {
            directory.write(&mut digest);
        }
        for missing in &self.missing {
            digest.field("missing.id", missing.id);
            digest.field("missing.host", &missing.host);
            digest.optional("missing.data", missing.data);
        }
        digest.optional("committed", self.committed);
        self.verdict.write(&mut digest);
        digest.id()
    }
}

impl Directory {
    fn write(&self, digest: &mut EvidenceDigest) {
        let Self { data, host, state, newest, config_version, member, counts } = self;
        digest.optional("directory.data", *data);
        digest.field("directory.host", host);
        digest.field("directory.state", state);
        digest.optional("directory.newest", *newest);
        digest.optional("directory.config_version", *config_version);
        digest.optional("directory.member", *member);
        digest.field("directory.counts", counts);
    }
}

impl Verdict {
    fn write(&self, digest: &mut EvidenceDigest) {
        match self {
            Self::Primary(host) => digest.field("verdict.primary", host),
            Self::Electing => digest.field("verdict", "electing"),
            Self::Safe { step, by_itself } => {
                write_step(digest, step);
                digest.field("verdict.by_itself", by_itself);
            }
            Self::Loss(Loss { step, lost }) => {
                write_step(digest, step);
                lost.iter().for_each(|lost| digest.field("verdict.lost", lost));
            }
            Self::Refused(reasons) => reasons.iter().for_each(|reason| digest.field("verdict.refused", reason)),
            Self::Unknown(reasons) => reasons.iter().for_each(|reason| digest.field("verdict.unknown", reason)),
        }
    }
}

/// Writes a forced config to the digest: the mongod that gets it, the config that it is based on, and all its fields.
fn write_step(digest: &mut EvidenceDigest, step: &Step) {
    let (Step::Recover { on, next } | Step::AcceptLoss { on, next }) = step else { return };
    digest.field("step", step);
    digest.field("step.on", on);
    digest.field("step.base.version", next.base().version());
    digest.optional("step.base.term", next.base().term());
    digest.field("step.config", next.config().document());
}

/// Evaluates what one observation shows.
pub fn evidence(observed: &Observed, policy: &Policy) -> Evidence {
    weigh(&Context::new(observed, policy))
}

pub(in super::super) fn weigh(context: &Context<'_>) -> Evidence {
    let now = &context.situation;
    let config = now.config;
    let found = config.map(|c| found_voters(now, c)).unwrap_or_default();
    let missing: Vec<_> = config.into_iter().flat_map(|c| voters_but(c, &found)).map(|m| absent(now, m)).collect();
    let views = now.ours.iter().filter_map(|p| p.probe.view.as_ref());
    let committed = views.map(|view| view.committed).max().filter(|at| at.seconds > 0);
    Evidence {
        directories: now.ours.iter().filter_map(|p| directory(now, p, &found)).collect(),
        have: found.len(),
        need: config.map_or(0, ReplConfig::majority),
        verdict: verdict(context, &missing, committed),
        missing,
        committed,
        unchecked: now.ours.iter().filter(|p| is_unchecked(now, p)).map(|p| p.hosts[0].clone()).collect(),
    }
}

fn is_unchecked(now: &Situation<'_>, process: &Process<'_>) -> bool {
    let past = |data| now.observed.pasts.get(&data);
    process.probe.data.is_some_and(|data| !past(data).is_some_and(|past| past.was_whole))
}

fn directory(now: &Situation<'_>, process: &Process<'_>, found: &[(&Member, &Process<'_>)]) -> Option<Directory> {
    let probe = process.probe;
    if probe.config.is_none() && probe.data.is_none() && probe.state != NodeState::Arbiter {
        return None;
    }
    let members = now.config.map(|c| c.members()).unwrap_or_default();
    let tagged = members.iter().find(|m| probe.data.is_some_and(|d| m.data == Some(d) && !now.is_copied(d)));
    let is_there = |m: &&Member| m.data.is_none() && now.process_at(m).is_some_and(|p| p.id == process.id);
    let assigned = || found.iter().find(|(_, p)| p.id == process.id).map(|(m, _)| *m);
    let member = tagged.or_else(|| members.iter().find(is_there)).or_else(assigned);
    let configured = member.filter(|m| process.is_at(&m.host)).map(|m| &m.host);
    Some(Directory {
        data: probe.data,
        host: configured.unwrap_or(process.hosts[0]).clone(),
        state: probe.state,
        newest: probe.newest(),
        config_version: probe.config.as_ref().map(ReplConfig::version),
        member: member.map(|m| m.id),
        counts: found.iter().any(|(_, p)| p.id == process.id),
    })
}

fn absent(now: &Situation<'_>, member: &Member) -> Missing {
    let is_its = |p: &Process<'_>| member.data.map_or_else(|| p.is_at(&member.host), |data| p.probe.data == Some(data));
    let rewound = now.ours.iter().find(|p| is_its(p) && now.is_rewound(p));
    let instead = match rewound {
        Some(process) => Absence::Rewound { at: process.hosts[0].clone() },
        None => found_instead(now, member),
    };
    let Member { id, data, arbiter, .. } = *member;
    Missing { id, host: member.host.clone(), data, arbiter, instead }
}

fn found_instead(now: &Situation<'_>, member: &Member) -> Absence {
    match now.observed.node(&member.host).map(|node| &node.answer) {
        Some(Ok(probe)) if member.data.is_some() && probe.data == member.data => Absence::InState(probe.state),
        Some(Ok(probe)) => Absence::OtherMongod(probe.state),
        Some(Err(error)) => Absence::NoAnswer(error.clone()),
        None => Absence::NotAsked,
    }
}

fn verdict(context: &Context<'_>, missing: &[Missing], committed: Option<OpTime>) -> Verdict {
    let now = &context.situation;
    if now.blocked {
        return Verdict::Refused(errors(now).collect());
    }
    if let Some(primary) = now.primary() {
        let host = now.primary_host().unwrap_or(primary.hosts[0]);
        return Verdict::Primary(host.clone());
    }
    let Some(config) = now.config else { return Verdict::Unknown(without_config(now)) };
    if !now.observed.tasks.is_good() {
        return Verdict::Unknown(now.observed.tasks.trouble.iter().cloned().map(Obstacle::Dns).collect());
    }
    if [config, effective_config(now, config)].iter().all(|c| in_place(now, c) >= c.majority()) {
        return Verdict::Electing;
    }
    match by_request(context, config) {
        Some(Ok(step)) => return Verdict::Safe { by_itself: by_itself(now, config), step },
        Some(Err(fault)) => return Verdict::Refused(vec![fault.into()]),
        None => {}
    }
    if let Some(finding) = in_place::finding(now, config) {
        return Verdict::Refused(vec![Obstacle::Finding(finding)]);
    }
    let obstacles = obstacles(now, missing);
    if !obstacles.is_empty() {
        return Verdict::Refused(obstacles);
    }
    match loss::loss(now, config, committed) {
        Ok(loss) => Verdict::Loss(loss),
        Err(obstacle) => Verdict::Refused(vec![obstacle]),
    }
}

fn errors<'s>(now: &'s Situation<'_>) -> impl Iterator<Item = Obstacle> + 's {
    let errors = now.findings.iter().filter(|f| f.severity() == Severity::Error);
    errors.cloned().map(Obstacle::Finding)
}

fn without_config(now: &Situation<'_>) -> Vec<Obstacle> {
    let silent = now.observed.nodes.iter().filter_map(|(host, node)| {
        let error = node.answer.as_ref().err()?.clone();
        Some(Obstacle::Silent { host: host.clone(), error })
    });
    std::iter::once(Obstacle::NoConfig).chain(errors(now)).chain(silent).collect()
}

/// The number of voters that need only an election.
fn in_place(now: &Situation<'_>, config: &ReplConfig) -> usize {
    let is_ready = |p: &Process<'_>| matches!(p.state(), NodeState::Secondary | NodeState::Arbiter | NodeState::Other);
    config.voters().filter(|m| now.is_live(m) && now.process_at(m).is_some_and(is_ready)).count()
}

/// Signs that the missing data is not lost, or that a mongod will soon show more.
fn obstacles(now: &Situation<'_>, missing: &[Missing]) -> Vec<Obstacle> {
    let of_processes = now.ours.iter().flat_map(|process| obstacles_of(now, process, missing));
    let unreadable = now.observed.nodes.iter().filter_map(|(host, node)| {
        let error = node.answer.as_ref().err()?.clone();
        let matters = node.listed || missing.iter().any(|m| &m.host == host);
        (matters && is_something(&error)).then(|| Obstacle::Unreadable { host: host.clone(), error })
    });
    let is_in_the_way = |f: &&Finding| matches!(f, Finding::SameDataTwice { .. } | Finding::SetNamesDiffer { .. });
    let others = now.findings.iter().filter(is_in_the_way);
    of_processes.chain(unreadable).chain(others.cloned().map(Obstacle::Finding)).collect()
}

fn obstacles_of(now: &Situation<'_>, process: &Process<'_>, missing: &[Missing]) -> Vec<Obstacle> {
    let (host, state) = (|| process.hosts[0].clone(), process.state());
    let mut obstacles = Vec::new();
    if let Some(primary) = &process.probe.sees_primary {
        obstacles.push(Obstacle::NamesPrimary { host: host(), primary: primary.clone() });
    }
    let changes = matches!(state, NodeState::Recovering | NodeState::Rollback | NodeState::Startup);
    if state == NodeState::Other || changes && process.probe.config.is_some() {
        obstacles.push(Obstacle::Unsettled { host: host(), state });
    }
    let silent = missing.iter().filter(|m| now.observed.probe(&m.host).is_none());
    let answers = silent.filter(|m| now.observed.peer(process.probe, &m.host).is_some_and(|peer| peer.healthy));
    obstacles.extend(answers.map(|m| Obstacle::AnswersOthers { host: m.host.clone(), other: host() }));
    obstacles
}

/// Whether a process exists at the address. It may be a member with newer writes.
fn is_something(error: &ProbeError) -> bool {
    use ProbeError as E;
    match error {
        E::ShuttingDown
        | E::Dropped
        | E::Login(_)
        | E::Denied(_)
        | E::Unproven(_)
        | E::Tls(_)
        | E::Broken(_)
        | E::Server { .. }
        | E::NameUnknown
        | E::NameAmbiguous(_) => true,
        E::Refused | E::Timeout | E::Unreachable(_) | E::Closed => false,
        E::NotMongod(_) | E::TooOld(_) | E::NoSuchName | E::Local => false,
    }
}
