//! `rsctl plan`: prints the next steps and the reason for each one. It changes nothing.

use crate::cli::Output;
use crate::client::Inquiry;
use crate::outcome::plain;
use crate::outcome::{Exit, Outcome};
use crate::publish::Status;
use crate::settings::PlanSettings;
use std::fmt::Write;

pub(super) async fn plan(settings: PlanSettings) -> Outcome {
    let PlanSettings { source, output } = settings;
    let status = match Inquiry::new(&source).status().await {
        Ok(status) => status,
        Err(error) => return Outcome::error(Exit::Failed, &error),
    };
    let calm = status.steps.is_empty() && status.waiting.is_empty();
    let exit = if calm { Exit::Ok } else { Exit::Degraded };
    match output {
        Output::Table => Outcome::print(exit, &render(&status)),
        Output::Json => {
            let Status { steps, waiting, findings, .. } = &status;
            let json = serde_json::json!({ "steps": steps, "waiting": waiting, "findings": findings });
            Outcome::print(exit, &format!("{json}\n"))
        }
    }
}

fn render(status: &Status) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(&status.steps) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{number}. {}\n   because {}", plain(&step.step), plain(&step.because));
    }
    if status.steps.is_empty() {
        let _ = writeln!(text, "nothing to do: {}", plain(&status.because));
    }
    for waiting in &status.waiting {
        let _ = writeln!(text, "waiting: {}", plain(waiting));
    }
    for finding in &status.findings {
        let _ = writeln!(text, "note: {}", plain(&finding.text));
    }
    text
}
