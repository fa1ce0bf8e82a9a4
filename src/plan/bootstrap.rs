//! The first initiate, and its locks: *bootstrap*, *release-lock*.
//!
//! Two controllers that initiate two nodes at the same time make two sets that can never be merged (seen on every
//! version). So only one node is ever initiated, the others are added to it, and a lock on every task comes first.

use super::safety::first_free;
use super::situation::Situation;
use super::{Advice, Context, Finding, Proposal, Reason, Step, WaitingOn};
use crate::model::{
    Bootstrap, Cause, Host, Lock, MemberAddress, Naming, Node, NodeState, Process, ProcessId, Refusal, ReplConfig,
    Subject, UserData,
};
use std::time::Duration;

/// A lock that has not changed for this long belongs to a controller that no longer runs.
const STALE: Duration = Duration::from_secs(10);

/// A lock that its server refused so often is no matter of time.
const LOCK_TRIES: u32 = 3;

/// Leads the expected blank tasks to a set with one member: a lock on all of them, then the initiate.
pub(super) fn bootstrap(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    if now.config.is_some() || now.observed.known_set.is_some() || refusal(now).is_some() {
        return Advice::Pass;
    }
    prepare(now).unwrap_or_else(Advice::Wait)
}

fn prepare(now: &Situation<'_>) -> Result<Advice, Vec<WaitingOn>> {
    let tasks = blank_tasks(now)?;
    let seed = seed(now, &tasks).map_err(|wait| vec![wait])?;
    if let Some(advice) = take_locks(now, &tasks, &seed) {
        return Ok(advice);
    }
    if now.observed.blank_for < now.policy.stable_for {
        return Err(vec![WaitingOn::Stability { left: now.policy.stable_for - now.observed.blank_for }]);
    }
    let Some(task) = tasks.iter().find(|p| p.id == seed.process) else { return Ok(Advice::Pass) };
    let config = ReplConfig::first(&now.policy.set, &seed.host, now.policy.expect.max(tasks.len()));
    let step = Step::Initiate { on: task.hosts[0].clone(), config };
    Ok(Proposal::new(step, Reason::TasksAreLocked { tasks: tasks.len() }).into())
}

/// The lock that is due next; none when every task carries the right one.
fn take_locks(now: &Situation<'_>, tasks: &[&Process<'_>], seed: &Seed) -> Option<Advice> {
    let lock = Lock { token: now.policy.token.clone(), seed: seed.host.clone(), seed_process: seed.process };
    tasks.iter().find_map(|task| {
        let on = task.hosts[0].clone();
        match &task.probe.lock {
            Some(held) if *held == lock => None,
            None => Some(Proposal::new(Step::TakeLock { on, lock: lock.clone() }, Reason::TasksAreBlank).into()),
            Some(held) if held.token == lock.token || is_stale(now, held) => {
                let because = match held.token == lock.token {
                    true => Reason::OwnLockNamesOtherSeed { seed: seed.host.clone() },
                    false => Reason::LockIsStale { token: held.token.clone(), unchanged_for: STALE },
                };
                let step = Step::TakeOverLock { on, stale: held.clone(), lock: lock.clone() };
                Some(Proposal::new(step, because).into())
            }
            Some(held) => Some(Advice::Wait(vec![WaitingOn::Lock { on, controller: held.token.to_string() }])),
        }
    })
}

/// Why no set may be initiated at all, as a finding.
pub(super) fn refusal(now: &Situation<'_>) -> Option<Finding> {
    let no_set = !now.blocked && now.config.is_none() && now.ours.iter().any(|p| p.state() == NodeState::Blank);
    if !no_set {
        None
    } else if now.policy.bootstrap == Bootstrap::Never {
        Some(Finding::BootstrapNever)
    } else if now.observed.known_set.is_some() {
        Some(Finding::ConfigLost)
    } else {
        let hosts: Vec<Host> = now.ours.iter().filter(|p| holds_data(p)).map(|p| p.hosts[0].clone()).collect();
        (hosts.len() > 1).then_some(Finding::HoldsUserData { hosts })
    }
}

fn holds_data(process: &Process<'_>) -> bool {
    matches!(process.probe.user_data, UserData::Collections(_))
}

/// The tasks in the order in which all controllers lock them, if every task that DNS lists answers and is blank, and
/// there are as many as expected. Nothing is initiated on less. What is waited for may be empty where `explain` tells it.
fn blank_tasks<'a, 's>(now: &'s Situation<'a>) -> Result<Vec<&'s Process<'a>>, Vec<WaitingOn>> {
    let mut tasks: Vec<_> = now.ours.iter().filter(|p| p.listed).collect();
    tasks.sort_by(|a, b| a.hosts.cmp(&b.hosts));
    let mut waiting: Vec<_> = tasks
        .iter()
        .filter(|p| p.state() != NodeState::Blank)
        .map(|p| WaitingOn::Member { host: p.hosts[0].clone(), state: p.state() })
        .collect();
    if tasks.len() < now.policy.expect {
        waiting.push(WaitingOn::Tasks { seen: tasks.len(), expect: now.policy.expect });
    }
    // The seed keeps what it holds, so it is the only one that need not be shown to hold nothing.
    let shown_empty = tasks.iter().filter(|p| p.probe.user_data == UserData::None).count();
    let enough = !tasks.is_empty() && shown_empty + 1 >= tasks.len();
    let ready = waiting.is_empty() && enough && every_task_is_ours(now) && now.observed.tasks.is_good();
    if ready { Ok(tasks) } else { Err(waiting) }
}

