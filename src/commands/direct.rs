//! One look without a controller: DNS and the nodes' own words. Nothing is changed.

use super::ports::Ports;
use crate::discovery::DiscoveryError;
use crate::publish::{Status, summarize};
use crate::settings::Run;

/// Why nothing could be seen.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    /// There is no DNS to ask.
    #[error("no tasks can be looked up")]
    Discovery(#[source] DiscoveryError),
}

/// Looks once.
pub(super) async fn look(settings: &Run) -> Result<Status, LookError> {
    let ports = Ports::new(settings).map_err(LookError::Discovery)?;
    let (look, plan) = ports.reconciler().once().await;
    Ok(summarize(&look, &plan, ports.policy()))
}
