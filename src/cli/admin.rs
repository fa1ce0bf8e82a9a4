//! Flags of the commands that send admin requests.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::{DiscoveryArgs, LoginArgs, Output, one_of};
use crate::model::{AddressKind, EvidenceId, SetName};
use crate::parse::span;
use crate::parse::values::{ControllerUrl, evidence_id, pause_length, set_name, socket};

/// Where an admin request goes.
#[derive(Args, Debug)]
pub struct EndpointArgs {
    /// The controller's admin endpoint
    #[arg(long, value_name = "URL", env = "RSCTL_ADMIN", default_value = "http://127.0.0.1:8081")]
    pub admin: ControllerUrl,
}

/// `rsctl remove`.
#[derive(Args, Debug)]
pub struct RemoveArgs {
    /// Members to remove: HOST:PORT as in `rsctl status`, HOST, or the Swarm node that the host name tells
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Where to ask for it.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    /// How long to wait until the members are removed
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
}

/// `rsctl pause`.
#[derive(Args, Debug)]
pub struct PauseArgs {
    /// How long the pause lasts, at most 168h
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = pause_length)]
    pub length: Duration,
    /// Why; `rsctl status` and `rsctl history` show it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Where to ask for it.
    #[command(flatten)]
    pub order: ResumeArgs,
}

/// `rsctl resume`.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// Where to ask for it.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    /// How long to wait until the members that answer keep it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
}

/// `rsctl switchover`.
#[derive(Args, Debug)]
pub struct SwitchoverArgs {
    /// Member that must lead: HOST:PORT as in `rsctl status`, or HOST [default: the best one]
    #[arg(long, value_name = "MEMBER")]
    pub to: Option<String>,
    /// Only show who would lead
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait until another member leads
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
    /// Where to ask for it.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
}

/// `rsctl readdress`.
#[derive(Args, Debug)]
pub struct ReaddressArgs {
    /// The kind of address that the members get
    #[arg(long, required = true, value_name = "KIND", value_parser = one_of(&AddressKind::CHOICES))]
    pub to: AddressKind,
    /// Only show what would be changed
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait until all members have such an address
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
    /// Where to ask for it.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    /// Where the nodes are.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
    /// How to log in to them.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// `rsctl recover`.
#[derive(Args, Debug)]
pub struct RecoverArgs {
    /// Only show what is known and what a recovery would do
    #[arg(long)]
    pub dry_run: bool,
    /// Recover without the missing members and lose the writes that only they hold; SET must be the replica set's name
    #[arg(long, value_name = "SET", value_parser = set_name)]
    pub accept_data_loss: Option<SetName>,
    /// Recover only if the evidence still has this ID; needed to accept a loss
    #[arg(long, value_name = "ID", value_parser = evidence_id)]
    pub evidence: Option<EvidenceId>,
    /// How long to wait for a primary
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
    /// Format of the output
    #[arg(long, short, value_name = "FORM", default_value = "table", value_parser = one_of(&Output::CHOICES))]
    pub output: Output,
    /// The controller's admin endpoint; if no controller answers, this command recovers the replica set itself
    #[arg(long, value_name = "URL", env = "RSCTL_ADMIN", default_value = "http://127.0.0.1:8081")]
    pub admin: ControllerUrl,
    /// Where the nodes are, in case no controller answers.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
    /// How to log in to them.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// `rsctl healthcheck`.
#[derive(Args, Debug)]
pub struct HealthcheckArgs {
    /// Loopback address on which the controller of this container takes admin requests
    #[arg(long, value_name = "IP:PORT", env = "RSCTL_ADMIN_LISTEN", default_value = "127.0.0.1:8081",
          value_parser = socket)]
    pub admin_listen: SocketAddr,
}
