//! Settings of the commands that give orders.

use super::{Environment, Login, Run, Source, Usage};
use crate::cli::{self, Output};
use crate::model::{Bootstrap, EvidenceId, Recovery, SetName};
use crate::settings::ControllerUrl;
use std::time::Duration;

/// `rsctl forget`.
#[derive(Debug)]
pub struct Forget {
    /// The members, as the operator names them.
    pub nodes: Vec<String>,
    /// The controller's door for orders.
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
    /// The controller's door for orders.
    pub admin: ControllerUrl,
    /// How to act without a controller: on this order only.
    pub direct: Run,
}

impl Forget {
    pub(super) fn new(cli: cli::Forget) -> Self {
        let cli::Forget { nodes, admin, wait } = cli;
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
