//! An application that writes with `w: majority` and records each acknowledged write, to show that none is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, Result};
use mongodb::options::{ClientOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

/// The limit of one write. After that, its outcome is unknown.
// A write that is in progress when the primary dies sometimes hangs in the Rust driver (3.9.1, 3 of 90 under load), while
// the next write is acknowledged at once. The limit is short, so that this gap is not taken for a gap of the set.
const WRITE_LIMIT: Duration = Duration::from_secs(3);
const PACE: Duration = Duration::from_millis(10);

/// The result so far.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The ids that a majority acknowledged, in order.
    pub acknowledged: Vec<i64>,
    /// The longest time without an acknowledgement, including the present one.
    pub longest_gap: Duration,
    /// How many writes failed or have an unknown outcome.
    pub failed: usize,
    pub last_error: Option<String>,
    last: Instant,
}

impl Tally {
    fn new() -> Self {
        let acknowledged = Vec::new();
        Self { acknowledged, longest_gap: Duration::ZERO, failed: 0, last_error: None, last: Instant::now() }
    }

    fn acknowledge(&mut self, id: i64) {
        self.longest_gap = self.longest_gap.max(self.last.elapsed());
        self.last = Instant::now();
        self.acknowledged.push(id);
    }
}

/// How writes reach the set: through a driver, or through an application.
pub trait Sink: Send + Sync + 'static {
    /// Writes this id. Succeeds when a majority has it.
    fn write(&self, id: i64) -> impl Future<Output = std::result::Result<(), String>> + Send;

    /// The pause between two writes.
    fn pace(&self) -> Duration {
        PACE
    }

    /// The first id. It differs if several writers use one collection.
    fn first(&self) -> i64 {
        0
    }
}

impl Sink for Collection<Document> {
    async fn write(&self, id: i64) -> std::result::Result<(), String> {
        self.insert_one(doc! { "_id": id }).await.map(drop).map_err(|error| error.to_string())
    }
}

/// A writer that runs until it is finished or dropped.
pub struct MajorityWriter {
    uri: String,
    tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts to write `{_id: n}` through the real driver, which knows only the URI.
pub async fn majority_writer(uri: &str) -> Result<MajorityWriter> {
    Ok(writer(collection(uri).await?, uri))
}

/// The same through another way. `uri` is the URI of the set.
pub fn writer(sink: impl Sink, uri: &str) -> MajorityWriter {
    let tally = Arc::new(Mutex::new(Tally::new()));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(write(sink, tally.clone(), stopped));
    MajorityWriter { uri: uri.to_owned(), tally, stop, task }
}

impl MajorityWriter {
    /// The result so far.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.lock().unwrap().clone();
        tally.longest_gap = tally.longest_gap.max(tally.last.elapsed());
        tally
    }

    /// How many writes were acknowledged so far.
    pub fn count(&self) -> usize {
        self.tally.lock().unwrap().acknowledged.len()
    }

    /// Resets the longest gap, so that the next reading covers only what happens from now on.
    pub fn reset_gap(&self) {
        self.tally.lock().unwrap().longest_gap = Duration::ZERO;
    }

    /// Waits until a write that begins after this call is acknowledged.
    pub async fn next_acknowledged(&self, limit: Duration) -> bool {
        // One write may be in progress already; the second one from here began later.
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

    /// Stops the writer.
    pub async fn rest(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }

    /// Stops the writer, and reads at the primary which acknowledged ids are missing.
    pub async fn finish(self) -> Result<(Tally, Vec<i64>)> {
        let tally = self.tally();
        self.stop.send_replace(true);
        let _ = self.task.await;
        let missing = missing(&self.uri, &tally.acknowledged).await?;
        Ok((tally, missing))
    }
}

/// Writes these ids together, with `w: majority`.
pub async fn insert(uri: &str, ids: &[i64]) -> Result<()> {
    let documents: Vec<_> = ids.iter().map(|id| doc! { "_id": id }).collect();
    collection(uri).await?.insert_many(documents).await.map(drop)
}

/// Those of these ids that a read at the primary with read concern `majority` does not find.
pub async fn missing(uri: &str, ids: &[i64]) -> Result<Vec<i64>> {
    missing_in(collection(uri).await?, ids).await
}

/// The same, for any collection.
pub async fn missing_in(writes: Collection<Document>, ids: &[i64]) -> Result<Vec<i64>> {
    let found = writes.distinct("_id", doc! {}).read_concern(ReadConcern::majority()).await?;
    // JavaScript writes doubles, exact up to 2^53, or 32 bits.
    let number = |id: &Bson| id.as_i64().or(id.as_i32().map(i64::from)).or(id.as_f64().map(|id| id as i64));
    let found: std::collections::HashSet<i64> = found.iter().filter_map(number).collect();
    Ok(ids.iter().copied().filter(|id| !found.contains(id)).collect())
}

async fn write(sink: impl Sink, tally: Arc<Mutex<Tally>>, stopped: watch::Receiver<bool>) {
    let mut pace = interval(sink.pace());
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for id in sink.first().. {
        pace.tick().await;
        if *stopped.borrow() {
            return;
        }
        let outcome = timeout(WRITE_LIMIT, async { sink.write(id).await }).await;
        let mut tally = tally.lock().unwrap();
        let error = match outcome {
            Ok(Ok(())) => {
                tally.acknowledge(id);
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => format!("no acknowledgement within {WRITE_LIMIT:?}"),
        };
        tally.failed += 1;
        tally.last_error = Some(error);
    }
}

/// The collection of the writer, in the database that the URI names.
pub async fn collection(uri: &str) -> std::result::Result<Collection<Document>, Error> {
    let mut options = ClientOptions::parse(uri).await?;
    let database = options.default_database.take().unwrap_or_else(|| "rsctl_demo".to_owned());
    options.server_selection_timeout = Some(WRITE_LIMIT);
    options.write_concern = Some(WriteConcern::majority());
    Ok(Client::with_options(options)?.database(&database).collection("writes"))
}
