//! What is known of a set without a primary: the directories that are found, the votes that are missing, and what can
//! be done with them.
//!
//! **Invariant:** this only weighs. What it says can be done is a step of [`super`], and is done only on a request that
//! names this very evidence.

use super::super::failover::spread;
use super::super::situation::{Situation, voters_but};
use super::super::{Finding, Severity, Step};
use super::loss::{self, Loss};
use super::{by_itself, by_request, found_voters};
use crate::model::{
    DataId, EvidenceId, Host, Member, MemberId, NodeState, Observed, OpTime, Policy, ProbeError, Process, ReplConfig,
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What is known, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Every data directory of this set that answers.
    pub directories: Vec<Directory>,
    /// Voters whose directory, or arbiter, is not found.
    pub missing: Vec<Missing>,
    /// Votes that are in hand.
    pub have: usize,
    /// Votes that an election takes; zero when no config is known.
    pub need: usize,
    /// The newest write that anybody here knows a majority to hold.
    pub committed: Option<OpTime>,
    /// Directories of which this controller has not seen enough to tell whether they went back to an older state: it
    /// never saw them hold what a primary had committed. Not a part of what names the evidence.
    pub unchecked: Vec<Host>,
    /// What can be done.
    pub verdict: Verdict,
}

/// A data directory, or an arbiter.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    /// Its identity; none of an arbiter, or while it is not complete.
    pub data: Option<DataId>,
    /// Where it answers.
    pub host: Host,
    /// As what.
    pub state: NodeState,
    /// Its newest write, where it tells.
    pub newest: Option<OpTime>,
    /// The version of the config that it stores.
    pub config_version: Option<i64>,
    /// The member that it fills, by its tag, or by its address where that has no tag.
    pub member: Option<MemberId>,
    /// It holds a vote that counts now.
    pub counts: bool,
}

/// A voter that is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// Its member.
    pub id: MemberId,
    /// Where the config has it.
    pub host: Host,
    /// Its directory, where the config names it.
    pub data: Option<DataId>,
    /// It holds no data.
    pub arbiter: bool,
    /// What is found there instead.
    pub instead: String,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Somebody takes writes.
    Primary(Host),
    /// A majority is in place and elects a primary by itself.
    Electing,
    /// A majority of the data is at hand.
    Safe {
        /// What brings it back.
        step: Step,
        /// The controller does it without a request.
        by_itself: bool,
    },
    /// Less than a majority is: writes may be lost.
    Loss(Loss),
    /// Nothing, for these reasons.
    Refused(Vec<String>),
    /// Nothing is known that anything could be done with, for these reasons.
    Unknown(Vec<String>),
}

impl Evidence {
    /// The name of this evidence. Whatever could change what is done, or what is lost by it, changes the name.
    pub fn id(&self) -> EvidenceId {
        let missing: Vec<_> = self.missing.iter().map(|m| (m.id, &m.host, m.data)).collect();
        let facts = format!("{:?} {missing:?} {:?} {:?}", self.directories, self.committed, self.verdict);
        let mut hasher = DefaultHasher::new();
        facts.hash(&mut hasher);
        EvidenceId::new(hasher.finish())
    }
}

/// Weighs what one observation shows.
pub fn evidence(observed: &Observed, policy: &Policy) -> Evidence {
    weigh(&Situation::new(observed, policy))
}

