//! `rsctl status`: prints the replica set on one screen.

use std::io::IsTerminal;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use crate::cli::Output;
use crate::client::Inquiry;
use crate::outcome::plain;
use crate::outcome::{Exit, Outcome};
use crate::publish::{FindingLevel, Health, MemberStatus, Status};
use crate::settings;

/// The width of the table in characters. Long notes are wrapped.
const COLUMNS: u16 = 100;
/// The age in milliseconds from which on the age is printed.
const FRESH_MS: u64 = 10_000;

pub(super) async fn status(settings: settings::StatusSettings) -> Outcome {
    let settings::StatusSettings { source, output, colour } = settings;
    let status = match Inquiry::new(&source).status().await {
        Ok(status) => status,
        Err(error) => return Outcome::error(Exit::Failed, &error),
    };
    let exit = match status.health {
        Health::Ok => Exit::Ok,
        Health::Degraded => Exit::Degraded,
        Health::NoPrimary | Health::Uninitiated => Exit::NoPrimary,
        Health::Unknown => Exit::Failed,
    };
    match output {
        Output::Table => {
            let colour = colour && std::io::stdout().is_terminal();
            Outcome::print(exit, &render(&status, Paint { colour }))
        }
        Output::Json => match serde_json::to_string(&status) {
            Ok(json) => Outcome::print(exit, &(json + "\n")),
            Err(error) => Outcome::error(Exit::Failed, &error),
        },
    }
}

/// Colours text if the terminal shows colours. The text is complete without them.
#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn render(status: &Status, paint: Paint) -> String {
    let mut lines = vec![headline(status, paint)];
    if status.observed_ms_ago >= FRESH_MS {
        lines.push(paint.yellow(&format!("this is the state {} s ago", status.observed_ms_ago / 1000)));
    }
    if !status.members.is_empty() {
        lines.push(String::new());
        lines.extend(members(&status.members));
        lines.push(String::new());
    }
    for other in &status.others {
        let note = other.note.as_ref().map(|note| format!(", {}", plain(note))).unwrap_or_default();
        lines.push(format!("no member: {} {}{note}", plain(&other.host), plain(&other.state)));
    }
    lines.extend(status.waiting.iter().map(|waiting| format!("waiting: {}", plain(waiting))));
    for finding in &status.findings {
        let label = match finding.severity {
            FindingLevel::Warning => paint.yellow("warning"),
            FindingLevel::Error => paint.red("error"),
        };
        lines.push(format!("{label}: {}", plain(&finding.text)));
    }
    let because = if status.because.is_empty() { String::new() } else { format!(" ({})", plain(&status.because)) };
    lines.push(format!("next: {}{because}", plain(&status.next)));
    lines.join("\n") + "\n"
}

fn headline(status: &Status, paint: Paint) -> String {
    let id = status.replica_set_id.as_ref().map(|id| format!(" ({})", plain(id))).unwrap_or_default();
    let primary = match (&status.primary, status.health) {
        (Some(primary), _) => format!("{} {}", paint.green("PRIMARY"), plain(primary)),
        (None, Health::Uninitiated) => paint.yellow("not initiated"),
        (None, Health::Unknown) => paint.red("unknown"),
        (None, Health::Ok | Health::Degraded | Health::NoPrimary) => paint.red("no primary"),
    };
    let mut parts = vec![format!("set {}{id}", plain(&status.set)), primary];
    parts.extend(status.term.map(|term| format!("term {term}")));
    parts.extend(status.config_version.map(|version| format!("config v{version}")));
    if status.health == Health::Degraded {
        parts.push(paint.yellow("degraded"));
    }
    parts.join(" · ")
}

fn members(members: &[MemberStatus]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(COLUMNS);
    table.set_header(["MEMBER", "STATE", "VOTES", "PRIORITY", "LAG", "NOTE"]);
    for member in members {
        let note = match (&member.note, member.healthy) {
            (Some(note), _) => plain(note),
            (None, true) => String::new(),
            (None, false) => "not healthy".to_owned(),
        };
        table.add_row([
            plain(&member.host),
            plain(&member.state),
            member.votes.to_string(),
            member.priority.to_string(),
            member.lag_ms.map_or_else(|| "-".to_owned(), lag),
            note,
        ]);
    }
    // The style adds a space before every column, also the first one.
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect()
}

fn lag(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => format!("{}m{}s", ms / 60_000, ms % 60_000 / 1000),
    }
}
