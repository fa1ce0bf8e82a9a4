//! What differs between two configs, in one line for each field.

use super::{Member, MemberId, ReplConfig};
use bson::{Bson, Document};
use std::collections::BTreeSet;

/// Fields of a config that every change of it changes, and those that are compared by themselves.
const ASIDE: [&str; 3] = ["version", "term", "members"];

impl ReplConfig {
    /// What `later` changes of this config: members first, then everything else.
    pub fn difference(&self, later: &Self) -> Vec<String> {
        let ids = |config: &Self| config.members().iter().map(|m| m.id).collect::<BTreeSet<_>>();
        let all: BTreeSet<MemberId> = ids(self).union(&ids(later)).copied().collect();
        let mut lines: Vec<String> = all.into_iter().flat_map(|id| self.of_member(later, id)).collect();
        for (field, before, after) in fields(self.document(), later.document()) {
            if !ASIDE.contains(&field.split('.').next().unwrap_or_default()) {
                lines.push(format!("{field}: {before} → {after}"));
            }
        }
        lines
    }

    fn of_member(&self, later: &Self, id: MemberId) -> Vec<String> {
        match (self.entry(id), later.entry(id)) {
            (Some(before), Some(after)) => {
                let host = before.get_str("host").unwrap_or_default();
                let fields = fields(before, after);
                let mut lines: Vec<String> = fields
                    .into_iter()
                    .map(|(field, before, after)| format!("{host} {field}: {before} → {after}"))
                    .collect();
                let waits = |config: &Self| config.member(id).is_some_and(|m| m.newly_added);
                match (waits(self), waits(later)) {
                    (true, false) => lines.push(format!("{host} holds the data, and votes")),
                    (false, true) => lines.push(format!("{host} votes as soon as it holds the data")),
                    _ => {}
                }
                lines
            }
            (None, Some(_)) => later.member(id).map(|member| format!("added {}", brief(member))).into_iter().collect(),
            (Some(_), None) => self.member(id).map(|member| format!("removed {}", brief(member))).into_iter().collect(),
            (None, None) => Vec::new(),
        }
    }

    fn entry(&self, id: MemberId) -> Option<&Document> {
        let entries = self.document().get_array("members").map(Vec::as_slice).unwrap_or_default();
        let mut entries = entries.iter().filter_map(Bson::as_document);
        entries.find(|entry| super::integer(entry, "_id") == Some(id.0))
    }
}

fn brief(Member { host, votes, priority, .. }: &Member) -> String {
    format!("{host} (votes {}, priority {priority})", u8::from(*votes))
}

/// Whether this is what the server stores for a field of a member that was sent without it.
fn is_default(field: &str, value: &Bson) -> bool {
    match field {
        "arbiterOnly" | "hidden" => *value == Bson::Boolean(false),
        "buildIndexes" => *value == Bson::Boolean(true),
        "votes" | "priority" => number(value) == Some(1.0),
        "secondaryDelaySecs" | "slaveDelay" => number(value) == Some(0.0),
        "tags" => value.as_document().is_some_and(Document::is_empty),
        _ => false,
    }
}

/// The fields that differ, with their values before and after. Those of a document in the document have its name before
/// theirs.
fn fields(before: &Document, after: &Document) -> Vec<(String, String, String)> {
    let mut names: Vec<&String> = before.keys().collect();
    names.extend(after.keys().filter(|name| !before.contains_key(name)));
    let (mut found, nothing) = (Vec::new(), Document::new());
    for name in names {
        match (before.get(name), after.get(name)) {
            (before, after) if same(before, after) => {}
            (None, Some(value)) | (Some(value), None) if is_default(name, value) => {}
            (before @ (None | Some(Bson::Document(_))), Some(Bson::Document(after))) => {
                let inner = fields(before.and_then(Bson::as_document).unwrap_or(&nothing), after).into_iter();
                found.extend(inner.map(|(field, before, after)| (format!("{name}.{field}"), before, after)));
            }
            (before, after) => found.push((name.clone(), shown(before), shown(after))),
        }
    }
    found
}

/// The server may store a number in another type than the one that it was sent in.
fn same(before: Option<&Bson>, after: Option<&Bson>) -> bool {
    before == after
        || matches!((before, after), (Some(one), Some(other)) if number(one).is_some() && number(one) == number(other))
}

fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(n) => Some(f64::from(*n)),
        Bson::Int64(n) => Some(*n as f64),
        Bson::Double(n) => Some(*n),
        _ => None,
    }
}

fn shown(value: Option<&Bson>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Bson::String(text)) => text.clone(),
        Some(value) => number(value).map_or_else(|| value.to_string(), |n| n.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn config(members: Vec<Document>, settings: Document) -> ReplConfig {
        let stored = doc! { "_id": "rs", "version": 5, "term": 3, "members": members, "settings": settings };
        ReplConfig::from_stored(stored).unwrap()
    }

    #[test]
    fn a_difference_names_what_changed_and_nothing_else() {
        let node = |id: i32, votes: i32| doc! { "_id": id, "host": format!("mongo-node{id}:27017"), "votes": votes, "priority": 1 };
        let mut tagged = node(2, 1);
        tagged.insert("priority", 1.0); // the same
        tagged.insert("arbiterOnly", false); // what the server adds
        tagged.insert("tags", doc! { "rsctlData": "d7" });
        let mut new = node(4, 1);
        new.insert("newlyAdded", true);
        let before = config(vec![node(1, 1), node(2, 1), node(3, 1)], doc! { "heartbeatIntervalMillis": 500 });
        let after = config(
            vec![node(1, 0), tagged, new.clone()],
            doc! { "heartbeatIntervalMillis": 2000, "chainingAllowed": false },
        );
        assert_eq!(
            before.difference(&after),
            [
                "mongo-node1:27017 votes: 1 → 0",
                "mongo-node2:27017 tags.rsctlData: - → d7",
                "removed mongo-node3:27017 (votes 1, priority 1)",
                "added mongo-node4:27017 (votes 1, priority 1)",
                "settings.heartbeatIntervalMillis: 500 → 2000",
                "settings.chainingAllowed: - → false",
            ]
        );
        assert_eq!(before.difference(&before), [""; 0]);
        let settings = doc! { "heartbeatIntervalMillis": 500 };
        let (waits, votes) = (config(vec![new], settings.clone()), config(vec![node(4, 1)], settings));
        assert_eq!(waits.difference(&votes), ["mongo-node4:27017 holds the data, and votes"]);
    }
}
