//! Commands that give requests.

use std::time::Duration;

use clap::Args;

use super::{DiscoveryArgs, LoginArgs, Output, one_of};
use crate::model::{EvidenceId, SetName};
use crate::parse::span;
use crate::parse::values::{ControllerUrl, evidence_id, set_name};

/// `rsctl remove`.
#[derive(Args, Debug)]
pub struct RemoveArgs {
    /// Members to take out: host:port as in `rsctl status`, or without the port
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// The controller's admin endpoint
    #[arg(long, value_name = "URL", env = "RSCTL_ADMIN", default_value = "http://127.0.0.1:8081")]
    pub admin: ControllerUrl,
    /// Wait so long until they are out
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
}

/// `rsctl recover`.
#[derive(Args, Debug)]
pub struct RecoverArgs {
    /// Only show what is known and what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Go on without what is missing, and lose what only that holds; SET is the set's name, typed as a sign of meaning it
    #[arg(long, value_name = "SET", value_parser = set_name)]
    pub accept_data_loss: Option<SetName>,
    /// Only on this evidence, as it was shown; a loss is accepted on no other
    #[arg(long, value_name = "ID", value_parser = evidence_id)]
    pub evidence: Option<EvidenceId>,
    /// Wait so long for a primary
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
    /// For people or for programs
    #[arg(long, short, value_name = "FORM", default_value = "table", value_parser = one_of(&Output::CHOICES))]
    pub output: Output,
    /// The controller's admin endpoint; when nobody is there, this command acts by itself
    #[arg(long, value_name = "URL", env = "RSCTL_ADMIN", default_value = "http://127.0.0.1:8081")]
    pub admin: ControllerUrl,
    /// Where the nodes are, to do without the controller.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
    /// How to log in to them.
    #[command(flatten)]
    pub login: LoginArgs,
}
