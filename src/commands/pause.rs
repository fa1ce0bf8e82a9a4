//! `rsctl pause` and `rsctl resume`: no controller changes the set for a while, and goes on.

use super::follow::follow;
use crate::client::controller;
use crate::outcome::{Exit, Outcome, note};
use crate::parse::written;
use crate::publish::Status;
use crate::settings::PauseSettings;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;
use tokio::time::Instant;

pub(super) async fn pause(settings: PauseSettings) -> Outcome {
    let PauseSettings { pause, admin, wait } = settings;
    let deadline = Instant::now() + wait;
    let path = match &pause {
        Some((length, why)) => {
            format!("/v1/pause?for={}&reason={}", written(*length), utf8_percent_encode(why, NON_ALPHANUMERIC))
        }
        None => "/v1/resume".to_owned(),
    };
    match controller::post(&admin, &path).await {
        Ok(answer) if answer.code == 202 => {}
        Ok(answer) => return Outcome::because(Exit::Failed, answer.line()),
        Err(error) => return Outcome::error(Exit::Failed, &error),
    }
    let is_done = |status: &Status, paused: &bool| if *paused { is_kept(status) } else { is_over(status) };
    let missing = |_: &[bool]| "not every member that answers keeps it yet".to_owned();
    follow(&admin, deadline, vec![pause.is_some()], is_done, missing).await
}

/// Whether every member that answers and can keep the pause has it.
fn is_kept(status: &Status) -> bool {
    let able = status.members.iter().filter(|m| ["PRIMARY", "SECONDARY"].contains(&m.state.as_str())).count();
    let Some(pause) = status.pause.as_ref().filter(|pause| pause.kept_by >= able.max(1)) else { return false };
    let left = written(Duration::from_secs(pause.left_ms.div_ceil(1000)));
    note(format_args!("paused for {left}; {} members keep it for every controller", pause.kept_by));
    true
}

fn is_over(status: &Status) -> bool {
    let over = status.pause.is_none();
    if over {
        note("resumed");
    }
    over
}
