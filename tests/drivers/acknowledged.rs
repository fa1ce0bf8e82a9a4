//! Checks that every acknowledged write is there, and that the application wrote again after each event.

use std::collections::HashSet;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReadConcern;

use super::application::{Application, DATABASE};
use super::driver::Kind;
use super::story::Told;
use crate::support::report::Outcome;

/// The result of one driver.
pub struct Judged {
    pub kind: Kind,
    pub driver: &'static str,
    pub version: String,
    pub restarts: usize,
    pub writes: usize,
    pub failed: usize,
    pub missing: usize,
    /// Each event, and how long it could not write because of it. `None` if it did not write again.
    pub gaps: Vec<(&'static str, Option<Duration>)>,
    last_complaint: Option<String>,
}

impl Judged {
    /// Whether it is of the same driver and the same kind of members.
    pub fn is_of(&self, other: &Self) -> bool {
        (self.driver, self.kind) == (other.driver, other.kind)
    }

    /// Keeps the worst of both rounds.
    pub fn worsen(&mut self, other: Self) {
        self.restarts = self.restarts.max(other.restarts);
        self.writes += other.writes;
        self.failed = self.failed.max(other.failed);
        self.missing += other.missing;
        for (mine, its) in self.gaps.iter_mut().zip(other.gaps) {
            mine.1 = mine.1.zip(its.1).map(|(mine, its)| mine.max(its));
        }
    }

    /// The result in one line.
    pub fn verdict(&self) -> Outcome<String> {
        let Self { writes, missing, restarts, last_complaint, .. } = self;
        if *missing > 0 {
            return Err(format!("{missing} of {writes} acknowledged writes are lost").into());
        }
        if let Some((event, _)) = self.gaps.iter().find(|(_, gap)| gap.is_none()) {
            return Err(format!("it did not write after `{event}`; it last said: {last_complaint:?}").into());
        }
        // If members are known by address, all of them change once. More restarts than that are needless, or crashes.
        let needed = match self.kind {
            Kind::Addresses => 1,
            Kind::Names => 0,
        };
        if *restarts != needed {
            return Err(format!("restarted {restarts} times, not {needed}; it last said: {last_complaint:?}").into());
        }
        let longest = self.gaps.iter().filter_map(|(_, gap)| *gap).max().unwrap_or_default();
        Ok(format!("longest gap {longest:.2?}; all {writes} writes there"))
    }
}

/// The longest time without an acknowledgement that ended after `since` and not after `until`.
pub fn longest_gap(acknowledged: &[(i64, u64)], since: u64, until: u64) -> Duration {
    let ended = |pair: &&[(i64, u64)]| pair[1].1 > since && pair[1].1 <= until;
    let longest = acknowledged.windows(2).filter(ended).map(|pair| pair[1].1.saturating_sub(pair[0].1)).max();
    Duration::from_millis(longest.unwrap_or(until.saturating_sub(since)))
}

/// Stops the applications, and reads at the primary with read concern `majority`.
pub async fn judge(uri: &str, kind: Kind, applications: Vec<Application>, events: &[Told]) -> Outcome<Vec<Judged>> {
    let database = Client::with_uri_str(uri).await?.database(DATABASE);
    let mut judged = Vec::new();
    for (nth, application) in applications.into_iter().enumerate() {
        let driver = application.driver.name;
        let told = application.stop().await?;
        let collection = database.collection::<Document>(driver);
        let found = collection.distinct("_id", doc! {}).read_concern(ReadConcern::majority()).await?;
        let found: HashSet<i64> = found.iter().filter_map(number).collect();
        judged.push(Judged {
            kind,
            driver,
            version: told.version,
            restarts: told.starts.saturating_sub(1),
            writes: told.acknowledged.len(),
            failed: told.complaints.len(),
            missing: told.acknowledged.iter().filter(|(id, _)| !found.contains(id)).count(),
            gaps: events.iter().map(|event| (event.event, event.gaps[nth])).collect(),
            last_complaint: told.complaints.last().cloned(),
        });
    }
    Ok(judged)
}

/// JavaScript writes numbers as doubles, which are exact up to 2^53.
fn number(id: &Bson) -> Option<i64> {
    id.as_i64().or_else(|| id.as_f64().map(|id| id as i64))
}
