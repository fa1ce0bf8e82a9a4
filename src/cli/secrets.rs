//! Flags of `rsctl secrets`.

use std::path::PathBuf;

use clap::Args;

use crate::certificates::AltName;
use crate::parse::values::{AppName, NodeName};

/// `rsctl secrets`.
#[derive(Args, Debug)]
pub struct SecretsArgs {
    /// Host names of the Swarm nodes, separated by commas; the members are called mongo-NODE
    #[arg(long, value_name = "NODES", required = true, value_delimiter = ',')]
    pub nodes: Vec<NodeName>,
    /// Applications that get a password, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub app: Vec<AppName>,
    /// Further names or addresses for which the members' certificate is valid, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub name: Vec<AltName>,
    /// Directory for the files; what it holds already is kept
    #[arg(long, value_name = "DIRECTORY", default_value = "secrets")]
    pub out: PathBuf,
}
