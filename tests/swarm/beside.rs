//! What goes on beside the story, because it mostly waits.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Outcome;

type Ended = (&'static str, Outcome<String>);

/// Stories of their own, by name, and how those ended that did.
#[derive(Default)]
pub(super) struct Beside<'l> {
    running: FuturesUnordered<LocalBoxFuture<'l, Ended>>,
    ended: BTreeMap<&'static str, Outcome<String>>,
}

impl<'l> Beside<'l> {
    /// It goes on only while somebody waits for something here.
    pub(super) fn begin(&mut self, name: &'static str, story: impl Future<Output = Outcome<String>> + 'l) {
        self.running.push(Box::pin(async move { (name, story.await) }));
    }

    /// What others began goes on here.
    pub(super) fn adopt(&mut self, others: Self) {
        self.running.extend(others.running);
        self.ended.extend(others.ended);
    }

    /// Waits for something else, while all of them go on.
    pub(super) async fn while_waiting_for<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        loop {
            tokio::select! {
                result = &mut other => return result,
                Some((name, outcome)) = self.running.next() => {
                    self.ended.insert(name, outcome);
                }
            }
        }
    }

    /// Waits for the end of this one; none if nobody began it.
    pub(super) async fn end_of(&mut self, name: &str) -> Option<Outcome<String>> {
        while !self.ended.contains_key(name) {
            let (ended, outcome) = self.running.next().await?;
            self.ended.insert(ended, outcome);
        }
        self.ended.remove(name)
    }
}
