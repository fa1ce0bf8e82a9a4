//! Reads the server's answers into the model. Only this module knows the names of their fields.
//!
//! **Invariant:** every answer is untrusted. A field that is missing or has another type is read as unknown, never as a
//! default that has a meaning.

mod event;
mod pause;
mod progress;

pub(super) use event::{HISTORY_FORM, HISTORY_ID, event_document, events};
pub(super) use pause::{PAUSE_ID, gives_way_to, pause, pause_document};
pub(super) use progress::oplog_window;

use super::error::Error;
use crate::model::integer;
use crate::model::{
    DataId, FeatureVersion, Host, Lock, MemberId, NodeState, OpTime, Peer, ProcessId, SetName, SetView, Token,
    UserData, WireVersion,
};
use bson::{Bson, Document};
use std::collections::BTreeMap;
use std::time::Duration;

/// The part of `hello` that rsctl uses. It needs no login.
pub(super) struct Hello {
    pub(super) process: ProcessId,
    pub(super) wire: WireVersion,
    pub(super) set: Option<SetName>,
    pub(super) primary: Option<Host>,
    pub(super) writable: bool,
    pub(super) arbiter: bool,
    pub(super) is_mongos: bool,
    /// Members that applications may read from. Hidden members and arbiters are not in the list.
    pub(super) hosts: Vec<Host>,
}

pub(super) fn hello(reply: &Document) -> Result<Hello, Error> {
    let version = reply.get_document("topologyVersion").map_err(|_| Error::Unreadable("hello.topologyVersion"))?;
    let process = version.get_object_id("processId").map_err(|_| Error::Unreadable("hello.topologyVersion"))?;
    let wire = integer(reply, "maxWireVersion").ok_or(Error::Unreadable("hello.maxWireVersion"))?;
    Ok(Hello {
        process: ProcessId(process),
        wire: WireVersion(i32::try_from(wire).unwrap_or(i32::MAX)),
        set: reply.get_str("setName").ok().map(SetName::new),
        primary: reply.get_str("primary").ok().and_then(|text| text.parse().ok()),
        writable: reply.get_bool("isWritablePrimary").unwrap_or(false),
        arbiter: reply.get_bool("arbiterOnly").unwrap_or(false),
        is_mongos: reply.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"),
        // `hello` lists members with priority 0 separately, as `passives`.
        hosts: ["hosts", "passives"].iter().flat_map(|list| host_list(reply, list)).collect(),
    })
}

fn host_list(reply: &Document, field: &str) -> Vec<Host> {
    let list = reply.get_array(field).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Bson::as_str).filter_map(|text| text.parse().ok()).collect()
}

/// Reads `members[n].state` and `myState` (MongoDB manual, "Replica Set Member States").
pub(super) fn state(number: i64) -> NodeState {
    match number {
        0 => NodeState::Startup,
        1 => NodeState::Primary,
        2 => NodeState::Secondary,
        3 => NodeState::Recovering,
        5 => NodeState::Startup2,
        7 => NodeState::Arbiter,
        9 => NodeState::Rollback,
        10 => NodeState::Removed,
        _ => NodeState::Other,
    }
}

/// Reads `replSetGetStatus`: the node's own state and its view of the set.
pub(super) fn status(reply: &Document) -> Result<(NodeState, SetView), Error> {
    let own = integer(reply, "myState").ok_or(Error::Unreadable("replSetGetStatus.myState"))?;
    let optimes = reply.get_document("optimes").ok();
    let optime_of = |name| optimes.and_then(|o| o.get_document(name).ok()).map(optime).unwrap_or_default();
    let list = reply.get_array("members").map_err(|_| Error::Unreadable("replSetGetStatus.members"))?;
    let peers = list.iter().filter_map(Bson::as_document).filter_map(|entry| {
        let id = MemberId(integer(entry, "_id")?);
        // The value is -1 until the first heartbeat is answered or fails, as after a restart (seen on 6.0.5).
        let health = integer(entry, "health")?;
        let message = ["lastHeartbeatMessage", "infoMessage"].iter().find_map(|f| entry.get_str(f).ok());
        Some((
            id,
            Peer {
                healthy: health == 1,
                asked: health >= 0,
                unheard_for: unheard_for(reply, entry),
                state: state(integer(entry, "state")?),
                applied: entry.get_document("optime").map(optime).unwrap_or_default(),
                written: entry.get_document("optimeWritten").ok().and_then(written),
                applied_wall_ms: wall_ms(entry),
                message: message.filter(|text| !text.is_empty()).map(str::to_owned),
            },
        ))
    });
    let view = SetView {
        term: integer(reply, "term").unwrap_or(0),
        committed: optime_of("lastCommittedOpTime"),
        applied: optime_of("appliedOpTime"),
        written: optimes.and_then(|o| o.get_document("writtenOpTime").ok()).and_then(written),
        durable: optime_of("durableOpTime"),
        applied_wall_ms: optimes.and_then(|o| o.get_datetime("lastAppliedWallTime").ok()).map(|t| t.timestamp_millis()),
        sync_source: reply.get_str("syncSourceHost").ok().and_then(|text| text.parse().ok()),
        failed_syncs: progress::failed_syncs(reply),
        initial_sync: progress::initial_sync(reply),
        elected_for: progress::elected_for(reply, list),
        peers: peers.collect::<BTreeMap<_, _>>(),
        me: own_entry(list).and_then(|entry| integer(entry, "_id")).map(MemberId),
    };
    Ok((state(own), view))
}

