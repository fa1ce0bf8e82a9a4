//! `rsctl switchover`: has another member lead.

use crate::client::controller::{self, Answer, AskError};
use crate::outcome::{Exit, Outcome, note};
use crate::settings::SwitchoverSettings;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two requests for the state.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn switchover(settings: SwitchoverSettings) -> Outcome {
    let deadline = Instant::now() + settings.wait;
    let id = match controller::post(&settings.admin, &path(&settings)).await {
        Ok(answer) if answer.code == 202 => answer.line(),
        Ok(answer) if answer.code == 200 => {
            note(format_args!("{} leads already", answer.line()));
            return Outcome::silent(Exit::Ok);
        }
        Ok(answer) if answer.code == 503 => return Outcome::because(Exit::NoPrimary, answer.line()),
        Ok(answer) => return Outcome::because(Exit::Failed, answer.line()),
        Err(error) => return Outcome::error(Exit::Failed, &error),
    };
    let state = format!("/v1/switchover?id={}", utf8_percent_encode(&id, NON_ALPHANUMERIC));
    loop {
        let ended = match controller::get(&settings.admin, &state).await {
            Ok(answer) => ended(&answer),
            Err(AskError::Silent(_)) => None,
            Err(error) => Some(Outcome::error(Exit::Failed, &error)),
        };
        if let Some(outcome) = ended {
            return outcome;
        }
        if Instant::now() >= deadline {
            return Outcome::because(
                Exit::TimedOut,
                "no other member leads yet; the controller continues: see `rsctl status`",
            );
        }
        sleep(PAUSE).await;
    }
}

fn path(settings: &SwitchoverSettings) -> String {
    let to = settings.to.as_ref().map(|to| format!("to={}", utf8_percent_encode(to, NON_ALPHANUMERIC)));
    let asks = settings.dry_run.then(|| "dry-run=true".to_owned());
    let parameters: Vec<_> = to.into_iter().chain(asks).collect();
    format!("/v1/switchover?{}", parameters.join("&"))
}

/// The end of the command, once the request has ended.
fn ended(answer: &Answer) -> Option<Outcome> {
    let line = answer.line();
    let (word, text) = line.split_once(": ").unwrap_or((line.as_str(), ""));
    match (answer.code, word) {
        (200, "pending") => None,
        (200, "done") => {
            note(text);
            Some(Outcome::silent(Exit::Ok))
        }
        (200, "possible") => Some(Outcome::print(Exit::Degraded, &format!("{text}\n"))),
        (200, "refused") => Some(Outcome::because(Exit::Refused, text)),
        (200, "dropped") => Some(Outcome::because(Exit::TimedOut, text)),
        _ => Some(Outcome::because(Exit::Failed, line.as_str())),
    }
}
