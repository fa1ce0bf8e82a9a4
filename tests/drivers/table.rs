//! The result as a Markdown table.

use std::time::Duration;

use super::acknowledged::Judged;

/// The longest time without an acknowledged write, with one row per driver and one column per event.
pub fn render<'a>(judged: impl Iterator<Item = &'a Judged>) -> String {
    let mut rows = Vec::new();
    for Judged { driver, version, restarts, writes, failed, missing, gaps, .. } in judged {
        if rows.is_empty() {
            let events = gaps.iter().map(|(event, _)| (*event).to_owned());
            let last = ["restarts", "writes", "errors", "lost"].map(str::to_owned);
            rows.push(row(["driver".to_owned()].into_iter().chain(events).chain(last)));
            rows.push(row((0..gaps.len() + 5).map(|_| "---".to_owned())));
        }
        let gaps = gaps.iter().map(|(_, gap)| gap.map_or("never again".to_owned(), seconds));
        let last = [restarts, writes, failed, missing].map(ToString::to_string);
        rows.push(row([format!("{driver} {version}")].into_iter().chain(gaps).chain(last)));
    }
    rows.join("\n")
}

fn row(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
