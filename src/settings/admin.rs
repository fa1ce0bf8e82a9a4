//! Settings of the commands that send admin requests.

use super::{Environment, Login, Nodes, Usage};
use crate::cli::{self, Output};
use crate::model::{AddressKind, EvidenceId, SetName};
use crate::parse::values::ControllerUrl;
use std::time::Duration;

/// `rsctl remove`.
#[derive(Debug)]
pub struct RemoveSettings {
    /// The members, as the operator writes them.
    pub nodes: Vec<String>,
    /// The controller's admin endpoint.
    pub admin: ControllerUrl,
    /// How long to wait until they are removed.
    pub wait: Duration,
}

/// `rsctl pause` and `rsctl resume`.
#[derive(Debug)]
pub struct PauseSettings {
    /// The length of the pause and its reason. `None` ends it.
    pub pause: Option<(Duration, String)>,
    /// The controller's admin endpoint.
    pub admin: ControllerUrl,
    /// How long to wait until the members keep it.
    pub wait: Duration,
}

/// `rsctl switchover`.
#[derive(Debug)]
pub struct SwitchoverSettings {
    /// The member that must lead, as the operator writes it. `None` means the best one.
    pub to: Option<String>,
    /// Whether to change nothing and only show who would lead.
    pub dry_run: bool,
    /// How long to wait until another member leads.
    pub wait: Duration,
    /// The controller's admin endpoint.
    pub admin: ControllerUrl,
}

/// `rsctl readdress`.
#[derive(Debug)]
pub struct ReaddressSettings {
    /// The kind of address that the members get.
    pub to: AddressKind,
    /// Whether to change nothing and only show what would be changed.
    pub dry_run: bool,
    /// How long to wait until all members have such an address.
    pub wait: Duration,
    /// The controller's admin endpoint.
    pub admin: ControllerUrl,
    /// The nodes, to find out which addresses lead to them.
    pub nodes: Nodes,
}

/// `rsctl recover`.
#[derive(Debug)]
pub struct RecoverSettings {
    /// Whether to change nothing and only show the evidence.
    pub dry_run: bool,
    /// The replica set whose loss of writes the operator accepts.
    pub accepts_loss_of: Option<SetName>,
    /// The evidence that the operator has seen. The command acts on no other evidence.
    pub evidence: Option<EvidenceId>,
    /// How long to wait for a primary.
    pub wait: Duration,
    /// The format of the output.
    pub output: Output,
    /// The controller's admin endpoint.
    pub admin: ControllerUrl,
    /// The nodes, for a recovery without a controller.
    pub nodes: Nodes,
}

impl RemoveSettings {
    pub(super) fn new(cli: cli::RemoveArgs) -> Self {
        let cli::RemoveArgs { nodes, endpoint, wait } = cli;
        Self { nodes, admin: endpoint.admin, wait }
    }
}

impl PauseSettings {
    pub(super) fn pause(cli: cli::PauseArgs) -> Self {
        let cli::PauseArgs { length, reason, order } = cli;
        Self { pause: Some((length, reason)), ..Self::resume(order) }
    }

    pub(super) fn resume(cli: cli::ResumeArgs) -> Self {
        let cli::ResumeArgs { endpoint, wait } = cli;
        Self { pause: None, admin: endpoint.admin, wait }
    }
}

impl SwitchoverSettings {
    pub(super) fn new(cli: cli::SwitchoverArgs) -> Self {
        let cli::SwitchoverArgs { to, dry_run, wait, endpoint } = cli;
        Self { to, dry_run, wait, admin: endpoint.admin }
    }
}

impl ReaddressSettings {
    pub(super) fn new(cli: cli::ReaddressArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::ReaddressArgs { to, dry_run, wait, endpoint, discovery, login } = cli;
        let nodes = Nodes::new(discovery, Login::new(login, environment)?)?;
        Ok(Self { to, dry_run, wait, admin: endpoint.admin, nodes })
    }
}

impl RecoverSettings {
    pub(super) fn new(cli: cli::RecoverArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::RecoverArgs { dry_run, accept_data_loss, evidence, wait, output, admin, discovery, login } = cli;
        let nodes = Nodes::new(discovery, Login::new(login, environment)?)?;
        Ok(Self { dry_run, accepts_loss_of: accept_data_loss, evidence, wait, output, admin, nodes })
    }
}
