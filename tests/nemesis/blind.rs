//! Only the controller cannot reach the primary. Then rsctl must not ask for an election.

use std::path::Path;
use std::time::Duration;

use mongodb::bson::doc;
use rsctl::publish::Status;
use tokio::time::{Instant, sleep};

use crate::arena::{Arena, LIMIT};
use crate::rng::Rng;
use crate::support::controller::Controller;

/// The user ID of the controller. No other process of the machine has it.
const USER: u32 = 42_420;
/// How long the controller cannot reach the primary. This is longer than MongoDB's election timeout (10 s) and than
/// four missed heartbeats.
const BLIND: Duration = Duration::from_secs(15);
/// The longest allowed time between two writes of a healthy set on a busy machine. MongoDB's own election takes longer.
const PAUSE: Duration = Duration::from_secs(5);

/// An election must not follow from the controller's own observation alone.
pub async fn leaves_a_healthy_primary_alone() {
    let mut arena = Arena::new(3, Rng::new(1)).await;
    arena.without_controllers();
    if !arena.network.can_cut() {
        return;
    }
    let user = format!("--reuid={USER}");
    let settings = [("RSCTL_REPLACE_AFTER", "2s"), ("RSCTL_REMOVE_AFTER", "6s"), ("RSCTL_EXPECT", "3")];
    let program = Path::new(env!("CARGO_BIN_EXE_rsctl"));
    let controller = Controller::start_through(&[&user], program, arena.dns.address(), &settings).unwrap();
    let before = controller.until("a set in order", LIMIT, in_order).await;
    let primary = arena.nodes[arena.primary].mongod.ip();
    arena.network.blind(USER, primary);
    arena.workload.begin_round();
    let began = Instant::now();
    let waits = |s: &Status| s.waiting.iter().any(|w| w.contains("the other members may still reach it"));
    let blinded = controller.until("the controller to lose sight of the primary", LIMIT, waits).await;
    // DNS does not list the primary either. That is no evidence of its death.
    arena.list_without(&[arena.primary]);
    while began.elapsed() < BLIND {
        let status = arena.nodes[arena.primary].mongod.command(doc! { "replSetGetStatus": 1 }).await.unwrap();
        assert_eq!(status.get_i32("myState").unwrap(), 1, "it was unseated\n{}", controller.log());
        assert_eq!(status.get_i64("term").ok(), before.term, "an election was called\n{}", controller.log());
        sleep(Duration::from_millis(100)).await;
    }
    assert!(waits(&controller.status().await.unwrap()), "it still waits, and says so\n{}", controller.log());
    let gap = arena.workload.gap();
    assert!(gap < PAUSE, "writes stopped for {gap:?}\n{}", controller.log());
    println!("blind for {BLIND:?} (noticed with {:?}): nothing done, longest gap {gap:?}", blinded.waiting);
    arena.list_all();
    arena.network.unblind();
    let after = controller.until("the set in order again", LIMIT, in_order).await;
    assert_eq!((after.primary, after.term), (before.primary, before.term));
    arena.all_writes_are_there().await;
}

fn in_order(status: &Status) -> bool {
    status.primary.is_some() && status.members.len() == 3 && status.next == "nothing" && status.waiting.is_empty()
}
