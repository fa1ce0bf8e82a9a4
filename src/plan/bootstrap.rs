//! The first initiate.
//!
//! Two controllers that initiate two nodes at the same time make two sets that can never be merged (seen on every
//! version). So only one node is ever initiated, the rest joins, and a claim on every task comes first.

use super::safety::first_free;
use super::situation::Situation;
use super::{Finding, Proposal, Step, WaitingOn, WaitingOn as W};
use crate::model::{
    Bootstrap, Host, Lock, MemberAddress, Naming, Node, NodeState, Process, ProcessId, ReplConfig, UserData,
};
use std::time::Duration;

/// A claim that has not changed for so long belongs to a controller that is gone.
const STALE: Duration = Duration::from_secs(10);

/// Leads the expected blank tasks to a set of one: claims on all of them, then the initiate.
pub(super) fn bootstrap(now: &Situation<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let known = now.observed.known_set.is_some();
    if now.config.is_some() || known || refusal(now).is_some() {
        return None;
    }
    let tasks = blank_tasks(now, waiting)?;
    let names: Vec<Host> = tasks.iter().map(|p| member_address(now, p, waiting)).collect::<Option<_>>()?;
    // Whoever holds user data, or may hold some, begins, because joining would drop it.
    let seed = tasks.iter().position(|p| p.probe.user_data != UserData::None).unwrap_or(0);
    let (seed_host, seed_process) =
        claimed(now, &tasks, waiting)?.unwrap_or_else(|| (names[seed].clone(), tasks[seed].id));
    let lock = Lock { token: now.policy.token.clone(), seed: seed_host.clone(), seed_process };
    for task in &tasks {
        let on = task.hosts[0].clone();
        match &task.probe.lock {
            Some(held) if *held == lock => {}
            None => return Proposal::new(Step::TakeLock { on, lock }, "every expected task answers and is blank"),
            Some(held) if held.token == lock.token || is_stale(now, held) => {
                let because = if held.token == lock.token {
                    format!("our own lock there names another seed than {seed_host}")
                } else {
                    format!("the lock of {} has not changed for {} s", held.token, STALE.as_secs())
                };
                return Proposal::new(Step::TakeOverLock { on, stale: held.clone(), lock }, because);
            }
            Some(held) => {
                waiting.push(W::Lock { on, controller: held.token.to_string() });
                return None;
            }
        }
    }
    if now.observed.blank_for < now.policy.stable_for {
        waiting.push(W::Stability { left: now.policy.stable_for - now.observed.blank_for });
        return None;
    }
    let on = tasks.iter().find(|p| p.id == seed_process).map(|p| p.hosts[0].clone())?;
    let config = ReplConfig::first(&now.policy.set, &seed_host, now.policy.expect.max(tasks.len()));
    Proposal::new(Step::Initiate { on, config }, format!("{} tasks answer, all of them blank and locked", tasks.len()))
}

/// Why no set may begin at all, as a finding.
pub(super) fn refusal(now: &Situation<'_>) -> Option<Finding> {
    let nobody = !now.blocked && now.config.is_none() && now.ours.iter().any(|p| p.state() == NodeState::Blank);
    if !nobody {
        None
    } else if now.policy.bootstrap == Bootstrap::Never {
        Some(Finding::BootstrapNever)
    } else if now.observed.known_set.is_some() {
        Some(Finding::ConfigLost)
    } else {
        let processes_with_data: Vec<Host> =
            now.ours.iter().filter(|p| holds_data(p)).map(|p| p.hosts[0].clone()).collect();
        (processes_with_data.len() > 1).then_some(Finding::HoldsUserData { hosts: processes_with_data })
    }
}

fn holds_data(process: &Process<'_>) -> bool {
    matches!(process.probe.user_data, UserData::Collections(_))
}

