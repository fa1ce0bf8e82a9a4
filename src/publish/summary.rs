//! Converts an observation and its plan to a status.

use super::status::{FindingLevel, FindingStatus, Health, MemberStatus, OtherStatus, Status, StepStatus, SyncStatus};
use super::{CertificateStatus, RecoveryStatus};
use crate::model::{
    Host, InitialSync, Member, Naming, Node, NodeState, Observed, Peer, Policy, ProbeError, ReplConfig,
};
use crate::plan::{self, Plan, WaitingOn};
use std::time::Duration;

/// The status after one observation.
pub fn summarize(observed: &Observed, plan: &Plan, policy: &Policy) -> Status {
    let config = plan.config.as_ref();
    let members: Vec<_> = config.map(|c| member_list(observed, plan, c)).unwrap_or_default();
    let status = Status {
        set: policy.set.to_string(),
        replica_set_id: config.and_then(ReplConfig::replica_set_id).map(|id| id.to_string()),
        health: health(observed, plan, &members),
        verdict: String::new(),
        unattended: None,
        pause: observed.pause.as_ref().map(Into::into),
        primary: plan.primary.as_ref().map(Host::to_string),
        primary_ms: plan.primary.as_ref().and_then(|host| observed.probe(host)?.view.as_ref()?.elected_for).map(ms),
        margin: plan.margin.map(Into::into),
        term: config.and_then(ReplConfig::term),
        config_version: config.map(ReplConfig::version),
        feature_version: plan.primary.as_ref().and_then(|host| observed.probe(host)?.feature).map(|f| f.to_string()),
        seeds: config.map(|c| seeds(observed, c)).unwrap_or_default(),
        expect: policy.expect,
        others: others(observed, config),
        members,
        next: plan.next.to_string(),
        because: plan.because.to_string(),
        steps: plan::preview(observed, policy)
            .into_iter()
            .map(|s| StepStatus { step: s.step.to_string(), because: s.because.to_string() })
            .collect(),
        waiting: plan.waiting.iter().map(WaitingOn::to_string).collect(),
        findings: plan.findings.iter().map(finding).collect(),
        certificates: CertificateStatus::all(observed, config),
        history: Vec::new(),
        recovery: plan.primary.is_none().then(|| RecoveryStatus::of(&plan::evidence(observed, policy))),
        observed_ms_ago: 0,
    };
    Status { verdict: status.verdict(), ..status }
}

/// The seed list: the members that an application can reach and read from.
fn seeds(observed: &Observed, config: &ReplConfig) -> Vec<String> {
    let serves = |m: &&Member| m.serves_reads() && !observed.tasks.leads_nowhere(&m.host);
    let mut hosts: Vec<&Host> = config.members().iter().filter(serves).map(published).collect();
    hosts.sort();
    hosts.into_iter().map(Host::to_string).collect()
}

/// The address under which applications know the member. A host that rsctl has written in another form for a moment is
/// still published as it was.
fn published(member: &Member) -> &Host {
    member.saved_host.as_ref().unwrap_or(&member.host)
}

fn health(observed: &Observed, plan: &Plan, members: &[MemberStatus]) -> Health {
    if plan.config.is_none() {
        let anybody = observed.nodes.values().any(|node| node.probe().is_some());
        return if anybody { Health::Uninitiated } else { Health::Unknown };
    }
    if plan.primary.is_none() {
        return Health::NoPrimary;
    }
    let error = plan.findings.iter().any(|f| f.severity() == plan::Severity::Error);
    let settled = plan.next == plan::Step::Wait && plan.waiting.is_empty();
    if error || !settled || members.iter().any(|m| !m.healthy) { Health::Degraded } else { Health::Ok }
}

fn member_list(observed: &Observed, plan: &Plan, config: &ReplConfig) -> Vec<MemberStatus> {
    let primary = plan.primary.as_ref().and_then(|host| observed.probe(host));
    let newest = primary.and_then(|p| p.view.as_ref()?.applied_wall_ms);
    let mut list: Vec<_> = config.members().iter().collect();
    list.sort_by(|a, b| a.host.cmp(&b.host));
    let status = |member: &Member| {
        let peer = primary.and_then(|p| observed.peer(p, &member.host));
        member_status(observed, plan, member, peer, newest)
    };
    list.into_iter().map(status).collect()
}

fn member_status(
    observed: &Observed,
    plan: &Plan,
    member: &Member,
    peer: Option<Peer>,
    newest: Option<i64>,
) -> MemberStatus {
    let node = observed.node(&member.host);
    let state = node.and_then(|n| n.probe()).map(|p| p.state);
    let seen_by_primary = peer.as_ref().filter(|p| p.healthy).map(|p| p.state);
    let working =
        matches!(state.or(seen_by_primary), Some(NodeState::Primary | NodeState::Secondary | NodeState::Arbiter));
    // A member that has just won an election is not yet writable, but it is healthy: it answers and holds the data.
    let elected = state == Some(NodeState::Other) && node.and_then(|n| n.probe()?.data).is_some();
    let working = working || elected;
    let away = node.and_then(|node| away(&member.host, node, plan, seen_by_primary));
    // The member's own answer is preferred, because the primary's knowledge of it is up to a heartbeat interval old.
    let own = node.and_then(|n| n.probe()?.view.as_ref()?.applied_wall_ms);
    let applied = own.or(peer.as_ref().and_then(|p| p.applied_wall_ms));
    let lag = newest.zip(applied).map(|(newest, applied)| milliseconds_between(applied, newest));
    MemberStatus {
        id: member.id.0,
        host: member.host.to_string(),
        address: node.and_then(|n| n.at).map(|at| at.to_string()),
        node: None,
        state: state.or(seen_by_primary).map_or_else(|| "UNREACHABLE".to_owned(), |s| s.to_string()),
        votes: u8::from(member.votes_now()),
        awaits_vote: member.newly_added || member.owed_vote(),
        priority: member.priority,
        delayed: member.delayed,
        healthy: working && peer.is_none_or(|p| p.healthy),
        state_ms: node.filter(|n| n.probe().is_some()).map(|n| ms(n.state_for)),
        sync_source: node.and_then(|n| n.probe()?.view.as_ref()?.sync_source.as_ref()).map(Host::to_string),
        lag_ms: lag.filter(|_| working),
        oplog_ms: node.and_then(|n| n.probe()?.oplog).map(ms),
        sync: node.and_then(|n| n.probe()?.view.as_ref()?.initial_sync).map(Into::into),
        note: if elected { Some("elected, not yet writable".to_owned()) } else { away.or_else(|| note(member, state)) },
    }
}

