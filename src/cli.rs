//! Flags, their variables and their help. What they mean together is decided in `settings`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bson::oid::ObjectId;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tracing::level_filters::LevelFilter;

use crate::model::{Bootstrap, MemberAddress, RecoveryMode, SetName};
use crate::parse::values::{ControllerUrl, Services, log_level, objectid, port, set_name, size, socket, switch};
use crate::parse::{Wanted, positive, written};
use crate::telemetry::LogFormat;

mod admin;
mod apps;
pub mod defaults;

pub use admin::{RecoverArgs, RemoveArgs};
pub use apps::{CredentialsArgs, EnvArgs, EnvForm, ExecArgs, UriArgs, VariablesArgs, WaitArgs};

/// Keeps a MongoDB replica set right on Docker Swarm and tells applications where it is.
#[derive(Debug, Parser)]
#[command(name = "rsctl", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller
    Run(Box<RunArgs>),
    /// Show the set, its members, and what the controller does next
    #[command(after_help = "Exit code: 0 all well, 1 cannot be found out, 3 degraded, 4 no primary.")]
    Status(Box<StatusArgs>),
    /// Show what would be done next, step by step, and why; nothing is changed
    #[command(after_help = "Exit code: 0 nothing to do or to wait for, 3 something is, 1 cannot be found out.")]
    Plan(Box<StatusArgs>),
    /// Take members out of the set before their tasks are stopped for good
    #[command(after_help = "\
Run it beside the controller (docker exec): requests are taken on loopback only. Members go one at a time, a primary
hands over first, and nothing is done that costs the majority. A node that is still running stays out until its task
is gone or the controller restarts.

Exit code: 0 they are out, 1 cannot be done, 124 timed out (it goes on).")]
    Remove(Box<RemoveArgs>),
    /// Show what is known of a set that has no primary, and bring it back
    #[command(after_help = "\
Run it beside the controller (docker exec): requests are taken on loopback only. Where a majority of the data is at
hand, it is brought back and no acknowledged write is lost. Where it is not, this shows what would be lost and ends
with 5; the command to type for going on all the same is then the last line of what it shows. Without a controller
it acts by itself, with the flags that say where the nodes are.

Exit code: 0 there is a primary, 1 cannot be found out, 3 --dry-run: something could be done, 5 refused for safety,
124 timed out (it goes on).")]
    Recover(Box<RecoverArgs>),
    /// Print the connection URI of the set
    #[command(after_help = "Exit code: 0 printed, 1 cannot be found out, 4 no members known, 124 timed out.")]
    Uri(Box<UriArgs>),
    /// Set variables to where the set is, then become another program
    #[command(after_help = "\
Placeholders of a TEMPLATE: {uri} {hosts} {replica_set} {database}; {{ and }} are braces.
A NAME without a TEMPLATE must hold a mongodb:// URI; only its hosts and its replicaSet change.

  rsctl exec --set LCB_DATABASE_URI -- npm start
  rsctl exec --set DB_URI={hosts} --set REPLICA_SET={replica_set} -- ./bin/sth

With --on-change rsctl stays, as the parent of the program: it passes signals on, ends with the program's exit code,
and as process 1 of a container buries orphans.
  restart      starts the program anew, once none of the hosts that it was given is a member any more
  signal[=HUP] sends it a signal whenever a value differs; with --out the file holds the new ones by then

Exit code: the program's own, 128 and its number for a signal; 124 timed out before it could start,
126 cannot be run, 127 no such program.")]
    Exec(Box<ExecArgs>),
    /// Write variables that say where the set is to a file
    #[command(after_help = "\
