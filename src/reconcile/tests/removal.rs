//! Which node a request to remove is about.

use super::super::AdminRequests;
use super::world::{World, host, member};
use crate::admin::{AdminEndpoint, NotRemovable};
use crate::model::{Change, DataId, Host, MemberId, NodeState, Probe, ProbeError, RemovalTarget};
use std::collections::BTreeSet;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn a_removal_follows_the_directory_and_spares_the_next_task_at_its_address() {
    let world = World::of_blank_tasks(4);
    let holds = |n| Ok(member(n, NodeState::Secondary, &[host(1), host(2), host(3)], &[]));
    world.put(3, holds(3));
    let (requests, mut observer) = (AdminRequests::new(Arc::default()), world.observer());
    requests.show(&Arc::new(observer.observe().await));
    requests.remove(&host(3).to_string()).unwrap();
    let concerns = |hosts: &BTreeSet<Host>| !hosts.is_empty();
    assert_eq!(requests.removals(&observer.observe().await, concerns), [at(3), holding(3)].into());
    world.put(3, Err(ProbeError::Refused));
    assert_eq!(
        requests.removals(&observer.observe().await, concerns),
        [at(3), holding(3)].into(),
        "it may come back there"
    );
    world.put(4, holds(3));
    assert_eq!(requests.removals(&observer.observe().await, concerns), [at(3), holding(3)].into());
    world.put(3, holds(2));
    assert_eq!(
        requests.removals(&observer.observe().await, concerns),
        [holding(3)].into(),
        "another node has that address"
    );
    world.put(4, Err(ProbeError::Refused));
    assert_eq!(requests.removals(&observer.observe().await, concerns), BTreeSet::new());
    world.put(4, holds(3));
    assert_eq!(requests.removals(&observer.observe().await, concerns), BTreeSet::new(), "a request stays done");
}

/// Node `n` of three whose config has a data tag for every member.
fn tagged(n: u8) -> Result<Probe, ProbeError> {
    let probe = member(n, NodeState::Secondary, &[host(1), host(2), host(3)], &[]);
    let tags: Vec<_> = (1..=3).map(|n| Change::Tag { id: MemberId(i64::from(n) - 1), data: data(n) }).collect();
    let config = probe.config.as_ref().unwrap().with(&tags).unwrap();
    Ok(Probe { config: Some(config), ..probe })
}

/// Found by the simulation (seeds 42954, 57883): the config has not yet followed an exchange of addresses.
#[tokio::test(start_paused = true)]
async fn a_removal_that_can_mean_either_of_two_nodes_is_refused() {
    let world = World::of_blank_tasks(3);
    world.put(1, tagged(1));
    world.put(2, Err(ProbeError::Refused));
    world.put(3, tagged(2));
    let (requests, mut observer) = (AdminRequests::new(Arc::default()), world.observer());
    requests.show(&Arc::new(observer.observe().await));
    assert_eq!(requests.remove(&host(3).to_string()), Err(NotRemovable::EitherOfTwo));
    let concerns = |hosts: &BTreeSet<Host>| !hosts.is_empty();
    assert_eq!(requests.removals(&observer.observe().await, concerns), BTreeSet::new());
    world.put(3, tagged(3));
    requests.show(&Arc::new(observer.observe().await));
    requests.remove(&host(3).to_string()).unwrap();
    assert_eq!(
        requests.removals(&observer.observe().await, concerns),
        [at(3), holding(3)].into(),
        "the node that was named"
    );
}

/// Found by the simulation (seeds 55887, 128052): between the request and the next observation, the task in question
/// was removed for good, and another member's task took its address.
#[tokio::test(start_paused = true)]
async fn a_removal_is_about_the_observation_that_was_shown_when_it_came() {
    let world = World::of_blank_tasks(4);
    (1..=3).for_each(|n| world.put(n, tagged(n)));
    let (requests, mut observer) = (AdminRequests::new(Arc::default()), world.observer());
    requests.show(&Arc::new(observer.observe().await));
    requests.remove(&host(3).to_string()).unwrap();
    world.put(2, Err(ProbeError::Refused));
    world.put(3, tagged(2));
    let concerns = |hosts: &BTreeSet<Host>| !hosts.is_empty();
    assert_eq!(
        requests.removals(&observer.observe().await, concerns),
        [holding(3)].into(),
        "the config has the directory there"
    );
    world.put(4, tagged(3));
    assert_eq!(requests.removals(&observer.observe().await, concerns), [holding(3)].into());
}

/// A silent member without a tag can be removed. A node that takes its address afterwards is not removed.
#[tokio::test(start_paused = true)]
async fn a_removal_of_a_silent_member_is_not_about_the_next_node_at_its_address() {
    let world = World::of_blank_tasks(3);
    world.put(1, Ok(member(1, NodeState::Primary, &[host(1), host(2), host(3)], &[])));
    world.put(2, Err(ProbeError::Refused));
    world.put(3, Err(ProbeError::Refused));
    let (requests, mut observer) = (AdminRequests::new(Arc::default()), world.observer());
    requests.show(&Arc::new(observer.observe().await));
    requests.remove(&host(3).to_string()).unwrap();
    let concerns = |hosts: &BTreeSet<Host>| !hosts.is_empty();
    assert_eq!(requests.removals(&observer.observe().await, concerns), [at(3)].into());
    world.put(3, Ok(member(2, NodeState::Secondary, &[host(1), host(2), host(3)], &[])));
    assert_eq!(requests.removals(&observer.observe().await, concerns), BTreeSet::new());
}

fn at(n: u8) -> RemovalTarget {
    RemovalTarget::At(host(n))
}

fn holding(n: u8) -> RemovalTarget {
    RemovalTarget::Holding(data(n))
}

fn data(n: u8) -> DataId {
    DataId(bson::Uuid::from_bytes([n; 16]))
}
