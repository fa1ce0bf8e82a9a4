//! What is remembered does not grow with the number of addresses that come and go.

use super::super::AdminRequests;
use super::super::requests::REMOVALS_MAX;
use super::world::{SECOND, World, at, host, member, process};
use crate::admin::{AdminEndpoint, NotRemovable};
use crate::model::{Cause, Host, NodeState, ProbeError, ProcessId, Subject};
use crate::plan::Step;
use bson::oid::ObjectId;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::{Instant, advance};

/// Addresses that are seen once and never again.
const ADDRESSES: u32 = 10_000;
/// Three members and one short-lived task leave at most about ten facts each, and refusals are kept for two minutes.
const REMEMBERED_MAX: usize = 200;

fn passing(n: u32) -> SocketAddr {
    ([10, 1 + (n >> 16) as u8, (n >> 8) as u8, n as u8], 27017).into()
}

/// A process with a number of its own.
fn nth_process(n: u32) -> ProcessId {
    let mut bytes = [0xee; 12];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    ProcessId(ObjectId::from_bytes(bytes))
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_addresses_that_come_and_go_leave_nothing_behind() {
    let world = World::of_three_members();
    let mut observer = world.observer();
    let mut most = 0;
    let fsync = |on: Host| Step::Fsync { on };
    let observed = observer.observe().await;
    observer.history.succeeded(&fsync(host(2)), &observed, Instant::now());
    world.put(3, Err(ProbeError::Timeout));
    for n in 0..ADDRESSES {
        let (address, on) = (passing(n), Host::from(passing(n)));
        let state = if n % 2 == 0 { NodeState::Secondary } else { NodeState::Primary };
        let mut probe = member(4, state, &[host(1), host(2), host(3)], &[]);
        probe.process = nth_process(n);
        world.tasks.lock().unwrap().hosts.insert(on.clone());
        world.nodes.lock().unwrap().insert(address, Ok(probe));
        let observed = observer.observe().await;
        observer.history.succeeded(&fsync(on.clone()), &observed, Instant::now());
        let to = Step::SetSyncSource { on: on.clone(), source: host(2), primary: host(1) };
        observer.history.succeeded(&to, &observed, Instant::now());
        observer.history.succeeded(&Step::StepUp { on: host(2) }, &observed, Instant::now());
        let why = ("no".to_owned(), Cause::Server);
        observer.history.refused(vec![Subject::Fsync(on.clone())], why, Instant::now(), |_| SECOND);
        world.tasks.lock().unwrap().hosts.remove(&on);
        world.nodes.lock().unwrap().remove(&address);
        advance(5 * SECOND).await;
        observer.observe().await;
        most = most.max(observer.remembered());
    }
    assert!(most < REMEMBERED_MAX, "{most} facts are remembered");
    let observed = observer.observe().await;
    assert!(observed.fsynced.contains(&process(2)), "a member's facts are kept");
    assert!(observed.nodes[&host(3)].silent_for > 3600 * SECOND, "and so is how long a member has been silent");
}

/// A node outside the set that names other addresses in every observation.
#[tokio::test(start_paused = true)]
async fn a_node_that_dns_dropped_cannot_make_the_controller_remember_what_it_names() {
    let world = World::of_blank_tasks(1);
    let mut observer = world.observer();
    let mut most = 0;
    world.put(1, Ok(member(1, NodeState::Secondary, &[host(1)], &[])));
    observer.observe().await;
    world.list(1, false);
    for n in 0..ADDRESSES / 10 {
        let members = [host(1), Host::from(passing(n))];
        world.put(1, Ok(member(1, NodeState::Secondary, &members, &[])));
        observer.observe().await;
        most = most.max(observer.remembered());
    }
    assert!(most < 50, "{most} facts are remembered");
    assert!(world.kept.lock().unwrap().contains(&at(1)));
}

/// While DNS fails, no removal is done, because the member may only be hidden.
#[tokio::test(start_paused = true)]
async fn removals_that_cannot_be_done_are_refused_when_there_are_too_many() {
    let world = World::of_three_members();
    let (requests, mut observer) = (AdminRequests::new(Arc::default()), world.observer());
    let observed = observer.observe().await;
    let ask = |n| requests.remove(&Host::from(passing(n)).to_string());
    let accepted = (0..ADDRESSES).filter(|n| ask(*n).is_ok()).count();
    assert_eq!(accepted, REMOVALS_MAX);
    assert_eq!(requests.removals(&observed, |_| true).len(), REMOVALS_MAX);
    assert_eq!((ask(0), ask(ADDRESSES)), (Ok(()), Err(NotRemovable::TooMany)), "a repeated request needs no room");
    assert!(requests.removals(&observed, |_| false).is_empty(), "DNS answers again, and knows none of them");
    assert_eq!(ask(ADDRESSES), Ok(()));
}
