//! Who copies from whom.

use super::super::execute::execute;
use super::world::{SECOND, World, at, host, process};
use crate::model::LineOrder;
use crate::plan::Step;
use tokio::time::{Instant, advance};

#[tokio::test(start_paused = true)]
async fn an_order_to_copy_that_came_to_nothing_is_given_again_ever_later() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    let step = Step::LineUp { on: host(2), behind: host(1), under: host(3) };
    for given in [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600] {
        let look = observer.look().await;
        assert!(look.lined_up.iter().all(|order| !order.fresh), "it is time to look whether that was done");
        observer.memory.did(&step, &look, Instant::now());
        advance(given * SECOND - SECOND).await;
        let order = LineOrder { on: process(2), behind: process(1), fresh: true };
        assert_eq!(observer.look().await.lined_up, [order], "it may still be done");
        advance(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_primary_writes_while_a_member_goes_over_to_another_source() {
    let world = World::of_blank_tasks(3);
    let look = world.observer().look().await;
    let step = Step::LineUp { on: host(2), behind: host(1), under: host(3) };
    execute(&world, &look, &step).await.unwrap();
    let stirred = world.stirred.lock().unwrap();
    assert!(stirred.len() >= 10 && stirred.iter().all(|primary| *primary == at(3)), "{stirred:?}");
}
