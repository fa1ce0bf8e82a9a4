//! Flags of the commands that applications start with: `uri`, `exec`, `env` and `wait`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{SourceArgs, one_of};
use crate::connection_string::{Database, Format};
use crate::parse::values::OnChange;
use crate::parse::{positive, span};
use crate::publish::Goal;
use crate::publish::file::Readers;

/// `rsctl uri`.
#[derive(Args, Debug)]
pub struct UriArgs {
    /// Database to put into the URI
    #[arg(long, value_name = "NAME")]
    pub database: Option<Database>,
    /// Format of the answer
    #[arg(long, value_name = "FORM", default_value = "uri", value_parser = one_of(&Format::CHOICES))]
    pub format: Format,
    /// How long to wait for a primary and all members; without it rsctl prints what is known now
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub wait: Option<Duration>,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Credentials for the URI.
    #[command(flatten)]
    pub credentials: CredentialsArgs,
}

/// Which variables to set, and to what.
#[derive(Args, Debug)]
pub struct VariablesArgs {
    /// Variable to set; without a TEMPLATE rsctl corrects the URI in the variable, or in the file that NAME_FILE names
    #[arg(long = "set", value_name = "NAME[=TEMPLATE]", required = true)]
    pub set: Vec<String>,
    /// Database for {uri}, {database}, and a URI that has none
    #[arg(long, value_name = "NAME")]
    pub database: Option<Database>,
    /// How long to wait for a primary and all members; 0s uses what is known now
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
    /// What must hold at the start: usable, primary, healthy, all-voting (it can lose a member), synced or members=N
    #[arg(long, value_name = "GOAL", default_value = "usable")]
    pub until: Goal,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Credentials for the URI.
    #[command(flatten)]
    pub credentials: CredentialsArgs,
}

/// `rsctl exec`.
#[derive(Args, Debug)]
pub struct ExecArgs {
    /// What to do when the members change: ignore, restart or signal[=NAME]
    #[arg(long, value_name = "ACTION", default_value = "ignore")]
    pub on_change: OnChange,
    /// How long the program may take to end before a restart, and all that it started at any end; then they are killed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    pub stop_grace: Duration,
    /// File to keep the variables in too, as NAME=VALUE; only its owner can read it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The variables.
    #[command(flatten)]
    pub variables: VariablesArgs,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// `rsctl env`.
#[derive(Args, Debug)]
pub struct EnvArgs {
    /// File to write; it is replaced atomically; - is stdout
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Who can read the file; use everyone only if it holds no secret
    #[arg(long, value_name = "WHO", default_value = "owner", value_parser = one_of(&Readers::CHOICES))]
    pub readers: Readers,
    /// Format of the lines: env is NAME=VALUE, export is shell code
    #[arg(long, value_name = "FORM", default_value = "env", value_parser = one_of(&EnvForm::CHOICES))]
    pub format: EnvForm,
    /// The variables.
    #[command(flatten)]
    pub variables: VariablesArgs,
}

/// The format of the lines that `rsctl env` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvForm {
    /// `NAME=VALUE`, for `env_file:`.
    Env,
    /// `export NAME='VALUE'`, for a shell.
    Export,
}

impl EnvForm {
    const CHOICES: [(&str, Self); 2] = [("env", Self::Env), ("export", Self::Export)];
}

/// `rsctl wait`.
#[derive(Args, Debug)]
pub struct WaitArgs {
    /// What to wait for: usable (applications can start), primary, healthy, all-voting, synced or members=N
    #[arg(long = "for", value_name = "GOAL", default_value = "usable")]
    pub goal: Goal,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = positive)]
    pub timeout: Duration,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Credentials to put into the URI. They never come from a variable, so rsctl prints them only on request.
#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials for the answer")]
pub struct CredentialsArgs {
    /// User to put into the URI
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// File with that user's password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Authentication database of that user, if it is not admin
    #[arg(long, value_name = "DATABASE")]
    pub auth_source: Option<String>,
}
