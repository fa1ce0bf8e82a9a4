//! `rsctl run`: the controller.

use super::ports::Ports;
use crate::model::Observed;
use crate::outcome::{Exit, Outcome};
use crate::plan::Plan;
use crate::publish::{Snapshot, Status, summarize};
use crate::settings::Run;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

/// Keeps the set right until it is told to stop.
pub async fn run(settings: Run) -> Outcome {
    let ports = match Ports::new(&settings) {
        Ok(ports) => ports,
        Err(error) => return Outcome::error(Exit::Usage, &error),
    };
    info!(set = %settings.replica_set, expect = settings.expect, version = env!("CARGO_PKG_VERSION"), "starting");
    let mut publisher = Publisher::default();
    let report = |look: &Observed, plan: &Plan| publisher.publish(summarize(look, plan, ports.policy()));
    ports.reconciler().run(report, stop_signal()).await;
    info!("stopping");
    Outcome::silent(Exit::Ok)
}

/// Hands every status to whoever serves it.
#[derive(Default)]
struct Publisher {
    sender: Option<watch::Sender<Arc<Snapshot>>>,
    seeds: Vec<String>,
}

impl Publisher {
    fn publish(&mut self, mut status: Status) {
        // No config in sight is no reason to take away what applications start with.
        if status.seeds.is_empty() {
            status.seeds.clone_from(&self.seeds);
        } else if status.seeds != self.seeds {
            info!(seeds = %status.seeds.join(","), "publishing");
            self.seeds.clone_from(&status.seeds);
        }
        let snapshot = Arc::new(Snapshot { status, looked_at: Instant::now() });
        if let Some(sender) = &self.sender {
            sender.send_replace(snapshot);
        }
    }
}

async fn stop_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
