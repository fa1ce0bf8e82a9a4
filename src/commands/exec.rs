//! `rsctl exec`: waits for the replica set, then starts a program with its variables.

use tokio::sync::watch;

use super::stop::stop_signal;
use crate::client::{Inquiry, changes};
use crate::launcher;
use crate::launcher::variables::warn_of_length;
use crate::outcome::{Exit, Outcome};
use crate::parse::values::OnChange;
use crate::settings::ExecSettings;

pub(super) async fn exec(settings: ExecSettings) -> Outcome {
    let ExecSettings { variables, on_change, .. } = &settings;
    let mut inquiry = Inquiry::new(&variables.source);
    let endpoint = tokio::select! {
        endpoint = inquiry.endpoint(variables.wait, variables.until) => endpoint,
        signal = stop_signal() => Err(Outcome::silent(Exit::Stopped(signal))),
    };
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(outcome) => return outcome,
    };
    warn_of_length(variables, &endpoint);
    if *on_change == OnChange::Ignore {
        return launcher::become_program(&settings, &endpoint);
    }
    let (sender, newest) = watch::channel(None);
    tokio::select! {
        outcome = launcher::supervise(&settings, endpoint, newest) => outcome,
        never = changes::follow(&variables.source, *on_change, &sender) => match never {},
    }
}
