//! Prints the evidence on one screen.

use crate::commands::table::{Column, lines};
use crate::commands::terminal::{self, Paint};
use crate::outcome::plain;
use crate::publish::{DirectoryStatus, RecoveryStatus, Status, VerdictWord};

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
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let column = |heading, rank, cell: &dyn Fn(&DirectoryStatus) -> String| {
        Column::new(heading, rank, directories.iter().map(cell))
    };
    let columns = vec![
        column("FOUND", 0, &|d| plain(&d.host)),
        column("STATE", 0, &|d| plain(&d.state)),
        column("DATA", 3, &|d| or_dash(d.data.as_deref().map(brief))),
        column("NEWEST WRITE", 1, &|d| or_dash(d.newest.as_deref().map(plain))),
        column("CONFIG", 4, &|d| or_dash(d.config_version.map(|version| format!("v{version}")))),
        column("MEMBER", 5, &|d| or_dash(d.member.map(|id| id.to_string()))),
        column("VOTE", 2, &|d| if d.votes { "found" } else { "-" }.to_owned()),
    ];
    let notes = vec![String::new(); directories.len()];
    lines(columns, &notes, terminal::size().map(|size| size.columns), Paint { colour: false })
}

/// The first eight characters of an ID, which are enough to distinguish a few.
fn brief(data: &str) -> String {
    plain(data).chars().take(8).collect()
}
