//! `rsctl run`: the controller.

use crate::outcome::{Exit, Outcome};
use crate::settings::Run;

/// Keeps the set right until it is told to stop.
pub async fn run(settings: Run) -> Outcome {
    tracing::debug!(?settings, "starting");
    Outcome::because(Exit::Failed, "not built yet")
}
