//! Shows that the check can fail. This test forces a config on a stale node, which rsctl never does. The check then
//! finds the lost writes.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use tokio::time::{Instant, sleep};

use crate::arena::Arena;
use crate::checks;
use crate::rng::Rng;

/// The limit of each step. A step takes one to two seconds.
const LIMIT: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(20);

/// A mongod lacks acknowledged writes. A forced config makes it the only member of the set.
pub async fn a_lost_write_is_reported() {
    let mut arena = Arena::new(3, Rng::new(1)).await;
    let stale = chained_secondary(&arena).await;
    arena.without_controllers();
    let before = arena.workload.acknowledged().len();
    let held = doc! { "configureFailPoint": "stopReplProducer", "mode": "alwaysOn" };
    arena.nodes[stale].mongod.command(held).await.unwrap();
    assert!(arena.workload.goes_on(LIMIT).await);
    while arena.workload.acknowledged().len() < before + 50 {
        assert!(arena.workload.goes_on(LIMIT).await);
    }
    let acknowledged = arena.workload.acknowledged();
    let there = checks::missing(&arena.nodes[arena.primary].mongod, &acknowledged).await.unwrap();
    assert!(there.is_empty(), "nothing is lost yet, but {there:?}");
    for node in (0..3).filter(|n| *n != stale) {
        arena.nodes[node].mongod.kill();
    }
    let stale_node = &arena.nodes[stale].mongod;
    let mut config =
        stale_node.command(doc! { "replSetGetConfig": 1 }).await.unwrap().get_document("config").unwrap().clone();
    let own = stale_node.address().to_string();
    let alone = |m: &&Bson| m.as_document().is_some_and(|m| m.get_str("host").is_ok_and(|h| h == own));
    let members: Vec<Bson> = config.get_array("members").unwrap().iter().filter(alone).cloned().collect();
    config.insert("members", members);
    config.insert("version", config.get_i32("version").unwrap() + 1);
    config.remove("term");
    stale_node.command(doc! { "replSetReconfig": config, "force": true }).await.unwrap();
    let deadline = Instant::now() + LIMIT;
    while !leads(stale_node.command(doc! { "hello": 1 }).await.unwrap()) {
        assert!(Instant::now() < deadline, "the one that was forced does not lead within {LIMIT:?}");
        sleep(PACE).await;
    }
    let missing = checks::missing(stale_node, &acknowledged).await.unwrap();
    assert!(!missing.is_empty(), "acknowledged writes are gone, and nobody noticed");
    assert!(arena.was_forced(&checks::stored(stale_node, stale).await), "a config was forced, and nobody noticed");
}

/// The chained secondary. The other secondary copies from the primary, so majority writes continue.
async fn chained_secondary(arena: &Arena) -> usize {
    let deadline = Instant::now() + LIMIT;
    loop {
        for node in 0..3 {
            let source = arena.nodes[node].mongod.sync_source().await.unwrap();
            let at_source = (0..3).find(|n| arena.nodes[*n].mongod.address().to_string() == source);
            if at_source.is_some_and(|n| n != arena.primary) {
                return node;
            }
        }
        assert!(Instant::now() < deadline, "no secondary copies from the other within {LIMIT:?}");
        sleep(PACE).await;
    }
}

fn leads(hello: Document) -> bool {
    hello.get_bool("isWritablePrimary").unwrap_or(false)
}
