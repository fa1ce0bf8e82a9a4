//! `rsctl history`: prints what was done to the set, the newest last.

use crate::cli::Output;
use crate::client::Inquiry;
use crate::outcome::{Exit, Outcome, plain};
use crate::publish::{EventStatus, HistoryStatus};
use crate::settings::PlanSettings;

pub(super) async fn history(settings: PlanSettings) -> Outcome {
    let PlanSettings { source, output } = settings;
    let history = match Inquiry::for_people(&source).history().await {
        Ok(history) => history,
        Err(error) => return Outcome::error(Exit::Failed, &error),
    };
    match output {
        Output::Table => Outcome::print(Exit::Ok, &render(&history)),
        Output::Json => match serde_json::to_string(&history) {
            Ok(json) => Outcome::print(Exit::Ok, &(json + "\n")),
            Err(error) => Outcome::error(Exit::Failed, &error),
        },
    }
}

fn render(history: &HistoryStatus) -> String {
    if history.events.is_empty() {
        return "nothing is known to have happened\n".to_owned();
    }
    history.events.iter().map(entry).collect()
}

fn entry(event: &EventStatus) -> String {
    let version = event.config_version.map(|version| format!(" (config v{version})")).unwrap_or_default();
    let mut lines = vec![format!("{} {}{version}", plain(&event.at), plain(&event.what))];
    lines.push(format!("    because {}, by {}", plain(&event.why), plain(&event.by)));
    lines.extend(event.changes.iter().map(|change| format!("    {}", plain(change))));
    lines.into_iter().map(|line| line + "\n").collect()
}
