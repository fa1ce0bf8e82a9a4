//! Why there is nothing to do, so that an operator need not guess what a controller waits for.

use super::situation::Situation;
use super::{Context, Finding, Reason, Severity, WaitingOn};
use super::{bootstrap, certificates, recovery, removal};
use crate::model::{
    AddressKind, Host, MEMBERS_MAX, Member, MemberAddress, NodeState, ProbeError, Process, ReplConfig, UserData,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// RECOVERING for this long is more than a pause.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// An initial sync that failed so often does not succeed by itself: the server tries again every second.
const SYNC_TRIES: u32 = 3;

/// Adds what is missing from the picture: DNS answers, nodes that do not answer, members on their way.
pub(super) fn missing(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) {
    waiting.extend(now.observed.tasks.trouble.iter().cloned().map(WaitingOn::Dns));
    let members = now.config.map(|c| c.members()).unwrap_or_default();
    for (host, node) in &now.observed.nodes {
        let matters = node.must_answer() || members.iter().any(|m| &m.host == host);
        if let Err(error) = &node.answer
            && matters
            && !is_a_finding(error, node.listed)
        {
            waiting.push(WaitingOn::Node { host: host.clone(), error: error.clone() });
        }
    }
    waiting.retain(|wait| !bootstrap::is_refused_lock(now, wait));
    for wait in members.iter().filter_map(|member| on_its_way(now, member)) {
        if !waiting.contains(&wait) {
            waiting.push(wait);
        }
    }
}

/// A finding reports it already.
fn is_a_finding(error: &ProbeError, listed: bool) -> bool {
    use ProbeError as E;
    listed && matches!(error, E::NotMongod(_) | E::TooOld(_) | E::Login(_) | E::Denied(_) | E::Unproven(_) | E::Tls(_))
}

/// What a member that answers still has to become.
fn on_its_way(now: &Situation<'_>, member: &Member) -> Option<WaitingOn> {
    use NodeState as S;
    let state = now.process_at(member)?.state();
    let host = member.host.clone();
    if member.newly_added && state == S::Secondary {
        return Some(WaitingOn::Vote { host });
    }
    let changes = matches!(state, S::Startup | S::Startup2 | S::Recovering | S::Rollback | S::Removed)
        || state == S::Other && now.primary().is_some();
    if changes || member.newly_added {
        return Some(WaitingOn::Member { host, state });
    }
    (now.is_live(member) && now.unheard_by_primary(member)).then_some(WaitingOn::Unheard { host })
}

/// What an operator should know though no rule acts on it.
pub(super) fn noteworthy(context: &Context<'_>) -> Vec<Finding> {
    let now = &context.situation;
    let mut findings: Vec<Finding> = bootstrap::refusal(now).into_iter().chain(recovery::refusal(context)).collect();
    findings.extend(data_at_stake(now));
    findings.extend(other_addresses(now));
    findings.extend(certificates::troubles(now));
    findings.extend(version_limit(now));
    findings.extend(bootstrap::refused_locks(now));
    findings.extend(now.observed.users.iter().cloned().map(Finding::User));
    let Some(config) = now.config else { return findings };
    let is_outside = |p: &Process<'_>| config.members().iter().all(|m| !p.is_at(&m.host));
    let left_out = now.ours.iter().filter(|p| p.listed && now.left_out(p) && is_outside(p));
    findings.extend(left_out.map(|p| Finding::LeftOut { host: p.hosts[0].clone() }));
    findings.extend(size(now, config));
    findings.extend(addresses(now, config));
    findings.extend(removal::failing_names(now, config));
    findings.extend(removal::kept_for_the_operator(now, config));
    findings.extend(feature_version(now, config));
    findings.extend(config.members().iter().flat_map(|member| unwell(now, member)));
    findings
}

/// Addresses that no mongod listens on, though its task answers at another one.
fn other_addresses(now: &Situation<'_>) -> Option<Finding> {
    let nodes = now.observed.nodes.iter().filter(|(_, node)| node.answers_elsewhere);
    let hosts: Vec<_> = nodes.map(|(host, _)| host.clone()).collect();
    (!hosts.is_empty()).then_some(Finding::UnusedAddresses { hosts })
}

/// Blank tasks that are not added because joining would, or may, drop user data.
fn data_at_stake(now: &Situation<'_>) -> Vec<Finding> {
    let blank: Vec<_> = now.ours.iter().filter(|p| p.listed && p.state() == NodeState::Blank).collect();
    let seeds = blank.iter().filter(|p| p.probe.user_data != UserData::None).count();
    let finding = |p: &&Process<'_>| {
        let host = p.hosts[0].clone();
        match p.probe.user_data {
            UserData::Unknown if now.config.is_some() || seeds > 1 => Some(Finding::UserDataUnknown { host }),
            UserData::Collections(_) if now.config.is_some() => Some(Finding::HoldsUserData { hosts: vec![host] }),
            UserData::Collections(_) | UserData::Unknown | UserData::None => None,
        }
    };
    blank.iter().filter_map(finding).collect()
}

/// A version near the largest one that the server accepts.
fn version_limit(now: &Situation<'_>) -> Option<Finding> {
    let newest = now.ours.iter().filter_map(|p| p.probe.config.as_ref()).max_by_key(|config| config.version())?;
    newest.is_too_late_to_force().then(|| Finding::VersionLimit { version: newest.version() })
}

