//! Settings of the commands that give requests.

use super::{Environment, Login, Nodes, Usage};
use crate::cli::{self, Output};
use crate::model::{EvidenceId, SetName};
use crate::parse::values::ControllerUrl;
use std::time::Duration;

/// `rsctl remove`.
#[derive(Debug)]
pub struct RemoveSettings {
    /// The members, as the operator names them.
    pub nodes: Vec<String>,
    /// The controller's admin endpoint.
    pub admin: ControllerUrl,
    /// How long to wait until they are out.
    pub wait: Duration,
}

/// `rsctl recover`.
#[derive(Debug)]
pub struct RecoverSettings {
    /// Nothing is changed.
    pub dry_run: bool,
    /// The set whose loss of writes is accepted.
    pub accepts_loss_of: Option<SetName>,
    /// The only evidence to act on.
    pub evidence: Option<EvidenceId>,
    /// How long to wait for a primary.
    pub wait: Duration,
    /// For people or for programs.
    pub output: Output,
    /// The controller's admin endpoint.
    pub admin: ControllerUrl,
    /// The nodes, for a recovery without a controller.
    pub nodes: Nodes,
}

impl RemoveSettings {
    pub(super) fn new(cli: cli::RemoveArgs) -> Self {
        let cli::RemoveArgs { nodes, admin, wait } = cli;
        Self { nodes, admin, wait }
    }
}

impl RecoverSettings {
    pub(super) fn new(cli: cli::RecoverArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::RecoverArgs { dry_run, accept_data_loss, evidence, wait, output, admin, discovery, login } = cli;
        let nodes = Nodes::new(discovery, Login::new(login, environment)?)?;
        Ok(Self { dry_run, accepts_loss_of: accept_data_loss, evidence, wait, output, admin, nodes })
    }
}
