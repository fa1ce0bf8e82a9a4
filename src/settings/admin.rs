//! Settings of the commands that give requests.

use super::{Environment, Login, Run, Source, Usage};
use crate::cli::{self, Output};
use crate::model::{Bootstrap, EvidenceId, Recovery, SetName};
use crate::parse::values::ControllerUrl;
use std::time::Duration;

/// `rsctl remove`.
#[derive(Debug)]
pub struct Remove {
    /// The members, as the operator names them.
    pub nodes: Vec<String>,
    /// The controller's admin endpoint.
    pub admin: ControllerUrl,
    /// How long to wait until they are out.
    pub wait: Duration,
}

/// `rsctl recover`.
#[derive(Debug)]
pub struct Recover {
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
    /// How to act without a controller: on this request only.
    pub direct: Run,
}

impl Remove {
    pub(super) fn new(cli: cli::Remove) -> Self {
        let cli::Remove { nodes, admin, wait } = cli;
        Self { nodes, admin, wait }
    }
}

impl Recover {
    pub(super) fn new(cli: cli::Recover, environment: &Environment) -> Result<Self, Usage> {
        let cli::Recover { dry_run, accept_data_loss, evidence, wait, output, admin, discovery, login } = cli;
        let login = Login::new(login, environment)?;
        let Source { controller: admin, direct } = Source::new(cli::Source { controller: admin, discovery }, login)?;
        let direct = Run { recovery: Recovery::Manual, bootstrap: Bootstrap::Never, ..direct };
        Ok(Self { dry_run, accepts_loss_of: accept_data_loss, evidence, wait, output, admin, direct })
    }
}
