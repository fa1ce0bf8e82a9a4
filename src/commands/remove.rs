//! `rsctl remove`: removes members from the replica set before their tasks are stopped for good.

use super::follow::follow;
use crate::client::controller;
use crate::outcome::plain;
use crate::outcome::{Exit, Outcome, note};
use crate::publish::Status;
use crate::settings::RemoveSettings;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::Instant;

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
    let is_out = |status: &Status, member: &String| !is_still_member(status, member);
    follow(&settings.admin, deadline, members, is_out, |left| format!("still members: {}", left.join(", "))).await
}

/// Whether this address is still a member. Writes a note if it is not.
fn is_still_member(status: &Status, member: &str) -> bool {
    let still = status.members.iter().any(|m| m.host == member);
    if !still {
        note(format_args!("{} is no longer a member", plain(member)));
    }
    still
}