pub(super) fn weigh(now: &Situation<'_>) -> Evidence {
    let config = now.config;
    let found = config.map(|c| found_voters(now, c)).unwrap_or_default();
    let missing: Vec<_> = config.into_iter().flat_map(|c| voters_but(c, &found)).map(|m| absent(now, m)).collect();
    let views = now.ours.iter().filter_map(|p| p.probe.view.as_ref());
    let committed = views.map(|view| view.committed).max().filter(|at| at.seconds > 0);
    Evidence {
        directories: now.ours.iter().filter_map(|p| directory(now, p, &found)).collect(),
        have: found.len(),
        need: config.map_or(0, ReplConfig::majority),
        verdict: verdict(now, &missing, committed),
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
    let seat = |m: &&Member| m.data.is_none() && now.process_at(m).is_some_and(|p| p.id == process.id);
    let member = tagged.or_else(|| members.iter().find(seat));
    let there = member.filter(|m| process.is_at(&m.host)).map(|m| &m.host);
    Some(Directory {
        data: probe.data,
        host: there.unwrap_or(process.hosts[0]).clone(),
        state: probe.state,
        newest: probe.newest(),
        config_version: probe.config.as_ref().map(ReplConfig::version),
        member: member.map(|m| m.id),
        counts: found.iter().any(|(_, p)| p.id == process.id),
    })
}

fn absent(now: &Situation<'_>, member: &Member) -> Missing {
    let its = |p: &Process<'_>| member.data.map_or_else(|| p.is_at(&member.host), |data| p.probe.data == Some(data));
    let older = |p: &&Process<'_>| its(p) && now.is_rewound(p);
    let instead = now.ours.iter().find(older).map_or_else(
        || found_instead(now, member),
        |p| format!("its data directory, at {}, lacks writes that it held before", p.hosts[0]),
    );
    let Member { id, data, arbiter, .. } = *member;
    Missing { id, host: member.host.clone(), data, arbiter, instead }
}

fn found_instead(now: &Situation<'_>, member: &Member) -> String {
    match now.observed.node(&member.host).map(|node| &node.answer) {
        Some(Ok(probe)) if member.data.is_some() && probe.data == member.data => format!("is {}", probe.state),
        Some(Ok(probe)) => format!("another mongod answers there, as {}", probe.state),
        Some(Err(error)) => error.to_string(),
        None => "nobody was asked".to_owned(),
    }
}

fn verdict(now: &Situation<'_>, missing: &[Missing], committed: Option<OpTime>) -> Verdict {
    let errors = || now.findings.iter().filter(|f| f.severity() == Severity::Error).map(Finding::to_string);
    if now.blocked {
        return Verdict::Refused(errors().collect());
    }
    if let Some(primary) = now.primary() {
        let host = now.primary_host().unwrap_or(primary.hosts[0]);
        return Verdict::Primary(host.clone());
    }
    let Some(config) = now.config else {
        let none = std::iter::once("no mongod of this set shows its config".to_owned());
        let silent = now.observed.nodes.iter().filter_map(|(host, node)| Some((host, node.answer.as_ref().err()?)));
        return Verdict::Unknown(none.chain(errors()).chain(silent.map(|(h, e)| format!("{h} {e}"))).collect());
    };
    if !now.observed.tasks.is_good() {
        return Verdict::Unknown(now.observed.tasks.trouble.iter().map(ToString::to_string).collect());
    }
    if [config, spread(now, config)].iter().all(|config| in_place(now, config) >= config.majority()) {
        return Verdict::Electing;
    }
    if let Some(step) = by_request(now, config) {
        return Verdict::Safe { by_itself: by_itself(now), step };
    }
    let reasons = objections(now, missing);
    if !reasons.is_empty() {
        return Verdict::Refused(reasons);
    }
    match loss::loss(now, config, committed) {
        Ok(loss) => Verdict::Loss(loss),
        Err(reason) => Verdict::Refused(vec![reason]),
    }
}

/// Voters that need nothing but an election.
fn in_place(now: &Situation<'_>, config: &ReplConfig) -> usize {
    let ready = |p: &Process<'_>| matches!(p.state(), NodeState::Secondary | NodeState::Arbiter | NodeState::Other);
    config.voters().filter(|m| now.is_live(m) && now.process_at(m).is_some_and(ready)).count()
}

/// Signs that what is missing is not lost, or that somebody is about to show more. Each says what to do about it.
fn objections(now: &Situation<'_>, missing: &[Missing]) -> Vec<String> {
    let mut reasons = Vec::new();
    for process in &now.ours {
        let host = process.hosts[0];
        if let Some(primary) = &process.probe.sees_primary {
            reasons.push(format!("{host} still names {primary} as primary: there may be one that rsctl cannot see"));
        }
        let state = process.state();
        let unsettled = matches!(state, NodeState::Recovering | NodeState::Rollback | NodeState::Startup);
        if state == NodeState::Other || unsettled && process.probe.config.is_some() {
            reasons.push(format!("{host} is {state}: wait until it is SECONDARY, or stop it"));
        }
        for lost in missing.iter().filter(|m| now.observed.probe(&m.host).is_none()) {
            if now.observed.peer(process.probe, &lost.host).is_some_and(|peer| peer.healthy) {
                reasons.push(format!("{} answers {host}, though not rsctl: it is not lost", lost.host));
            }
        }
    }
    for (host, node) in &now.observed.nodes {
        if let Err(error) = &node.answer
            && (node.listed || missing.iter().any(|m| &m.host == host))
            && lives(error)
        {
            reasons.push(format!("{host} {error}: what it holds is not known"));
        }
    }
    let copied = |f: &&Finding| matches!(f, Finding::SameDataTwice { .. });
    reasons.extend(now.findings.iter().filter(copied).map(Finding::to_string));
    reasons
}

/// There is something at the address, and it may be a member with newer writes.
fn lives(error: &ProbeError) -> bool {
    use ProbeError as E;
    match error {
        E::ShuttingDown
        | E::Login(_)
        | E::Denied(_)
        | E::Tls(_)
        | E::Server { .. }
        | E::NameUnknown
        | E::NameAmbiguous(_) => true,
        E::Refused | E::Timeout | E::Unreachable(_) | E::Closed => false,
        E::NotMongod(_) | E::TooOld(_) | E::NoSuchName => false,
    }
}
