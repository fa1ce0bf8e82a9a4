//! Writes and reads an operator's word about a pause, which a member keeps in `local.rsctl`.

use crate::model::{AHEAD_MAX, PauseWord};
use bson::{DateTime, Document, doc};

/// The document's `_id`.
pub(in crate::mongo) const PAUSE_ID: &str = "pause";

pub(in crate::mongo) fn pause_document(word: &PauseWord) -> Document {
    let at = DateTime::from_millis;
    doc! { "_id": PAUSE_ID, "said": at(word.said_ms()), "until": at(word.until_ms()), "why": word.why() }
}

/// Which document gives way to this word: one with an older word, with a word from a wrong clock, or with none.
pub(in crate::mongo) fn gives_way_to(word: &PauseWord) -> Document {
    let ahead = i64::try_from(AHEAD_MAX.as_millis()).unwrap_or_default();
    let latest = DateTime::from_millis(word.said_ms().saturating_add(ahead));
    doc! { "_id": PAUSE_ID, "$nor": [{ "said": { "$gte": DateTime::from_millis(word.said_ms()), "$lte": latest } }] }
}

pub(in crate::mongo) fn pause(document: &Document) -> Option<PauseWord> {
    let ms = |field: &str| document.get_datetime(field).ok().map(|at| at.timestamp_millis());
    Some(PauseWord::read(ms("said")?, ms("until")?, document.get_str("why").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_back() {
        let word = PauseWord::read(5, 7, "new disks");
        assert_eq!(pause(&pause_document(&word)), Some(word));
        assert_eq!(pause(&doc! { "_id": PAUSE_ID, "said": "now" }), None);
    }
}
