//! What differs between two configs, each change a value with a text of one line.

use super::{Host, Member, MemberId, ReplConfig};
use bson::{Bson, Document};
use std::collections::BTreeSet;
use std::fmt;

/// Fields of a config that every change of it changes, and those that are compared by themselves.
const ASIDE: [&str; 3] = ["version", "term", "members"];

/// One change from a config to a later one. Its text is one line.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// A member that was not there.
    Added(Member),
    /// A member that is not there any more.
    Removed(Member),
    /// A new member holds the data, and the server lets it vote. No controller sends this.
    GotVote(Host),
    /// A member votes as soon as it holds the data.
    AwaitsVote(Host),
    /// A field has another value.
    Field {
        /// The member that has it. `None` for a field of the set.
        host: Option<Host>,
        /// Its name, after those of the documents that it is in.
        field: String,
        /// Its value before.
        before: String,
        /// Its value after.
        after: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(member) => write!(f, "added {}", brief(member)),
            Self::Removed(member) => write!(f, "removed {}", brief(member)),
            Self::GotVote(host) => write!(f, "{host} holds the data, and votes"),
            Self::AwaitsVote(host) => write!(f, "{host} votes as soon as it holds the data"),
            Self::Field { host: Some(host), field, before, after } => write!(f, "{host} {field}: {before} → {after}"),
            Self::Field { host: None, field, before, after } => write!(f, "{field}: {before} → {after}"),
        }
    }
}

impl ReplConfig {
    /// What `later` changes of this config: members first, then everything else.
    pub fn difference(&self, later: &Self) -> Vec<Difference> {
        let ids = |config: &Self| config.members().iter().map(|m| m.id).collect::<BTreeSet<_>>();
        let all: BTreeSet<MemberId> = ids(self).union(&ids(later)).copied().collect();
        let mut found: Vec<Difference> = all.into_iter().flat_map(|id| self.of_member(later, id)).collect();
        let of_the_set = |field: &str| !ASIDE.contains(&field.split('.').next().unwrap_or_default());
        let fields = fields(self.document(), later.document()).into_iter().filter(|(field, ..)| of_the_set(field));
        found.extend(fields.map(|(field, before, after)| Difference::Field { host: None, field, before, after }));
        found
    }

    fn of_member(&self, later: &Self, id: MemberId) -> Vec<Difference> {
        match (self.member(id).zip(self.entry(id)), later.member(id).zip(later.entry(id))) {
            (Some((before, stored)), Some((after, stored_later))) => {
                let host = || before.host.clone();
                let fields = fields(stored, stored_later).into_iter();
                let field = |(field, before, after)| Difference::Field { host: Some(host()), field, before, after };
                let mut found: Vec<Difference> = fields.map(field).collect();
                match (before.newly_added, after.newly_added) {
                    (true, false) => found.push(Difference::GotVote(host())),
                    (false, true) => found.push(Difference::AwaitsVote(host())),
                    _ => {}
                }
                found
            }
            (None, Some((member, _))) => vec![Difference::Added(member.clone())],
            (Some((member, _)), None) => vec![Difference::Removed(member.clone())],
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
        let lines = |one: &ReplConfig, other| one.difference(other).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            lines(&before, &after),
            [
                "mongo-node1:27017 votes: 1 → 0",
                "mongo-node2:27017 tags.rsctlData: - → d7",
                "removed mongo-node3:27017 (votes 1, priority 1)",
                "added mongo-node4:27017 (votes 1, priority 1)",
                "settings.heartbeatIntervalMillis: 500 → 2000",
                "settings.chainingAllowed: - → false",
            ]
        );
        assert_eq!(before.difference(&before), []);
        let settings = doc! { "heartbeatIntervalMillis": 500 };
        let (waits, votes) = (config(vec![new], settings.clone()), config(vec![node(4, 1)], settings));
        assert_eq!(waits.difference(&votes), [Difference::GotVote("mongo-node4:27017".parse().unwrap())]);
        assert_eq!(lines(&waits, &votes), ["mongo-node4:27017 holds the data, and votes"]);
        assert_eq!(lines(&votes, &waits), ["mongo-node4:27017 votes as soon as it holds the data"]);
    }
}
