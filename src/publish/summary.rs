//! Converts an observation and its plan to a status.

use super::RecoveryStatus;
use super::status::{FindingLevel, FindingStatus, Health, MemberStatus, OtherStatus, Status, StepStatus};
use crate::model::{Host, Member, NodeState, Observed, Peer, Policy, ReplConfig};
use crate::plan::{self, Plan, WaitingOn};

/// The status after one observation.
pub fn summarize(observed: &Observed, plan: &Plan, policy: &Policy) -> Status {
    let config = plan.config.as_ref();
    let members: Vec<_> = config.map(|c| member_list(observed, plan, c)).unwrap_or_default();
    Status {
        set: policy.set.to_string(),
        replica_set_id: config.and_then(ReplConfig::replica_set_id).map(|id| id.to_string()),
        health: health(observed, plan, &members),
        primary: plan.primary.as_ref().map(Host::to_string),
        term: config.and_then(ReplConfig::term),
        config_version: config.map(ReplConfig::version),
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
        recovery: plan.primary.is_none().then(|| RecoveryStatus::of(&plan::evidence(observed, policy))),
        observed_ms_ago: 0,
    }
}

/// The seed list: the members that an application can reach and read from.
fn seeds(observed: &Observed, config: &ReplConfig) -> Vec<String> {
    let serves = |m: &&Member| m.serves_reads() && !observed.tasks.leads_nowhere(&m.host);
    let mut hosts: Vec<&Host> = config.members().iter().filter(serves).map(|m| &m.host).collect();
    hosts.sort();
    hosts.into_iter().map(Host::to_string).collect()
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
    if error || members.iter().any(|m| !m.healthy) { Health::Degraded } else { Health::Ok }
}

fn member_list(observed: &Observed, plan: &Plan, config: &ReplConfig) -> Vec<MemberStatus> {
    let primary = plan.primary.as_ref().and_then(|host| observed.probe(host));
    let newest = primary.and_then(|p| p.view.as_ref()?.applied_wall_ms);
    let mut list: Vec<_> = config.members().iter().collect();
    list.sort_by(|a, b| a.host.cmp(&b.host));
    let status = |member: &Member| {
        let peer = primary.and_then(|p| observed.peer(p, &member.host));
        member_status(observed, member, peer, newest)
    };
    list.into_iter().map(status).collect()
}

fn member_status(observed: &Observed, member: &Member, peer: Option<Peer>, newest: Option<i64>) -> MemberStatus {
    let node = observed.node(&member.host);
    let state = node.and_then(|n| n.probe()).map(|p| p.state);
    let seen_by_primary = peer.as_ref().filter(|p| p.healthy).map(|p| p.state);
    let working =
        matches!(state.or(seen_by_primary), Some(NodeState::Primary | NodeState::Secondary | NodeState::Arbiter));
    // A member that has just won an election is not yet writable, but it is healthy: it answers and holds the data.
    let elected = state == Some(NodeState::Other) && node.and_then(|n| n.probe()?.data).is_some();
    let working = working || elected;
    let unreachable = node.and_then(|n| n.answer.as_ref().err()).map(ToString::to_string);
    // The member's own answer is preferred, because the primary's knowledge of it is up to a heartbeat interval old.
    let own = node.and_then(|n| n.probe()?.view.as_ref()?.applied_wall_ms);
    let applied = own.or(peer.as_ref().and_then(|p| p.applied_wall_ms));
    let lag = newest.zip(applied).map(|(newest, applied)| milliseconds_between(applied, newest));
    MemberStatus {
        id: member.id.0,
        host: member.host.to_string(),
        address: node.and_then(|n| n.at).map(|at| at.to_string()),
        state: state.or(seen_by_primary).map_or_else(|| "UNREACHABLE".to_owned(), |s| s.to_string()),
        votes: u8::from(member.votes_now()),
        priority: member.priority,
        healthy: working && peer.is_none_or(|p| p.healthy),
        lag_ms: lag.filter(|_| working),
        note: if elected { Some("elected, not yet writable".to_owned()) } else { note(member, unreachable, state) },
    }
}

/// Both times are from servers, and may be anything.
fn milliseconds_between(earlier: i64, later: i64) -> u64 {
    u64::try_from(later.saturating_sub(earlier)).unwrap_or(0)
}

fn note(member: &Member, unreachable: Option<String>, state: Option<NodeState>) -> Option<String> {
    if let Some(why) = unreachable {
        return Some(why);
    }
    let words = match state {
        Some(NodeState::Startup2) => "copies its data",
        _ if member.newly_added || member.awaits_first_vote() => "votes as soon as it holds the data",
        _ if member.saved_vote.is_some() => "has an empty data directory, so its vote is revoked",
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
    let tasks = observed.nodes.iter().filter(|(_, node)| node.listed);
    let outside = tasks.filter(|(host, node)| {
        let same_place = node.at.is_some_and(|at| places.contains(&at));
        host.name().is_none() && !same_place
    });
    let status = |(host, node): (&Host, &crate::model::Node)| OtherStatus {
        host: host.to_string(),
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
