//! The answers of the controller in a test.

use serde_json::{Value, json};

fn member(id: u8, state: &str, lag_ms: Option<u64>, note: Option<&str>) -> Value {
    json!({
        "id": id, "host": format!("mongo-node{}:27017", id + 1), "address": format!("10.0.1.{}:27017", id + 1),
        "node": format!("node{}", id + 1), "awaits_vote": false, "delayed": false,
        "state": state, "state_ms": 7_260_000, "votes": 1, "priority": 1.0,
        "healthy": note.is_none(), "sync_source": lag_ms.map(|_| "mongo-node1:27017"), "lag_ms": lag_ms, "oplog_ms": 93_600_000, "sync": null, "note": note,
    })
}

/// Three members, one of them primary, and nothing to do.
pub(crate) fn healthy() -> Value {
    json!({
        "set": "rs", "replica_set_id": "652f9f4e1c2d3e4f5a6b7c8d", "health": "ok", "pause": null,
        "verdict": "healthy: can lose 1 more member",
        "margin": {"voters": 3, "live": 3, "majority": 2, "can_lose": 1},
        "primary": "mongo-node1:27017", "primary_ms": 7_260_000, "term": 3, "config_version": 5, "feature_version": "6.0",
        "seeds": ["mongo-node1:27017", "mongo-node2:27017", "mongo-node3:27017"], "expect": 3,
        "members": [
            member(0, "PRIMARY", None, None), member(1, "SECONDARY", Some(0), None),
            member(2, "SECONDARY", Some(1250), None),
        ],
        "history": history()["events"],
        "certificates": [], "others": [], "next": "nothing", "steps": [], "because": "the set is as it should be", "waiting": [], "findings": [],
        "observed_ms_ago": 12,
    })
}

/// The same with these seeds. The first one is the primary. The list of members is empty.
pub(crate) fn with_members(seeds: &[&str]) -> Value {
    let mut status = healthy();
    status["seeds"] = seeds.into();
    status["members"] = json!([]);
    status["primary"] = seeds.first().copied().into();
    status
}

/// Three members are made, and one is elected.
pub(crate) fn history() -> Value {
    let event = |at: &str, what: &str, why: &str, changes: &[&str], version: Option<i64>| {
        let at = format!("2026-11-21T{at}Z");
        json!({"at": at, "by": "3f2a91c07b11", "what": what, "why": why, "changes": changes, "config_version": version})
    };
    json!({"events": [
        event("10:40:00", "mongo-node1:27017 is primary", "elected in term 3", &[], None),
        event(
            "10:40:01", "add mongo-node3:27017 (v4 -> v5)", "it is a blank task of the service",
            &["added mongo-node3:27017 (votes 1, priority 1)"], Some(5),
        ),
    ]})
}

/// One member is lost and one is wiped. A mongod of another set and a blank one are also listed.
pub(crate) fn troubled() -> Value {
    let mut status = healthy();
    status["health"] = "degraded".into();
    status["margin"] = json!({"voters": 3, "live": 1, "majority": 2, "can_lose": 0});
    status["members"][1] = member(1, "STARTUP2", None, Some("copies its data"));
    status["members"][1]["oplog_ms"] = Value::Null;
    status["members"][1]["sync"] = json!({"copied": 1_240_000_000_u64, "total": 1_990_000_000_u64, "left_ms": 190_000});
    status["members"][2] = member(2, "UNREACHABLE", Some(192_000), Some("gone for 95s"));
    status["others"] = json!([
        {"host": "10.0.1.9:27017", "state": "of another set", "note": "left alone"},
        {"host": "mongo-node4:27017", "address": "10.0.1.12:27017", "state": "blank", "note": null},
    ]);
    status["next"] = "wait".into();
    status["because"] = "removing the third of three members gains nothing".into();
    status["waiting"] = json!(["mongo-node2:27017 is STARTUP2"]);
    status["findings"] = json!([
        {"severity": "error", "text": "no further loss can be survived: bring mongo-node3 back"},
        {"severity": "warning", "text": "10.0.1.9:27017 belongs to another set: remove it from the service"},
    ]);
    status["observed_ms_ago"] = 31_000.into();
    status
}