impl From<InitialSync> for SyncStatus {
    fn from(InitialSync { copied, total, left }: InitialSync) -> Self {
        Self { copied, total, left_ms: left.map(ms) }
    }
}

fn ms(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Both times are from servers, and may be anything.
fn milliseconds_between(earlier: i64, later: i64) -> u64 {
    u64::try_from(later.saturating_sub(earlier)).unwrap_or(0)
}

/// Why a member does not answer rsctl, as far as DNS and its port tell, and when it is removed.
fn away(host: &Host, node: &Node, plan: &Plan, seen_by_primary: Option<NodeState>) -> Option<String> {
    use ProbeError as E;
    let error = node.answer.as_ref().err()?;
    if seen_by_primary.is_some() {
        return Some(format!("{error}; the primary reaches it"));
    }
    let why = match (node.listed, error) {
        (false, E::NoSuchName | E::Refused | E::Closed) => "its task is stopped: DNS does not list it".to_owned(),
        (true, E::Refused | E::Closed) => "crashed, or starting: DNS lists its task, and its port is closed".to_owned(),
        (_, E::Timeout | E::Unreachable(_)) => format!("cut off, or its machine is down: {error}"),
        _ => error.to_string(),
    };
    let left = plan.waiting.iter().find_map(|waiting| match waiting {
        WaitingOn::Gone { host: gone, since, limit } if gone == host => Some(limit.saturating_sub(*since)),
        _ => None,
    });
    Some(why + &left.map(|left| format!("; removed in {} s", left.as_secs())).unwrap_or_default())
}

fn note(member: &Member, state: Option<NodeState>) -> Option<String> {
    let words = match state {
        Some(NodeState::Startup2) => "copies its data",
        _ if member.newly_added || member.awaits_first_vote() => "votes as soon as it holds the data",
        _ if member.saved_vote.is_some() => "has no vote until it holds the data",
        _ if member.spare => "spare: gets a vote when a voter is gone",
        _ if member.arbiter => "arbiter",
        _ if member.hidden => "hidden",
        _ => return None,
    };
    Some(words.to_owned())
}

/// The tasks that are not at the address of a member.
fn others(observed: &Observed, config: Option<&ReplConfig>) -> Vec<OtherStatus> {
    let members = config.map(|c| c.members()).unwrap_or_default();
    let places: Vec<_> = members.iter().filter_map(|m| observed.node(&m.host)?.at).collect();
    let processes: Vec<_> = members.iter().filter_map(|m| Some(observed.probe(&m.host)?.process)).collect();
    let is_a_members = |node: &Node| {
        let same_process = node.probe().is_some_and(|p| processes.contains(&p.process));
        let same_name = matches!(&node.naming, Naming::Stable(name) if members.iter().any(|m| m.host == *name));
        same_process || same_name || node.at.is_some_and(|at| places.contains(&at))
    };
    let tasks = observed.nodes.iter().filter(|(_, node)| node.must_answer());
    let outside = tasks.filter(|(host, node)| host.name().is_none() && !is_a_members(node));
    let status = |(host, node): (&Host, &Node)| OtherStatus {
        host: match &node.naming {
            Naming::Stable(name) => name.to_string(),
            Naming::Unknown | Naming::Unstable => host.to_string(),
        },
        address: node.at.map(|at| at.to_string()),
        state: node.probe().map_or_else(|| "UNREACHABLE".to_owned(), |p| p.state.to_string()),
        note: match &node.answer {
            Err(error) => Some(error.to_string()),
            Ok(probe) => bystander(probe.state).map(str::to_owned),
        },
    };
    outside.map(status).collect()
}

/// An explanation of the state of a node that is not a member.
fn bystander(state: NodeState) -> Option<&'static str> {
    match state {
        NodeState::Removed => Some("its config has no member at this address"),
        NodeState::Blank => Some("has no config yet"),
        _ => None,
    }
}

fn finding(finding: &plan::Finding) -> FindingStatus {
    let severity = match finding.severity() {
        plan::Severity::Warning => FindingLevel::Warning,
        plan::Severity::Error => FindingLevel::Error,
    };
    FindingStatus { severity, text: finding.to_string() }
}

#[cfg(test)]
mod tests {
    use super::milliseconds_between;

    #[test]
    fn a_lag_of_any_two_times_is_a_number() {
        assert_eq!(
            [(7, 10), (10, 7), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN)].map(|(a, b)| milliseconds_between(a, b)),
            [3, 0, i64::MAX as u64, 0]
        );
    }
}
