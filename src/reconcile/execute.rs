//! Does a step: one admin command, with what the step carries. Nothing is decided or computed here.

use crate::model::{Cause, Host, Node, NodeState, Observed, OpTime, Probe, ProcessId, Proof, ReplConfig};
use crate::mongo::{Admin, Error};
use crate::plan::Step;
use futures_util::future::{join, join_all};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// How long a node may take to answer once more before a step that cannot be undone.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// The writes that help a member to change its sync source: so many by each of two writers,
const NOOP_WRITES: u32 = 10;
/// and no longer than this in all.
const NOOP_WRITES_LIMIT: Duration = Duration::from_millis(200);

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// The observation has no address for the step's node: its name no longer resolves, or a rule has a bug.
    #[error("{0} has no address in this observation")]
    NoAddress(Host),
    /// A task has changed between the observation and the initiate, or another controller has taken its lock.
    #[error("{0} has changed since it was observed")]
    NoLongerBlank(Host),
    /// A node has changed between the observation and the force.
    #[error("{0} has changed since the force was decided")]
    Changed(Host),
    /// The mongod refused the command, or did not answer.
    #[error(transparent)]
    Mongod(#[from] Error),
}

impl StepError {
    /// Another controller or the server itself was faster.
    pub(super) fn is_lost_race(&self) -> bool {
        match self {
            Self::Mongod(error) => error.is_lost_race(),
            Self::NoLongerBlank(_) | Self::Changed(_) => true,
            Self::NoAddress(_) => false,
        }
    }

    /// What made the step fail.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Mongod(Error::Server { .. }) if !self.is_lost_race() => Cause::Server,
            Self::Mongod(_) | Self::NoAddress(_) | Self::NoLongerBlank(_) | Self::Changed(_) => Cause::Moment,
        }
    }

    /// Error 103: the config is out of date, or the server does not accept it.
    pub(super) fn is_incompatible(&self) -> bool {
        matches!(self, Self::Mongod(error) if error.is_incompatible())
    }
}

/// Does the step. The error says why it was not done, or why that is unknown.
pub(super) async fn execute<A: Admin>(admin: &A, observed: &Observed, step: &Step) -> Result<(), StepError> {
    match step {
        Step::Wait => Ok(()),
        Step::TakeLock { on, lock } => Ok(admin.take_lock(address(observed, on)?, lock).await?),
        Step::TakeOverLock { on, stale, lock } => Ok(admin.take_over_lock(address(observed, on)?, stale, lock).await?),
        Step::ReleaseLock { on } => Ok(admin.release_lock(address(observed, on)?).await?),
        Step::Initiate { on, config } => {
            still_blank(admin, observed).await?;
            Ok(admin.initiate(address(observed, on)?, config).await?)
        }
        Step::Reconfig { on, next } => Ok(admin.reconfig(address(observed, on)?, next.config()).await?),
        Step::Recover { on, next } => {
            still_leaderless(admin, observed).await?;
            Ok(admin.force(address(observed, on)?, next.config()).await?)
        }
        Step::AcceptLoss { on, next } => {
            still_the_same(admin, observed).await?;
            Ok(admin.force(address(observed, on)?, next.config()).await?)
        }
        Step::Fsync { on } => Ok(admin.fsync(address(observed, on)?).await?),
        Step::MarkRemoved { on } => {
            let process = observed.probe(on).map(|p| p.process).ok_or_else(|| StepError::NoAddress(on.clone()))?;
            Ok(admin.mark_removed(address(observed, on)?, process).await?)
        }
        Step::SetSyncSource { on, source, primary } => {
            admin.sync_from(address(observed, on)?, source).await?;
            write_noops(admin, address(observed, primary)?).await;
            Ok(())
        }
        Step::StepUp { on } => Ok(admin.step_up(address(observed, on)?).await?),
        Step::AbortCatchUp { on } => Ok(admin.abort_catch_up(address(observed, on)?).await?),
    }
}

