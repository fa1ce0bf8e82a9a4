//! An application that writes during the whole run with `w: majority`, and records each acknowledged write.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// The limit of one write. After that, its outcome is unknown.
const WRITE_LIMIT: Duration = Duration::from_secs(4);
const PACE: Duration = Duration::from_millis(10);
/// After this time without an acknowledgement, the application asks for the URI again.
const PATIENCE: Duration = Duration::from_secs(1);

struct Tally {
    /// The numbers of the acknowledged writes.
    acknowledged: Vec<i64>,
    unknown: u64,
    last: Instant,
    longest: Duration,
}

pub struct Workload {
    tally: Arc<Mutex<Tally>>,
    /// The set's URI, and the client for it.
    client: Arc<Mutex<(String, Client)>>,
    task: JoinHandle<()>,
}

async fn connect(uri: &str) -> Client {
    let mut options = ClientOptions::parse(uri).await.unwrap();
    options.server_selection_timeout = Some(WRITE_LIMIT);
    options.write_concern = Some(WriteConcern::majority());
    Client::with_options(options).unwrap()
}

pub fn collection(client: &Client) -> Collection<Document> {
    client.database("nemesis").collection("writes")
}

impl Workload {
    pub async fn start(uri: &str) -> Self {
        let client = Arc::new(Mutex::new((uri.to_owned(), connect(uri).await)));
        let tally = Tally { acknowledged: Vec::new(), unknown: 0, last: Instant::now(), longest: Duration::ZERO };
        let tally = Arc::new(Mutex::new(tally));
        let task = tokio::spawn(write(Arc::clone(&client), Arc::clone(&tally)));
        Self { tally, client, task }
    }

    pub fn acknowledged(&self) -> Vec<i64> {
        self.tally.lock().unwrap().acknowledged.clone()
    }

    pub fn unknown(&self) -> u64 {
        self.tally.lock().unwrap().unknown
    }

    /// The longest time without an acknowledgement since the round began.
    pub fn gap(&self) -> Duration {
        let tally = self.tally.lock().unwrap();
        tally.longest.max(tally.last.elapsed())
    }

    pub fn begin_round(&self) {
        self.tally.lock().unwrap().longest = Duration::ZERO;
    }

    /// Whether the last acknowledgement is so old (`PATIENCE`) that the application asks for the URI again.
    pub fn is_stuck(&self) -> bool {
        self.tally.lock().unwrap().last.elapsed() > PATIENCE
    }

    /// Uses this URI from now on. It makes a new client only if the URI differs.
    pub async fn follow(&self, uri: &str) {
        if self.client.lock().unwrap().0 != uri {
            let fresh = (uri.to_owned(), connect(uri).await);
            let (_, old) = std::mem::replace(&mut *self.client.lock().unwrap(), fresh);
            old.shutdown().immediate(true).await;
        }
    }

    /// Waits until a write that begins after this call is acknowledged. Returns false at the limit.
    pub async fn goes_on(&self, limit: Duration) -> bool {
        let goal = self.tally.lock().unwrap().acknowledged.len() + 2;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.tally.lock().unwrap().acknowledged.len() >= goal {
                return true;
            }
            sleep(PACE).await;
        }
        false
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(client: Arc<Mutex<(String, Client)>>, tally: Arc<Mutex<Tally>>) {
    for number in 0i64.. {
        let writes = collection(&client.lock().unwrap().1);
        let outcome = timeout(WRITE_LIMIT, async { writes.insert_one(doc! { "_id": number }).await }).await;
        {
            let mut tally = tally.lock().unwrap();
            if matches!(outcome, Ok(Ok(_))) {
                tally.longest = tally.longest.max(tally.last.elapsed());
                tally.last = Instant::now();
                tally.acknowledged.push(number);
            } else {
                tally.unknown += 1;
            }
        }
        sleep(PACE).await;
    }
}