/// The entry of the member that the node says it is itself.
fn own_entry(list: &[Bson]) -> Option<&Document> {
    list.iter().filter_map(Bson::as_document).find(|entry| entry.get_bool("self").unwrap_or(false))
}

/// How long ago the last heartbeat came in, by the clock of the node that answers. A time in 1970 means never.
fn unheard_for(reply: &Document, entry: &Document) -> Option<Duration> {
    let heard = entry.get_datetime("lastHeartbeatRecv").ok()?.timestamp_millis();
    let now = reply.get_datetime("date").ok()?.timestamp_millis();
    let passed = u64::try_from(now.saturating_sub(heard)).unwrap_or(0);
    (heard > 0).then(|| Duration::from_millis(passed))
}

/// Wall-clock time of the last applied write. `lastAppliedWallTime` has milliseconds. `optimeDate`, from older servers,
/// has seconds.
fn wall_ms(entry: &Document) -> Option<i64> {
    let time = ["lastAppliedWallTime", "optimeDate"].iter().find_map(|f| entry.get_datetime(f).ok())?;
    Some(time.timestamp_millis()).filter(|ms| *ms > 0)
}

/// Reads an optime, or an oplog entry, which has the same two fields.
pub(super) fn optime(document: &Document) -> OpTime {
    let ts = document.get_timestamp("ts").ok();
    OpTime {
        term: integer(document, "t").unwrap_or(-1),
        seconds: ts.map_or(0, |ts| ts.time),
        counter: ts.map_or(0, |ts| ts.increment),
    }
}

/// Reads the optime of a written entry. A node that has just started reports a zero, which says nothing.
fn written(document: &Document) -> Option<OpTime> {
    Some(optime(document)).filter(|written| written.seconds > 0)
}

/// Reads `local.replset.initialSyncId`.
pub(super) fn data_id(document: &Document) -> Result<DataId, Error> {
    match document.get("_id") {
        Some(Bson::Binary(binary)) => {
            binary.to_uuid().map(DataId).map_err(|_| Error::Unreadable("local.replset.initialSyncId"))
        }
        _ => Err(Error::Unreadable("local.replset.initialSyncId")),
    }
}

/// Reads `serverStatus.catalogStats`. If it is absent, the count is unknown, not zero. The server counts time series
/// and views separately from collections.
pub(super) fn user_data(reply: &Document) -> UserData {
    let Ok(stats) = reply.get_document("catalogStats") else { return UserData::Unknown };
    let Some(collections) = integer(stats, "collections") else { return UserData::Unknown };
    let others = ["timeseries", "views"].iter().filter_map(|kind| integer(stats, kind));
    match others.fold(collections, i64::saturating_add) {
        0 => UserData::None,
        n => UserData::Collections(n.unsigned_abs()),
    }
}

/// Reads the answer to `getParameter` for the feature compatibility version. During a change, `version` is the lower
/// one.
pub(super) fn feature(reply: &Document) -> Option<FeatureVersion> {
    reply.get_document("featureCompatibilityVersion").ok()?.get_str("version").ok()?.parse().ok()
}

