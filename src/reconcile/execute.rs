//! From a step to the one admin command that it stands for. Nothing is decided here.

use crate::model::{ConfigError, Host, Observed};
use crate::mongo::{Admin, Error};
use crate::plan::Step;
use std::net::SocketAddr;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// The look has no address for the step's node: a bug in a rule, or a name that stopped resolving.
    #[error("{0} has no address in this look")]
    NoAddress(Host),
    /// The changes do not fit the config: a bug in a rule.
    #[error("the changes do not fit the config")]
    Config(#[from] ConfigError),
    /// The mongod said no, or nothing.
    #[error("{0}")]
    Mongod(#[from] Error),
}

impl StepError {
    /// Somebody else was quicker, or the moment was wrong.
    pub(super) fn is_lost_race(&self) -> bool {
        matches!(self, Self::Mongod(error) if error.is_lost_race())
    }
}

/// Does the step.
pub(super) async fn execute<A: Admin>(admin: &A, look: &Observed, step: &Step) -> Result<(), StepError> {
    match step {
        Step::Wait => Ok(()),
        Step::TakeLock { on, lock } => Ok(admin.take_lock(address(look, on)?, lock).await?),
        Step::TakeOverLock { on, stale, lock } => Ok(admin.take_over_lock(address(look, on)?, stale, lock).await?),
        Step::ReleaseLock { on } => Ok(admin.release_lock(address(look, on)?).await?),
        Step::Initiate { on, config } => Ok(admin.initiate(address(look, on)?, config).await?),
        Step::Reconfig { on, base, changes } => Ok(admin.reconfig(address(look, on)?, &base.with(changes)?).await?),
        Step::Recover { on, base, changes, version } => {
            Ok(admin.force(address(look, on)?, &base.forced(changes, *version)?).await?)
        }
        Step::Fsync { on } => Ok(admin.fsync(address(look, on)?).await?),
        Step::StepUp { on } => Ok(admin.step_up(address(look, on)?).await?),
    }
}

fn address(look: &Observed, host: &Host) -> Result<SocketAddr, StepError> {
    look.node(host).and_then(|node| node.at).ok_or_else(|| StepError::NoAddress(host.clone()))
}
