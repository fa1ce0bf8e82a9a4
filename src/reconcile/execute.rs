//! From a step to the one admin command that it stands for. Nothing is decided here.

use crate::model::{ConfigError, Host, Node, NodeState, Observed, Probe};
use crate::mongo::{Admin, Error};
use crate::plan::Step;
use futures_util::future::{join, join_all};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// How long a node may take to show once more that it is as it was.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// What helps a member to another source: so many writes each of two writers, and no longer than this in all.
const STIRS: u32 = 10;
const STIR_LIMIT: Duration = Duration::from_millis(200);

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// The observation has no address for the step's node: a bug in a rule, or a name that stopped resolving.
    #[error("{0} has no address in this observation")]
    NoAddress(Host),
    /// The changes do not fit the config: a bug in a rule.
    #[error("the changes do not fit the config")]
    Config(#[from] ConfigError),
    /// Between the observation and the initiate a task changed, or somebody took its lock.
    #[error("{0} is not as it was a moment ago")]
    NoLongerBlank(Host),
    /// Between the observation and a force a node showed something else.
    #[error("{0} is not as it was when the force was decided")]
    Changed(Host),
    /// The mongod said no, or nothing.
    #[error(transparent)]
    Mongod(#[from] Error),
}

impl StepError {
    /// Somebody else was quicker, or the moment was wrong.
    pub(super) fn is_lost_race(&self) -> bool {
        match self {
            Self::Mongod(error) => error.is_lost_race(),
            Self::NoLongerBlank(_) | Self::Changed(_) => true,
            Self::NoAddress(_) | Self::Config(_) => false,
        }
    }

    /// 103: the config is out of date, or the server will not have it.
    pub(super) fn is_incompatible(&self) -> bool {
        matches!(self, Self::Mongod(error) if error.is_incompatible())
    }
}

/// Does the step.
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
        Step::Reconfig { on, base, changes } => {
            Ok(admin.reconfig(address(observed, on)?, &base.with(changes)?).await?)
        }
        Step::Recover { on, base, changes, version } => {
            still_leaderless(admin, observed).await?;
            Ok(admin.force(address(observed, on)?, &base.forced(changes, *version)?).await?)
        }
        Step::AcceptLoss { on, base, changes, version } => {
            still_the_same(admin, observed).await?;
            Ok(admin.force(address(observed, on)?, &base.forced(changes, *version)?).await?)
        }
        Step::Fsync { on } => Ok(admin.fsync(address(observed, on)?).await?),
        Step::MarkRemoved { on } => {
            let process = observed.probe(on).map(|p| p.process).ok_or_else(|| StepError::NoAddress(on.clone()))?;
            Ok(admin.mark_removed(address(observed, on)?, process).await?)
        }
        Step::SetSyncSource { on, source, primary } => {
            admin.sync_from(address(observed, on)?, source).await?;
            // The primary is ahead of whoever hangs, if there is anything to wait for.
            if source != primary {
                stir(admin, address(observed, primary)?).await;
            }
            Ok(())
        }
        Step::StepUp { on } => Ok(admin.step_up(address(observed, on)?).await?),
        Step::AbortCatchUp { on } => Ok(admin.abort_catch_up(address(observed, on)?).await?),
    }
}

/// Has the primary write what changes nothing, for the moment in which a member goes over to another source: it goes
/// there only when the other one is ahead, which in a set that nobody writes to it never is (of six such requests on 6.0.5
/// none was followed; with these writes all were, on 4.4.2 and 5.0.4 too, at once or after the second that the server
/// sleeps when it found nobody).
async fn stir<A: Admin>(admin: &A, primary: SocketAddr) {
    let writing = || async {
        for _ in 0..STIRS {
            if admin.write_noop(primary).await.is_err() {
                return;
            }
        }
    };
    drop(timeout(STIR_LIMIT, join(writing(), writing())).await);
}

/// Asks all tasks once more: a controller that was frozen since its look must not make a second set.
async fn still_blank<A: Admin>(admin: &A, observed: &Observed) -> Result<(), StepError> {
    let questions = observed.nodes.iter().filter(|(_, node)| node.listed).map(|(host, node)| async move {
        let (Some(at), Some(before)) = (node.at, node.probe()) else { return Some(host) };
        let now = admin.probe(at, CHECK_LIMIT).await;
        let same = |now: &Probe| {
            (now.process, now.state, &now.lock, &now.config, now.user_data)
                == (before.process, NodeState::Blank, &before.lock, &before.config, before.user_data)
        };
        (!now.as_ref().is_ok_and(same)).then_some(host)
    });
    match join_all(questions).await.into_iter().flatten().next() {
        Some(host) => Err(StepError::NoLongerBlank(host.clone())),
        None => Ok(()),
    }
}

/// Asks those that answered once more. The server takes a force whatever was decided since, and the observation may have waited
/// a second for somebody silent: long enough for another controller to recover the set, and for its primary to let
/// others vote. Who was silent is not waited for again, for that would make the answers as old as before.
async fn still_leaderless<A: Admin>(admin: &A, observed: &Observed) -> Result<(), StepError> {
    let answered = |node: &Node| node.answer.is_ok();
    unchanged(admin, observed, answered, |p| (p.process, p.state, p.sees_primary.clone(), p.config.clone())).await
}

/// Asks everybody once more, those too that did not answer: what a loss was accepted for must still be all there is.
async fn still_the_same<A: Admin>(admin: &A, observed: &Observed) -> Result<(), StepError> {
    let words = |p: &Probe| (p.process, p.state, p.sees_primary.clone(), p.config.clone(), p.newest());
    unchanged(admin, observed, |_| true, words).await
}

/// Each of those who count still says what it said in the observation, or nothing, as it did then.
async fn unchanged<A: Admin, W: PartialEq>(
    admin: &A,
    observed: &Observed,
    counts: impl Fn(&Node) -> bool,
    words: impl Fn(&Probe) -> W,
) -> Result<(), StepError> {
    let asked =
        observed.nodes.iter().filter(|(_, node)| counts(node)).filter_map(|(host, node)| Some((host, node, node.at?)));
    let words = &words;
    let questions = asked.map(|(host, node, at)| async move {
        let now = admin.probe(at, CHECK_LIMIT).await;
        (now.as_ref().ok().map(words) != node.probe().map(words)).then_some(host)
    });
    match join_all(questions).await.into_iter().flatten().next() {
        Some(host) => Err(StepError::Changed(host.clone())),
        None => Ok(()),
    }
}

fn address(observed: &Observed, host: &Host) -> Result<SocketAddr, StepError> {
    observed.node(host).and_then(|node| node.at).ok_or_else(|| StepError::NoAddress(host.clone()))
}
