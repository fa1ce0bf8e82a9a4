//! `rsctl recover` against a fake controller. The test sets each answer.

use std::sync::{Arc, Mutex};

use super::answers::healthy;
use super::harness::{Act, Controller, Ended, golden, rsctl};
use serde_json::{Value, json};

const EVIDENCE: &str = "3bea23bfecdf";

/// The status of a set without a primary, with its recovery options.
fn leaderless(verdict: &str) -> Value {
    let mut status = healthy();
    status["health"] = "no-primary".into();
    status["primary"] = Value::Null;
    status["waiting"] = json!(["the tasks must stay as they are for 200 ms more"]);
    let step =
        matches!(verdict, "safe" | "automatic" | "loss").then_some("force move 10.0.0.1:27017 to 10.0.0.9:27017");
    status["recovery"] = json!({
        "evidence": EVIDENCE, "verdict": verdict, "votes": 1, "votes_needed": 2, "committed": null, "unchecked": ["10.0.0.9:27017"],
        "directories": [{
            "host": "10.0.0.9:27017", "state": "REMOVED", "data": "def7d3cc-0000-4000-8000-000000000000",
            "newest": "2026-11-21T13:12:06Z #4, term 1", "config_version": 6, "member": 0, "votes": true,
        }],
        "missing": [{
            "host": "10.0.0.2:27017", "member": 1, "data": "8937b654-0000-4000-8000-000000000000",
            "note": "does not answer",
        }],
        "step": step,
        "lost": if verdict == "loss" { json!(["every write that only 10.0.0.2:27017 had"]) } else { json!([]) },
        "reasons": if step.is_none() { json!(["10.0.0.9:27017 still names 10.0.0.2:27017 as primary"]) } else { json!([]) },
    });
    status
}

/// A fake controller that starts with the status `before`. It accepts and records every admin request, and answers with
/// this request state. After the first question about the request, its status is `after`.
fn ordered(before: Value, request_state: &'static str, after: Value) -> (Controller, Arc<Mutex<Vec<String>>>) {
    let orders = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&orders);
    let controller = Controller::new(move |path, _| match path {
        "/v1/status" if noted.lock().unwrap().is_empty() => Act::Answer(200, before.to_string()),
        "/v1/status" => Act::Answer(200, after.to_string()),
        _ => {
            let mut noted = noted.lock().unwrap();
            noted.push(path.to_owned());
            if noted.len() == 1 {
                Act::Answer(202, "pending\n".to_owned())
            } else {
                Act::Answer(200, format!("{request_state}\n"))
            }
        }
    });
    (controller, orders)
}

fn recover(controller: &Controller, more: &[&str]) -> Ended {
    let url = controller.url();
    let args: Vec<&str> = ["recover", "--admin", &url].iter().chain(more).copied().collect();
    rsctl(&args).run()
}

const ACCEPTED: [&str; 4] = ["--accept-data-loss", "rs", "--evidence", EVIDENCE];

#[test]
fn with_a_primary_there_is_nothing_to_recover() {
    let ended = recover(&Controller::with(healthy().to_string()), &[]);
    let err = "note: nothing to recover: mongo-node1:27017 is primary\n".to_owned();
    assert_eq!(ended, Ended { code: 0, out: String::new(), err });
}

#[test]
fn a_loss_is_shown_with_the_command_that_accepts_it_and_refused() {
    let controller = Controller::with(leaderless("loss").to_string());
    let ended = recover(&controller, &[]);
    assert_eq!(ended.code, 5);
    assert_eq!(
        ended.err,
        "error: a recovery would lose writes and this is not accepted, so nothing is done: accept it with --accept-data-loss SET --evidence ID, as shown above\n"
    );
    golden("recover-loss", &ended.out);
    assert_eq!(recover(&controller, &["--dry-run"]).code, 3);
    let json: Value = serde_json::from_str(&recover(&controller, &["-o", "json"]).out).unwrap();
    assert_eq!(json, leaderless("loss")["recovery"]);
}

