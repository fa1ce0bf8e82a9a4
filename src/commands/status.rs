//! `rsctl status`: prints the replica set on one screen.

use std::io::IsTerminal;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use crate::cli::Output;
use crate::client::Inquiry;
use crate::connection_string::Inserts;
use crate::outcome::plain;
use crate::outcome::{Exit, Outcome};
use crate::publish::{FindingLevel, Health, MarginStatus, MemberStatus, Status};
use crate::settings;

/// The width of the table in characters. Long notes are wrapped.
const COLUMNS: u16 = 100;
/// The age in milliseconds from which on the age is printed.
const FRESH_MS: u64 = 10_000;

pub(super) async fn status(settings: settings::StatusSettings) -> Outcome {
    let settings::StatusSettings { source, output, colour } = settings;
    let status = match Inquiry::without_notes(&source).status().await {
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
    let mut lines = Vec::new();
    if let Some(why) = &status.unattended {
        lines.push(paint.red(&format!("no controller answers, so nobody repairs this set ({})", plain(why))));
    }
    lines.push(verdict(status, paint));
    if status.observed_ms_ago >= FRESH_MS {
        lines.push(paint.yellow(&format!("this is the state {} s ago", status.observed_ms_ago / 1000)));
    }
    lines.extend(headlines(status));
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
    lines.push(next(status));
    lines.extend(status.endpoint().ok().map(|endpoint| format!("uri: {}", endpoint.uri(&Inserts::default()))));
    lines.join("\n") + "\n"
}

fn verdict(status: &Status, paint: Paint) -> String {
    let verdict = plain(&status.verdict());
    match status.health {
        Health::Ok => paint.green(&verdict),
        Health::Degraded | Health::Uninitiated => paint.yellow(&verdict),
        Health::NoPrimary | Health::Unknown => paint.red(&verdict),
    }
}

/// The next step. Without a controller it is only what one would do.
fn next(status: &Status) -> String {
    let because = if status.because.is_empty() { String::new() } else { format!(" ({})", plain(&status.because)) };
    let who = if status.unattended.is_some() { "a controller would do" } else { "next" };
    format!("{who}: {}{because}", plain(&status.next))
}

/// The primary with the voters, and then the set with its generation.
fn headlines(status: &Status) -> Vec<String> {
    let leads = |m: &&MemberStatus| Some(&m.host) == status.primary.as_ref();
    let since = status.members.iter().find(leads).and_then(|m| m.state_ms);
    let primary = status.primary.as_ref().map(|primary| {
        let since = since.map(|ms| format!(" for {}", time(ms))).unwrap_or_default();
        format!("PRIMARY {}{since}", plain(primary))
    });
    let voters = |m: &MarginStatus| format!("{} of {} voters work, {} needed", m.live, m.voters, m.majority);
    let voters = status.margin.as_ref().map(voters);
    let id = status.replica_set_id.as_ref().map(|id| format!(" ({})", plain(id))).unwrap_or_default();
    let set = Some(format!("set {}{id}", plain(&status.set)));
    let term = status.term.map(|term| format!("term {term}"));
    let version = status.config_version.map(|version| format!("config v{version}"));
    let lines = [vec![primary, voters], vec![set, term, version]];
    let lines = lines.into_iter().map(|parts| parts.into_iter().flatten().collect::<Vec<_>>().join(" · "));
    lines.filter(|line| !line.is_empty()).collect()
}

fn members(members: &[MemberStatus]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(COLUMNS);
    table.set_header(["MEMBER", "STATE", "FOR", "VOTES", "PRIORITY", "LAG", "NOTE"]);
    for member in members {
        let note = match (&member.note, member.healthy) {
            (Some(note), _) => plain(note),
            (None, true) => String::new(),
            (None, false) => "not healthy".to_owned(),
        };
        table.add_row([
            plain(&member.host),
            plain(&member.state),
            member.state_ms.map_or_else(|| "-".to_owned(), time),
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
        _ => time(ms),
    }
}

/// A duration in its two largest units.
fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}
