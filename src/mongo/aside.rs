//! What a mongod is asked beside the observations: how far back its oplog reaches, and the history that it keeps.
//!
//! **Invariant:** no observation and no step waits for this, and none fails because of it. One task at a time asks one
//! mongod, on a connection that no observation needs at that time. What it cannot write is lost.

use super::probe::run;
use super::{Mongods, insert, update, wire};
use crate::model::{EVENTS_MAX, Event, PauseWord, ProcessId};
use crate::panics::contained;
use bson::{Document, doc};
use mongodb::Client;
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The time from one request to the next while there is nothing to write. An oplog window grows by at most this much in
/// between.
const EVERY: Duration = Duration::from_secs(60);
/// The time until a word about a pause is written again to a mongod that does not have it.
const WORD_RETRY: Duration = Duration::from_secs(5);
/// The time limit of all that one task asks.
const LIMIT: Duration = Duration::from_secs(5);
/// The largest number of events that wait to be written to one mongod.
const UNKEPT_MAX: usize = 20;

/// What one mongod said, as of at most a minute ago. What it did not say is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The time between the first and the last entry of its oplog.
    pub oplog: Option<Duration>,
    /// The history that it keeps.
    pub history: Option<Arc<[Event]>>,
}

/// What one task writes.
#[derive(Debug, Default, PartialEq)]
struct ToWrite {
    events: Vec<Event>,
    word: Option<(PauseWord, Try)>,
}

/// Whether a word was written before. Only its first failure is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    First,
    Again,
}

/// What is known of one mongod.
#[derive(Default)]
pub(super) struct Aside {
    asked: Option<(ProcessId, Instant)>,
    busy: bool,
    told: Told,
    unkept: Vec<Event>,
    /// The word about a pause that was last to be written, and when.
    word: Option<(PauseWord, Instant)>,
    unsaid: Option<(PauseWord, Try)>,
}

impl Aside {
    /// The events to write, if it is time for a task. What another process said is forgotten.
    fn begin(&mut self, process: ProcessId) -> Option<ToWrite> {
        let same = self.asked.filter(|(asked, _)| *asked == process);
        if same.is_none() {
            self.told = Told::default();
        }
        let writes = !self.unkept.is_empty() || self.unsaid.is_some();
        let due = writes || same.is_none_or(|(_, at)| at.elapsed() >= EVERY);
        if self.busy || !due {
            return None;
        }
        (self.busy, self.asked) = (true, Some((process, Instant::now())));
        Some(ToWrite { events: std::mem::take(&mut self.unkept), word: self.unsaid.take() })
    }

    fn end(&mut self, process: ProcessId, told: Told) {
        self.busy = false;
        if self.asked.is_some_and(|(asked, _)| asked == process) {
            self.told = told;
        }
    }

    /// A word that the mongod does not take is written again later.
    fn keep_word(&mut self, word: &PauseWord) {
        let last = self.word.as_ref().filter(|(last, _)| last == word).map(|(_, at)| *at);
        if last.is_none_or(|at| at.elapsed() >= WORD_RETRY) {
            let attempt = if last.is_none() { Try::First } else { Try::Again };
            (self.word, self.unsaid) = (Some((word.clone(), Instant::now())), Some((word.clone(), attempt)));
        }
    }

    fn keep(&mut self, events: &[Event]) {
        self.unkept.extend_from_slice(events);
        let excess = self.unkept.len().saturating_sub(UNKEPT_MAX);
        self.unkept.drain(..excess);
    }
}

impl Mongods {
    /// What the process at this address has said so far. Starts a task that asks it again if it is time to.
    pub(super) fn told(&self, at: SocketAddr, client: &Client, process: ProcessId) -> Told {
        let node = self.node(at);
        let mut aside = lock(&node.aside);
        if let Some(writes) = aside.begin(process) {
            let (client, node) = (client.clone(), Arc::clone(&node));
            tokio::spawn(async move {
                let told = limited(ask(at, &client, writes)).await;
                lock(&node.aside).end(process, told);
            });
        }
        aside.told.clone()
    }

    /// Has the mongod at this address keep these events, with the next task.
    pub(super) fn keep(&self, at: SocketAddr, events: &[Event]) {
        lock(&self.node(at).aside).keep(events);
    }

    /// Has the mongod at this address keep this word, with the next task.
    pub(super) fn keep_word(&self, at: SocketAddr, word: &PauseWord) {
        lock(&self.node(at).aside).keep_word(word);
    }

    /// Asks the mongod at this address now. For a command that makes only one observation.
    pub async fn ask_aside(&self, at: SocketAddr) -> Told {
        limited(async {
            match self.client(at).await {
                Ok(client) => ask(at, &client, ToWrite::default()).await,
                Err(_) => Told::default(),
            }
        })
        .await
    }
}

fn lock(aside: &std::sync::Mutex<Aside>) -> MutexGuard<'_, Aside> {
    aside.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn limited(asking: impl Future<Output = Told>) -> Told {
    timeout(LIMIT, contained(asking)).await.ok().and_then(Result::ok).unwrap_or_default()
}

