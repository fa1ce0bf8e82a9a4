//! What becomes of the set while the program runs: a long poll of the controller, and without it an observation now and then.
//!
//! **Invariant:** whatever is asked and does not answer, the next round comes, and never in less than [`ROUND_MIN`].

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Inquiry;
use super::controller;
use crate::publish::Status;
use crate::settings::Source;

/// A controller that answers at once, for whatever reason, must not make us spin.
const ROUND_MIN: Duration = Duration::from_secs(1);
/// How long the controller may keep us waiting for a URI that differs.
const POLL: Duration = Duration::from_secs(30);
/// The same while there is no primary: its coming does not change the URI.
const POLL_UNREADY: Duration = Duration::from_secs(2);
/// Between two observations at the nodes when no controller answers.
const WITHOUT_CONTROLLER: Duration = Duration::from_secs(5);

/// Hands on every status that is got hold of.
pub(crate) async fn follow(source: &Source, newest: &watch::Sender<Option<Status>>) -> Infallible {
    let mut inquiry = Inquiry::new(source);
    let mut tag = None;
    loop {
        let started = Instant::now();
        // Asked after the tag was given out, so nothing between the two is missed.
        let status = inquiry.status().await.ok();
        let writable = status.as_ref().is_some_and(|status| status.primary.is_some());
        if status.is_some() {
            newest.send_replace(status);
        }
        let wait = if writable { POLL } else { POLL_UNREADY };
        match controller::news(&source.controller, tag.as_deref(), wait).await {
            Ok(current) => tag = current,
            Err(_) => {
                tag = None;
                sleep(WITHOUT_CONTROLLER).await;
            }
        }
        sleep_until(started + ROUND_MIN).await;
    }
}
