//! The steps after the next one, as far as they can be foreseen. Each is taken to work, and nothing else to happen.
//!
//! **Invariant:** a preview is only shown. After every real step comes another observation.

use super::{Plan, Reason, Step, plan};
use crate::model::{Host, NodeState, Observed, Policy, Probe, ReplConfig, SyncSourceRequest, Taken};
use std::sync::Arc;
use std::time::Duration;

/// A longer list would say little, because other things happen meanwhile.
const STEPS_MAX: usize = 12;

/// One step of the preview, and why it would be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// What would be done.
    pub step: Step,
    /// Why.
    pub because: Reason,
}

/// What would be done from here, beginning with the step that is due now. During a pause: without it.
pub fn preview(observed: &Observed, policy: &Policy) -> Vec<Foreseen> {
    let mut world = Observed { pause: None, ..observed.clone() };
    let mut steps = Vec::new();
    while steps.len() < STEPS_MAX {
        let Plan { next, because, .. } = plan(&world, policy);
        if next == Step::Wait {
            break;
        }
        let goes_on = follow(&mut world, &next);
        steps.push(Foreseen { step: next, because });
        if !goes_on {
            break;
        }
    }
    steps
}

/// Changes the world as a step does that works. False where more than rsctl's own steps decides what comes next.
fn follow(world: &mut Observed, step: &Step) -> bool {
    match step {
        Step::Reconfig { next, .. } => {
            if let Some(config) = step.resulting_config() {
                each_probe(world, |probe| install(probe, next.base(), &config));
            }
        }
        Step::TakeLock { on, lock } | Step::TakeOverLock { on, lock, .. } => {
            edit_probe(world, on, |probe| probe.lock = Some(lock.clone()));
        }
        Step::ReleaseLock { on } => edit_probe(world, on, |probe| probe.lock = None),
        Step::MarkRemoved { on } => edit_probe(world, on, |probe| probe.marked_removed = true),
        Step::Fsync { on } => {
            let process = world.probe(on).map(|p| p.process);
            world.fsynced.extend(process);
        }
        Step::SetSyncSource { on, source, .. } => request_sync_source(world, on, source),
        Step::Wait
        | Step::Initiate { .. }
        | Step::StepUp { .. }
        | Step::AbortCatchUp { .. }
        | Step::Recover { .. }
        | Step::AcceptLoss { .. } => return false,
    }
    true
}

fn request_sync_source(world: &mut Observed, on: &Host, source: &Host) {
    let Some((on, source)) = world.probe(on).zip(world.probe(source)) else { return };
    let (on, source, age) = (on.process, source.process, Duration::ZERO);
    let request = SyncSourceRequest { on, source, fresh: true, age, taken: Taken::NotYet };
    world.sync_source_requests.retain(|before| before.on != request.on);
    world.sync_source_requests.push(request);
}

fn each_probe(world: &mut Observed, mut edit: impl FnMut(&mut Probe)) {
    for node in world.nodes.values_mut() {
        if let Ok(probe) = &mut node.answer {
            edit(Arc::make_mut(probe));
        }
    }
}

/// Changes what the process at an address shows, at each of its addresses.
fn edit_probe(world: &mut Observed, on: &Host, mut edit: impl FnMut(&mut Probe)) {
    let process = world.probe(on).map(|p| p.process);
    each_probe(world, |probe| {
        if Some(probe.process) == process {
            edit(probe);
        }
    });
}

/// Every member with a config of this set gets the new one.
fn install(probe: &mut Probe, base: &ReplConfig, next: &ReplConfig) {
    let same_set = |c: &ReplConfig| c.replica_set_id() == base.replica_set_id();
    if probe.config.as_ref().is_some_and(same_set) && probe.state != NodeState::Removed {
        probe.config = Some(next.clone());
    }
}
