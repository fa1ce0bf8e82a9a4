//! What a neighbour with the key says. It has a member behind it, and is another process.

use std::sync::Arc;

use mongodb::bson::{Bson, DateTime, Document, Timestamp, doc, oid::ObjectId};

use super::insider::Change;

pub struct Lie {
    pub name: &'static str,
    pub change: Change,
}

/// Changes that contradict what the other members say.
pub fn lies() -> Vec<Lie> {
    vec![
        lie("a copy of a member", |_, _, _| {}),
        lie("a newer config with a member of its own, and without the others' votes", |name, command, answer| {
            in_config(name, command, answer, |config| {
                config.insert("version", 9_000_i32);
                let members = config.get_array_mut("members").unwrap();
                for member in members.iter_mut().filter_map(Bson::as_document_mut) {
                    member.insert("votes", 0);
                    member.insert("priority", 0);
                }
                members.push(doc! { "_id": 66, "host": "127.66.66.66:27017", "votes": 1, "priority": 9 }.into());
            });
        }),
        lie("all the others are down, and it has the newest write", |name, _, answer| {
            if name == "replSetGetStatus" {
                of_members(answer, |member| {
                    if !member.contains_key("self") {
                        member.extend(doc! { "health": 0.0, "state": 8, "stateStr": "(not reachable/healthy)" });
                    }
                    member.insert("optime", optime(u32::MAX - 1, 3));
                });
            }
        }),
        lie("numbers and times that no server has", |name, command, answer| {
            in_config(name, command, answer, |config| drop(config.insert("version", i64::MAX)));
            if name == "replSetGetStatus" {
                answer.extend(doc! { "term": i64::MIN, "date": DateTime::from_millis(i64::MIN) });
                of_members(answer, |member| {
                    member.extend(doc! {
                        "optime": optime(u32::MAX, i64::MAX), "lastHeartbeatRecv": DateTime::from_millis(i64::MAX),
                        "lastAppliedWallTime": DateTime::from_millis(i64::MIN), "configVersion": i64::MIN,
                    });
                });
            }
        }),
        lie("it was removed", |name, _, answer| {
            if name == "replSetGetStatus" {
                *answer = doc! { "ok": 0, "code": 93, "codeName": "InvalidReplicaSetConfig", "errmsg": "removed" };
            }
        }),
    ]
}

/// It leads in a newer term.
pub fn newer_primary() -> Lie {
    lie("a primary of a newer term", |name, command, answer| {
        in_config(name, command, answer, |config| drop(config.insert("term", 99_i64)));
        if answer.contains_key("isWritablePrimary") {
            answer.extend(doc! { "isWritablePrimary": true, "secondary": false });
        }
        if name == "replSetGetStatus" {
            answer.extend(doc! { "myState": 1, "term": 99_i64 });
            of_members(answer, |member| {
                if member.contains_key("self") {
                    member.extend(doc! { "state": 1, "stateStr": "PRIMARY" });
                }
            });
        }
    })
}

fn lie(name: &'static str, change: fn(&str, &Document, &mut Document)) -> Lie {
    let process = ObjectId::new();
    let change: Change = Arc::new(move |command_name, command, answer| {
        if let Ok(version) = answer.get_document_mut("topologyVersion") {
            version.insert("processId", process);
        }
        change(command_name, command, answer);
    });
    Lie { name, change }
}

fn in_config(name: &str, command: &Document, answer: &mut Document, change: fn(&mut Document)) {
    if name != "find" || command.get_str("find").is_ok_and(|from| from != "system.replset") {
        return;
    }
    let found = answer.get_document_mut("cursor").and_then(|cursor| cursor.get_array_mut("firstBatch"));
    found.unwrap().iter_mut().filter_map(Bson::as_document_mut).for_each(change);
}

fn of_members(answer: &mut Document, change: fn(&mut Document)) {
    answer.get_array_mut("members").unwrap().iter_mut().filter_map(Bson::as_document_mut).for_each(change);
}

fn optime(seconds: u32, term: i64) -> Document {
    doc! { "ts": Timestamp { time: seconds, increment: u32::MAX }, "t": term }
}
