//! What a mongod says makes rsctl connect to the members of the set only.

use super::super::named::NAMED_MAX;
use super::world::{World, at, host, member};
use crate::model::{Host, NodeState, ReplConfig};
use bson::oid::ObjectId;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A config with these members.
fn config(set: &str, generation: u8, members: &[Host]) -> ReplConfig {
    let entry = |(id, host): (i64, &Host)| bson::doc! { "_id": id, "host": host.to_string() };
    let entries: Vec<_> = (0..).zip(members).map(entry).collect();
    let settings = bson::doc! { "replicaSetId": ObjectId::from_bytes([generation; 12]) };
    ReplConfig::from_stored(bson::doc! { "_id": set, "version": 9, "members": entries, "settings": settings }).unwrap()
}

/// Addresses that no task and no member has.
fn elsewhere(of: u8, count: u8) -> Vec<Host> {
    (0..count).map(|n| Host::from(SocketAddr::from(([192, 0, of, n], 27017)))).collect()
}

/// Three members of the set, and another task that stores `other`.
fn set_beside(other: ReplConfig) -> World {
    let world = World::of_blank_tasks(4);
    let members = [host(1), host(2), host(3)];
    world.put(1, Ok(member(1, NodeState::Primary, &members, &[])));
    world.put(2, Ok(member(2, NodeState::Secondary, &members, &[])));
    world.put(3, Ok(member(3, NodeState::Secondary, &members, &[])));
    world.put(4, Ok(member(4, NodeState::Secondary, &members, &[])));
    world.change(4, |probe| probe.config = Some(other));
    world
}

fn asked(world: &World) -> BTreeSet<SocketAddr> {
    world.asked.lock().unwrap().iter().map(|(at, _)| *at).collect()
}

const TASKS: [u8; 4] = [1, 2, 3, 4];

#[tokio::test(start_paused = true)]
async fn a_config_of_another_set_names_nobody() {
    let world = set_beside(config("other", 7, &elsewhere(1, 3)));
    world.observer().observe().await;
    assert_eq!(asked(&world), TASKS.map(at).into());
}

#[tokio::test(start_paused = true)]
async fn a_config_with_more_members_than_a_set_can_have_names_nobody() {
    let world = set_beside(config("rs", 7, &elsewhere(1, 51)));
    world.observer().observe().await;
    assert_eq!(asked(&world), TASKS.map(at).into());
    let world = set_beside(config("rs", 7, &elsewhere(1, 50)));
    world.observer().observe().await;
    assert_eq!(asked(&world).len(), TASKS.len() + 50);
}

#[tokio::test(start_paused = true)]
async fn once_the_generation_is_known_a_config_of_another_names_nobody() {
    let world = set_beside(config("rs", 8, &elsewhere(1, 3)));
    let mut observer = world.observer();
    observer.observe().await;
    assert_eq!(asked(&world).len(), TASKS.len() + 3, "nobody knows yet which of the two it is");
    observer.history.known_set = Some(ObjectId::from_bytes([7; 12]));
    observer.observe().await;
    world.asked.lock().unwrap().clear();
    observer.observe().await;
    assert_eq!(asked(&world), TASKS.map(at).into());
}

#[tokio::test(start_paused = true)]
async fn many_configs_name_no_more_than_the_limit_and_those_first_that_most_name() {
    const TASK_COUNT: u8 = 30;
    let world = World::of_blank_tasks(TASK_COUNT);
    let named: Host = "198.51.100.1:27017".parse().unwrap();
    for n in 1..=TASK_COUNT {
        let mut members = elsewhere(n, 49);
        members.push(named.clone());
        world.put(n, Ok(member(n, NodeState::Secondary, &members, &[])));
    }
    let mut observer = world.observer();
    for _ in 0..3 {
        observer.observe().await;
    }
    assert_eq!(asked(&world).len(), usize::from(TASK_COUNT) + NAMED_MAX);
    assert!(asked(&world).contains(&named.socket().unwrap()));
}
