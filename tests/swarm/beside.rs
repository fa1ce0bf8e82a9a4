//! Stories that run at the same time as the main one, because they mostly wait.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Outcome;

type Ended = (&'static str, Outcome<String>);

/// The stories by name, and the results of those that have ended.
#[derive(Default)]
pub(super) struct Beside<'l> {
    running: FuturesUnordered<LocalBoxFuture<'l, Ended>>,
    ended: BTreeMap<&'static str, Outcome<String>>,
}

impl<'l> Beside<'l> {
    /// Adds a story. It makes progress only while a method of this type waits.
    pub(super) fn begin(&mut self, name: &'static str, story: impl Future<Output = Outcome<String>> + 'l) {
        self.running.push(Box::pin(async move { (name, story.await) }));
    }

    /// Takes over the stories of another value.
    pub(super) fn adopt(&mut self, others: Self) {
        self.running.extend(others.running);
        self.ended.extend(others.ended);
    }

    /// Waits for something else, while all stories make progress.
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

    /// Waits for the end of this story. `None` if it was not added.
    pub(super) async fn end_of(&mut self, name: &str) -> Option<Outcome<String>> {
        while !self.ended.contains_key(name) {
            let (ended, outcome) = self.running.next().await?;
            self.ended.insert(ended, outcome);
        }
        self.ended.remove(name)
    }
}