/// Every task that DNS lists answers, and none belongs to something else.
fn every_task_is_ours(now: &Situation<'_>) -> bool {
    let is_ours = |node: &Node| node.probe().is_some_and(|p| now.ours.iter().any(|o| o.id == p.process));
    now.observed.nodes.values().filter(|node| node.must_answer()).all(is_ours)
}

/// The address that the task gets in the config.
fn member_address(now: &Situation<'_>, process: &Process<'_>) -> Result<Host, WaitingOn> {
    let ip = || process.hosts.iter().find(|h| h.name().is_none()).map(|&h| h.clone());
    let mut names = process.hosts.iter().filter_map(|h| now.observed.node(h)).map(|n| &n.naming);
    let is_unknown = names.clone().any(|n| *n == Naming::Unknown);
    let stable = names.find_map(|n| if let Naming::Stable(host) = n { Some(host.clone()) } else { None });
    let address = match now.policy.member_address {
        MemberAddress::Ip => ip(),
        MemberAddress::Hostname => stable,
        MemberAddress::Auto if stable.is_none() && is_unknown => None,
        MemberAddress::Auto if now.all_stable() => stable,
        MemberAddress::Auto => ip(),
    };
    address.ok_or_else(|| WaitingOn::Name { host: process.hosts[0].clone() })
}

fn is_stale(now: &Situation<'_>, lock: &Lock) -> bool {
    now.observed.locks.iter().any(|(seen, unchanged_for)| seen == lock && *unchanged_for >= STALE)
}

/// The task to initiate.
struct Seed {
    /// Its address in the config.
    host: Host,
    process: ProcessId,
}

/// The seed that the first lock in the fixed order names, else a task that holds, or may hold, user data, because
/// joining would drop it, else the first task.
fn seed(now: &Situation<'_>, tasks: &[&Process<'_>]) -> Result<Seed, WaitingOn> {
    let hosts: Vec<Host> = tasks.iter().map(|p| member_address(now, p)).collect::<Result<_, _>>()?;
    if let Some(locked) = locked_seed(now, tasks)? {
        return Ok(locked);
    }
    let first = tasks.iter().position(|p| p.probe.user_data != UserData::None).unwrap_or(0);
    Ok(Seed { host: hosts[first].clone(), process: tasks[first].id })
}

/// The seed that the first lock names. The controller that took the lock may have sent the initiate just before it
/// ended. With the same seed a second initiate does no harm (23); with another seed it would make a second set. All
/// controllers read the same lock first, whether it is their own or not, so that two of them cannot take over each
/// other's seed for ever.
fn locked_seed(now: &Situation<'_>, tasks: &[&Process<'_>]) -> Result<Option<Seed>, WaitingOn> {
    for lock in tasks.iter().filter_map(|p| p.probe.lock.as_ref()) {
        if tasks.iter().any(|p| p.id == lock.seed_process) {
            return Ok(Some(Seed { host: lock.seed.clone(), process: lock.seed_process }));
        }
        // The seed's process is no task. If another process took its place, the choice is free. If it is silent, or
        // merely not listed, it may be alive.
        let node = now.observed.node(&lock.seed);
        let is_alive = now.observed.processes().iter().any(|p| p.id == lock.seed_process);
        let is_replaced = node.is_some_and(|node| node.probe().is_some());
        let long_gone = node.is_some_and(|node| node.silent_for >= now.policy.replace_after);
        if is_alive || !(is_replaced || long_gone) {
            return Err(WaitingOn::Seed { host: lock.seed.clone(), controller: lock.token.to_string() });
        }
    }
    Ok(None)
}

/// Locks that the servers themselves refuse again and again, where no set exists yet.
pub(super) fn refused_locks(now: &Situation<'_>) -> Vec<Finding> {
    let refused = now.observed.refusals.iter().filter(|r| now.config.is_none() && is_lasting(r));
    let finding = |(host, refusal): (&Host, &Refusal)| Finding::LockRefused {
        host: host.clone(),
        reason: refusal.reason.clone(),
    };
    refused.filter_map(|r| Some(finding((lock_of(&r.subjects)?, r)))).collect()
}

/// Whether a finding says already that this lock is refused.
pub(super) fn is_refused_lock(now: &Situation<'_>, wait: &WaitingOn) -> bool {
    let WaitingOn::Refused { subjects, .. } = wait else { return false };
    let lasting = now.observed.refusals.iter().any(|r| r.subjects == *subjects && is_lasting(r));
    lock_of(subjects).is_some() && lasting
}

fn is_lasting(refusal: &Refusal) -> bool {
    refusal.cause == Cause::Server && refusal.times >= LOCK_TRIES
}

fn lock_of(subjects: &[Subject]) -> Option<&Host> {
    if let [Subject::Lock(host)] = subjects { Some(host) } else { None }
}

/// Removes the locks when the set exists.
pub(super) fn release_lock(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let locked = now.ours.iter().filter(|p| p.probe.lock.is_some() && p.state() != NodeState::Blank);
    let steps = locked.map(|p| Step::ReleaseLock { on: p.hosts[0].clone() });
    first_free(now, steps).map_or(Advice::Pass, |step| Proposal::new(step, Reason::SetHasPrimary).into())
}