/// The tasks in the order in which everybody claims them, if every one that DNS lists answers and is blank, and they
/// are as many as expected. An initiate never happens on less.
fn blank_tasks<'a, 's>(now: &'s Situation<'a>, waiting: &mut Vec<WaitingOn>) -> Option<Vec<&'s Process<'a>>> {
    let listed = || now.observed.nodes.values().filter(|node| node.listed);
    let silent = listed().filter(|node| node.answer.is_err()).count();
    let foreign = listed().filter_map(Node::probe).any(|p| !now.ours.iter().any(|o| o.id == p.process));
    let mut tasks: Vec<_> = now.ours.iter().filter(|p| p.listed).collect();
    tasks.sort_by(|a, b| a.hosts.cmp(&b.hosts));
    // The one that begins keeps what it holds, so it alone need not be shown to hold nothing.
    let shown_empty = tasks.iter().filter(|p| p.probe.user_data == UserData::None).count();
    let blank = tasks.iter().all(|p| p.state() == NodeState::Blank) && shown_empty + 1 >= tasks.len();
    for task in tasks.iter().filter(|p| p.state() != NodeState::Blank) {
        waiting.push(W::Member { host: task.hosts[0].clone(), state: task.state() });
    }
    if tasks.len() < now.policy.expect {
        waiting.push(W::Tasks { seen: tasks.len(), expect: now.policy.expect });
    }
    let enough = tasks.len() >= now.policy.expect.max(1);
    (enough && blank && silent == 0 && !foreign && now.observed.tasks.is_good()).then_some(tasks)
}

/// What the task will be called in the config.
fn member_address(now: &Situation<'_>, process: &Process<'_>, waiting: &mut Vec<WaitingOn>) -> Option<Host> {
    let ip = || process.hosts.iter().find(|h| h.name().is_none()).map(|&h| h.clone());
    let naming = process.hosts.iter().filter_map(|h| now.observed.node(h)).map(|n| &n.naming);
    let stable = naming.clone().find_map(|n| if let Naming::Stable(host) = n { Some(host.clone()) } else { None });
    let unknown = naming.clone().any(|n| *n == Naming::Unknown);
    let address = match now.policy.member_address {
        MemberAddress::Ip => ip(),
        MemberAddress::Hostname => stable,
        MemberAddress::Auto if stable.is_none() && unknown => None,
        MemberAddress::Auto if all_stable(now) => stable,
        MemberAddress::Auto => ip(),
    };
    if address.is_none() {
        waiting.push(W::Name { host: process.hosts[0].clone() });
    }
    address
}

/// One kind for the whole set: names only when every task has one.
fn all_stable(now: &Situation<'_>) -> bool {
    let mut tasks = now.ours.iter().filter(|p| p.listed);
    tasks.all(|p| p.hosts.iter().filter_map(|h| now.observed.node(h)).any(|n| matches!(n.naming, Naming::Stable(_))))
}

fn is_stale(now: &Situation<'_>, lock: &Lock) -> bool {
    now.observed.locks.iter().any(|(seen, unchanged_for)| seen == lock && *unchanged_for >= STALE)
}

/// The seed that the first claim in the fixed order names. Whoever made it may have sent the initiate just before he
/// died: the same seed makes a second one harmless (23), another seed would make a second set. Ours or his, first or
/// not, all controllers read the same claim, so that two of them cannot adopt each other's seed for ever. `None`
/// inside means free choice, `None` outside means wait.
fn claimed(
    now: &Situation<'_>,
    tasks: &[&Process<'_>],
    waiting: &mut Vec<WaitingOn>,
) -> Option<Option<(Host, ProcessId)>> {
    for claim in tasks.iter().filter_map(|p| p.probe.lock.as_ref()) {
        if tasks.iter().any(|p| p.id == claim.seed_process) {
            return Some(Some((claim.seed.clone(), claim.seed_process)));
        }
        // The seed's process is no task. Replaced by another: free. Silent, or merely not listed: it may be alive.
        let place = now.observed.node(&claim.seed);
        let alive = now.observed.processes().iter().any(|p| p.id == claim.seed_process);
        let replaced = place.is_some_and(|node| node.probe().is_some());
        let long_gone = place.is_some_and(|node| node.silent_for >= now.policy.replace_after);
        if alive || !(replaced || long_gone) {
            waiting.push(W::Seed { host: claim.seed.clone(), controller: claim.token.to_string() });
            return None;
        }
    }
    Some(None)
}

/// The set exists: the claims have done their work.
pub(super) fn release_lock(now: &Situation<'_>, _: &mut Vec<WaitingOn>) -> Option<Proposal> {
    let locked = now.ours.iter().filter(|p| p.probe.lock.is_some() && p.state() != NodeState::Blank);
    let steps = locked.map(|p| Step::ReleaseLock { on: p.hosts[0].clone() });
    Proposal::new(first_free(now, steps)?, "the set has a primary")
}