Placeholders of a TEMPLATE: {uri} {hosts} {replica_set} {database}; {{ and }} are braces.
A NAME without a TEMPLATE must hold a mongodb:// URI; only its hosts and its replicaSet change.")]
    Env(Box<EnvArgs>),
    /// Wait until the set is usable: a primary, and all members listed
    #[command(after_help = "Exit code: 0 it is, 124 timed out.")]
    Wait(Box<WaitArgs>),
    /// Ask the controller of this container whether it is alive
    Healthcheck(HealthcheckArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// How to log, for every command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// error, warn, info, debug or trace [default: info for `run`, else warn]
    #[arg(long, global = true, value_name = "LEVEL", env = "RSCTL_LOG_LEVEL", value_parser = log_level)]
    pub log_level: Option<LevelFilter>,
    /// How log lines look; auto is text on a terminal and JSON elsewhere
    #[arg(long, global = true, value_name = "FORMAT", env = "RSCTL_LOG_FORMAT", default_value = "auto",
          value_parser = one_of(&LogFormat::CHOICES))]
    pub log_format: LogFormat,
}

/// Where the nodes are found.
#[derive(Args, Debug)]
#[command(next_help_heading = "Finding the nodes")]
pub struct DiscoveryArgs {
    /// Swarm services to find the nodes by, as a comma list; `_mongodb._tcp.NAME` asks for SRV records
    #[arg(long, value_name = "NAMES", env = "RSCTL_SERVICE", default_value = "mongo")]
    pub service: Services,
    /// Name of the replica set, as in `mongod --replSet`
    #[arg(long, value_name = "NAME", env = "RSCTL_REPLICA_SET", default_value = "rs", value_parser = set_name)]
    pub replica_set: SetName,
    /// Port of every node, unless SRV says otherwise
    #[arg(long, env = "RSCTL_PORT", default_value = "27017", value_parser = port)]
    pub port: u16,
    /// How many nodes the service has; a new set begins when so many answer
    #[arg(long, value_name = "NUMBER", env = "RSCTL_EXPECT", default_value = "3", value_parser = size)]
    pub expect: usize,
    /// Pins one of two sets that claim the same name (settings.replicaSetId)
    #[arg(long, value_name = "ID", env = "RSCTL_REPLICA_SET_ID", value_parser = objectid)]
    pub replica_set_id: Option<ObjectId>,
    /// Name server instead of the one in resolv.conf
    #[arg(long, value_name = "IP:PORT", env = "RSCTL_DNS", value_parser = socket)]
    pub dns: Option<SocketAddr>,
    /// Speak TLS with the nodes
    #[arg(long, env = "RSCTL_TLS", value_parser = switch)]
    pub tls: bool,
    /// Who may sign the nodes' certificates (PEM)
    #[arg(long, value_name = "FILE", env = "RSCTL_TLS_CA_FILE")]
    pub tls_ca_file: Option<PathBuf>,
    /// Certificate and key to show to the nodes (PEM)
    #[arg(long, value_name = "FILE", env = "RSCTL_TLS_CERT_KEY_FILE")]
    pub tls_cert_key_file: Option<PathBuf>,
}

/// How to log in to the nodes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logging in to the nodes")]
pub struct LoginArgs {
    /// Keyfile of the nodes; log in with it as `__system`
    #[arg(long, value_name = "FILE", env = "RSCTL_KEYFILE")]
    pub keyfile: Option<PathBuf>,
    /// User to log in as, instead of the keyfile
    #[arg(long, value_name = "NAME", env = "RSCTL_USERNAME")]
    pub username: Option<String>,
    /// File with that user's password
    #[arg(long, value_name = "FILE", env = "RSCTL_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// Database that knows that user
    #[arg(long, value_name = "DATABASE", env = "RSCTL_AUTH_SOURCE", default_value = "admin")]
    pub auth_source: String,
}

