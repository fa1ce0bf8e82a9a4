//! An application that writes continuously, one write after the other, by default with `w: majority`.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::doc;
use mongodb::options::{ClientOptions, WriteConcern};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::stand::LIMIT;

/// The pause between two writes: short enough for a resolution of a few milliseconds, long enough to leave the machine idle.
const PACE: Duration = Duration::from_millis(5);

/// A write that was acknowledged.
#[derive(Clone, Copy)]
struct Beat {
    started: Instant,
    acknowledged: Instant,
}

/// Writes until dropped.
pub(crate) struct Pulse {
    last: watch::Receiver<Option<Beat>>,
    task: JoinHandle<()>,
}

impl Pulse {
    /// Starts to write through a driver that knows only this URI.
    pub(crate) async fn start(uri: &str) -> Self {
        Self::start_by(uri, WriteConcern::majority(), LIMIT).await
    }

    /// Gives up a write after `patience` and starts the next one: the driver itself waits without a limit on a connection to
    /// a lost machine.
    pub(crate) async fn start_by(uri: &str, concern: WriteConcern, patience: Duration) -> Self {
        let mut options = ClientOptions::parse(uri).await.unwrap();
        options.write_concern = Some(concern);
        let writes = Client::with_options(options).unwrap().database("bench").collection("writes");
        let (tell, last) = watch::channel(None);
        let task = tokio::spawn(async move {
            loop {
                let started = Instant::now();
                if matches!(timeout(patience, writes.insert_one(doc! {})).await, Ok(Ok(_))) {
                    tell.send_replace(Some(Beat { started, acknowledged: Instant::now() }));
                    sleep(PACE).await;
                }
            }
        });
        Self { last, task }
    }

    /// Time from `moment` until a write that began later was acknowledged. `None` if that takes longer than `limit`.
    pub(crate) async fn next_after(&mut self, moment: Instant, limit: Duration) -> Option<Duration> {
        let later = self.last.wait_for(|beat| beat.is_some_and(|b| b.started >= moment));
        let beat = timeout(limit, later).await.ok()?.unwrap().unwrap();
        Some(beat.acknowledged - moment)
    }

    /// The longest such time within `window` after `moment`. `None` if one takes longer than `limit`.
    pub(crate) async fn longest_after(
        &mut self,
        moment: Instant,
        window: Duration,
        limit: Duration,
    ) -> Option<Duration> {
        let (mut from, mut longest) = (moment, Duration::ZERO);
        while from < moment + window {
            longest = longest.max(self.next_after(from, limit).await?);
            from = Instant::now();
        }
        Some(longest)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}