async fn ask(at: SocketAddr, client: &Client, writes: ToWrite) -> Told {
    let ToWrite { events, word } = writes;
    if let Some((word, attempt)) = &word
        && let Err(error) = write_word(client, word).await
    {
        match attempt {
            Try::First => tracing::warn!(%at, %error, "a member does not keep the pause, trying again"),
            Try::Again => tracing::debug!(%at, %error, "a member does not keep the pause, trying again"),
        }
    }
    for event in &events {
        if let Err(error) = write(client, event).await {
            tracing::debug!(%at, %error, "a member does not keep the history");
        }
    }
    Told { oplog: oplog_window(client).await, history: history(client).await }
}

/// The server knows both ends of its oplog without a scan. It leaves the section out unless it is asked for.
async fn oplog_window(client: &Client) -> Option<Duration> {
    let brief = doc! { "serverStatus": 1, "oplog": 1, "metrics": 0, "wiredTiger": 0, "tcmalloc": 0, "locks": 0 };
    wire::oplog_window(&run(client, "serverStatus", brief).await.ok()?)
}

async fn history(client: &Client) -> Option<Arc<[Event]>> {
    let notes = client.database("local").collection::<Document>("rsctl");
    let kept = notes.find_one(doc! { "_id": wire::HISTORY_ID }).await.ok()?;
    Some(kept.map(|kept| wire::events(&kept)).unwrap_or_default().into())
}

/// Replaces an older word. A newer one stays.
async fn write_word(client: &Client, word: &PauseWord) -> Result<(), mongodb::error::Error> {
    let kept = wire::pause_document(word);
    change_or_insert(client, doc! { "q": wire::gives_way_to(word), "u": kept.clone() }, kept).await
}

/// Adds one event to the document, which keeps the newest ones. A document of another form is left alone.
async fn write(client: &Client, event: &Event) -> Result<(), mongodb::error::Error> {
    let event_document = wire::event_document(event);
    let ours = doc! { "_id": wire::HISTORY_ID, "v": wire::HISTORY_FORM, "events.key": { "$ne": &event.key } };
    let newest = doc! { "$each": [event_document.clone()], "$slice": -(EVENTS_MAX as i32) };
    let change = doc! { "q": ours, "u": { "$push": { "events": newest } } };
    let first = doc! { "_id": wire::HISTORY_ID, "v": wire::HISTORY_FORM, "events": [event_document] };
    change_or_insert(client, change, first).await
}

/// Changes a document, or inserts the first one. If there is one already that the change does not match, the server
/// refuses a second one: it has this content already, a newer one, or another form.
async fn change_or_insert(client: &Client, change: Document, first: Document) -> Result<(), mongodb::error::Error> {
    let local = client.database("local");
    let reply = local.run_command(update(change)).await?;
    if wire::matched_none(&reply) {
        local.run_command(insert(first)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::oid::ObjectId;

    fn event(key: usize) -> Event {
        let text = |text: &str| text.to_owned();
        Event {
            key: key.to_string(),
            at_ms: 1,
            by: text("a"),
            what: text("b"),
            why: text("c"),
            changes: vec![],
            version: None,
        }
    }

    fn processes() -> [ProcessId; 2] {
        [1, 2].map(|n| ProcessId(ObjectId::from_bytes([n; 12])))
    }

    fn told(seconds: u64) -> Told {
        Told { oplog: Some(Duration::from_secs(seconds)), history: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_is_asked_once_a_minute_and_a_new_one_at_once() {
        let [one, other] = processes();
        let mut aside = Aside::default();
        assert!(aside.begin(one).is_some() && aside.begin(one).is_none());
        aside.end(one, told(9));
        tokio::time::advance(EVERY - Duration::from_millis(1)).await;
        assert!(aside.begin(one).is_none());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(aside.begin(one).is_some());
        assert_eq!(aside.told, told(9), "known until the answer");
        assert!(aside.begin(other).is_none(), "one task at a time");
        assert_eq!(aside.told, Told::default(), "that was another process");
        aside.end(one, told(9));
        assert!(aside.begin(other).is_some());
        aside.end(other, told(7));
        assert_eq!(aside.told, told(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_is_written_again_and_only_its_first_try_is_news() {
        let [one, _] = processes();
        let mut aside = Aside::default();
        let mut tries = Vec::new();
        for word in [1, 1, 2].map(|said| PauseWord::read(said, 9, "")) {
            aside.keep_word(&word);
            aside.keep_word(&word);
            tries.push(aside.begin(one).and_then(|writes| writes.word).map(|(_, attempt)| attempt));
            aside.end(one, told(9));
            tokio::time::advance(WORD_RETRY).await;
        }
        assert_eq!(tries, [Some(Try::First), Some(Try::Again), Some(Try::First)]);
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_written_soon_and_few_wait() {
        let [one, _] = processes();
        let mut aside = Aside::default();
        assert_eq!(aside.begin(one), Some(ToWrite::default()));
        aside.end(one, told(9));
        (0..50).for_each(|key| aside.keep(&[event(key)]));
        let taken = aside.begin(one).unwrap().events;
        assert_eq!((taken.len(), taken[19].key.as_str()), (UNKEPT_MAX, "49"));
        aside.end(one, told(9));
        assert!(aside.begin(one).is_none(), "nothing is written twice");
    }
}
