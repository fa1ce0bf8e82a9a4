//! Settings of `rsctl secrets`.

use std::path::PathBuf;

use super::Usage;
use crate::certificates::AltName;
use crate::cli;
use crate::parse::values::AppName;

/// The names of every member and client in the stack's own network, besides the members' own names.
const SERVICE: [&str; 4] = ["mongo", "tasks.mongo", "localhost", "127.0.0.1"];

/// `rsctl secrets`.
#[derive(Debug)]
pub struct SecretsSettings {
    /// The names for which the members' certificate is valid, each once.
    pub names: Vec<AltName>,
    /// The applications that get a password, each once.
    pub apps: Vec<AppName>,
    /// The directory for the files.
    pub out: PathBuf,
}

impl SecretsSettings {
    pub(super) fn new(cli: cli::SecretsArgs) -> Result<Self, Usage> {
        let cli::SecretsArgs { nodes, app, name, out } = cli;
        let members = nodes.iter().map(|node| format!("mongo-{node}"));
        let own = members.chain(SERVICE.map(str::to_owned)).map(|name| {
            name.parse::<AltName>().map_err(|_| Usage::conflict(format!("--nodes: {name} is no host name")))
        });
        let names = own.chain(name.into_iter().map(Ok)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { names: each_once(names), apps: each_once(app), out })
    }
}

fn each_once<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    let mut once = Vec::new();
    for item in list {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}
