//! `rsctl run`: runs the controller and publishes its status.

use super::stop::stop_signal;
use crate::connection_string::{Format, Inserts};
use crate::discovery::ServiceName;
use crate::model::{Event, Observed};
use crate::outcome::{Chain, Exit, Outcome};
use crate::plan::Plan;
use crate::publish::file::{Readers, write_atomically};
use crate::publish::{Counts, Listing, MemberStatus, Snapshot, Status, http, last, summarize};
use crate::reconcile::{Progress, UserKeeper, place_for_users};
use crate::runtime::Runtime;
use crate::settings::RunSettings;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// The controller counts as stuck when its newest observation is older than this many intervals,
const LIVENESS_INTERVALS: u32 = 6;
/// and older than this. One observation of nodes and DNS that do not answer takes less.
const LIVENESS_MIN: Duration = Duration::from_secs(30);
/// The pause before a failed write of the file is repeated.
const FILE_RETRY: Duration = Duration::from_secs(5);

/// Runs the controller until a signal asks it to stop.
pub async fn run(settings: RunSettings) -> Outcome {
    let runtime = match Runtime::new(&settings.nodes, &settings.behaviour) {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::error(Exit::Usage, &error),
    };
    let (listener, endpoint) =
        match (listen(settings.listen, "--listen"), listen(settings.admin_listen, "--admin-listen")) {
            (Ok(listener), Ok(endpoint)) => (listener, endpoint),
            (Err(outcome), _) | (_, Err(outcome)) => return outcome,
        };
    let guard = match settings.token.as_ref().map(http::Guard::new).transpose() {
        Ok(guard) => guard,
        Err(error) => return Outcome::error(Exit::Failed, &error),
    };
    let set = &settings.nodes.replica_set;
    info!(version = env!("CARGO_PKG_VERSION"), %set, expect = settings.nodes.expect, listen = %settings.listen, "starting");
    let status = Status::before_any_observation(set, settings.nodes.expect);
    let (sender, newest) = watch::channel(Arc::new(Snapshot::new(status)));
    let liveness = LIVENESS_MIN.max(settings.behaviour.interval * LIVENESS_INTERVALS);
    tokio::spawn(http::serve(listener, newest.clone(), liveness, guard, std::future::pending()));
    tokio::spawn(http::serve_admin(endpoint, newest.clone(), liveness, runtime.requests()));
    if let Some(path) = settings.publish_file {
        tokio::spawn(keep_file(path, newest));
    }
    let (place, places) = watch::channel(None);
    let services = settings.nodes.services;
    let mut publisher =
        Publisher { services, sender, seeds: Vec::new(), members: Vec::new(), counts: Counts::default() };
    let report = |progress: Progress<'_>| {
        publisher.counts.record(progress);
        let (Progress::Planned { observed, plan } | Progress::InForce { observed, plan }) = progress else { return };
        let history = runtime.event_log().history(observed);
        publisher.publish(observed, plan, summarize(observed, plan, runtime.policy()), history);
        let now = place_for_users(observed, plan);
        place.send_if_modified(|before| std::mem::replace(before, now) != now);
    };
    let keeper = UserKeeper::new(runtime.mongods(), &settings.users, runtime.users(), settings.behaviour.interval);
    let reconciler = runtime.reconciler();
    tokio::select! {
        biased;
        () = reconciler.run(report, async { _ = stop_signal().await }) => {}
        () = keeper.run(places) => {}
    }
    info!("stopping");
    Outcome::silent(Exit::Ok)
}

fn listen(at: SocketAddr, flag: &str) -> Result<TcpListener, Outcome> {
    let refused = |error| {
        Outcome::because(Exit::Failed, format_args!("cannot listen on {at}: {error}: give another address with {flag}"))
    };
    http::listen(at).map_err(refused)
}

/// Sends every status to the HTTP servers and the file.
struct Publisher {
    services: Vec<ServiceName>,
    sender: watch::Sender<Arc<Snapshot>>,
    seeds: Vec<String>,
    members: Vec<MemberStatus>,
    counts: Counts,
}

impl Publisher {
    fn publish(&mut self, observed: &Observed, plan: &Plan, mut status: Status, history: Arc<[Event]>) {
        status.history = last(&history);
        status.name_nodes(&self.services);
        // While no node shows a config, the last known seeds stay published, because applications start with them.
        if status.seeds.is_empty() {
            status.seeds.clone_from(&self.seeds);
        } else if status.seeds != self.seeds {
            info!(seeds = %status.seeds.join(","), "publishing");
            self.seeds.clone_from(&status.seeds);
            self.counts.record_uri();
        }
        if status.members.is_empty() {
            status.members = self.members.iter().map(out_of_sight).collect();
        } else {
            self.members.clone_from(&status.members);
        }
        let (counts, listing) = (self.counts.clone(), Listing::of(observed, plan));
        let snapshot = Snapshot { status, observed_at: Instant::now(), counts, listing, history };
        self.sender.send_replace(Arc::new(snapshot));
    }
}

/// The status of a member of the last known config, when no mongod shows a config any more.
fn out_of_sight(member: &MemberStatus) -> MemberStatus {
    let note = Some("as last seen".to_owned());
    let state = "UNREACHABLE".to_owned();
    MemberStatus { state, healthy: false, lag_ms: None, oplog_ms: None, sync: None, note, ..member.clone() }
}

/// Keeps the URI in a file. A slow disk does not delay the loop.
async fn keep_file(path: PathBuf, mut newest: watch::Receiver<Arc<Snapshot>>) {
    let mut written = None;
    loop {
        let uri = newest
            .borrow_and_update()
            .status
            .endpoint()
            .ok()
            .map(|endpoint| endpoint.render(Format::Uri, &Inserts::default()));
        if let Some(uri) = uri.filter(|uri| written.as_ref() != Some(uri)) {
            let (to, contents) = (path.clone(), uri.clone());
            let outcome =
                tokio::task::spawn_blocking(move || write_atomically(&to, &contents, Readers::Everyone)).await;
            match outcome {
                Ok(Ok(())) => written = Some(uri),
                Ok(Err(error)) => {
                    warn!(error = %Chain(&error), "cannot publish the URI to --publish-file, trying again");
                    sleep(FILE_RETRY).await;
                    continue;
                }
                Err(_) => return,
            }
        }
        if newest.changed().await.is_err() {
            return;
        }
    }
}
