//! A controller that is frozen does nothing because of what it saw before the freeze.

use super::super::age::{Age, WhileRecent};
use super::super::execute::{StepError, execute};
use super::world::{SECOND, host};
use super::{Fixture, one_of_three};
use crate::admin::AdminEndpoint;
use crate::model::{Change, MemberId, Observed, RequestState};
use crate::mongo::Error;
use crate::plan::{LintedConfig, Step};
use std::time::Duration;
use tokio::time::advance;

fn recover(observed: &Observed) -> Step {
    let base = observed.probe(&host(1)).unwrap().config.clone().unwrap();
    let changes = vec![Change::Readdress { id: MemberId(1), to: host(5) }];
    Step::Recover { on: host(1), next: LintedConfig::forced(&base, changes, 1).unwrap() }
}

/// Forces after an observation, with a freeze of this length during each probe of it, before the step, and during the
/// check before the force. Returns whether the force was sent.
async fn forces(observing: Duration, between: Duration, checking: Duration) -> bool {
    let world = one_of_three();
    *world.freeze.lock().unwrap() = observing;
    let mut observer = world.observer();
    let observed = observer.observe().await;
    advance(between).await;
    *world.freeze.lock().unwrap() = checking;
    let admin = WhileRecent { admin: &world, age: observer.age };
    let outcome = execute(&admin, &observed, &recover(&observed)).await;
    let sent = !world.forced.lock().unwrap().is_empty();
    let refused = matches!(outcome, Err(StepError::Mongod(Error::ObservationTooOld(_))));
    assert_eq!(refused, !sent, "{outcome:?}");
    sent
}

#[tokio::test(start_paused = true)]
async fn a_force_is_sent_only_while_the_observation_is_recent() {
    let none = Duration::ZERO;
    assert!(forces(none, none, none).await);
    assert!(forces(SECOND, SECOND, SECOND).await, "a slow observation and a slow check are no freeze");
    assert!(!forces(none, 3 * SECOND, none).await, "frozen between the observation and the step");
    assert!(!forces(none, none, 3600 * SECOND).await, "frozen during the check before the force");
    assert!(!forces(3600 * SECOND, none, none).await, "frozen during the observation");
}

#[tokio::test(start_paused = true)]
async fn the_age_counts_from_the_beginning_of_the_observation() {
    let world = one_of_three();
    let mut observer = world.observer();
    observer.observe().await;
    let age: Age = observer.age;
    advance(3 * SECOND).await;
    let admin = WhileRecent { admin: &world, age };
    let step = Step::Fsync { on: host(1) };
    let observed = observer.observe().await;
    assert!(execute(&admin, &observed, &step).await.is_err(), "the earlier observation is too old");
    let admin = WhileRecent { admin: &world, age: observer.age };
    execute(&admin, &observed, &step).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_loop_forces_nothing_after_a_freeze() {
    let fixture = Fixture::new(one_of_three());
    fixture.run_for(10 * SECOND).await;
    let request = fixture.accept().await;
    *fixture.world.freeze.lock().unwrap() = 4 * SECOND;
    fixture.run_for(20 * SECOND).await;
    assert_eq!(fixture.forced(), 0);
    let state = fixture.requests.request_state(&request);
    assert!(matches!(&state, Some(RequestState::Dropped(why)) if why.contains("observation")), "{state:?}");
}
