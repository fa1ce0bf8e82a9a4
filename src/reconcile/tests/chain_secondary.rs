//! Who copies from whom.

use super::super::execute::execute;
use super::world::{SECOND, World, at, host, process};
use crate::model::SyncSourceRequest;
use crate::plan::Step;
use tokio::time::{Instant, advance};

#[tokio::test(start_paused = true)]
async fn an_order_to_copy_that_came_to_nothing_is_given_again_ever_later() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    let step = Step::SetSyncSource { on: host(2), behind: host(1), under: host(3) };
    for given in [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600] {
        let observed = observer.observe().await;
        assert!(
            observed.sync_source_requests.iter().all(|request| !request.fresh),
            "it is time to look whether that was done"
        );
        observer.memory.did(&step, &observed, Instant::now());
        advance(given * SECOND - SECOND).await;
        let request = SyncSourceRequest { on: process(2), behind: process(1), fresh: true };
        assert_eq!(observer.observe().await.sync_source_requests, [request], "it may still be done");
        advance(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_primary_writes_while_a_member_goes_over_to_another_source() {
    let world = World::of_blank_tasks(3);
    let observed = world.observer().observe().await;
    let step = Step::SetSyncSource { on: host(2), behind: host(1), under: host(3) };
    execute(&world, &observed, &step).await.unwrap();
    let stirred = world.stirred.lock().unwrap();
    assert!(stirred.len() >= 10 && stirred.iter().all(|primary| *primary == at(3)), "{stirred:?}");
}
