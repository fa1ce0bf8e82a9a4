//! Prints the evidence on one screen.

use crate::outcome::plain;
use crate::publish::{DirectoryStatus, RecoveryStatus, Status, VerdictWord};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// The width of the table in characters.
const COLUMNS: u16 = 120;

pub(super) fn table(status: &Status, recovery: &RecoveryStatus) -> String {
    let RecoveryStatus { votes, votes_needed, committed, .. } = recovery;
    let committed = committed.as_deref().map_or("unknown".to_owned(), plain);
    let set = plain(&status.set);
    let mut lines = vec![format!("set {set} · no primary · {votes} of {votes_needed} needed votes found")];
    lines.push(format!("newest commit point: {committed}"));
    lines.push(String::new());
    if !recovery.directories.is_empty() {
        lines.extend(directories(&recovery.directories));
        lines.push(String::new());
    }
    for missing in &recovery.missing {
        let data = missing.data.as_deref().map(|data| format!(", data {}", brief(data))).unwrap_or_default();
        lines.push(format!(
            "missing: {} (member {}{data}): {}",
            plain(&missing.host),
            missing.member,
            plain(&missing.note)
        ));
    }
    if !recovery.unchecked.is_empty() {
        let hosts = recovery.unchecked.iter().map(|host| plain(host)).collect::<Vec<_>>().join(", ");
        lines.push(format!("not checked: whether a volume was restored from an older snapshot is not known to this controller ({hosts})"));
    }
    lines.extend(recovery.step.iter().map(|step| format!("would do: {}", plain(step))));
    lines.extend(recovery.lost.iter().map(|lost| format!("would lose: {}", plain(lost))));
    lines.extend(recovery.reasons.iter().map(|reason| format!("refused: {}", plain(reason))));
    lines.push(match recovery.verdict {
        VerdictWord::Primary => "nothing to recover".to_owned(),
        VerdictWord::Electing => "nothing to recover: a majority of the members runs and elects a primary".to_owned(),
        VerdictWord::Automatic => {
            "safe: no acknowledged write is lost, and the controller does it without a request".to_owned()
        }
        VerdictWord::Safe => "safe: no acknowledged write is lost".to_owned(),
        VerdictWord::Loss => {
            let evidence = plain(&recovery.evidence);
            format!("only with a loss of writes: rsctl recover --accept-data-loss {set} --evidence {evidence}")
        }
        VerdictWord::Refused => "nothing is done".to_owned(),
        VerdictWord::Unknown => "not enough is known for a recovery".to_owned(),
    });
    lines.join("\n") + "\n"
}

fn directories(directories: &[DirectoryStatus]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(COLUMNS);
    table.set_header(["FOUND", "STATE", "DATA", "NEWEST WRITE", "CONFIG", "MEMBER", "VOTE"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for directory in directories {
        table.add_row([
            plain(&directory.host),
            plain(&directory.state),
            or_dash(directory.data.as_deref().map(brief)),
            or_dash(directory.newest.as_deref().map(plain)),
            or_dash(directory.config_version.map(|version| format!("v{version}"))),
            or_dash(directory.member.map(|id| id.to_string())),
            if directory.votes { "found" } else { "-" }.to_owned(),
        ]);
    }
    // The style adds a space before every column, also the first one.
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect()
}

/// The first eight characters of an ID, which are enough to distinguish a few.
fn brief(data: &str) -> String {
    plain(data).chars().take(8).collect()
}
