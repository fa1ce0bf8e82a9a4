//! What the loop tells while it runs. The counters of `/metrics` are made from it.

use super::world::{SECOND, World};
use super::{Fixture, one_of_three};
use crate::plan::Step;
use crate::reconcile::Progress;
use std::time::Duration;
use tokio::time::sleep;

/// What the loop tells about steps in this time.
async fn told(fixture: &Fixture, time: Duration) -> Vec<String> {
    let mut told = Vec::new();
    let report = |progress: Progress<'_>| match progress {
        Progress::Planned { plan, .. } if plan.next == Step::Wait => {}
        Progress::Planned { plan, .. } => told.push(format!("begun: {}", plan.next)),
        Progress::InForce { plan, .. } => {
            told.push(format!("in force: v{}", plan.config.as_ref().unwrap().version()));
        }
        Progress::Failed { plan } => told.push(format!("failed: {}", plan.rule)),
    };
    fixture.reconciler().run(report, sleep(time)).await;
    told
}

#[tokio::test(start_paused = true)]
async fn a_config_that_comes_into_force_is_no_second_step() {
    let fixture = Fixture::new(World::of_three_members());
    *fixture.world.reconfig_takes.lock().unwrap() = SECOND;
    let told = told(&fixture, SECOND / 2).await;
    let of_v2: Vec<_> = told.iter().filter(|line| line.ends_with("v2)") || line.ends_with("v2")).collect();
    let [begun, in_force] = of_v2[..] else { panic!("{told:?}") };
    assert!(begun.starts_with("begun: tag ") && in_force == "in force: v2", "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_is_told_once() {
    let fixture = Fixture::new(one_of_three());
    fixture.accept().await;
    let told = told(&fixture, 20 * SECOND).await;
    let of_the_force: Vec<_> = told.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(of_the_force, ["begun:", "failed:"], "{told:?}");
}
