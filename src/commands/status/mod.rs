//! `rsctl status`: prints the replica set on one screen, once or after every change.

mod screen;
mod watch;

use super::terminal::{self, Paint};
use crate::cli::View;
use crate::client::Inquiry;
use crate::outcome::{Exit, Outcome, plain};
use crate::publish::{Health, Status};
use crate::settings::StatusSettings;
use screen::Look;

pub(super) async fn status(settings: StatusSettings) -> Outcome {
    let StatusSettings { source, view, watch, colour } = settings;
    if watch {
        return watch::watch(&source, view, colour).await;
    }
    let status = match Inquiry::for_people(&source).status().await {
        Ok(status) => status,
        Err(error) => return Outcome::error(Exit::Failed, &error),
    };
    let exit = match status.health {
        Health::Ok => Exit::Ok,
        Health::Degraded => Exit::Degraded,
        Health::NoPrimary | Health::Uninitiated => Exit::NoPrimary,
        Health::Unknown => Exit::Failed,
    };
    Outcome::print(exit, &text(&status, look(view, colour)))
}

/// How to print on what stdout is now.
fn look(view: View, colour: bool) -> Look {
    let size = terminal::size();
    Look { view, width: size.map(|size| size.columns), paint: Paint { colour: colour && size.is_some() } }
}

fn text(status: &Status, look: Look) -> String {
    let lines = match look.view {
        View::Table | View::Wide => screen::render(status, look),
        View::Name => status.members.iter().map(|member| plain(&member.host)).collect(),
        // A status has only text, numbers and lists, which JSON has too.
        View::Json => vec![serde_json::to_string(status).unwrap_or_default()],
    };
    lines.into_iter().map(|line| line + "\n").collect()
}
