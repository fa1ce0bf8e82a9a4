//! The history that a controller writes down.

use super::world::{World, host, policy};
use crate::model::{Change, EVENTS_MAX, Event, MemberId, Observed, ReplConfig};
use crate::plan::{LintedConfig, Plan, Step, plan};
use crate::reconcile::EventLog;
use bson::{Bson, Document};

/// A set of three at rest, and the plan for it.
async fn at_rest() -> (Observed, Plan) {
    let observed = World::of_three_members().observer().observe().await;
    let plan = plan(&observed, &policy());
    (observed, plan)
}

fn removal(config: &ReplConfig, id: i64) -> LintedConfig {
    LintedConfig::reconfig(config, vec![Change::Remove { id: MemberId(id) }]).unwrap()
}

/// The same plan with another config.
fn with(plan: &Plan, config: &ReplConfig) -> Plan {
    Plan { config: Some(config.clone()), ..plan.clone() }
}

fn words(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.what.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_step_is_noted_once_with_what_it_changed() {
    let (observed, rest) = at_rest().await;
    let event_log = EventLog::new("rsctl-1".to_owned());
    event_log.observed(&observed, &rest);
    let next = removal(rest.config.as_ref().unwrap(), 2);
    let after = next.config().clone();
    event_log.done(&Plan { next: Step::Reconfig { on: host(1), next }, ..rest.clone() });
    event_log.observed(&observed, &with(&rest, &after));
    let history = event_log.history(&observed);
    let removed: Vec<_> = history.iter().filter(|event| !event.key.starts_with("primary-")).collect();
    assert_eq!(removed.len(), 1, "{history:?}");
    assert!(removed[0].what.starts_with("remove 10.0.0.3:27017"), "{:?}", removed[0]);
    assert_eq!(removed[0].changes, ["removed 10.0.0.3:27017 (votes 1, priority 1)"]);
    assert_eq!((removed[0].version, removed[0].by.as_str()), (Some(after.version()), "rsctl-1"));
    assert!(removed[0].at_ms > 1_600_000_000_000, "it has the time of a clock");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_changed_is_noted_as_theirs() {
    let (observed, rest) = at_rest().await;
    let event_log = EventLog::new(String::new());
    event_log.observed(&observed, &rest);
    let after = removal(rest.config.as_ref().unwrap(), 2).config().clone();
    for _ in 0..3 {
        event_log.observed(&observed, &with(&rest, &after));
        event_log.observed(&observed, &rest); // a node with an older config
    }
    let history = event_log.history(&observed);
    assert_eq!(history.iter().filter(|event| event.what == "the config changed").count(), 1, "{history:?}");
    let change = history.iter().find(|event| event.version.is_some()).unwrap();
    assert_eq!((change.why.as_str(), change.changes.len()), ("not by this controller", 1));
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_answer_was_lost_is_noted_when_its_config_shows() {
    let (observed, rest) = at_rest().await;
    let config = rest.config.clone().unwrap();
    let try_removal = |event_log: &EventLog| {
        event_log.observed(&observed, &rest);
        let step = Step::Reconfig { on: host(1), next: removal(&config, 2) };
        event_log.failed(&Plan { next: step, ..rest.clone() });
    };
    let steps = |event_log: &EventLog| -> Vec<String> {
        let history = event_log.history(&observed);
        history.iter().filter(|e| e.version.is_some()).map(|e| e.what.clone()).collect()
    };
    let event_log = EventLog::new(String::new());
    try_removal(&event_log);
    assert_eq!(steps(&event_log), [""; 0], "a step that was refused is not in the history");
    event_log.observed(&observed, &with(&rest, removal(&config, 2).config()));
    assert!(steps(&event_log)[0].starts_with("remove 10.0.0.3:27017"), "{:?}", steps(&event_log));
    let event_log = EventLog::new(String::new());
    try_removal(&event_log);
    event_log.observed(&observed, &with(&rest, removal(&config, 1).config()));
    assert_eq!(steps(&event_log), ["the config changed"], "another controller was faster, with another change");
}

#[tokio::test(start_paused = true)]
async fn each_term_has_its_primary_once() {
    let world = World::of_three_members();
    let event_log = EventLog::new(String::new());
    for term in [1, 1, 2, 2, 1] {
        world.change(1, |probe| probe.view.get_or_insert_default().term = term);
        let observed = world.observer().observe().await;
        event_log.observed(&observed, &plan(&observed, &policy()));
    }
    let observed = Observed::default();
    let keys: Vec<_> = event_log.history(&observed).iter().map(|event| event.key.clone()).collect();
    assert_eq!(keys, ["primary-1", "primary-2"]);
    assert_eq!(words(&event_log.history(&observed))[0], "10.0.0.1:27017 is primary");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_steps_leave_a_bounded_history() {
    let (observed, rest) = at_rest().await;
    let event_log = EventLog::new("x".repeat(10_000));
    for _ in 0..10_000 {
        event_log.done(&Plan { next: Step::StepUp { on: host(2) }, ..rest.clone() });
    }
    let history = event_log.history(&observed);
    assert_eq!(history.len(), EVENTS_MAX);
    assert!(history.iter().all(|event| event.by.len() < 300));
    assert_eq!((event_log.take_unkept().len(), event_log.take_unkept().len()), (20, 0), "what cannot be kept is lost");
}

#[tokio::test(start_paused = true)]
async fn the_servers_grant_of_a_vote_is_told_as_what_it_is() {
    let (observed, rest) = at_rest().await;
    let mut document = rest.config.as_ref().unwrap().document().clone();
    let edit = |document: &mut Document, id: usize, field: &str, value: Bson| {
        let entry = document.get_array_mut("members").unwrap()[id].as_document_mut().unwrap();
        entry.insert(field, value);
    };
    let version = |document: &mut Document, to: i64| drop(document.insert("version", to));
    edit(&mut document, 1, "newlyAdded", true.into());
    version(&mut document, 20);
    let waits = ReplConfig::from_stored(document.clone()).unwrap();
    edit(&mut document, 1, "newlyAdded", false.into());
    version(&mut document, 21);
    let votes = ReplConfig::from_stored(document.clone()).unwrap();
    edit(&mut document, 2, "priority", 7.into());
    let more = ReplConfig::from_stored(document).unwrap();
    let newest = |later: &ReplConfig| {
        let event_log = EventLog::new(String::new());
        event_log.observed(&observed, &with(&rest, &waits));
        event_log.observed(&observed, &with(&rest, later));
        let history = event_log.history(&observed);
        let event = history.iter().find(|event| event.version == Some(21)).cloned().unwrap();
        (event.what, event.why)
    };
    let text = |what: &str, why: &str| (what.to_owned(), why.to_owned());
    let granted = text("10.0.0.2:27017 holds the data, and votes", "the server gives a new member its vote");
    assert_eq!(newest(&votes), granted);
    assert_eq!(newest(&more), text("the config changed", "not by this controller"), "somebody did more");
}
