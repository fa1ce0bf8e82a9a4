//! Who copies from whom.

use super::world::{SECOND, World, host, process};
use crate::plan::Step;
use tokio::time::{Instant, advance};

#[tokio::test(start_paused = true)]
async fn an_order_to_copy_that_came_to_nothing_is_given_again_ever_later() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    let step = Step::LineUp { on: host(2), behind: host(1) };
    let pair = (process(2), process(1));
    for given in [2, 4, 8, 16, 32, 60, 60] {
        let look = observer.look().await;
        assert!(!look.lined_up.contains(&pair), "it is time to look whether that was done");
        observer.memory.did(&step, &look, Instant::now());
        advance(given * SECOND - SECOND).await;
        assert!(observer.look().await.lined_up.contains(&pair), "it may still be done");
        advance(SECOND).await;
    }
}
