//! What is not ours in a config stays as it is, byte for byte and in its place.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use bson::{Bson, Document, doc};
use proptest::prelude::*;
use rsctl::model::{Change, ConfigError, DataId, MemberId, NewRole, ReplConfig, SavedVote, VERSION_MAX};

/// A config as an operator and several servers left it: every number type, tags, horizons, fields of the future.
fn rich() -> Document {
    doc! {
        "_id": "rs", "version": 7_i32, "term": 4_i64, "protocolVersion": 1_i64, "writeConcernMajorityJournalDefault": true,
        "members": [
            { "_id": 0_i32, "host": "10.0.0.1:27017", "arbiterOnly": false, "buildIndexes": true, "hidden": false,
              "priority": 5.0, "tags": { "dc": "east", "rsctlData": "64410000-0000-0000-0000-000000000000" },
              "horizons": { "public": "db1.example.com:27018" }, "secondaryDelaySecs": 0_i64, "votes": 1_i32 },
            { "votes": 1_i64, "host": "10.0.0.2:27017", "_id": 1_i64, "priority": 1_i32, "futureField": { "x": [1, 2.5, null] } },
            { "_id": 2.0, "host": "[fd00::3]:27017", "newlyAdded": true, "priority": 1_i64, "votes": 1.0 },
            { "_id": 3_i32, "host": "backup:27017", "hidden": true, "priority": 0, "votes": 0, "secondaryDelaySecs": 3600_i32, "tags": {} },
            { "_id": 4_i32, "host": "arbiter:27017", "arbiterOnly": true },
        ],
        "settings": {
            "chainingAllowed": true, "heartbeatIntervalMillis": 2000_i32, "getLastErrorModes": { "mm": { "dc": 2 } },
            "replicaSetId": bson::oid::ObjectId::from_bytes([7; 12]), "catchUpTimeoutMillis": -1_i32,
        },
        "unknownTopLevel": { "keep": [true, { "deep": 1_i64 }] },
        "configsvr": false,
    }
}

fn stored(document: Document) -> ReplConfig {
    ReplConfig::from_stored(document).unwrap()
}

fn data(n: u8) -> DataId {
    DataId(bson::Uuid::from_bytes([n; 16]))
}

/// Without what rsctl owns: what must come back unchanged.
fn foreign(mut document: Document) -> Document {
    for field in ["version", "term"] {
        document.remove(field);
    }
    for entry in document.get_array_mut("members").unwrap().iter_mut().filter_map(Bson::as_document_mut) {
        for field in ["host", "votes", "priority", "newlyAdded"] {
            entry.remove(field);
        }
        if let Ok(tags) = entry.get_document_mut("tags") {
            ["rsctlData", "rsctlSavedVote", "rsctlSpare"].into_iter().for_each(|tag| drop(tags.remove(tag)));
        }
        if entry.get_document("tags").is_ok_and(Document::is_empty) {
            entry.remove("tags");
        }
    }
    document
}

fn bytes(document: &Document) -> Vec<u8> {
    bson::serialize_to_vec(document).unwrap()
}

fn without(mut document: Document, newly_added_only: bool) -> Document {
    for entry in document.get_array_mut("members").unwrap().iter_mut().filter_map(Bson::as_document_mut) {
        entry.remove("newlyAdded");
    }
    if !newly_added_only {
        document.remove("term");
    }
    document
}

#[test]
fn reading_changes_nothing_but_the_mark_that_may_not_be_sent() {
    let config = stored(rich());
    assert_eq!(bytes(config.document()), bytes(&without(rich(), true)));
    assert!(config.member(MemberId(2)).unwrap().newly_added, "the mark is noted");
}

#[test]
fn an_empty_change_raises_the_version_by_one_and_touches_nothing_else() {
    let next = stored(rich()).with(&[]).unwrap();
    let mut expected = without(rich(), false);
    expected.insert("version", 8_i64);
    assert_eq!(bytes(next.document()), bytes(&expected));
}

#[test]
fn every_number_type_is_read() {
    let config = stored(rich());
    let ids: Vec<_> = config.members().iter().map(|m| m.id.0).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    assert_eq!(config.members().iter().filter(|m| m.votes).count(), 4, "no `votes` means one");
    assert_eq!(config.voters().count(), 3, "newlyAdded does not vote");
    assert_eq!(config.member(MemberId(0)).unwrap().priority, 5.0);
    let backup = config.member(MemberId(3)).unwrap();
    assert!(backup.delayed && backup.hidden && backup.hand_tuned());
}

#[test]
fn a_vote_that_was_taken_comes_back_as_it_was() {
    let config = stored(rich());
    let taken = config.with(&[Change::RevokeVote { id: MemberId(0) }]).unwrap();
    let member = taken.member(MemberId(0)).unwrap();
    assert!(
        !member.votes
            && member.priority == 0.0
            && member.saved_vote == Some(SavedVote { votes: true, priority: 5.0 })
            && member.foreign_tags
    );
    let given = taken.with(&[Change::RestoreVote { id: MemberId(0), data: data(9) }]).unwrap();
    let member = given.member(MemberId(0)).unwrap();
    assert!(member.votes && member.priority == 5.0 && member.saved_vote.is_none() && member.data == Some(data(9)));
    assert_eq!(given.version(), 9);
}

