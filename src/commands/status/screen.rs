//! The replica set on one screen.

use crate::cli::View;
use crate::commands::table::{Cell, Column, fold, lines};
use crate::commands::terminal::{Paint, Tint};
use crate::connection_string::Inserts;
use crate::outcome::plain;
use crate::publish::{FindingLevel, Health, MarginStatus, MemberStatus, Status, SyncStatus};

/// The width of the table where no terminal tells its own.
const COLUMNS: usize = 100;
/// The age in milliseconds from which on the age is printed.
const FRESH_MS: u64 = 10_000;
/// The length of the bar of an initial sync.
const BAR: u16 = 10;
/// Units of data, the largest first.
const UNITS: [(&str, u64); 3] = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000)];
/// How far the second line of a folded text is indented.
const INDENT: usize = 2;

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) view: View,
    /// The width of the terminal. `None` if there is none.
    pub(super) width: Option<usize>,
    pub(super) paint: Paint,
}

impl Look {
    /// A line of text, folded for a terminal. Elsewhere it stays in one piece, for programs such as grep.
    pub(super) fn text(self, tint: Tint, text: &str) -> Vec<String> {
        let Some(width) = self.width else { return vec![self.paint.tint(tint, text)] };
        let pieces = fold(text, width.saturating_sub(INDENT)).into_iter().enumerate();
        let indented = pieces.map(|(at, piece)| if at == 0 { piece } else { " ".repeat(INDENT) + &piece });
        indented.map(|line| self.paint.tint(tint, &line)).collect()
    }
}

/// The lines of the screen. Only the URI may be longer than the terminal is wide, so that it can be copied.
pub(super) fn render(status: &Status, look: Look) -> Vec<String> {
    let mut screen = Vec::new();
    if let Some(why) = &status.unattended {
        let nobody = format!("no controller answers, so nobody repairs this set ({})", plain(why));
        screen.extend(look.text(Tint::Bad, &nobody));
    }
    screen.extend(look.text(tint_of(status.health), &plain(&status.verdict())));
    if let Some(pause) = &status.pause {
        let why = if pause.reason.is_empty() { String::new() } else { format!(" ({})", plain(&pause.reason)) };
        let paused = format!("paused for {} more{why}: `rsctl resume` ends the pause", time(pause.left_ms));
        screen.extend(look.text(Tint::Warning, &paused));
    }
    if status.observed_ms_ago >= FRESH_MS {
        let age = format!("this is the state {} s ago", status.observed_ms_ago / 1000);
        screen.extend(look.text(Tint::Warning, &age));
    }
    screen.extend(headlines(status).iter().flat_map(|line| look.text(Tint::Plain, line)));
    if !status.members.is_empty() {
        screen.push(String::new());
        screen.extend(members(&status.members, look));
        screen.push(String::new());
    }
    for other in &status.others {
        let note = other.note.as_ref().map(|note| format!(", {}", plain(note))).unwrap_or_default();
        let text = format!("no member: {} {}{note}", plain(&other.host), plain(&other.state));
        screen.extend(look.text(Tint::Plain, &text));
    }
    let waiting = status.waiting.iter().map(|waiting| format!("waiting: {}", plain(waiting)));
    screen.extend(waiting.flat_map(|line| look.text(Tint::Plain, &line)));
    for finding in &status.findings {
        let (label, tint) = match finding.severity {
            FindingLevel::Warning => ("warning", Tint::Warning),
            FindingLevel::Error => ("error", Tint::Bad),
        };
        screen.extend(look.text(tint, &format!("{label}: {}", plain(&finding.text))));
    }
    screen.extend(look.text(Tint::Plain, &next(status)));
    for event in &status.history {
        let text = format!("{} {} ({})", plain(&event.at), plain(&event.what), plain(&event.why));
        screen.extend(look.text(Tint::Plain, &text));
    }
    screen.extend(status.endpoint().ok().map(|endpoint| format!("uri: {}", endpoint.uri(&Inserts::default()))));
    screen
}

