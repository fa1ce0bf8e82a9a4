//! What applications start with: `uri`, `exec`, `env`, `wait`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{SourceArgs, one_of};
use crate::connection_string::{Database, Format};
use crate::parse::values::OnChange;
use crate::parse::{positive, span};
use crate::publish::file::Readers;

/// `rsctl uri`.
#[derive(Args, Debug)]
pub struct UriArgs {
    /// Database to put into the URI
    #[arg(long, value_name = "NAME")]
    pub database: Option<Database>,
    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "uri", value_parser = one_of(&Format::CHOICES))]
    pub format: Format,
    /// Wait so long for a primary and all members; without it take what is known now
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub wait: Option<Duration>,
    /// Whom to ask.
    #[command(flatten)]
    pub source: SourceArgs,
    /// What to put in.
    #[command(flatten)]
    pub credentials: CredentialsArgs,
}

/// Which variables to set, and to what.
#[derive(Args, Debug)]
pub struct VariablesArgs {
    /// Variable to set; without a TEMPLATE the URI that it holds is corrected
    #[arg(long = "set", value_name = "NAME[=TEMPLATE]", required = true)]
    pub set: Vec<String>,
    /// Database for {uri} and {database}
    #[arg(long, value_name = "NAME")]
    pub database: Option<Database>,
    /// Wait so long for a primary and all members; 0s takes what is known now
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub wait: Duration,
    /// Whom to ask.
    #[command(flatten)]
    pub source: SourceArgs,
    /// What to put in.
    #[command(flatten)]
    pub credentials: CredentialsArgs,
}

/// `rsctl exec`.
#[derive(Args, Debug)]
pub struct ExecArgs {
    /// What to do when the set is elsewhere: ignore, restart or signal[=NAME]
    #[arg(long, value_name = "ACTION", default_value = "ignore")]
    pub on_change: OnChange,
    /// How long a program that is to be restarted may take to end before it is killed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    pub stop_grace: Duration,
    /// Keep the variables in this file too, as NAME=VALUE for its owner only
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The variables.
    #[command(flatten)]
    pub variables: VariablesArgs,
    /// The program to become, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// `rsctl env`.
#[derive(Args, Debug)]
pub struct EnvArgs {
    /// File to write, replaced atomically; - is stdout
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Who may read the file: its owner only, or everyone, where another user needs it and it holds no secret
    #[arg(long, value_name = "WHO", default_value = "owner", value_parser = one_of(&Readers::CHOICES))]
    pub readers: Readers,
    /// Lines as NAME=VALUE, or as shell exports
    #[arg(long, value_name = "FORM", default_value = "env", value_parser = one_of(&EnvForm::CHOICES))]
    pub format: EnvForm,
    /// The variables.
    #[command(flatten)]
    pub variables: VariablesArgs,
}

/// The lines that `rsctl env` writes.
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
    /// How long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = positive)]
    pub timeout: Duration,
    /// Whom to ask.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Credentials that go into what is printed or set. They are never taken from a variable: only asking prints them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials for the answer")]
pub struct CredentialsArgs {
    /// User to put into the URI
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// File with that user's password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Database that knows that user
    #[arg(long, value_name = "DATABASE", default_value = "admin")]
    pub auth_source: String,
}
