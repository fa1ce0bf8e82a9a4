//! Follows a running controller until it has done what an operator asked for.

use crate::client::controller::{self, AskError};
use crate::outcome::{Exit, Outcome, plain};
use crate::parse::values::ControllerUrl;
use crate::publish::Status;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two requests for the status.
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until everything in `left` is done, at most until the deadline. `still` names what is left then.
pub(super) async fn follow<T>(
    admin: &ControllerUrl,
    deadline: Instant,
    mut left: Vec<T>,
    is_done: impl Fn(&Status, &T) -> bool,
    still: impl Fn(&[T]) -> String,
) -> Outcome {
    loop {
        let status = match controller::status(admin).await {
            Ok(status) => Some(status),
            Err(AskError::Silent(_)) => None,
            Err(error) => return Outcome::error(Exit::Failed, &error),
        };
        if let Some(status) = &status {
            left.retain(|one| !is_done(status, one));
        }
        if left.is_empty() {
            return Outcome::silent(Exit::Ok);
        }
        if Instant::now() >= deadline {
            let why = status.map(|s| s.waiting.join("; ")).filter(|why| !why.is_empty());
            let why =
                why.map_or("the controller continues: see `rsctl status`".to_owned(), |w| format!("waiting: {w}"));
            return Outcome::because(Exit::TimedOut, format!("{}; {}", still(&left), plain(&why)));
        }
        sleep(PAUSE).await;
    }
}
