//! The notation for changes to a config: `add b`, `drop c`, `host b x`, `version +2` …

use bson::{Bson, Document, doc, oid::ObjectId};
use rsctl::model::ReplConfig;

/// The base with these changes, and with its version raised by one. Letters name members by their addresses.
pub fn edited(base: &ReplConfig, edits: &str, address: &mut dyn FnMut(char) -> String) -> ReplConfig {
    let mut document = base.document().clone();
    document.insert("version", base.version() + 1);
    // rsctl does not send the term either: the server sets it.
    document.remove("term");
    for edit in edits.split(", ").filter(|e| !e.is_empty()) {
        let words: Vec<&str> = edit.split(' ').collect();
        if !whole(&mut document, base, &words, address) {
            member(&mut document, &words, address);
        }
    }
    ReplConfig::from_stored(document).expect("a config that can be read")
}

fn letter(word: &str) -> char {
    word.chars().next().expect("an address")
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn list(document: &mut Document) -> &mut Vec<Bson> {
    document.get_array_mut("members").expect("members")
}

/// Applies a change to the whole config. Returns false if the words are not such a change.
fn whole(document: &mut Document, base: &ReplConfig, words: &[&str], address: &mut dyn FnMut(char) -> String) -> bool {
    match words {
        ["add", host, rest @ ..] => {
            let next = list(document).iter().filter_map(Bson::as_document).filter_map(id).max().map_or(0, |id| id + 1);
            let mut entry = doc! { "_id": next, "host": address(letter(host)) };
            match rest {
                ["as", id] => drop(entry.insert("_id", number::<i64>(id))),
                ["novote"] => entry.extend(doc! { "votes": 0, "priority": 0 }),
                ["arbiter"] => drop(entry.insert("arbiterOnly", true)),
                [] => {}
                _ => panic!("add {rest:?}"),
            }
            list(document).push(entry.into());
        }
        ["version", step] => drop(document.insert("version", base.version() + number::<i64>(step))),
        ["term", term] => drop(document.insert("term", number::<i64>(term))),
        ["name", name] => drop(document.insert("_id", *name)),
        ["setting", name, value] => {
            let mut settings = document.get_document("settings").cloned().unwrap_or_default();
            settings.insert(*name, number::<i32>(value));
            document.insert("settings", settings);
        }
        ["rsid", what] => {
            let mut settings = document.get_document("settings").cloned().unwrap_or_default();
            settings.remove("replicaSetId");
            if *what == "other" {
                settings.insert("replicaSetId", ObjectId::new());
            }
            document.insert("settings", settings);
        }
        ["empty"] => list(document).clear(),
        ["only", host] => {
            let host = address(letter(host));
            list(document).retain(|m| m.as_document().is_some_and(|m| m.get_str("host").is_ok_and(|h| h == host)));
        }
        ["swap", one, other] => {
            let (one, other) = (address(letter(one)), address(letter(other)));
            for entry in list(document).iter_mut().filter_map(Bson::as_document_mut) {
                let now = entry.get_str("host").unwrap_or_default();
                let then = if now == one {
                    &other
                } else if now == other {
                    &one
                } else {
                    continue;
                };
                let then = then.clone();
                entry.insert("host", then);
            }
        }
        _ => return false,
    }
    true
}

/// Applies a change to one member.
fn member(document: &mut Document, words: &[&str], address: &mut dyn FnMut(char) -> String) {
    let [what, who, rest @ ..] = words else { panic!("no such change: {words:?}") };
    let host = address(letter(who));
    let found =
        list(document).iter().position(|m| m.as_document().is_some_and(|m| m.get_str("host").is_ok_and(|h| h == host)));
    // A random sequence may name a member that the config does not have. Then nothing changes.
    let Some(at) = found else { return };
    if *what == "drop" {
        list(document).remove(at);
        return;
    }
    let Some(entry) = list(document)[at].as_document_mut() else { return };
    match (*what, rest) {
        ("novote", []) => entry.extend(doc! { "votes": 0, "priority": 0 }),
        ("vote", []) => entry.extend(doc! { "votes": 1, "priority": 1 }),
        ("priority", [value]) => drop(entry.insert("priority", number::<f64>(value))),
        ("votes", [value]) => drop(entry.insert("votes", number::<i32>(value))),
        ("host", [to]) => drop(entry.insert("host", address(letter(to)))),
        ("id", [id]) => drop(entry.insert("_id", number::<i64>(id))),
        ("arbiter", []) => drop(entry.insert("arbiterOnly", true)),
        ("tag", [value]) => drop(entry.insert("tags", doc! { "rsctlData": *value })),
        _ => panic!("no such change: {words:?}"),
    }
}

fn id(entry: &Document) -> Option<i64> {
    match entry.get("_id")? {
        Bson::Int32(id) => Some(i64::from(*id)),
        Bson::Int64(id) => Some(*id),
        _ => None,
    }
}
