//! What happened to the set: the entries of its history. No decision reads them.

use std::collections::BTreeSet;

/// The largest number of events that one place keeps.
pub const EVENTS_MAX: usize = 50;
/// The largest number of changes that one event names.
const CHANGES_MAX: usize = 12;
/// The longest text of an event in characters.
const TEXT_MAX: usize = 240;

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Two controllers that see one thing give it one key.
    pub key: String,
    /// The time in milliseconds since 1970, by the clock of the controller.
    pub at_ms: i64,
    /// The controller that did or saw it, by the name of its machine or container.
    pub by: String,
    /// What was done, or what happened.
    pub what: String,
    /// Why.
    pub why: String,
    /// The config before and after, as a difference.
    pub changes: Vec<String>,
    /// The version of the config that came out of it.
    pub version: Option<i64>,
}

/// How the key of a change begins that a controller saw and did not make.
const SEEN: &str = "config-";

impl Event {
    /// The key of a config that somebody else sent.
    pub fn key_of_config(version: i64) -> String {
        format!("{SEEN}{version}")
    }

    /// The key of a term and its primary.
    pub fn key_of_primary(term: i64) -> String {
        format!("primary-{term}")
    }

    /// The event with no text longer, and no list longer, than a store may have to keep. An event that is bounded stays as
    /// it is.
    pub fn bounded(mut self) -> Self {
        let changes = self.changes.len();
        // The line that counts the others takes one more place.
        if changes > CHANGES_MAX + 1 {
            self.changes.truncate(CHANGES_MAX);
            self.changes.push(format!("… and {} more", changes - CHANGES_MAX));
        }
        let texts = [&mut self.key, &mut self.by, &mut self.what, &mut self.why];
        for text in texts.into_iter().chain(&mut self.changes) {
            if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
                text.truncate(at);
                text.push('…');
            }
        }
        self
    }
}

/// One history from those that several places keep: the newest events, the oldest of these first. What one controller did
/// and another one saw is there once, as what was done. The events are [`Event::bounded`].
pub fn merged(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut events: Vec<Event> = events.into_iter().collect();
    events.sort_by(|a, b| (a.at_ms, &a.key).cmp(&(b.at_ms, &b.key)));
    let done: BTreeSet<i64> = events.iter().filter(|e| !e.key.starts_with(SEEN)).filter_map(|e| e.version).collect();
    let mut keys = BTreeSet::new();
    events.retain(|event| {
        let twice = event.key.starts_with(SEEN) && event.version.is_some_and(|version| done.contains(&version));
        !twice && keys.insert(event.key.clone())
    });
    events.split_off(events.len().saturating_sub(EVENTS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(key: &str, at_ms: i64, version: Option<i64>) -> Event {
        let text = |text: &str| text.to_owned();
        Event { key: text(key), at_ms, by: text("a"), what: text("w"), why: text("y"), changes: vec![], version }
    }

    fn keys(events: Vec<Event>) -> Vec<String> {
        merged(events).into_iter().map(|event| event.key).collect()
    }

    #[test]
    fn what_one_did_and_another_saw_is_there_once() {
        let events = vec![event("config-7", 20, Some(7)), event("x1", 21, Some(7)), event("config-8", 30, Some(8))];
        assert_eq!(keys(events), ["x1", "config-8"]);
        let primary = |at| event(&Event::key_of_primary(4), at, None);
        assert_eq!(merged([primary(12), primary(10)]), [primary(10)], "the first one who saw it knows when it was");
    }

    #[test]
    fn the_newest_are_kept() {
        let many = (0..EVENTS_MAX as i64 * 3).map(|n| event(&n.to_string(), n, None)).collect();
        let keys = keys(many);
        assert_eq!((keys.len(), keys.last().unwrap().as_str()), (EVENTS_MAX, "149"));
    }

    #[test]
    fn nothing_is_longer_than_a_store_can_keep() {
        let mut long = event("k", 0, None);
        (long.why, long.changes) = ("ä".repeat(10_000), vec!["c".repeat(10_000); 1000]);
        let bounded = long.bounded();
        assert_eq!((bounded.why.chars().count(), bounded.changes.len()), (TEXT_MAX + 1, CHANGES_MAX + 1));
        assert_eq!(bounded.changes.last().unwrap(), "… and 988 more");
        assert!(bounded.changes.iter().all(|change| change.chars().count() <= TEXT_MAX + 1));
        assert_eq!(bounded.clone().bounded(), bounded, "what was kept reads back as it was");
    }
}
