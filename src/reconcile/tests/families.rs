//! Tasks with an IPv4 and an IPv6 address, whose mongods listen on one of them.

use super::world::{SECOND, World, at, blank, host, policy, process};
use crate::model::{Host, Naming, Node, NodeState, Policy, ProbeError};
use crate::plan::{Finding, Step, WaitingOn, plan};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use tokio::time::advance;

fn v6(n: u8) -> SocketAddr {
    format!("[fd00::{n}]:27017").parse().unwrap()
}

/// Blank tasks with an address of each family. Their mongods listen on IPv4 only, as the image's default is.
fn dual(count: u8) -> World {
    let world = World::of_blank_tasks(count);
    for n in 1..=count {
        world.tasks.lock().unwrap().hosts.insert(v6(n).into());
    }
    world
}

fn put(world: &World, at: SocketAddr, answer: Result<crate::model::Probe, ProbeError>) {
    world.nodes.lock().unwrap().insert(at, answer);
}

async fn excused(world: &World) -> BTreeSet<Host> {
    let nodes = world.observer().observe().await.nodes;
    nodes.into_iter().filter(|(_, node)| node.answers_elsewhere).map(|(host, _)| host).collect()
}

fn hosts(numbers: impl IntoIterator<Item = u8>) -> BTreeSet<Host> {
    numbers.into_iter().map(|n| v6(n).into()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_first_start_needs_one_address_of_each_task() {
    let world = dual(3);
    let mut observer = world.observer();
    observer.observe().await;
    advance(SECOND).await;
    let observed = observer.observe().await;
    assert_eq!(observed.blank_for, SECOND);
    let plan = plan(&observed, &Policy { bootstrap: crate::model::Bootstrap::Auto, ..policy() });
    assert!(matches!(plan.next, Step::TakeLock { .. }), "{plan:?}");
    assert!(!plan.waiting.iter().any(|w| matches!(w, WaitingOn::Node { .. })), "{:?}", plan.waiting);
    let unused = Finding::UnusedAddresses { hosts: hosts(1..=3).into_iter().collect() };
    assert_eq!(plan.findings, [unused], "what is silent is named");
}

#[tokio::test(start_paused = true)]
async fn as_many_addresses_of_both_families_are_the_same_tasks() {
    let world = dual(3);
    assert_eq!(excused(&world).await, hosts(1..=3));
    // The same the other way round.
    for n in 1..=3 {
        put(&world, at(n), Err(ProbeError::Unreachable("no route".to_owned())));
        put(&world, v6(n), Ok(blank(n)));
    }
    assert_eq!(excused(&world).await, (1..=3).map(host).collect());
    // Some listen on both.
    put(&world, at(2), Ok(blank(2)));
    assert_eq!(excused(&world).await, [host(1), host(3)].into());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_excused_while_a_task_may_be_missing() {
    let all_but = |break_it: fn(&World)| {
        let world = dual(3);
        break_it(&world);
        async move { excused(&world).await }
    };
    let none = BTreeSet::new();
    let a_task_down = all_but(|w| put(w, at(3), Err(ProbeError::Refused)));
    assert_eq!(a_task_down.await, none, "any of the addresses may be that task's");
    let more = all_but(|w| {
        w.tasks.lock().unwrap().hosts.insert(v6(4).into());
    });
    assert_eq!(more.await, none, "four tasks, and three answer");
    let other_port = all_but(|w| {
        w.tasks.lock().unwrap().hosts.insert("[fd00::9]:27018".parse().unwrap());
    });
    assert_eq!(other_port.await, hosts(1..=3), "a task with another port is another task");
    let one_twice = all_but(|w| put(w, at(3), Ok(blank(2))));
    assert_eq!(one_twice.await, none, "two addresses lead to one process");
    let a_stranger = all_but(|w| put(w, v6(1), Ok(blank(9))));
    assert_eq!(a_stranger.await, none, "a fourth process answers");
    let foreign = all_but(|w| put(w, v6(1), Err(ProbeError::NotMongod("HTTP".to_owned()))));
    assert_eq!(foreign.await, hosts(2..=3), "something else is there");
}

#[tokio::test(start_paused = true)]
async fn a_name_shows_which_addresses_are_one_task() {
    let world = dual(3);
    world.change(1, |p| p.hostname = Some("one".to_owned()));
    world.name("one", &["10.0.0.1", "fd00::1"]);
    put(&world, at(3), Err(ProbeError::Refused));
    assert_eq!(excused(&world).await, hosts([1]), "though the third task is down");
    world.name("one", &["10.0.0.1", "10.0.0.3", "fd00::1"]);
    assert_eq!(excused(&world).await, BTreeSet::new(), "a name of several tasks shows nothing");
}

#[tokio::test(start_paused = true)]
async fn a_name_with_a_virtual_ip_is_a_member_s_if_one_mongod_is_behind_all_of_it() {
    let world = World::of_blank_tasks(1);
    world.change(1, |p| p.hostname = Some("mongo".to_owned()));
    world.name("mongo", &["10.0.0.1", "10.0.0.100"]);
    let vip = ([10, 0, 0, 100], 27017).into();
    let named: Host = "mongo:27017".parse().unwrap();
    let naming = || async { world.observer().observe().await.nodes[&host(1)].naming.clone() };
    assert_eq!(naming().await, Naming::Unstable, "nothing answers at the virtual IP");
    let behind = world.nodes.lock().unwrap()[&at(1)].clone();
    put(&world, vip, behind);
    world.change(1, |p| p.lock = Some(super::world::lock(&named, 1)));
    let observed = world.observer().observe().await;
    let Node { at: place, answer, listed, .. } = observed.nodes[&named].clone();
    assert_eq!((place, listed), (Some(at(1)), true), "the task's own address is used");
    assert_eq!(answer.map(|p| (p.process, p.state)), Ok((process(1), NodeState::Blank)));
    put(&world, vip, Ok(blank(2)));
    let observed = world.observer().observe().await;
    assert_eq!(observed.nodes[&named].answer.as_ref().map(drop), Err(&ProbeError::NameAmbiguous(2)));
}