/// Has the primary write what changes nothing while a member changes its sync source. A member takes a source only when
/// that one is ahead of it, which is never so in a set without writes. Of six such requests on 6.0.5 none had an effect;
/// with these writes all had, on 4.4.2 and 5.0.4 too: at once, or after the second that the server sleeps when it finds
/// no source.
async fn write_noops<A: Admin>(admin: &A, primary: SocketAddr) {
    let writing = || async {
        for _ in 0..NOOP_WRITES {
            if admin.write_noop(primary).await.is_err() {
                return;
            }
        }
    };
    drop(timeout(NOOP_WRITES_LIMIT, join(writing(), writing())).await);
}

/// Asks all tasks once more: a controller that was frozen since its observation must not make a second set.
async fn still_blank<A: Admin>(admin: &A, observed: &Observed) -> Result<(), StepError> {
    let questions = observed.nodes.iter().filter(|(_, node)| node.must_answer()).map(|(host, node)| async move {
        let (Some(at), Some(before)) = (node.at, node.probe()) else { return Some(host) };
        let now = admin.probe(at, CHECK_LIMIT).await;
        let is_same = |now: &Probe| {
            (now.process, now.state, &now.lock, &now.config, now.user_data)
                == (before.process, NodeState::Blank, &before.lock, &before.config, before.user_data)
        };
        (!now.as_ref().is_ok_and(is_same)).then_some(host)
    });
    match join_all(questions).await.into_iter().flatten().next() {
        Some(host) => Err(StepError::NoLongerBlank(host.clone())),
        None => Ok(()),
    }
}

/// Asks the nodes that answered once more. The server takes a force whatever has been decided meanwhile, and the
/// observation may have waited a second for a silent node. In that time another controller can recover the set, and its
/// primary can give more members a vote. Silent nodes are not waited for again, or the answers would be as old as before.
async fn still_leaderless<A: Admin>(admin: &A, observed: &Observed) -> Result<(), StepError> {
    unchanged(admin, observed, |node| node.answer.is_ok(), |probe| Basis { newest: None, ..Basis::of(probe) }).await
}

/// Asks all nodes once more, also those that did not answer: no more may be lost than was accepted.
async fn still_the_same<A: Admin>(admin: &A, observed: &Observed) -> Result<(), StepError> {
    unchanged(admin, observed, |_| true, Basis::of).await
}

/// What a force relies on in the answer of a node.
#[derive(PartialEq)]
struct Basis {
    process: ProcessId,
    state: NodeState,
    sees_primary: Option<Host>,
    config: Option<ReplConfig>,
    newest: Option<OpTime>,
}

impl Basis {
    fn of(probe: &Probe) -> Self {
        let Probe { process, state, sees_primary, config, .. } = probe.clone();
        Self { process, state, sees_primary, config, newest: probe.newest() }
    }
}

/// Each of the nodes that matter still answers as in the observation, or still does not answer.
async fn unchanged<A: Admin>(
    admin: &A,
    observed: &Observed,
    matters: impl Fn(&Node) -> bool,
    basis: impl Fn(&Probe) -> Basis,
) -> Result<(), StepError> {
    let asked =
        observed.nodes.iter().filter(|(_, node)| matters(node)).filter_map(|(host, node)| Some((host, node, node.at?)));
    let basis = &basis;
    let questions = asked.map(|(host, node, at)| async move {
        let now = admin.probe(at, CHECK_LIMIT).await;
        // Who gave no proof and was not believed is not heard now either.
        let heard = |p: &&Probe| p.proof != Proof::None || node.probe().is_some();
        (now.as_ref().ok().filter(heard).map(basis) != node.probe().map(basis)).then_some(host)
    });
    match join_all(questions).await.into_iter().flatten().next() {
        Some(host) => Err(StepError::Changed(host.clone())),
        None => Ok(()),
    }
}

fn address(observed: &Observed, host: &Host) -> Result<SocketAddr, StepError> {
    observed.node(host).and_then(|node| node.at).ok_or_else(|| StepError::NoAddress(host.clone()))
}
