//! A pause of the operator.

use super::world::{SECOND, at};
use super::{Fixture, one_of_three};
use crate::admin::AdminEndpoint;
use crate::model::{Observed, PauseWord};
use crate::plan::{Step, WaitingOn};
use crate::reconcile::Progress;
use bson::oid::ObjectId;
use tokio::time::sleep;

/// How many forced recoveries an accepted loss leads to.
async fn forced(fixture: &Fixture) -> usize {
    fixture.accept().await;
    fixture.run_for(20 * SECOND).await;
    fixture.forced()
}

fn now_ms() -> i64 {
    bson::DateTime::now().timestamp_millis()
}

#[tokio::test(start_paused = true)]
async fn a_paused_controller_does_nothing_and_says_what_it_would_do() {
    let fixture = Fixture::new(one_of_three());
    fixture.requests.pause(3600 * SECOND, "new disks");
    assert_eq!(forced(&fixture).await, 0);
    fixture.accept().await;
    let mut said = false;
    let report = |progress: Progress<'_>| {
        let Progress::Planned { observed, plan } = progress else { panic!("{progress:?}") };
        let pause = observed.pause.as_ref().unwrap();
        assert!(pause.left > 3000 * SECOND && pause.kept_by == 0 && plan.next == Step::Wait, "{plan:?}");
        let would =
            |w: &WaitingOn| matches!(w, WaitingOn::Paused { would, .. } if matches!(**would, Step::AcceptLoss { .. }));
        said |= plan.waiting.iter().any(would);
    };
    fixture.reconciler().run(report, sleep(10 * SECOND)).await;
    assert!(said);
    fixture.requests.resume();
    assert_eq!(forced(&fixture).await, 1);
    let whats: Vec<_> = fixture.event_log.history(&Observed::default()).iter().map(|e| e.what.clone()).collect();
    assert!(whats[0].starts_with("paused until 20") && whats[1] == "resumed", "{whats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_a_member_keeps_holds_for_every_controller() {
    let now = now_ms();
    let kept = |word: PauseWord| {
        let fixture = Fixture::new(one_of_three());
        fixture.world.change(1, |probe| probe.pause = Some(word));
        fixture
    };
    let other = kept(PauseWord::pause(now, 3600 * SECOND, "", None));
    assert_eq!(forced(&other).await, 0);
    assert_eq!(forced(&kept(PauseWord::read(now - 5000, now, ""))).await, 1, "it is over");
    assert_eq!(forced(&kept(PauseWord::pause(now + 3_600_000, 3600 * SECOND, "", None))).await, 1, "a wrong clock");
    other.world.change(1, |probe| probe.pause = None);
    assert_eq!(forced(&other).await, 0, "this controller remembers it");
    other.requests.resume();
    assert_eq!(forced(&other).await, 1, "a newer word ends it, whatever the member keeps");
}

#[tokio::test(start_paused = true)]
async fn a_mongod_of_another_set_pauses_nothing() {
    let fixture = Fixture::new(one_of_three());
    fixture.world.change(1, |probe| probe.pause = Some(PauseWord::pause(now_ms(), 3600 * SECOND, "", None)));
    let mut observed = fixture.world.observer().observe().await;
    assert!(fixture.requests.newest_pause(&observed).is_some());
    observed.known_set = Some(ObjectId::from_bytes([99; 12]));
    assert_eq!(fixture.requests.newest_pause(&observed), None);
}

#[tokio::test(start_paused = true)]
async fn every_member_that_answers_is_to_keep_the_newest_word() {
    let fixture = Fixture::new(super::World::of_three_members());
    let word = PauseWord::pause(now_ms(), 3600 * SECOND, "", None);
    fixture.world.change(2, |probe| probe.pause = Some(word.clone()));
    fixture.run_for(SECOND).await;
    let told = fixture.world.paused.lock().unwrap().clone();
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), [at(1), at(3)], "the second one has it");
    assert!(told.values().all(|kept| *kept == word));
}