/// Addresses that lead nowhere, to several mongods, or are not of the kind that the operator wants.
fn addresses(now: &Situation<'_>, config: &ReplConfig) -> Vec<Finding> {
    let unknown = config.members().iter().filter(|m| now.leads_nowhere(m) && now.process_at(m).is_none());
    let local = unknown.map(|m| Finding::LocalMember { id: m.id, host: m.host.clone() });
    let wanted = match now.policy.member_address {
        MemberAddress::Auto => None,
        MemberAddress::Hostname => Some(AddressKind::Name),
        MemberAddress::Ip => Some(AddressKind::Ip),
    };
    let others = wanted.and_then(|wanted| {
        let is_other = |m: &&Member| m.host.name().is_some() != (wanted == AddressKind::Name);
        let is_task = |m: &&Member| now.process_at(m).is_some_and(|p| p.listed);
        let hosts: Vec<Host> =
            config.members().iter().filter(is_other).filter(is_task).map(|m| m.host.clone()).collect();
        (!hosts.is_empty()).then_some(Finding::OtherKind { hosts, wanted })
    });
    local.chain(same_names(now, config)).chain(others).collect()
}

/// Host names that several tasks report, as clones of one machine do. They matter where members have or get names.
fn same_names(now: &Situation<'_>, config: &ReplConfig) -> Vec<Finding> {
    let mut tasks: BTreeMap<Host, Vec<Host>> = BTreeMap::new();
    for process in now.ours.iter().filter(|p| p.listed) {
        let Some(at) = process.hosts.iter().find(|h| h.name().is_none()) else { continue };
        let name = process.probe.hostname.as_deref().and_then(|name| Host::named(name, at.port()).ok());
        if let Some(name) = name.filter(|name| !name.is_container_id() && !name.is_local()) {
            tasks.entry(name).or_default().push((*at).clone());
        }
    }
    let matters = |name: &Host| config.member_at(name).is_some() || now.gives_names();
    let shared = tasks.into_iter().filter(|(name, hosts)| hosts.len() > 1 && matters(name));
    shared.map(|(name, hosts)| Finding::SameName { name, hosts }).collect()
}

/// A set that is full, or too small.
fn size(now: &Situation<'_>, config: &ReplConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.members().len() >= MEMBERS_MAX {
        let outside = now.ours.iter().find(|p| p.listed && p.state() == NodeState::Blank);
        findings.extend(outside.map(|p| Finding::Full { host: p.hosts[0].clone() }));
    }
    // A member that answers gets its vote soon.
    let is_back = |m: &Member| m.owed_vote() && now.process_at(m).is_some();
    let is_growing = config.members().iter().any(|m| m.newly_added || m.awaits_first_vote() || is_back(m));
    if let Some(primary) = now.primary().filter(|p| now.observed.switched_over.contains(&p.id) && !p.listed) {
        findings.push(Finding::PrimaryUnlisted { host: primary.hosts[0].clone() });
    }
    if !is_growing && config.voters().count() == 2 {
        findings.push(Finding::TwoVoters);
    }
    findings
}

/// The programs of all members are newer than the set's behaviour. During an upgrade that is not so yet.
fn feature_version(now: &Situation<'_>, config: &ReplConfig) -> Option<Finding> {
    let feature = now.primary()?.probe.feature?;
    let programs = config.members().iter().filter_map(|m| now.process_at(m)).map(|p| p.probe.wire);
    let program = programs.min()?.release()?;
    (feature < program).then_some(Finding::FeatureVersionBehind { program, feature })
}

/// What is wrong with a member.
fn unwell(now: &Situation<'_>, member: &Member) -> Vec<Finding> {
    let host = || member.host.clone();
    let process = now.process_at(member);
    // A finding about the older state says it already.
    let is_rewound = process.is_some_and(|p| now.is_rewound(p));
    let is_revoked = member.saved_vote.is_some() && !member.awaits_first_vote() && !is_rewound;
    let state = process.map(Process::state);
    let stuck_in = state.filter(|state| matches!(state, NodeState::Recovering | NodeState::Rollback));
    let is_late = now.observed.node(&member.host).is_some_and(|n| n.state_for >= STUCK_AFTER);
    let revoked = is_revoked.then(|| Finding::VoteRevoked { host: host() });
    let stuck = stuck_in.filter(|_| is_late).map(|state| Finding::Stuck { host: host(), state });
    let failing = process.and_then(|p| p.probe.view.as_ref()?.failed_syncs.clone());
    let failing = failing.filter(|failed| failed.times >= SYNC_TRIES).map(|failed| Finding::InitialSyncFails {
        host: host(),
        times: failed.times,
        reason: failed.reason,
    });
    revoked.into_iter().chain(stuck).chain(failing).collect()
}

/// Why there is no step.
pub(super) fn rest(now: &Situation<'_>, waiting: &[WaitingOn], findings: &[Finding]) -> Reason {
    if now.blocked {
        Reason::Unclear
    } else if now.observed.nodes.is_empty() {
        Reason::NoTasks
    } else if waiting.is_empty() && now.primary().is_some() {
        let needs_operator = findings.iter().any(|f| f.severity() == Severity::Error);
        if needs_operator { Reason::NeedsOperator } else { Reason::Healthy }
    } else if now.primary().is_none() {
        Reason::NothingIsSafe
    } else {
        Reason::MustWait
    }
}
