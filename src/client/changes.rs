//! Follows the status while a program runs: by long polls of the controller, or by direct observations without it.
//!
//! **Invariant:** a round always ends, whether or not there is an answer, and takes at least [`ROUND_MIN`].

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Inquiry;
use super::controller;
use crate::publish::Status;
use crate::settings::Source;

/// The shortest round. A controller that answers at once must not cause a busy loop.
const ROUND_MIN: Duration = Duration::from_secs(1);
/// How long one poll waits for a different URI.
const POLL: Duration = Duration::from_secs(30);
/// How long one poll waits while there is no primary. The election of a primary does not change the URI.
const POLL_UNREADY: Duration = Duration::from_secs(2);
/// The pause between two direct observations when no controller answers.
const WITHOUT_CONTROLLER: Duration = Duration::from_secs(5);

/// Sends every new status to `newest`.
pub(crate) async fn follow(source: &Source, newest: &watch::Sender<Option<Status>>) -> Infallible {
    let mut inquiry = Inquiry::new(source);
    let mut tag = None;
    loop {
        let started = Instant::now();
        // This request follows the one that returned the tag, so no change is missed between them.
        let status = inquiry.status().await.ok();
        let writable = status.as_ref().is_some_and(|status| status.primary.is_some());
        if status.is_some() {
            newest.send_replace(status);
        }
        let wait = if writable { POLL } else { POLL_UNREADY };
        match controller::changed_tag(&source.controller, tag.as_deref(), wait).await {
            Ok(current) => tag = current,
            Err(_) => {
                tag = None;
                sleep(WITHOUT_CONTROLLER).await;
            }
        }
        sleep_until(started + ROUND_MIN).await;
    }
}
