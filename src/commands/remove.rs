//! `rsctl remove`: removes members from the replica set before their tasks are stopped for good.

use crate::client::controller::{self, AskError};
use crate::outcome::plain;
use crate::outcome::{Exit, Outcome, note};
use crate::publish::Status;
use crate::settings::RemoveSettings;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two requests for the status.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn remove(settings: RemoveSettings) -> Outcome {
    let deadline = Instant::now() + settings.wait;
    let mut members = Vec::new();
    for node in &settings.nodes {
        let path = format!("/v1/remove?node={}", utf8_percent_encode(node, NON_ALPHANUMERIC));
        match controller::post(&settings.admin, &path).await {
            Ok(answer) if answer.code == 200 => members.push(answer.line()),
            Ok(answer) => return Outcome::because(Exit::Failed, format_args!("{node}: {}", answer.line())),
            Err(error) => return Outcome::error(Exit::Failed, &error),
        }
    }
    loop {
        let status = match controller::status(&settings.admin).await {
            Ok(status) => Some(status),
            Err(AskError::Silent(_)) => None,
            Err(error) => return Outcome::error(Exit::Failed, &error),
        };
        if let Some(status) = &status {
            members.retain(|member| is_still_member(status, member));
        }
        if members.is_empty() {
            return Outcome::silent(Exit::Ok);
        }
        if Instant::now() >= deadline {
            let why = status.map(|s| s.waiting.join("; ")).unwrap_or_default();
            let left = members.join(", ");
            return Outcome::because(Exit::TimedOut, format_args!("still members: {left}; waiting: {}", plain(&why)));
        }
        sleep(PAUSE).await;
    }
}

/// Whether this address is still a member. Writes a note if it is not.
fn is_still_member(status: &Status, member: &str) -> bool {
    let still = status.members.iter().any(|m| m.host == member);
    if !still {
        note(format_args!("{} is no longer a member", plain(member)));
    }
    still
}
