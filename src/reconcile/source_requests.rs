//! Requests that made a member copy from another member, and whether it does.

use super::pace;
use crate::model::{Node, NodeState, Observed, OpTime, Probe, ProcessId, SyncSourceRequest, Taken};
use std::time::Duration;
use tokio::time::Instant;

/// The last request to each process.
#[derive(Debug, Default)]
pub(super) struct SourceRequests(Vec<SourceRequest>);

/// It was sent `times` times, and the member has until `until` to follow it.
#[derive(Debug)]
struct SourceRequest {
    on: ProcessId,
    source: ProcessId,
    times: u32,
    sent_at: Instant,
    until: Instant,
    taken: Taken,
    /// The newest write of the primary when the member first named the source.
    named_at: Option<OpTime>,
}

impl SourceRequests {
    /// Records a request. It replaces every earlier request to the same process. A request is kept for `keep_for` after its
    /// wait is over.
    pub(super) fn sent(
        &mut self,
        observed: &Observed,
        (on, source): (&Probe, &Probe),
        now: Instant,
        keep_for: Duration,
    ) {
        let pair = [on.process, source.process];
        let same_pair = |r: &SourceRequest| pair.contains(&r.on) && pair.contains(&r.source);
        self.0.retain(|r| now < r.until + keep_for);
        let before = self.0.iter().find(|r| same_pair(r)).map_or(0, |r| r.times);
        let times = before.saturating_add(1);
        self.0.retain(|r| !same_pair(r) && r.on != on.process);
        let until = now + pace::sync_source_retry_after(times);
        let taken = if source_of(observed, on).is_none() { Taken::OnWaking } else { Taken::NotYet };
        self.0.push(SourceRequest {
            on: on.process,
            source: source.process,
            times,
            sent_at: now,
            until,
            taken,
            named_at: None,
        });
    }

    /// Takes note of what the members copy. A member names its new source before it knows whether that one is ahead of it.
    /// If not, it copies from nobody for a second. It copies from the source when it holds a write that the primary made
    /// after that.
    pub(super) fn observe(&mut self, observed: &Observed) {
        let probes = || observed.nodes.values().filter_map(Node::probe);
        let primaries = probes().filter(|p| p.state == NodeState::Primary);
        let Some(head) = primaries.filter_map(Probe::newest).max() else { return };
        for request in &mut self.0 {
            let Some(on) = probes().find(|p| p.process == request.on) else { continue };
            if source_of(observed, on) != Some(request.source) {
                request.named_at = None;
                if request.taken == Taken::Yes {
                    request.taken = Taken::NotYet;
                }
                continue;
            }
            match request.named_at {
                Some(then) if on.newest() >= Some(then) => request.taken = Taken::Yes,
                Some(_) => {}
                None => request.named_at = Some(head),
            }
        }
    }

    pub(super) fn show(&self, now: Instant) -> Vec<SyncSourceRequest> {
        let show = |r: &SourceRequest| SyncSourceRequest {
            on: r.on,
            source: r.source,
            fresh: now < r.until,
            age: now.duration_since(r.sent_at),
            taken: r.taken,
        };
        self.0.iter().map(show).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The process that a member copies from.
fn source_of(observed: &Observed, member: &Probe) -> Option<ProcessId> {
    let host = member.view.as_ref()?.sync_source.as_ref()?;
    observed.probe(host).map(|source| source.process)
}