/// Reads `hostInfo.system.hostname`, which includes the port.
pub(super) fn hostname(reply: &Document) -> Option<String> {
    let text = reply.get_document("system").ok()?.get_str("hostname").ok()?;
    let name = text.rsplit_once(':').map_or(text, |(name, _)| name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The set that the command line or the configuration file names (`getCmdLineOpts`).
pub(super) fn wanted_set(reply: &Document) -> Option<SetName> {
    let replication = reply.get_document("parsed").ok()?.get_document("replication").ok()?;
    let name = ["replSet", "replSetName"].iter().find_map(|f| replication.get_str(f).ok())?;
    // The server still accepts the old form `--replSet name/seed,seed`.
    Some(SetName::new(name.split('/').next().unwrap_or(name)))
}

pub(super) const LOCK_ID: &str = "bootstrap";

pub(super) fn lock_document(lock: &Lock) -> Document {
    bson::doc! {
        "_id": LOCK_ID, "token": &lock.token.0, "seed": lock.seed.to_string(), "seedProcess": lock.seed_process.0,
    }
}

/// Whether no document matched the filter of the one update in a command.
pub(super) fn matched_none(reply: &Document) -> bool {
    integer(reply, "n") != Some(1)
}

pub(super) const REMOVED_MARK_ID: &str = "leaving";

pub(super) fn removed_mark_document(process: ProcessId) -> Document {
    bson::doc! { "_id": REMOVED_MARK_ID, "process": process.0 }
}

/// Whether a removed mark names this process. It may name an earlier process on the same data directory.
pub(super) fn names_process(note: &Document, process: ProcessId) -> bool {
    note.get_object_id("process").is_ok_and(|named| named == process.0)
}

pub(super) fn lock(document: &Document) -> Result<Lock, Error> {
    let unreadable = || Error::Unreadable("local.rsctl");
    Ok(Lock {
        token: Token(document.get_str("token").map_err(|_| unreadable())?.to_owned()),
        seed: document.get_str("seed").ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable)?,
        seed_process: ProcessId(document.get_object_id("seedProcess").map_err(|_| unreadable())?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;
    use proptest::prelude::*;

    /// Every field that this module reads.
    const FIELDS: [&str; 65] = [
        "topologyVersion",
        "processId",
        "maxWireVersion",
        "setName",
        "primary",
        "isWritablePrimary",
        "arbiterOnly",
        "msg",
        "hosts",
        "passives",
        "myState",
        "optimes",
        "members",
        "_id",
        "health",
        "state",
        "lastHeartbeatMessage",
        "infoMessage",
        "lastHeartbeatRecv",
        "date",
        "optime",
        "term",
        "lastCommittedOpTime",
        "appliedOpTime",
        "writtenOpTime",
        "initialSyncStatus",
        "failedInitialSyncAttempts",
        "initialSyncAttempts",
        "approxTotalDataSize",
        "approxTotalBytesCopied",
        "remainingInitialSyncEstimatedMillis",
        "electionDate",
        "oplog",
        "v",
        "events",
        "key",
        "at",
        "by",
        "what",
        "why",
        "changes",
        "earliestOptime",
        "latestOptime",
        "status",
        "optimeWritten",
        "lastAppliedWallTime",
        "syncSourceHost",
        "optimeDate",
        "ts",
        "t",
        "catalogStats",
        "collections",
        "timeseries",
        "views",
        "featureCompatibilityVersion",
        "version",
        "system",
        "hostname",
        "parsed",
        "replication",
        "replSet",
        "token",
        "seed",
        "seedProcess",
        "process",
    ];

    fn filled(fields: Vec<(&str, Bson)>) -> Document {
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn odd() -> impl Strategy<Value = Bson> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Bson::from),
            any::<i32>().prop_map(Bson::from),
            any::<f64>().prop_map(Bson::from),
            any::<bool>().prop_map(Bson::from),
            ".{0,20}".prop_map(Bson::from),
            any::<i64>().prop_map(|ms| bson::DateTime::from_millis(ms).into()),
            any::<(u32, u32)>().prop_map(|(time, increment)| bson::Timestamp { time, increment }.into()),
            any::<[u8; 12]>().prop_map(|id| bson::oid::ObjectId::from_bytes(id).into()),
            Just(Bson::Null),
        ];
        leaf.prop_recursive(4, 60, 12, |inner| {
            let field = proptest::sample::select(FIELDS.as_slice());
            let document = proptest::collection::vec((field, inner.clone()), 0..12);
            prop_oneof![
                document.prop_map(|fields| filled(fields).into()),
                proptest::collection::vec(inner, 0..4).prop_map(Bson::from),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(fields in proptest::collection::vec((proptest::sample::select(FIELDS.as_slice()), odd()), 0..20)) {
            let reply = filled(fields);
            let _ = (hello(&reply).is_ok(), status(&reply).is_ok(), data_id(&reply).is_ok(), lock(&reply).is_ok());
            let _ = (optime(&reply), user_data(&reply), feature(&reply), hostname(&reply), wanted_set(&reply));
            let _ = (oplog_window(&reply), events(&reply));
        }
    }

    #[test]
    fn what_is_written_is_read_where_it_is_reported() {
        let at = |seconds: u32| doc! { "ts": bson::Timestamp { time: seconds, increment: 1 }, "t": 4_i64 };
        let member = |written: Option<u32>| {
            let mut member = doc! { "_id": 0, "health": 1, "state": 2, "optime": at(10) };
            member.extend(written.map(|seconds| ("optimeWritten".to_owned(), at(seconds).into())));
            member
        };
        // A member that has just started reports a zero.
        for (written, newest) in [(Some(12), 12), (None, 10), (Some(0), 10)] {
            let mut optimes = doc! { "appliedOpTime": at(10) };
            optimes.extend(written.map(|seconds| ("writtenOpTime".to_owned(), at(seconds).into())));
            let reply = doc! { "myState": 2, "optimes": optimes, "members": [member(written)] };
            let (_, view) = status(&reply).unwrap();
            let seconds = [view.newest().seconds, view.peers[&MemberId(0)].newest().seconds];
            assert_eq!((seconds, view.applied.seconds), ([newest, newest], 10));
        }
    }

    #[test]
    fn times_at_the_ends_of_time_are_no_panic() {
        let at = |ms| bson::DateTime::from_millis(ms);
        for (now, heard) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MAX, 1), (0, 0)] {
            let member = doc! { "_id": 0, "health": 1, "state": 2, "lastHeartbeatRecv": at(heard) };
            let reply = doc! { "myState": 2, "date": at(now), "members": [member] };
            assert!(status(&reply).is_ok());
        }
    }
}
