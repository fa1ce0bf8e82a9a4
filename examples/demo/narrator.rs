//! Prints short lines with the time, and what changed since the last status.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;

/// Remembers what it has printed, to print only changes.
pub(crate) struct Narrator {
    start: Instant,
    members: BTreeMap<String, String>,
    primary: Option<String>,
    next: String,
}

impl Narrator {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), members: BTreeMap::new(), primary: None, next: String::new() }
    }

    /// Prints the headline of a new chapter.
    pub(crate) fn headline(&self, text: &str) {
        println!("\n── {text}");
    }

    /// Prints one event.
    pub(crate) fn say(&self, text: &str) {
        println!("{:>6.1}s  {text}", self.start.elapsed().as_secs_f64());
    }

    /// Prints a command and its output, as on a terminal.
    pub(crate) fn show(&self, command: &str, output: &str) {
        println!("\n    $ {command}");
        for line in output.trim_end().lines() {
            println!("    {line}");
        }
        println!();
    }

    /// Prints what differs from the last status.
    pub(crate) fn observe(&mut self, status: &Value) {
        self.tell_next(status);
        let members: BTreeMap<String, String> = members(status).map(|m| (text(m, "host"), describe(m))).collect();
        for (host, now) in &members {
            match self.members.get(host) {
                None => self.say(&format!("  {host} is a member now: {now}")),
                Some(before) if before != now => self.say(&format!("  {host}: {before} → {now}")),
                Some(_) => {}
            }
        }
        for host in self.members.keys().filter(|host| !members.contains_key(*host)) {
            self.say(&format!("  {host} is no longer a member"));
        }
        self.members = members;
        let primary = status["primary"].as_str().map(str::to_owned);
        if primary != self.primary {
            self.say(&match &primary {
                Some(host) => format!("  primary: {host}"),
                None => "  primary: none".to_owned(),
            });
            self.primary = primary;
        }
    }

    fn tell_next(&mut self, status: &Value) {
        let next = text(status, "next");
        if next != self.next {
            let because = text(status, "because");
            match next.as_str() {
                "" | "nothing" => {}
                _ if because.is_empty() => self.say(&format!("  rsctl: {next}")),
                _ => self.say(&format!("  rsctl: {next}, because {because}")),
            }
            self.next = next;
        }
    }
}

/// The configured members of a status.
pub(crate) fn members(status: &Value) -> impl Iterator<Item = &Value> {
    status["members"].as_array().into_iter().flatten()
}

/// A text field; empty if it is missing.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn describe(member: &Value) -> String {
    let state = text(member, "state");
    if member["votes"].as_u64() == Some(0) { format!("{state}, without a vote") } else { state }
}