#[test]
fn a_loss_takes_the_right_name_and_the_evidence_that_was_shown() {
    let controller = Controller::with(leaderless("loss").to_string());
    for (more, err) in [
        (
            vec!["--accept-data-loss", "rx", "--evidence", EVIDENCE],
            "the name of the replica set is rs, so nothing is done: give this name to accept",
        ),
        (
            vec!["--accept-data-loss", "rs"],
            "a recovery would lose writes and this is not accepted, so nothing is done: accept it with --accept-data-loss SET --evidence ID, as shown above",
        ),
        (
            vec!["--evidence", EVIDENCE],
            "a recovery would lose writes and this is not accepted, so nothing is done: accept it with --accept-data-loss SET --evidence ID, as shown above",
        ),
        (
            vec!["--accept-data-loss", "rs", "--evidence", "000000000000"],
            "the evidence has changed since it was shown, so nothing is done: run `rsctl recover` and read the new one",
        ),
    ] {
        let ended = recover(&controller, &more);
        assert_eq!((ended.code, ended.err), (5, format!("error: {err}\n")), "{more:?}");
    }
    let ended = recover(&controller, &["--evidence", "x"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.err.starts_with("error: --evidence: `x` is not accepted; accepted: the ID of twelve"),
        "{}",
        ended.err
    );
}

#[test]
fn an_accepted_loss_is_ordered_once_and_waited_for() {
    let (controller, orders) = ordered(leaderless("loss"), "done", healthy());
    let ended = recover(&controller, &ACCEPTED);
    assert_eq!((ended.code, ended.err.as_str()), (0, "note: mongo-node1:27017 is primary\n"));
    let order = format!("/v1/recover?evidence={EVIDENCE}&accept-data-loss=rs");
    assert!(orders.lock().unwrap().iter().all(|path| *path == order), "{orders:?}");
}

#[test]
fn a_safe_recovery_needs_no_word_and_carries_none() {
    for verdict in ["safe", "automatic"] {
        let (controller, orders) = ordered(leaderless(verdict), "begun", healthy());
        assert_eq!(recover(&controller, &ACCEPTED).code, 0);
        assert_eq!(orders.lock().unwrap()[0], format!("/v1/recover?evidence={EVIDENCE}"), "a loss is not accepted");
    }
}

#[test]
fn an_order_that_is_dropped_is_told_with_its_reason_and_shown_again() {
    let reason = "dropped: the evidence has changed since it was shown";
    let (controller, _) = ordered(leaderless("loss"), reason, leaderless("refused"));
    let ended = recover(&controller, &ACCEPTED);
    assert_eq!((ended.code, ended.err.as_str()), (5, "error: the evidence has changed since it was shown\n"));
    assert_eq!(ended.out.matches("set rs · no primary").count(), 2, "{}", ended.out);
}

#[test]
fn an_order_that_takes_too_long_is_given_up_on() {
    let (controller, _) = ordered(leaderless("loss"), "pending", leaderless("loss"));
    let ended = recover(&controller, &["--wait", "300ms", ACCEPTED[0], ACCEPTED[1], ACCEPTED[2], ACCEPTED[3]]);
    assert_eq!(ended.code, 124);
    let err = "error: no primary after 300ms; waiting: the tasks must stay as they are for 200 ms more\n";
    assert_eq!(ended.err, err);
}

#[test]
fn what_is_refused_or_unknown_is_not_ordered() {
    for (verdict, code) in [("refused", 5), ("unknown", 1), ("of a later version", 1)] {
        let ended = recover(&Controller::with(leaderless(verdict).to_string()), &ACCEPTED);
        assert_eq!(ended.code, code, "{verdict}");
        assert!(ended.err.contains("still names 10.0.0.2:27017 as primary"), "{}", ended.err);
    }
}

#[test]
fn a_controller_that_hangs_or_is_none_is_not_gone_around() {
    let ended = recover(&Controller::with("hunter2"), &ACCEPTED);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("is not an rsctl controller") && !ended.err.contains("hunter2"), "{}", ended.err);
}

#[test]
fn without_a_controller_and_without_nodes_nothing_is_known() {
    let args: Vec<&str> = ["recover", "--admin", "http://127.0.0.1:1"].iter().chain(&ACCEPTED).copied().collect();
    let ended = rsctl(&args).run();
    assert_eq!(ended.code, 1, "{}", ended.err);
    let (note, error) = ended.err.split_once('\n').unwrap();
    assert!(note.contains("asking the nodes directly"), "{note}");
    assert!(error.starts_with("error: no mongod shows a config of this set"), "{error}");
}
