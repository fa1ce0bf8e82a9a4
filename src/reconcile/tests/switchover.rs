//! What becomes of a request for another primary.

use super::Fixture;
use super::world::{SECOND, World, at, host};
use crate::admin::AdminEndpoint;
use crate::model::{NodeState, ProbeError, SwitchoverId, SwitchoverState};

async fn fixture() -> Fixture {
    let fixture = Fixture::new(World::of_three_members());
    fixture.run_for(SECOND).await;
    fixture
}

/// Asks, and lets the loop make an observation.
async fn asked(fixture: &Fixture, to: Option<u8>, only_asks: bool) -> SwitchoverId {
    let to = to.map(|n| host(n).to_string());
    let id = fixture.requests.switch_over(&host(1).to_string(), to.as_deref(), only_asks).unwrap();
    fixture.run_for(SECOND).await;
    id
}

#[tokio::test(start_paused = true)]
async fn a_request_is_pending_until_another_process_leads() {
    let fixture = fixture().await;
    let id = asked(&fixture, Some(2), false).await;
    assert_eq!(fixture.requests.switchover_state(id), Some(SwitchoverState::Pending), "others must copy from it first");
    fixture.world.change(1, |probe| probe.state = NodeState::Secondary);
    fixture.run_for(SECOND).await;
    assert_eq!(fixture.requests.switchover_state(id), Some(SwitchoverState::Pending), "nobody leads yet");
    fixture.world.change(2, |probe| probe.state = NodeState::Primary);
    fixture.run_for(SECOND).await;
    let done = SwitchoverState::Done { primary: host(2), within: None, outranked_by: None };
    assert_eq!(fixture.requests.switchover_state(id), Some(done));
}

#[tokio::test(start_paused = true)]
async fn it_is_not_done_while_another_one_than_the_named_one_leads() {
    let fixture = fixture().await;
    let id = asked(&fixture, Some(2), false).await;
    let lead = |n: u8| {
        (1..=3).for_each(|n| fixture.world.change(n, |probe| probe.state = NodeState::Secondary));
        fixture.world.change(n, |probe| probe.state = NodeState::Primary);
    };
    lead(3);
    fixture.run_for(SECOND).await;
    assert_eq!(fixture.requests.switchover_state(id), Some(SwitchoverState::Pending));
    lead(2);
    fixture.run_for(SECOND).await;
    let state = fixture.requests.switchover_state(id);
    assert!(matches!(&state, Some(SwitchoverState::Done { primary, .. }) if *primary == host(2)), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_done_in_time_is_dropped_with_the_reason() {
    let fixture = fixture().await;
    let id = asked(&fixture, None, false).await;
    fixture.run_for(30 * SECOND).await;
    let state = fixture.requests.switchover_state(id);
    assert!(
        matches!(&state, Some(SwitchoverState::Dropped(why)) if why.starts_with("it could not be done in time: ")),
        "{state:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_refused_where_nobody_can_take_over() {
    let fixture = fixture().await;
    for n in [2, 3] {
        fixture.world.list(n, false);
    }
    for (to, why) in [(None, "no other member can lead"), (Some(2), "about to leave"), (Some(9), "is no member")] {
        let id = asked(&fixture, to, false).await;
        let state = fixture.requests.switchover_state(id);
        assert!(matches!(&state, Some(SwitchoverState::Refused(said)) if said.contains(why)), "{state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_changes_nothing_and_a_newer_request_replaces_it() {
    let fixture = fixture().await;
    let first = asked(&fixture, Some(3), true).await;
    let possible = SwitchoverState::Possible { to: host(3), outranked_by: None };
    assert_eq!(fixture.requests.switchover_state(first), Some(possible));
    asked(&fixture, Some(3), true).await;
    assert_eq!(fixture.requests.switchover_state(first), None);
    let other = fixture.requests.switch_over(&host(2).to_string(), None, true);
    assert_eq!(other, None, "it does not lead");
}

/// An attempt to connect is answered by the kernel of a machine whose mongod hangs.
#[tokio::test(start_paused = true)]
async fn only_an_address_that_accepts_no_connection_is_unconnected() {
    let world = World::of_three_members();
    let mut observer = world.observer();
    observer.observe().await;
    world.put(1, Err(ProbeError::Timeout));
    world.takes.lock().unwrap().insert(at(2), 3600 * SECOND);
    let mut seen = Vec::new();
    for _ in 0..3 {
        tokio::time::advance(SECOND).await;
        let nodes = observer.observe().await.nodes;
        assert!(nodes[&host(2)].answer.is_err() && !nodes[&host(2)].unconnected, "it accepts connections");
        seen.push((nodes[&host(1)].unconnected, nodes[&host(1)].unconnected_for >= SECOND));
    }
    assert_eq!(seen, [(false, false), (true, false), (true, true)], "the first missed answer is looked at again");
    world.put(1, Err(ProbeError::Refused));
    assert!(!observer.observe().await.nodes[&host(1)].unconnected, "a refusal is an answer");
}
