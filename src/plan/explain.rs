//! Why there is nothing to do: a controller that waits in silence leaves its operator guessing.

use super::situation::Situation;
use super::{Finding, WaitingOn};
use super::{bootstrap, recovery};
use crate::model::{Host, NodeState, ProbeError, Process, UserData};
use std::time::Duration;

/// RECOVERING for so long is more than a pause.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// What is missing from the picture: DNS answers, nodes that do not answer, members on their way.
pub(super) fn missing(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) {
    waiting.extend(now.observed.tasks.trouble.iter().cloned().map(WaitingOn::Dns));
    let members = now.config.map(|c| c.members()).unwrap_or_default();
    for (host, node) in &now.observed.nodes {
        let wanted = node.listed || members.iter().any(|m| &m.host == host);
        match &node.answer {
            Err(error) if wanted && !reported_otherwise(error, node.listed) => {
                waiting.push(WaitingOn::Node { host: host.clone(), error: error.clone() });
            }
            _ => {}
        }
    }
    for member in members {
        let Some(process) = now.process_at(member) else { continue };
        let on_its_way = matches!(
            process.state(),
            NodeState::Startup | NodeState::Startup2 | NodeState::Recovering | NodeState::Rollback | NodeState::Removed
        );
        if on_its_way || member.newly_added {
            let (host, state) = (member.host.clone(), process.state());
            let voting_soon = member.newly_added && state == NodeState::Secondary;
            let wait = if voting_soon { WaitingOn::Vote { host } } else { WaitingOn::Member { host, state } };
            if !waiting.contains(&wait) {
                waiting.push(wait);
            }
        }
    }
}

/// A finding says it already.
fn reported_otherwise(error: &ProbeError, listed: bool) -> bool {
    use ProbeError as E;
    listed && matches!(error, E::NotMongod(_) | E::TooOld(_) | E::Login(_) | E::Denied(_) | E::Tls(_))
}

/// What an operator should know though nothing is due.
pub(super) fn noteworthy(now: &Situation<'_>, findings: &mut Vec<Finding>) {
    findings.extend(bootstrap::refusal(now));
    findings.extend(recovery::refusal(now));
    let blank = || now.ours.iter().filter(|p| p.listed && p.state() == NodeState::Blank);
    let seeds = blank().filter(|p| p.probe.user_data != UserData::None).count();
    for process in blank() {
        let host: Host = process.hosts[0].clone();
        match process.probe.user_data {
            UserData::Unknown if now.config.is_some() || seeds > 1 => findings.push(Finding::UserDataUnknown { host }),
            UserData::Collections(_) if now.config.is_some() => {
                findings.push(Finding::HoldsUserData { hosts: vec![host] });
            }
            UserData::Collections(_) | UserData::Unknown | UserData::None => {}
        }
    }
    let Some(config) = now.config else { return };
    let outside = |p: &&Process<'_>| config.members().iter().all(|m| !p.is_at(&m.host));
    let left_out = now.ours.iter().filter(|p| p.listed && now.left_out(p)).filter(outside);
    findings.extend(left_out.map(|p| Finding::LeftOut { host: p.hosts[0].clone() }));
    if config.members().len() >= crate::model::MEMBERS_MAX {
        let outside = now.ours.iter().find(|p| p.listed && p.state() == NodeState::Blank);
        findings.extend(outside.map(|p| Finding::Full { host: p.hosts[0].clone() }));
    }
    let settled = config.members().iter().all(|m| !m.newly_added && !m.awaits_first_vote());
    if settled && config.voters().count() == 2 {
        findings.push(Finding::TwoVoters);
    }
    for member in config.members() {
        let rewound = now.process_at(member).is_some_and(|p| now.is_rewound(p));
        if member.saved_vote.is_some() && !member.awaits_first_vote() && !rewound {
            findings.push(Finding::Wiped { host: member.host.clone() });
        }
        let recovering = now.process_at(member).is_some_and(|p| p.state() == NodeState::Recovering);
        let unwell = now.observed.node(&member.host).is_some_and(|n| n.unhealthy_for >= STUCK_AFTER);
        if recovering && unwell {
            findings.push(Finding::Stuck { host: member.host.clone() });
        }
    }
}

/// The sentence for a plan without a step.
pub(super) fn rest(now: &Situation<'_>, waiting: &[WaitingOn]) -> String {
    if now.blocked {
        "it cannot be told which set or primary counts".to_owned()
    } else if now.observed.nodes.is_empty() {
        "no task is known".to_owned()
    } else if waiting.is_empty() && now.primary().is_some() {
        "the set is as it should be".to_owned()
    } else if now.primary().is_none() {
        "there is no primary, and nothing safe to do about it".to_owned()
    } else {
        "some things have to happen first".to_owned()
    }
}