/// The controller's own settings.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// How members are named in the config; auto prefers names that Swarm keeps over IPs that it changes
    #[arg(long, value_name = "KIND", env = "RSCTL_MEMBER_ADDRESS", default_value = default_of(&MemberAddress::CHOICES),
          value_parser = one_of(&MemberAddress::CHOICES))]
    pub member_address: MemberAddress,
    /// Remove a member where that helps the rest, when it is gone from DNS and unreachable for so long
    #[arg(long, value_name = "TIME", env = "RSCTL_REPLACE_AFTER", default_value = written(defaults::REPLACE_AFTER), value_parser = positive)]
    pub replace_after: Duration,
    /// Remove a member even where that gains nothing, when it is gone for so long
    #[arg(long, value_name = "TIME", env = "RSCTL_REMOVE_AFTER", default_value = written(defaults::REMOVE_AFTER), value_parser = positive)]
    pub remove_after: Duration,
    /// Whether to bring back a set that lost its majority to new addresses, when the evidence is complete
    #[arg(long, value_name = "MODE", env = "RSCTL_RECOVERY", default_value = default_of(&RecoveryMode::CHOICES),
          value_parser = one_of(&RecoveryMode::CHOICES))]
    pub recovery: RecoveryMode,
    /// Whether blank nodes may become a new set
    #[arg(long, value_name = "MODE", env = "RSCTL_BOOTSTRAP", default_value = default_of(&Bootstrap::CHOICES),
          value_parser = one_of(&Bootstrap::CHOICES))]
    pub bootstrap: Bootstrap,
    /// Two observations so far apart must agree before a bootstrap or a recovery
    #[arg(long, value_name = "TIME", env = "RSCTL_STABLE_FOR", default_value = written(defaults::STABLE_FOR), value_parser = positive)]
    pub stable_for: Duration,
    /// Look at least so often; events make it sooner
    #[arg(long, value_name = "TIME", env = "RSCTL_INTERVAL", default_value = written(defaults::INTERVAL), value_parser = positive)]
    pub interval: Duration,
    /// Where to serve status and URI, read-only
    #[arg(long, value_name = "IP:PORT", env = "RSCTL_LISTEN", default_value = "0.0.0.0:8080", value_parser = socket)]
    pub listen: SocketAddr,
    /// Where to take requests, on loopback only
    #[arg(long, value_name = "IP:PORT", env = "RSCTL_ADMIN_LISTEN", default_value = "127.0.0.1:8081",
          value_parser = socket)]
    pub admin_listen: SocketAddr,
    /// Keep the URI in this file, replaced atomically
    #[arg(long, value_name = "FILE", env = "RSCTL_PUBLISH_FILE")]
    pub publish_file: Option<PathBuf>,
    /// Where the nodes are.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
    /// How to log in to them.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// Whom to ask: the controller, and without it the nodes themselves.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// The controller to ask; when it does not answer, the nodes are asked directly
    #[arg(long, value_name = "URL", env = "RSCTL_CONTROLLER", default_value = "http://rsctl:8080")]
    pub controller: ControllerUrl,
    /// Where the nodes are, to do without the controller.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
}

/// `rsctl status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// For people or for programs
    #[arg(long, short, value_name = "FORM", default_value = "table", value_parser = one_of(&Output::CHOICES))]
    pub output: Output,
    /// Whom to ask.
    #[command(flatten)]
    pub source: SourceArgs,
    /// How to log in to the nodes.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// How `rsctl status` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// For programs: the same as `/v1/status`.
    Json,
}

impl Output {
    const CHOICES: [(&str, Self); 2] = [("table", Self::Table), ("json", Self::Json)];
}

/// `rsctl healthcheck`.
#[derive(Args, Debug)]
pub struct HealthcheckArgs {
    /// Where the controller of this container serves
    #[arg(long, value_name = "IP:PORT", env = "RSCTL_LISTEN", default_value = "0.0.0.0:8080", value_parser = socket)]
    pub listen: SocketAddr,
}

/// The command line as clap knows it. Values of variables stay out of the help.
pub fn command() -> clap::Command {
    Cli::command()
        .mut_args(|arg| arg.hide_env_values(true))
        .mut_subcommands(|command| command.mut_args(|arg| arg.hide_env_values(true)))
}

/// Reads one of a fixed list of words, which help and completions then show.
fn one_of<T: Copy + Send + Sync + 'static>(choices: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(choices.iter().map(|(name, _)| *name)).try_map(move |text| {
        choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, choice)| *choice)
            .ok_or(Wanted("one of the listed words"))
    })
}

/// The word for the default among these choices.
fn default_of<T: Default + PartialEq>(choices: &[(&'static str, T)]) -> &'static str {
    let default = T::default();
    choices.iter().find(|(_, choice)| *choice == default).map_or("", |(name, _)| *name)
}
