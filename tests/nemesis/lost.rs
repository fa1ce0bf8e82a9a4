//! The primary's machine is lost without a word: no connection is closed. Another member leads long before MongoDB's own
//! election, also when the set has just formed or a member has just come back.

use std::time::Duration;

use mongodb::bson::doc;
use tokio::time::{Instant, sleep};

use crate::arena::Arena;
use crate::faults::Fault;
use crate::rng::Rng;

const ROUNDS: u64 = 4;
/// MongoDB alone takes 10 s or more.
const LIMIT: Duration = Duration::from_secs(7);
const POLL: Duration = Duration::from_millis(20);

pub async fn another_member_leads_soon() {
    let mut arena = Arena::new(3, Rng::new(1)).await;
    if !arena.network.can_cut() {
        return;
    }
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        arena.begin_round(round, Fault::Cut);
        let lost = arena.primary;
        arena.nodes[lost].lodging.as_ref().unwrap().leave();
        let began = Instant::now();
        while !another_leads(&arena, lost).await {
            assert!(began.elapsed() < LIMIT, "nobody leads\n{}", arena.report().await);
            sleep(POLL).await;
        }
        times.push(began.elapsed());
        let ip = arena.nodes[lost].mongod.ip();
        arena.nodes[lost].lodging.as_ref().unwrap().settle_at(ip);
        arena.comes_right().await;
        println!(
            "figures: round {round}: another member led after {:?}, no writes for {:?}",
            times.last(),
            arena.workload.gap()
        );
    }
    arena.all_writes_are_there().await;
}

async fn another_leads(arena: &Arena, lost: usize) -> bool {
    for (_, node) in arena.nodes.iter().enumerate().filter(|(number, _)| *number != lost) {
        let hello = node.mongod.command(doc! { "hello": 1 }).await.unwrap_or_default();
        if hello.get_bool("isWritablePrimary").unwrap_or(false) {
            return true;
        }
    }
    false
}
