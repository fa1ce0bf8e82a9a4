//! A step that works, and does not last, is done more and more seldom.

use super::world::{SECOND, World, host, member, process};
use crate::model::{Change, MemberId, NodeState, ReplConfig, Subject};
use crate::plan::{LintedConfig, Step};
use tokio::time::{Instant, advance};

fn config() -> ReplConfig {
    member(1, NodeState::Primary, &[host(1), host(2), host(3)], &[]).config.unwrap()
}

fn reconfig(changes: Vec<Change>) -> Step {
    Step::Reconfig { on: host(1), next: LintedConfig::reconfig(&config(), changes).unwrap() }
}

/// How many times a step is done in this time, in a loop that turns every second, when it always works.
async fn times_done(world: &World, step: &Step, seconds: u64) -> u32 {
    let mut observer = world.observer();
    let mut done = 0;
    for _ in 0..seconds {
        let observed = observer.observe().await;
        if !observed.refusals.iter().any(|r| r.subjects == step.subjects()) {
            observer.history.succeeded(step, &observed, Instant::now());
            done += 1;
        }
        advance(SECOND).await;
    }
    done
}

#[tokio::test(start_paused = true)]
async fn an_election_that_does_not_last_is_done_more_and_more_seldom() {
    let done = times_done(&World::of_three_members(), &Step::StepUp { on: host(2) }, 7200).await;
    assert!((15..25).contains(&done), "{done} elections in two hours");
}

/// MongoDB 4.4 with the feature version of 4.2 accepts such a config and gives it no term (seen on 4.4.2).
#[tokio::test(start_paused = true)]
async fn a_config_that_gets_no_term_is_not_sent_again_and_again() {
    let done = times_done(&World::of_three_members(), &reconfig(Vec::new()), 7200).await;
    assert!((5..15).contains(&done), "{done} reconfigs in two hours");
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_was_not_earned_is_revoked_each_time() {
    let revoke = reconfig(vec![Change::RevokeVote { id: MemberId(1) }]);
    assert_eq!(times_done(&World::of_three_members(), &revoke, 100).await, 100);
}

#[tokio::test(start_paused = true)]
async fn a_new_primary_is_a_new_reason_and_so_is_a_restart() {
    let world = World::of_three_members();
    let mut observer = world.observer();
    let step = Step::StepUp { on: host(3) };
    let observed = observer.observe().await;
    (0..20).for_each(|_| observer.history.succeeded(&step, &observed, Instant::now()));
    let held = |refusals: &[crate::model::Refusal]| refusals.iter().any(|r| r.subjects == [Subject::StepUp]);
    assert!(held(&observer.observe().await.refusals));
    world.change(1, |probe| probe.state = NodeState::Secondary);
    assert!(held(&observer.observe().await.refusals), "it is still about the last primary");
    world.change(2, |probe| probe.state = NodeState::Primary);
    assert!(!held(&observer.observe().await.refusals), "another one leads");
    world.change(2, |probe| probe.state = NodeState::Secondary);
    world.change(1, |probe| {
        probe.state = NodeState::Primary;
        probe.process = process(9);
    });
    assert!(!held(&observer.observe().await.refusals), "the first one was restarted");
}
