//! Names for which DNS fails instead of answering that they do not exist.

use super::world::{SECOND, World, host, member};
use crate::model::{DnsTrouble, DnsTroubleKind, Host, NameAnswer, NodeState, ProbeError};
use std::time::Duration;
use tokio::time::advance;

fn named(n: u8) -> Host {
    format!("mongo-{n}:27017").parse().unwrap()
}

fn fails(world: &World, n: u8, kind: DnsTroubleKind) {
    let name = format!("mongo-{n}");
    world.names.lock().unwrap().insert(name.clone(), NameAnswer::Trouble(DnsTrouble { name, kind }));
}

/// A set of three by name, whose third member is gone from the list. Its name led to 10.0.0.3.
async fn two_of_three(world: &World, observer: &mut super::Observer<'_, World, World>) {
    let members = [named(1), named(2), named(3)];
    for n in 1..=3 {
        let state = if n == 1 { NodeState::Primary } else { NodeState::Secondary };
        world.put(n, Ok(member(n, state, &members, &[2])));
        world.name(&format!("mongo-{n}"), &[&format!("10.0.0.{n}")]);
    }
    observer.observe().await;
    world.list(3, false);
    world.put(3, Err(ProbeError::Refused));
    fails(world, 3, DnsTroubleKind::ServFail);
    observer.observe().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_from_its_first_observation_while_nothing_speaks_against_it() {
    let world = World::of_blank_tasks(3);
    let mut observer = world.observer();
    two_of_three(&world, &mut observer).await;
    let mut unresolved = async |what: &dyn Fn()| {
        what();
        advance(SECOND).await;
        let node = observer.observe().await.nodes[&named(3)].clone();
        assert_eq!(node.unlisted_for, Duration::ZERO, "DNS has not said that there is no such name");
        assert!(node.answer.is_err());
        node.unresolved_for.as_secs()
    };
    let up = |n| move |w: &World| w.put(n, Ok(member(n, NodeState::Secondary, &[named(1), named(2), named(3)], &[])));
    assert_eq!(unresolved(&|| {}).await, 1);
    assert_eq!(unresolved(&|| fails(&world, 3, DnsTroubleKind::Refused)).await, 2);
    assert_eq!(unresolved(&|| fails(&world, 3, DnsTroubleKind::Timeout)).await, 0, "silence is no answer");
    assert_eq!(unresolved(&|| fails(&world, 3, DnsTroubleKind::ServFail)).await, 0);
    assert_eq!(unresolved(&|| {}).await, 1);
    assert_eq!(unresolved(&|| world.trouble(true)).await, 0, "the list of tasks is in doubt");
    assert_eq!(unresolved(&|| world.trouble(false)).await, 0);
    assert_eq!(unresolved(&|| {}).await, 1);
    assert_eq!(unresolved(&|| world.put(2, Err(ProbeError::Timeout))).await, 0, "the silent task may be this member");
    assert_eq!(unresolved(&|| up(2)(&world)).await, 0);
    assert_eq!(unresolved(&|| {}).await, 1);
    assert_eq!(unresolved(&|| up(3)(&world)).await, 0, "it answers where its name led before");
    assert_eq!(unresolved(&|| world.put(3, Err(ProbeError::Login("no".to_owned())))).await, 0, "something is there");
    assert_eq!(unresolved(&|| world.put(3, Err(ProbeError::Timeout))).await, 0);
    assert_eq!(unresolved(&|| {}).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_never_saw_the_name_resolve_counts_too() {
    let world = World::of_blank_tasks(3);
    two_of_three(&world, &mut world.observer()).await;
    let mut observer = world.observer();
    observer.observe().await;
    observer.observe().await;
    advance(SECOND).await;
    assert_eq!(observer.observe().await.nodes[&named(3)].unresolved_for, SECOND);
    assert!(!world.asked.lock().unwrap().is_empty());
    assert!(observer.observe().await.nodes.contains_key(&host(1)));
}
