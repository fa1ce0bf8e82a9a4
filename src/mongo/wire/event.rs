//! Writes and reads the history that a member keeps in `local.rsctl`.

use super::integer;
use crate::model::{EVENTS_MAX, Event};
use bson::{Bson, Document, doc};

/// The document's `_id`.
pub(in crate::mongo) const HISTORY_ID: &str = "history";
/// The form of the document. Of another form nothing is read, and it is not changed.
pub(in crate::mongo) const HISTORY_FORM: i32 = 1;

pub(in crate::mongo) fn event_document(event: &Event) -> Document {
    let Event { key, at_ms, by, what, why, changes, version } = event;
    let at = bson::DateTime::from_millis(*at_ms);
    doc! { "key": key, "at": at, "by": by, "what": what, "why": why, "changes": changes.clone(), "version": *version }
}

/// The events of a stored history. What cannot be read is left out.
pub(in crate::mongo) fn events(kept: &Document) -> Vec<Event> {
    if integer(kept, "v") != Some(HISTORY_FORM.into()) {
        return Vec::new();
    }
    let list = kept.get_array("events").map(Vec::as_slice).unwrap_or_default();
    let newest = &list[list.len().saturating_sub(EVENTS_MAX)..];
    newest.iter().filter_map(Bson::as_document).filter_map(event).collect()
}

fn event(document: &Document) -> Option<Event> {
    let text = |field: &str| document.get_str(field).map(str::to_owned);
    let changes = document.get_array("changes").map(Vec::as_slice).unwrap_or_default();
    let event = Event {
        key: text("key").ok()?,
        at_ms: document.get_datetime("at").ok()?.timestamp_millis(),
        by: text("by").unwrap_or_default(),
        what: text("what").ok()?,
        why: text("why").unwrap_or_default(),
        changes: changes.iter().filter_map(Bson::as_str).map(str::to_owned).collect(),
        version: integer(document, "version"),
    };
    Some(event.bounded())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Event {
        let text = |text: &str| text.to_owned();
        let changes = vec![text("removed b")];
        Event { key: text("k"), at_ms: 5, by: text("a"), what: text("w"), why: text("y"), changes, version: Some(7) }
    }

    #[test]
    fn an_event_reads_back() {
        let kept = doc! { "_id": HISTORY_ID, "v": HISTORY_FORM, "events": [event_document(&known())] };
        assert_eq!(events(&kept), [known()]);
    }

    #[test]
    fn another_form_and_odd_entries_are_no_events() {
        let good = event_document(&known());
        assert_eq!(events(&doc! { "v": 2, "events": [good.clone()] }), []);
        assert_eq!(events(&doc! { "events": [good.clone()] }), []);
        let mut bare = good.clone();
        ["by", "why", "changes", "version"].iter().for_each(|field| drop(bare.remove(field)));
        let odd: Vec<Bson> = vec![1.into(), "x".into(), doc! {}.into(), doc! { "key": 1 }.into(), bare.into()];
        let read = events(&doc! { "v": 1, "events": odd });
        assert_eq!(read, [Event { by: String::new(), why: String::new(), changes: vec![], version: None, ..known() }]);
        let many = vec![good; 10_000];
        assert_eq!(events(&doc! { "v": 1_i64, "events": many }).len(), EVENTS_MAX);
    }
}
