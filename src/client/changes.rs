//! Follows the status while a program runs: by long polls of the controller, or by direct observations without it.
//!
//! **Invariant:** a round always ends, whether or not there is an answer, and takes at least [`ROUND_UNREADY`].

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
/// The time of a round while there is no primary, because the election of one does not change the URI.
const ROUND_UNREADY: Duration = Duration::from_millis(200);
/// After this time without a primary a round takes [`ROUND_UNREADY_LONG`].
const SOON: Duration = Duration::from_secs(60);
const ROUND_UNREADY_LONG: Duration = Duration::from_secs(2);
/// The pause between two direct observations when no controller answers.
const WITHOUT_CONTROLLER: Duration = Duration::from_secs(5);

/// Sends every new status to `newest`.
pub(crate) async fn follow(source: &Source, newest: &watch::Sender<Option<Status>>) -> Infallible {
    let mut inquiry = Inquiry::new(source);
    let mut tag = None;
    let mut unready_since = None;
    loop {
        let started = Instant::now();
        // This request follows the one that returned the tag, so no change is missed between them.
        let status = inquiry.status().await.ok();
        let writable = status.as_ref().is_some_and(|status| status.primary.is_some());
        unready_since = if writable { None } else { unready_since.or(Some(started)) };
        let (wait, round) = match unready_since.map(|since: Instant| since.elapsed()) {
            None => (POLL, ROUND_MIN),
            Some(so_far) if so_far < SOON => (ROUND_UNREADY, ROUND_UNREADY),
            Some(_) => (ROUND_UNREADY_LONG, ROUND_UNREADY_LONG),
        };
        if status.is_some() {
            newest.send_replace(status);
        }
        match controller::changed_tag(&source.controller, tag.as_deref(), wait).await {
            Ok(current) => tag = current,
            Err(_) => {
                tag = None;
                sleep(WITHOUT_CONTROLLER).await;
            }
        }
        sleep_until(started + round).await;
    }
}
