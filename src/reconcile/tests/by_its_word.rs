//! Members whose address leads nowhere: the mongod says which member it is.

use super::world::{World, at, host, member};
use crate::model::{AddressKind, Found, Host, MemberId, Naming, NodeState, ProbeError};

/// A set of one under this address. Its primary is the task at 10.0.0.1.
fn set_at(address: &str) -> (World, Host) {
    let world = World::of_blank_tasks(2);
    let address: Host = address.parse().unwrap();
    world.put(1, Ok(member(1, NodeState::Primary, std::slice::from_ref(&address), &[])));
    claim(&world, 1);
    (world, address)
}

/// The mongod says that it is the first member.
fn claim(world: &World, n: u8) {
    world.change(n, |p| p.view.as_mut().unwrap().me = Some(MemberId(0)));
}

#[tokio::test(start_paused = true)]
async fn the_mongod_that_says_who_it_is_is_found() {
    for address in ["localhost:27017", "127.0.0.1:27017", "[::1]:27017", "3f2504e04f89:27017", "db1:27017"] {
        let (world, address) = set_at(address);
        let node = world.observer().observe().await.nodes[&address].clone();
        assert_eq!((node.found, node.at), (Found::ByItsWord, Some(at(1))), "{address}");
        assert!(!node.listed);
        let asked: Vec<_> = world.asked.lock().unwrap().iter().map(|(at, _)| *at).collect();
        assert!(asked.iter().all(|at| !at.ip().is_loopback()), "the controller's own machine is no member");
    }
}

/// Swarm's DNS drops both names of a task two seconds before Swarm stops it.
#[tokio::test(start_paused = true)]
async fn a_mongod_whose_name_dns_has_dropped_is_found_where_it_was() {
    let (world, address) = set_at("mongo-node1:27017");
    world.name("mongo-node1", &["10.0.0.1"]);
    let mut observer = world.observer();
    observer.observe().await;
    world.names.lock().unwrap().clear();
    world.list(1, false);
    for _ in 0..2 {
        let node = observer.observe().await.nodes[&address].clone();
        assert_eq!((node.found, node.at, node.listed), (Found::ByItsWord, Some(at(1)), false));
    }
    world.put(1, Err(ProbeError::Timeout));
    observer.observe().await;
    world.asked.lock().unwrap().clear();
    assert_eq!(observer.observe().await.nodes[&address].answer, Err(ProbeError::NoSuchName));
    assert!(!world.asked.lock().unwrap().iter().any(|(asked, _)| *asked == at(1)), "one silence is enough");
}

#[tokio::test(start_paused = true)]
async fn a_mongod_that_dies_with_its_name_delays_no_observation() {
    let (world, _) = set_at("mongo-node1:27017");
    world.name("mongo-node1", &["10.0.0.1"]);
    let mut observer = world.observer();
    observer.observe().await;
    world.names.lock().unwrap().clear();
    world.list(1, false);
    world.put(1, Err(ProbeError::Timeout));
    world.asked.lock().unwrap().clear();
    observer.observe().await;
    let limits: Vec<_> =
        world.asked.lock().unwrap().iter().filter(|(asked, _)| *asked == at(1)).map(|(_, l)| *l).collect();
    assert!(limits.iter().all(|limit| limit.as_millis() <= 250), "{limits:?}");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_say_so_neither_counts() {
    let (world, address) = set_at("localhost:27017");
    world.put(2, Ok(member(2, NodeState::Secondary, std::slice::from_ref(&address), &[])));
    claim(&world, 2);
    let node = world.observer().observe().await.nodes[&address].clone();
    assert_eq!((node.found, node.answer.err()), (Found::AtAddress, Some(ProbeError::Local)));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_leads_somewhere_is_believed_more() {
    let (world, address) = set_at("db1:27017");
    world.name("db1", &["10.0.0.2"]);
    let node = world.observer().observe().await.nodes[&address].clone();
    assert_eq!((node.found, node.at), (Found::AtAddress, Some(at(2))));
}

#[tokio::test(start_paused = true)]
async fn the_names_of_members_are_resolved_only_when_members_are_to_have_names() {
    let world = World::of_blank_tasks(1);
    world.put(1, Ok(member(1, NodeState::Primary, &[host(1)], &[])));
    world.change(1, |p| p.hostname = Some("mongo-node1".to_owned()));
    world.name("mongo-node1", &["10.0.0.1"]);
    let mut observer = world.observer();
    for (wanted, naming) in [
        (None, Naming::Unknown),
        (Some(AddressKind::Ip), Naming::Unknown),
        (Some(AddressKind::Name), Naming::Stable("mongo-node1:27017".parse().unwrap())),
    ] {
        observer.wanted = wanted;
        assert_eq!(observer.observe().await.nodes[&host(1)].naming, naming, "{wanted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn beside_tasks_at_loopback_localhost_is_an_address_as_good_as_any() {
    let (world, address) = set_at("127.0.0.1:27017");
    world.tasks.lock().unwrap().hosts.insert(address.clone());
    let node = world.observer().observe().await.nodes[&address].clone();
    assert_eq!((node.found, node.answer.err()), (Found::AtAddress, Some(ProbeError::Refused)));
    assert_ne!(address, host(1));
}
