//! `rsctl uri`: prints the connection string.

use crate::client::Inquiry;
use crate::outcome::{Exit, Outcome};
use crate::publish::Goal;
use crate::settings::UriSettings;

pub(super) async fn uri(settings: UriSettings) -> Outcome {
    let UriSettings { source, inserts, format, wait } = settings;
    match Inquiry::new(&source).endpoint(wait, Goal::Usable).await {
        Ok(endpoint) => Outcome::print(Exit::Ok, &endpoint.render(format, &inserts)),
        Err(outcome) => outcome,
    }
}
