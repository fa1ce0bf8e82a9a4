//! What is checked again just before a forced reconfig.

use super::super::execute::{StepError, execute};
use super::one_of_three;
use super::world::{World, at, host, member};
use crate::model::{Change, MemberId, NodeState, ProbeError};
use crate::plan::{LintedConfig, Step};

/// Found by the simulation (seed 385151): while the observation waited for a silent address, another controller
/// recovered the set and gave two more members a vote.
#[tokio::test(start_paused = true)]
async fn no_recovery_is_forced_when_an_answer_has_changed_since_the_observation() {
    type Edit = fn(&World);
    let changes: [(&str, bool, Edit); 6] = [
        ("nothing", true, |_| ()),
        ("a new write", true, |w| w.change(1, |p| p.view.as_mut().unwrap().applied.seconds = 77)),
        ("a primary", false, |w| w.change(1, |p| p.state = NodeState::Primary)),
        ("a member that sees a primary", false, |w| w.change(1, |p| p.sees_primary = Some(host(2)))),
        ("a newer config", false, |w| {
            w.change(1, |p| p.config = member(1, NodeState::Secondary, &[host(1)], &[]).config)
        }),
        ("silence", false, |w| w.put(1, Err(ProbeError::Timeout))),
    ];
    for (what, allowed, change) in changes {
        let world = one_of_three();
        let observed = world.observer().observe().await;
        let base = observed.probe(&host(1)).unwrap().config.clone().unwrap();
        let changes = vec![Change::Readdress { id: MemberId(1), to: host(5) }];
        let step = Step::Recover { on: host(1), next: LintedConfig::forced(&base, changes, 1).unwrap() };
        change(&world);
        world.asked.lock().unwrap().clear();
        let outcome = execute(&world, &observed, &step).await;
        assert_eq!(matches!(outcome, Err(StepError::Changed(h)) if h == host(1)), !allowed, "{what}");
        assert_eq!(world.forced.lock().unwrap().len(), usize::from(allowed), "{what}");
        let asked: Vec<_> = world.asked.lock().unwrap().iter().map(|(at, _)| *at).collect();
        assert_eq!(asked, [at(1)], "a silent node is not asked again");
    }
}