fn tint_of(health: Health) -> Tint {
    match health {
        Health::Ok => Tint::Good,
        Health::Degraded | Health::Uninitiated => Tint::Warning,
        Health::NoPrimary | Health::Unknown => Tint::Bad,
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
    // The controller has seen the primary for as long as it runs. The primary itself knows since when it leads.
    let since = status.primary_ms.or_else(|| status.members.iter().find(leads).and_then(|m| m.state_ms));
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

fn members(members: &[MemberStatus], look: Look) -> Vec<String> {
    let wide = look.view == View::Wide;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let column =
        |heading, rank, cell: &dyn Fn(&MemberStatus) -> String| Column::new(heading, rank, members.iter().map(cell));
    let states = members.iter().map(|m| Cell { text: plain(&m.state), tint: tint_of_member(m) });
    let mut columns = vec![
        column("MEMBER", 0, &|m| plain(&m.host)),
        Column::tinted("STATE", 0, states),
        column("FOR", 2, &|m| or_dash(m.state_ms.map(time))),
        column("VOTES", 3, &|m| m.votes.to_string()),
        column("PRIORITY", 5, &|m| m.priority.to_string()),
        column("LAG", 1, &|m| or_dash(m.lag_ms.map(lag))),
        column("OPLOG", 4, &|m| or_dash(m.oplog_ms.map(time))),
    ];
    if wide {
        columns.insert(1, column("ADDRESS", 0, &|m| or_dash(m.address.as_deref().map(plain))));
        columns.insert(2, column("NODE", 0, &|m| or_dash(m.node.as_deref().map(plain))));
        columns.insert(0, column("ID", 0, &|m| m.id.to_string()));
    }
    let notes: Vec<String> = members.iter().map(note).collect();
    let width = if wide { None } else { Some(look.width.unwrap_or(COLUMNS)) };
    lines(columns, &notes, width, look.paint)
}

fn tint_of_member(member: &MemberStatus) -> Tint {
    match (member.healthy, member.state.as_str()) {
        (true, "PRIMARY") => Tint::Good,
        (true, _) => Tint::Plain,
        (false, "UNREACHABLE" | "ROLLBACK" | "REMOVED") => Tint::Bad,
        (false, _) => Tint::Warning,
    }
}

/// A member that is not healthy has a note in any case.
fn note(member: &MemberStatus) -> String {
    let note = match (&member.note, member.healthy) {
        (Some(note), _) => plain(note),
        (None, true) => String::new(),
        (None, false) => "not healthy".to_owned(),
    };
    match &member.sync {
        None => note,
        Some(sync) if note.is_empty() => progress(sync),
        Some(sync) => format!("{note}: {}", progress(sync)),
    }
}

/// `[######....] 62 %, 1.2 of 1.9 GB, 3m10s left`
fn progress(sync: &SyncStatus) -> String {
    let SyncStatus { copied, total, left_ms } = *sync;
    let percent = sync.percent();
    let bar: String = (1..=BAR).map(|step| if u16::from(percent) * BAR >= step * 100 { '#' } else { '.' }).collect();
    let (unit, size) = UNITS.iter().find(|(_, size)| total >= *size).copied().unwrap_or(("kB", 1000));
    let amount = |bytes: u64| format!("{}.{}", bytes / size, bytes % size / (size / 10));
    let left = left_ms.map(|ms| format!(", {} left", time(ms))).unwrap_or_default();
    format!("[{bar}] {percent} %, {} of {} {unit}{left}", amount(copied), amount(total))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::healthy;

    fn screen(status: &Status, width: usize, colour: bool) -> String {
        render(status, Look { view: View::Table, width: Some(width), paint: Paint { colour } }).join("\n")
    }

    fn wounded() -> Status {
        let mut status = healthy();
        status.health = Health::Degraded;
        status.members[2] = MemberStatus {
            state: "UNREACHABLE".to_owned(),
            healthy: false,
            note: Some("cut off, or its machine is down: does not answer; removed in 22 s".to_owned()),
            ..status.members[2].clone()
        };
        status.waiting = vec!["mongo-node3:27017 has been gone for 8 s; it is removed after 30 s".to_owned()];
        status
    }

    #[test]
    fn on_any_terminal_no_line_wraps_but_the_uri() {
        for width in [30, 40, 60, 79, 100, 200] {
            let screen = screen(&wounded(), width, false);
            let (uri, rest): (Vec<&str>, Vec<&str>) = screen.lines().partition(|line| line.starts_with("uri: "));
            assert_eq!(uri.len(), 1, "the URI can be copied");
            assert!(rest.iter().all(|line| line.chars().count() <= width), "{width}:\n{screen}");
            let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
            for told in ["UNREACHABLE", "removed in 22 s", "can lose 1 more member", "next: nothing"] {
                assert!(words.contains(told), "{width}: {told} in\n{screen}");
            }
        }
    }

    #[test]
    fn an_initial_sync_is_a_bar_with_the_time_that_is_left() {
        let bar = |copied, total, left_ms| progress(&SyncStatus { copied, total, left_ms });
        assert_eq!(bar(1_240_000_000, 1_990_000_000, Some(190_000)), "[######....] 62 %, 1.2 of 1.9 GB, 3m10s left");
        assert_eq!(bar(0, 5, None), "[..........] 0 %, 0.0 of 0.0 kB");
        assert_eq!(bar(u64::MAX, u64::MAX, None), "[##########] 100 %, 18446744.0 of 18446744.0 TB");
        assert_eq!(bar(7, 0, None), "[..........] 0 %, 0.0 of 0.0 kB", "a controller may say anything");
    }

    #[test]
    fn colours_are_never_the_only_bearer_of_meaning() {
        let colourful = screen(&wounded(), 100, true);
        let mut bare = colourful.clone();
        for code in ["31", "32", "33", "0"] {
            bare = bare.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert!(colourful.contains("\u{1b}[31mUNREACHABLE\u{1b}[0m"), "{colourful:?}");
        assert_eq!(bare, screen(&wounded(), 100, false));
    }
}
