//! Requests that make a member copy from another member.

use super::super::execute::execute;
use super::world::{SECOND, World, at, host, process};
use crate::model::{OpTime, SetView, SyncSourceRequest, Taken};
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
        let (on, source, age) = (process(2), process(1), given * SECOND - SECOND);
        let request = SyncSourceRequest { on, source, fresh: true, age, taken: Taken::OnWaking };
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

/// A member names the source that it was told of before it knows whether that one is ahead of it.
#[tokio::test(start_paused = true)]
async fn a_source_counts_as_taken_when_writes_come_in_after_it_was_named() {
    let world = World::of_three_members();
    let shows = |n: u8, counter: u32, source: Option<u8>| {
        let applied = OpTime { seconds: 1, counter, ..OpTime::default() };
        let view = SetView { applied, durable: applied, sync_source: source.map(host), ..SetView::default() };
        world.change(n, |probe| probe.view = Some(view));
    };
    let mut observer = world.observer();
    shows(1, 10, None);
    shows(2, 10, Some(1));
    shows(3, 10, Some(1));
    let observed = observer.observe().await;
    let step = Step::SetSyncSource { on: host(3), source: host(2), primary: host(1) };
    observer.history.succeeded(&step, &observed, Instant::now());
    let mut seen = Vec::new();
    // Primary, third, and its source: not noticed yet, named, nothing came, asleep, named again, something came, lost.
    let course = [(10, 10, Some(1)), (20, 12, Some(2)), (25, 12, Some(2)), (25, 12, None), (30, 12, Some(2))];
    for (primary, third, source) in course.into_iter().chain([(35, 30, Some(2)), (35, 30, Some(1))]) {
        shows(1, primary, None);
        shows(3, third, source);
        seen.push(observer.observe().await.sync_source_requests[0].taken);
    }
    let [no, yes] = [Taken::NotYet, Taken::Yes];
    assert_eq!(seen, [no, no, no, no, no, yes, no]);

    shows(3, 30, None);
    let observed = observer.observe().await;
    observer.history.succeeded(&step, &observed, Instant::now());
    assert_eq!(observer.observe().await.sync_source_requests[0].taken, Taken::OnWaking);
}