#[test]
fn a_change_of_a_slot_that_is_not_there_is_refused() {
    assert!(stored(rich()).with(&[Change::RevokeVote { id: MemberId(77) }]).is_err());
}

#[test]
fn nonsense_is_refused_and_not_repaired() {
    for field in ["version", "members", "_id"] {
        let mut document = rich();
        document.remove(field);
        assert!(ReplConfig::from_stored(document).is_err(), "{field}");
    }
    let mut document = rich();
    document.insert("members", vec![Bson::Int32(1)]);
    assert!(ReplConfig::from_stored(document).is_err());
}

#[test]
fn numbers_that_no_server_has_are_refused() {
    let mut nonsense = Vec::from([i64::MIN, -1, i64::from(i32::MAX) + 1, i64::MAX].map(Bson::Int64));
    nonsense.extend([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 1.5].map(Bson::Double));
    for number in nonsense {
        let mut document = rich();
        document.insert("version", number.clone());
        assert!(ReplConfig::from_stored(document).is_err(), "version {number}");
        let mut document = rich();
        document.get_array_mut("members").unwrap()[0].as_document_mut().unwrap().insert("_id", number.clone());
        assert!(ReplConfig::from_stored(document).is_err(), "_id {number}");
    }
    assert!(ReplConfig::from_stored(at_version(0)).is_err(), "versions begin with 1");
}

#[test]
fn no_config_follows_the_largest_version() {
    let next = stored(at_version(VERSION_MAX - 1)).with(&[]).unwrap();
    assert_eq!(next.version(), VERSION_MAX);
    assert_eq!(next.with(&[]), Err(ConfigError::NoNextVersion(VERSION_MAX)));
}

/// The server adds 10,000 or more to the version of a forced config.
#[test]
fn no_config_is_forced_near_the_largest_version() {
    let last = VERSION_MAX - 10_001;
    let config = stored(at_version(last));
    assert_eq!(config.forced(&[], last).unwrap().version(), last + 1);
    for newest in [last + 1, VERSION_MAX, i64::MAX] {
        assert_eq!(config.forced(&[], newest), Err(ConfigError::NoNextVersion(newest)));
    }
}

fn at_version(version: i64) -> Document {
    let mut document = rich();
    document.insert("version", version);
    document
}

fn change() -> impl Strategy<Value = Change> {
    let id = (0_i64..5).prop_map(MemberId);
    prop_oneof![
        (id.clone(), 1_u8..250)
            .prop_map(|(id, n)| Change::Readdress { id, to: format!("10.1.0.{n}:27018").parse().unwrap() }),
        (id.clone(), 0_u8..9).prop_map(|(id, n)| Change::Tag { id, data: data(n) }),
        (id.clone(), 0_u8..9).prop_map(|(id, n)| Change::RestoreVote { id, data: data(n) }),
        id.clone().prop_map(|id| Change::RevokeVote { id }),
        id.prop_map(|id| Change::Promote { id }),
    ]
}

proptest! {
    #[test]
    fn what_is_not_ours_stays_byte_for_byte(changes in proptest::collection::vec(change(), 0..6)) {
        let config = stored(rich());
        let next = config.with(&changes).unwrap();
        prop_assert_eq!(bytes(&foreign(next.document().clone())), bytes(&foreign(rich())));
        prop_assert_eq!(next.version(), config.version() + 1);
        let marked = next.document().to_string().contains("newlyAdded");
        prop_assert!(!marked, "the server refuses a config that carries the mark");
        prop_assert!(!next.document().contains_key("term"));
        let read_back = stored(next.document().clone());
        prop_assert_eq!(&read_back.members()[3], &next.members()[3], "what is sent reads back");
        let order = |d: &Document| d.keys().filter(|k| *k != "term").cloned().collect::<Vec<_>>();
        prop_assert_eq!(order(next.document()), order(&rich()));
    }

    #[test]
    fn members_come_and_go_without_touching_the_others(gone in 0_i64..5, spare: bool) {
        let role = if spare { NewRole::Spare } else { NewRole::Voter };
        let host = "new:27017".parse().unwrap();
        let changes = [Change::Add { id: MemberId(9), host, role }, Change::Remove { id: MemberId(gone) }];
        let next = stored(rich()).with(&changes).unwrap();
        let ids: Vec<_> = next.members().iter().map(|m| m.id.0).collect();
        let expected: Vec<_> = (0..5).filter(|id| *id != gone).chain([9]).collect();
        prop_assert_eq!(ids, expected);
        let entry = |config: &Document, id: usize| config.get_array("members").unwrap()[id].clone();
        let before = without(rich(), true);
        for id in (0..5).filter(|id| *id as i64 != gone) {
            let now = if (id as i64) < gone { id } else { id - 1 };
            prop_assert_eq!(entry(next.document(), now), entry(&before, id));
        }
        let added = next.member(MemberId(9)).unwrap();
        prop_assert_eq!((added.votes, added.spare, added.hand_tuned()), (!spare, spare, false));
    }
}
