//! Reads how far an initial sync is, how long a primary leads, and how far back an oplog reaches.

use super::{integer, own_entry};
use crate::model::{FailedSyncs, InitialSync};
use bson::{Bson, Document};
use std::time::Duration;

/// Reads the failures in `initialSyncStatus`, which only a node in its initial sync reports.
pub(super) fn failed_syncs(reply: &Document) -> Option<FailedSyncs> {
    let status = reply.get_document("initialSyncStatus").ok()?;
    let times = integer(status, "failedInitialSyncAttempts").and_then(|times| u32::try_from(times).ok())?;
    let attempts = status.get_array("initialSyncAttempts").map(Vec::as_slice).unwrap_or_default();
    let last = attempts.last().and_then(Bson::as_document).and_then(|attempt| attempt.get_str("status").ok());
    let reason = last.unwrap_or("no reason given").to_owned();
    (times > 0).then_some(FailedSyncs { times, reason })
}

/// Reads the progress in `initialSyncStatus`. A server that does not know the total yet reports zero or nothing.
pub(super) fn initial_sync(reply: &Document) -> Option<InitialSync> {
    let status = reply.get_document("initialSyncStatus").ok()?;
    let amount = |field| integer(status, field).and_then(|n| u64::try_from(n).ok());
    let total = amount("approxTotalDataSize").filter(|total| *total > 0)?;
    let copied = amount("approxTotalBytesCopied")?.min(total);
    let left = amount("remainingInitialSyncEstimatedMillis").filter(|ms| *ms > 0).map(Duration::from_millis);
    Some(InitialSync { copied, total, left })
}

/// How long ago this member won its election, by the clock of the node that answers.
pub(super) fn elected_for(reply: &Document, members: &[Bson]) -> Option<Duration> {
    let won = own_entry(members)?.get_datetime("electionDate").ok()?.timestamp_millis();
    let now = reply.get_datetime("date").ok()?.timestamp_millis();
    let passed = now.checked_sub(won).and_then(|ms| u64::try_from(ms).ok())?;
    (won > 0).then(|| Duration::from_millis(passed))
}

/// Reads `serverStatus.oplog`.
pub(in crate::mongo) fn oplog_window(reply: &Document) -> Option<Duration> {
    let oplog = reply.get_document("oplog").ok()?;
    let end = |field| oplog.get_timestamp(field).ok().map(|ts| ts.time).filter(|seconds| *seconds > 0);
    let (first, last) = (end("earliestOptime")?, end("latestOptime")?);
    last.checked_sub(first).map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Timestamp, doc};

    #[test]
    fn progress_is_told_only_as_far_as_it_is_known() {
        let sync = |status: Document| initial_sync(&doc! { "initialSyncStatus": status });
        let whole = doc! {
            "approxTotalDataSize": 1000_i64, "approxTotalBytesCopied": 620, "remainingInitialSyncEstimatedMillis": 90_000_i64,
        };
        let left = Some(Duration::from_secs(90));
        assert_eq!(sync(whole), Some(InitialSync { copied: 620, total: 1000, left }));
        let no_time = doc! { "approxTotalDataSize": 1000, "approxTotalBytesCopied": 0 };
        assert_eq!(sync(no_time), Some(InitialSync { copied: 0, total: 1000, left: None }));
        let more = doc! { "approxTotalDataSize": 1000, "approxTotalBytesCopied": 1001 };
        assert_eq!(sync(more).map(|sync| sync.copied), Some(1000), "a bar is never longer than itself");
        assert_eq!(sync(doc! { "approxTotalDataSize": 0, "approxTotalBytesCopied": 0 }), None);
        assert_eq!(sync(doc! { "approxTotalDataSize": -5, "approxTotalBytesCopied": -6 }), None);
        assert_eq!(sync(doc! {}), None);
        assert_eq!(initial_sync(&doc! {}), None);
    }

    #[test]
    fn times_of_clocks_that_go_wrong_are_unknown() {
        let elected = |now, won| {
            let own = doc! { "self": true, "electionDate": bson::DateTime::from_millis(won) };
            elected_for(&doc! { "date": bson::DateTime::from_millis(now) }, &[own.into()])
        };
        assert_eq!(elected(9000, 2000), Some(Duration::from_secs(7)));
        assert_eq!([elected(2000, 9000), elected(i64::MAX, i64::MIN), elected(i64::MIN, i64::MAX)], [None; 3]);
        let window = |first, last| {
            let ts = |time| Timestamp { time, increment: 1 };
            oplog_window(&doc! { "oplog": { "earliestOptime": ts(first), "latestOptime": ts(last) } })
        };
        assert_eq!(window(100, 3700), Some(Duration::from_secs(3600)));
        assert_eq!([window(3700, 100), window(0, 100), window(100, 0)], [None; 3]);
    }
}
