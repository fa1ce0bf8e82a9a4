//! Follows the status while a program runs: by long polls of the controller, or by direct observations without it.
//!
//! **Invariant:** a round always ends, whether or not there is an answer, and takes at least [`ROUND_MIN`].

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Inquiry;
use super::controller;
use crate::parse::values::OnChange;
use crate::publish::Status;
use crate::settings::Source;

/// The shortest round. A controller that answers at once must not cause a busy loop.
const ROUND_MIN: Duration = Duration::from_secs(1);
/// How long one poll waits for a different URI. A controller on a dead machine is given up some seconds later.
const POLL: Duration = Duration::from_secs(10);
/// The pause between two direct observations when no controller answers.
const WITHOUT_CONTROLLER: Duration = Duration::from_secs(5);

/// Sends every new status that matters for `on_change` to `newest`.
pub(crate) async fn follow(source: &Source, on_change: OnChange, newest: &watch::Sender<Option<Status>>) -> Infallible {
    let mut inquiry = Inquiry::new(source);
    // A program is only restarted when it can write, so the answer may wait for a primary. Then no other poll is needed.
    let only_with_primary = on_change == OnChange::Restart;
    let mut tag = None;
    loop {
        let started = Instant::now();
        // This request follows the one that returned the tag, so no change is missed between them.
        if let Ok(status) = inquiry.status().await {
            newest.send_replace(Some(status));
        }
        match controller::changed_tag(&source.controller, tag.as_deref(), POLL, only_with_primary).await {
            Ok(current) => tag = current,
            Err(_) => {
                tag = None;
                sleep(WITHOUT_CONTROLLER).await;
            }
        }
        sleep_until(started + ROUND_MIN).await;
    }
}
