//! An application that writes with `w: majority` and keeps count: the judge of "no acknowledged write is lost".

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, Result};
use mongodb::options::{ClientOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

/// A write that was not acknowledged by then counts as unknown.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(10);

/// What was acknowledged so far.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The ids that a majority acknowledged, in order.
    pub acknowledged: Vec<i64>,
    /// The longest time without an acknowledgement, the still open one included.
    pub longest_gap: Duration,
    /// Writes that failed or whose outcome is unknown, with the last reason.
    pub failed: usize,
    pub last_error: Option<String>,
    last: Instant,
}

impl Tally {
    fn acknowledge(&mut self, id: i64) {
        self.longest_gap = self.longest_gap.max(self.last.elapsed());
        self.last = Instant::now();
        self.acknowledged.push(id);
    }
}

/// Writes until told to stop.
pub struct MajorityWriter {
    uri: String,
    tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts to write `{_id: n}` through the real driver, with nothing but the URI.
pub async fn majority_writer(uri: &str) -> Result<MajorityWriter> {
    let writes = collection(uri).await?;
    let empty = Tally {
        acknowledged: Vec::new(),
        longest_gap: Duration::ZERO,
        failed: 0,
        last_error: None,
        last: Instant::now(),
    };
    let tally = Arc::new(Mutex::new(empty));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(write(writes, tally.clone(), stopped));
    Ok(MajorityWriter { uri: uri.to_owned(), tally, stop, task })
}

impl MajorityWriter {
    /// How it stands.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.lock().unwrap().clone();
        tally.longest_gap = tally.longest_gap.max(tally.last.elapsed());
        tally
    }

    /// How many writes were acknowledged so far.
    pub fn count(&self) -> usize {
        self.tally.lock().unwrap().acknowledged.len()
    }

    /// Forgets the gaps so far: the next reading is about what happens from now on.
    pub fn reset_gap(&self) {
        self.tally.lock().unwrap().longest_gap = Duration::ZERO;
    }

    /// Waits for a write that begins after this call to be acknowledged.
    pub async fn next_acknowledged(&self, limit: Duration) -> bool {
        // One write may be under way already; the second one from here began later.
        let goal = self.count() + 2;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.count() >= goal {
                return true;
            }
            tokio::time::sleep(PACE).await;
        }
        false
    }

    /// Ends it, and reads at the primary which acknowledged ids are missing there.
    pub async fn finish(self) -> Result<(Tally, Vec<i64>)> {
        let tally = self.tally();
        self.stop.send_replace(true);
        let _ = self.task.await;
        let missing = missing(&self.uri, &tally.acknowledged).await?;
        Ok((tally, missing))
    }
}

/// Writes these ids at once; a majority acknowledges them.
pub async fn insert(uri: &str, ids: &[i64]) -> Result<()> {
    let documents: Vec<_> = ids.iter().map(|id| doc! { "_id": id }).collect();
    collection(uri).await?.insert_many(documents).await.map(drop)
}

/// Of these ids, those that a majority read at the primary does not find.
pub async fn missing(uri: &str, ids: &[i64]) -> Result<Vec<i64>> {
    let writes = collection(uri).await?;
    let found = writes.distinct("_id", doc! {}).read_concern(ReadConcern::majority()).await?;
    let found: std::collections::HashSet<i64> = found.iter().filter_map(|id| id.as_i64()).collect();
    Ok(ids.iter().copied().filter(|id| !found.contains(id)).collect())
}

async fn write(writes: Collection<Document>, tally: Arc<Mutex<Tally>>, stopped: watch::Receiver<bool>) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for id in 0i64.. {
        pace.tick().await;
        if *stopped.borrow() {
            return;
        }
        let outcome = timeout(WRITE_LIMIT, async { writes.insert_one(doc! { "_id": id }).await }).await;
        let mut tally = tally.lock().unwrap();
        let error = match outcome {
            Ok(Ok(_)) => {
                tally.acknowledge(id);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no acknowledgement within {WRITE_LIMIT:?}"),
        };
        tally.failed += 1;
        tally.last_error = Some(error);
    }
}

async fn collection(uri: &str) -> std::result::Result<Collection<Document>, Error> {
    let mut options = ClientOptions::parse(uri).await?;
    options.server_selection_timeout = Some(WRITE_LIMIT);
    options.write_concern = Some(WriteConcern::majority());
    Ok(Client::with_options(options)?.database("rsctl_demo").collection("writes"))
}
