//! What this controller alone fails to see must not be taken for the state of the set.

use super::observe_after;
use super::world::{SECOND, World, at, blank, host, member, process};
use crate::model::{NodeState, ProbeError};
use crate::plan::Step;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_slow_mongod_answers_again_after_one_missed_answer() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    observe_after(&mut observer, SECOND).await;
    world.takes.lock().unwrap().insert(at(2), Duration::from_secs(3));
    assert_eq!(observe_after(&mut observer, SECOND).await[&host(2)].answer, Err(ProbeError::Timeout));
    world.takes.lock().unwrap().insert(at(2), Duration::from_millis(400));
    let mut slowest = Duration::ZERO;
    for _ in 0..12 {
        let began = Instant::now();
        let answers = observer.observe().await.nodes[&host(2)].answer.is_ok();
        slowest = slowest.max(began.elapsed());
        if answers {
            assert!(slowest <= Duration::from_millis(400), "the others waited for {slowest:?}");
            return;
        }
        tokio::time::advance(SECOND).await;
    }
    panic!("it answers within 400 ms, and still counts as silent after 12 s");
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_slows_down_one_observation_in_ten_seconds() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    world.takes.lock().unwrap().insert(at(2), Duration::from_secs(3600));
    observer.observe().await;
    let mut slow = 0;
    let until = Instant::now() + 60 * SECOND;
    while Instant::now() < until {
        let began = Instant::now();
        observer.observe().await;
        slow += u32::from(began.elapsed() > Duration::from_millis(250));
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    assert!((4..=6).contains(&slow), "{slow} slow observations in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_switchover_is_remembered_until_dns_lists_the_process_again() {
    let world = World::of_blank_tasks(2);
    let members = [host(1), host(2)];
    world.put(1, Ok(member(1, NodeState::Primary, &members, &[])));
    world.put(2, Ok(member(2, NodeState::Secondary, &members, &[])));
    world.list(1, false);
    let mut observer = world.observer();
    let observed = observer.observe().await;
    assert!(observed.switched_over.is_empty());
    observer.history.succeeded(&Step::StepUp { on: host(2) }, &observed, Instant::now());
    let observed = observer.observe().await;
    assert_eq!(observed.switched_over, [process(1)].into());
    world.list(1, true);
    assert!(observer.observe().await.switched_over.is_empty(), "the reason has gone away");
}

#[tokio::test(start_paused = true)]
async fn an_election_without_a_primary_replaces_nobody() {
    let world = World::of_blank_tasks(2);
    world.put(1, Err(ProbeError::Refused));
    world.put(2, Ok(member(2, NodeState::Secondary, &[host(1), host(2)], &[])));
    let mut observer = world.observer();
    let observed = observer.observe().await;
    observer.history.succeeded(&Step::StepUp { on: host(2) }, &observed, Instant::now());
    assert!(observer.observe().await.switched_over.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_port_counts_as_closed_from_the_first_refusal_to_the_next_answer() {
    let world = World::of_blank_tasks(1);
    let mut observer = world.observer();
    observe_after(&mut observer, SECOND).await;
    world.put(1, Err(ProbeError::Refused));
    let mut closed = Vec::new();
    for _ in 0..3 {
        closed.push(observe_after(&mut observer, SECOND).await[&host(1)].closed_for);
    }
    assert_eq!(closed, [Duration::ZERO, SECOND, 2 * SECOND]);
    world.put(1, Err(ProbeError::Dropped));
    let node = observe_after(&mut observer, SECOND).await[&host(1)].clone();
    assert_eq!(node.down_observations, 0, "whoever accepts a connection is alive");
    world.put(1, Ok(blank(1)));
    assert_eq!(observe_after(&mut observer, SECOND).await[&host(1)].closed_for, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_time_in_a_state_counts_while_the_mongod_answers_in_it() {
    let world = World::of_blank_tasks(1);
    let mut observer = world.observer();
    world.put(1, Ok(member(1, NodeState::Rollback, &[host(1)], &[])));
    observe_after(&mut observer, SECOND).await;
    assert_eq!(observe_after(&mut observer, 5 * SECOND).await[&host(1)].state_for, 5 * SECOND);
    world.put(1, Ok(member(1, NodeState::Recovering, &[host(1)], &[])));
    assert_eq!(observe_after(&mut observer, SECOND).await[&host(1)].state_for, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_time_without_a_source_counts_for_a_secondary_only() {
    let world = World::of_blank_tasks(1);
    let mut observer = world.observer();
    world.put(1, Ok(member(1, NodeState::Secondary, &[host(1)], &[])));
    observe_after(&mut observer, SECOND).await;
    assert_eq!(observe_after(&mut observer, 5 * SECOND).await[&host(1)].sourceless_for, 5 * SECOND);
    world.put(1, Ok(member(1, NodeState::Primary, &[host(1)], &[])));
    assert_eq!(observe_after(&mut observer, SECOND).await[&host(1)].sourceless_for, Duration::ZERO);
}
