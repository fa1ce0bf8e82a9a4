//! The steps after the next one, as far as they can be foreseen: each is taken to work, and nothing else to happen.
//!
//! Only shown, never executed: after every real step the world is looked at again.

use super::{Plan, Step, plan};
use crate::model::{NodeState, Observed, Policy, Probe, ReplConfig, SyncSourceRequest};
use std::sync::Arc;

/// A longer list would say little: the world moves on meanwhile.
const STEPS_MAX: usize = 12;

/// One step of the preview, and why it would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// What would be done.
    pub step: String,
    /// Why.
    pub because: String,
}

/// What would be done from here, beginning with the step that is due now.
pub fn preview(observed: &Observed, policy: &Policy) -> Vec<Foreseen> {
    let mut world = observed.clone();
    let mut steps = Vec::new();
    while steps.len() < STEPS_MAX {
        let Plan { next, because, .. } = plan(&world, policy);
        if next == Step::Wait {
            break;
        }
        steps.push(Foreseen { step: next.to_string(), because });
        if !follow(&mut world, &next) {
            break;
        }
    }
    steps
}

/// What a step that works leads to. False where more than rsctl's own doing decides what comes next.
fn follow(world: &mut Observed, step: &Step) -> bool {
    match step {
        Step::Reconfig { base, changes, .. } => match base.with(changes) {
            Ok(next) => {
                each_probe(world, |probe| install(probe, base, &next));
                true
            }
            Err(_) => false,
        },
        Step::TakeLock { on, lock } | Step::TakeOverLock { on, lock, .. } => {
            let process = world.probe(on).map(|p| p.process);
            each_probe(world, |probe| {
                if Some(probe.process) == process {
                    probe.lock = Some(lock.clone());
                }
            });
            true
        }
        Step::ReleaseLock { on } => {
            let process = world.probe(on).map(|p| p.process);
            each_probe(world, |probe| {
                if Some(probe.process) == process {
                    probe.lock = None;
                }
            });
            true
        }
        Step::Fsync { on } => {
            let process = world.probe(on).map(|p| p.process);
            world.fsynced.extend(process);
            true
        }
        Step::MarkRemoved { on } => {
            let process = world.probe(on).map(|p| p.process);
            each_probe(world, |probe| probe.marked_removed |= Some(probe.process) == process);
            true
        }
        Step::SetSyncSource { on, source, .. } => {
            let both = world.probe(on).zip(world.probe(source));
            let request =
                both.map(|(on, source)| SyncSourceRequest { on: on.process, source: source.process, fresh: true });
            world.sync_source_requests.retain(|told| request.is_none_or(|request| told.on != request.on));
            world.sync_source_requests.extend(request);
            true
        }
        Step::Wait
        | Step::Initiate { .. }
        | Step::StepUp { .. }
        | Step::AbortCatchUp { .. }
        | Step::Recover { .. }
        | Step::AcceptLoss { .. } => false,
    }
}

fn each_probe(world: &mut Observed, mut edit: impl FnMut(&mut Probe)) {
    for node in world.nodes.values_mut() {
        if let Ok(probe) = &mut node.answer {
            edit(Arc::make_mut(probe));
        }
    }
}

/// Whoever has the old config gets the new one; the primary writes the term back in.
fn install(probe: &mut Probe, base: &ReplConfig, next: &ReplConfig) {
    let same_set = |c: &ReplConfig| c.replica_set_id() == base.replica_set_id();
    if probe.config.as_ref().is_some_and(same_set) && probe.state != NodeState::Removed {
        probe.config = Some(next.clone().in_term(base.term()));
    }
}
