//! `rsctl switchover` against a fake controller. The test sets each answer.

use std::sync::{Arc, Mutex};

use super::harness::{Act, Controller, Ended, rsctl};

/// A run against a controller that answers the request with `accepted`, and the questions about it with `states` in turn.
/// Returns the paths that it was asked too.
fn run(accepted: (u16, &'static str), states: &'static [&'static str], more: &[&str]) -> (Ended, Vec<String>) {
    let paths = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&paths);
    let controller = Controller::new(move |path, nth| {
        noted.lock().unwrap().push(path.to_owned());
        match nth.checked_sub(1) {
            None => Act::Answer(accepted.0, format!("{}\n", accepted.1)),
            Some(nth) => Act::Answer(200, format!("{}\n", states[nth.min(states.len() - 1)])),
        }
    });
    let url = controller.url();
    let ended = rsctl(&[&["switchover", "--admin", &url], more].concat()).run();
    let paths = paths.lock().unwrap().clone();
    (ended, paths)
}

#[test]
fn the_exit_code_says_what_became_of_the_request() {
    let states: [(&[&str], i32, &str, &str); 5] = [
        (&["pending", "done: b:27017 leads"], 0, "", "note: b:27017 leads\n"),
        (&["possible: step up b:27017"], 3, "step up b:27017\n", ""),
        (&["refused: b:27017 is no member"], 5, "", "error: b:27017 is no member\n"),
        (&["pending", "dropped: it could not be done in time: x"], 124, "", "error: it could not be done in time: x\n"),
        (&["nonsense"], 1, "", "error: nonsense\n"),
    ];
    for (states, code, out, err) in states {
        let (ended, paths) = run((202, "7"), states, &["--to", "b:27017"]);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (code, out, err), "{states:?}");
        assert_eq!(paths[..2], ["/v1/switchover?to=b%3A27017", "/v1/switchover?id=7"]);
    }
}

#[test]
fn a_request_that_is_not_accepted_ends_the_command() {
    for (code, exit) in [(200, 0), (404, 1), (409, 1), (503, 4)] {
        let (ended, paths) = run((code, "b:27017"), &[""], &[]);
        assert_eq!((ended.code, paths.len()), (exit, 1), "{ended:?}");
    }
}

#[test]
fn a_dry_run_only_asks_and_the_old_name_works() {
    let (ended, paths) = run((202, "7"), &["possible: step up b:27017"], &["--dry-run"]);
    assert_eq!((ended.code, paths[0].as_str()), (3, "/v1/switchover?dry-run=true"));
    assert_eq!(rsctl(&["stepdown", "--help"]).run().code, 0);
}

#[test]
fn the_wait_has_an_end() {
    let (ended, _) = run((202, "7"), &["pending"], &["--wait", "0s"]);
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (124, "error: no other member leads yet; the controller continues: see `rsctl status`\n")
    );
}
