//! `rsctl wait`: waits until applications can start.

use std::time::Duration;

use crate::client::Inquiry;
use crate::outcome::{Exit, Outcome};
use crate::settings::Source;

pub(super) async fn wait(source: &Source, timeout: Duration) -> Outcome {
    match Inquiry::new(source).endpoint(Some(timeout)).await {
        Ok(_) => Outcome::silent(Exit::Ok),
        Err(outcome) => outcome,
    }
}
