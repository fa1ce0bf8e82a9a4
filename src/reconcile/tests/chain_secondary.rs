//! Requests that make a member copy from another member.

use super::super::execute::execute;
use super::world::{SECOND, World, at, host, process};
use crate::model::SyncSourceRequest;
use crate::plan::Step;
use tokio::time::{Instant, advance};

#[tokio::test(start_paused = true)]
async fn a_sync_source_request_without_effect_is_repeated_after_longer_and_longer_waits() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    let step = Step::SetSyncSource { on: host(2), source: host(1), primary: host(3) };
    for given in [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600] {
        let observed = observer.observe().await;
        assert!(
            observed.sync_source_requests.iter().all(|request| !request.fresh),
            "the member has had its time to follow the request"
        );
        observer.history.succeeded(&step, &observed, Instant::now());
        advance(given * SECOND - SECOND).await;
        let request = SyncSourceRequest { on: process(2), source: process(1), fresh: true };
        assert_eq!(observer.observe().await.sync_source_requests, [request], "the member may still follow it");
        advance(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_primary_writes_while_a_member_changes_its_sync_source() {
    let world = World::of_blank_tasks(3);
    let observed = world.observer().observe().await;
    let step = Step::SetSyncSource { on: host(2), source: host(1), primary: host(3) };
    execute(&world, &observed, &step).await.unwrap();
    let stirred = world.stirred.lock().unwrap();
    assert!(stirred.len() >= 10 && stirred.iter().all(|primary| *primary == at(3)), "{stirred:?}");
}
