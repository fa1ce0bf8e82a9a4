//! `rsctl wait`: waits until applications can start, or until another condition of the replica set holds.

use super::news::without_times;
use crate::client::Inquiry;
use crate::outcome::{Exit, Outcome, note};
use crate::publish::Status;
use crate::settings::WaitSettings;

pub(super) async fn wait(settings: WaitSettings) -> Outcome {
    let WaitSettings { source, goal, timeout } = settings;
    let mut told = None;
    let progress = |missing: &str| {
        let news = without_times(missing);
        if told.as_ref() != Some(&news) {
            note(format_args!("waiting for {goal}: {missing}"));
            told = Some(news);
        }
    };
    let reached = |status: &Status| goal.missing(status).map_or(Ok(()), Err);
    match Inquiry::new(&source).until(timeout, reached, progress).await {
        Ok(()) => Outcome::silent(Exit::Ok),
        Err(outcome) => outcome,
    }
}
