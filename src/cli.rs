//! Flags, their variables and their help. `settings` checks them as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bson::oid::ObjectId;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tracing::level_filters::LevelFilter;

use crate::model::{Bootstrap, FailoverAfter, MemberAddress, RecoveryMode, SetName};
use crate::parse::users::Users;
use crate::parse::values::{
    ControllerUrl, Services, failover_after, log_level, objectid, port, set_name, size, socket, switch,
};
use crate::parse::{Wanted, positive, written};
use crate::telemetry::LogFormat;

mod admin;
mod apps;
pub mod defaults;
mod secrets;

pub use admin::{
    EndpointArgs, HealthcheckArgs, PauseArgs, ReaddressArgs, RecoverArgs, RemoveArgs, ResumeArgs, SwitchoverArgs,
};
pub use apps::{CredentialsArgs, EnvArgs, EnvForm, ExecArgs, UriArgs, VariablesArgs, WaitArgs};
pub use secrets::SecretsArgs;

/// Creates, monitors and repairs a MongoDB replica set on Docker Swarm, and provides its connection string.
#[derive(Debug, Parser)]
#[command(name = "rsctl", version, arg_required_else_help = true)]
pub struct Cli {
    /// The command.
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
    /// Show the replica set, its members, and what the controller does next
    #[command(
        after_help = "Exit code: 0 healthy and nothing to wait for, 1 the state is unknown, 3 degraded, 4 no primary."
    )]
    Status(Box<StatusArgs>),
    /// Show the next steps and the reason for each one; change nothing
    #[command(
        after_help = "Exit code: 0 there is nothing to do or to wait for, 1 the state is unknown, 3 there is something."
    )]
    Plan(Box<PlanArgs>),
    /// Show what was done to the replica set, when, why and by which controller
    #[command(after_help = "\
The newest event is the last. Each member keeps the newest events, and the controller, or this command, puts them
together.

Exit code: 0 printed, 1 the state is unknown.")]
    History(Box<PlanArgs>),
    /// Let no controller change the replica set for a while
    #[command(after_help = "\
Run it in the controller's container (docker exec): the controller accepts requests on loopback only. The members keep
the pause, so it holds for every controller, and after a restart. It ends by itself. `rsctl status` shows it, and what
would be done without it. Meanwhile there is no failover and no repair, and requests such as `rsctl remove` are refused.
MongoDB itself still elects a primary. Only a vote whose data directory lost its data is revoked all the same.

Exit code: 0 paused, 1 not possible, 124 not every member that answers keeps it yet (the controller continues).")]
    Pause(PauseArgs),
    /// End a pause
    #[command(after_help = "\
Run it in the controller's container (docker exec): the controller accepts requests on loopback only.

Exit code: 0 there is no pause, 1 not possible, 124 timed out.")]
    Resume(ResumeArgs),
    /// Remove members from the replica set before their tasks are stopped for good
    #[command(after_help = "\
Run it in the controller's container (docker exec): the controller accepts requests on loopback only. It removes one
member at a time. A primary steps down first. The controller never removes a member if that loses the majority. A node
that still runs does not join again until its task is gone or the controller restarts.

Exit code: 0 the members are removed, 1 not possible, 124 timed out (the controller continues).")]
    Remove(Box<RemoveArgs>),
    /// Have another member lead, as before work on the primary's machine
    #[command(
        visible_alias = "stepdown",
        after_help = "\
Run it in the controller's container (docker exec): the controller accepts requests on loopback only. First enough
members copy from the one that will lead, so that writes go on at once. Then that one stands for election, and the
command says how long there was no primary. MongoDB gives the lead back to a member with a higher priority after 10 s or
more; the command says so.

Exit code: 0 another member leads, or the one that --to names leads already, 1 not possible, 3 --dry-run: it could be
done, 4 no primary, 5 refused, because nobody can take over, 124 timed out."
    )]
    Switchover(Box<SwitchoverArgs>),
    /// Give the members host names instead of IP addresses, or the other way round
    #[command(after_help = "\
Run it in the controller's container (docker exec): the controller accepts requests on loopback only. It changes one
member at a time, and waits until that member works before it changes the next one; the primary is the last. Members
keep their data, their votes and their `_id`. A request ends with the controller: run the command again to go on. The
opposite request undoes it. Members that are no tasks, and arbiters without a login, keep their addresses.

Exit code: 0 all members have such an address, 1 not possible, 3 --dry-run: there is something to change, 5 refused,
because no such address leads to a member, 124 timed out (the controller continues).")]
    Readdress(Box<ReaddressArgs>),
    /// Show what is known about a replica set without a primary, and recover it
    #[command(after_help = "\
Run it in the controller's container (docker exec): the controller accepts requests on loopback only. If a majority of
the voting data directories is found, the replica set is recovered and no acknowledged write is lost. If not, the command
shows what would be lost and ends with exit code 5. Its last line is then the command that accepts the loss. If no
controller runs, this command recovers the replica set itself. It then needs the flags that say where the nodes are.

Exit code: 0 there is a primary, 1 the state is unknown, 3 --dry-run: a recovery is possible, 5 refused for safety,
124 timed out (the controller continues).")]
    Recover(Box<RecoverArgs>),
    /// Print the connection string (URI) of the replica set
    #[command(after_help = "Exit code: 0 printed, 1 the state is unknown, 4 no members are known, 124 timed out.")]
    Uri(Box<UriArgs>),
    /// Set variables to the connection string or its parts, then run a program
    #[command(after_help = "\
Placeholders of a TEMPLATE: {uri} {hosts} {replica_set} {database}; {{ and }} write braces.
If a NAME has no TEMPLATE, the variable must hold a mongodb:// URI. Only its hosts and its replicaSet change.

  rsctl exec --set LCB_DATABASE_URI -- npm start
  rsctl exec --set DB_URI={hosts} --set REPLICA_SET={replica_set} -- ./bin/sth

Without --on-change the program replaces rsctl in the same process. With --on-change rsctl stays as the parent of the
program. It forwards signals, ends with the program's exit code, and as PID 1 reaps orphaned processes.
  restart      restarts the program when none of the hosts that it knows is a member any more
  signal[=HUP] sends the program a signal when a value changes; the file of --out already holds the new values

Exit code: that of the program, or 128 plus the number of the signal that ended it; 124 timed out before the start,
126 the program cannot be run, 127 there is no such program.")]
    Exec(Box<ExecArgs>),
    /// Write variables with the connection string or its parts to a file
    #[command(after_help = "\
Placeholders of a TEMPLATE: {uri} {hosts} {replica_set} {database}; {{ and }} write braces.
If a NAME has no TEMPLATE, the variable must hold a mongodb:// URI. Only its hosts and its replicaSet change.")]
    Env(Box<EnvArgs>),
    /// Wait until applications can start, or until another condition of the replica set holds
    #[command(after_help = "\
What is missing goes to stderr, once for each change.

  usable      there is a primary, and all members are in the URI
  primary     there is a primary
  healthy     `rsctl status` would end with exit code 0
  all-voting  every member that gets a vote has it
  synced      every member holds the data, and none is more than 10 s behind, delayed ones aside
  members=N   the config has exactly N members

Exit code: 0 it is so, 124 timed out.")]
    Wait(Box<WaitArgs>),
    /// Make the keys, certificates and passwords of a replica set with login and TLS
    #[command(after_help = "\
It prints the commands that give the files to a Swarm; what it made and kept goes to stderr. To make a file again, move
the old one away: a certificate is then signed by the same authority. Keep ca.key away from the nodes.

  rsctl secrets --nodes node1,node2,node3 --app chat | sh

Exit code: 0 all files are there, 1 a file that is there cannot be used, or one cannot be written.")]
    Secrets(SecretsArgs),
    /// Ask the controller in this container whether it is alive
    Healthcheck(HealthcheckArgs),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// How to log, for every command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// Least important level to log: error, warn, info, debug or trace [default: info for `run`, else warn]
    #[arg(long, global = true, value_name = "LEVEL", env = "RSCTL_LOG_LEVEL", value_parser = log_level)]
    pub log_level: Option<LevelFilter>,
    /// Format of log lines; auto is text on a terminal and JSON elsewhere
    #[arg(long, global = true, value_name = "FORMAT", env = "RSCTL_LOG_FORMAT", default_value = "auto",
          value_parser = one_of(&LogFormat::CHOICES))]
    pub log_format: LogFormat,
}

/// Where the nodes are found.
#[derive(Args, Debug)]
#[command(next_help_heading = "Finding the nodes")]
pub struct DiscoveryArgs {
    /// Services, hosts (HOST:PORT) or addresses of the nodes, separated by commas; `_mongodb._tcp.NAME` uses SRV records
    #[arg(long, value_name = "NAMES", env = "RSCTL_SERVICE", default_value = "mongo")]
    pub service: Services,
    /// Name of the replica set, as in `mongod --replSet`
    #[arg(long, value_name = "NAME", env = "RSCTL_REPLICA_SET", default_value = "rs", value_parser = set_name)]
    pub replica_set: SetName,
    /// Port of every node that has no port in --service or in an SRV record
    #[arg(long, env = "RSCTL_PORT", default_value = "27017", value_parser = port)]
    pub port: u16,
    /// Number of nodes of the service; a replica set is created when all of them answer
    #[arg(long, value_name = "NUMBER", env = "RSCTL_EXPECT", default_value = "3", value_parser = size)]
    pub expect: usize,
    /// Replica set to manage if several use the same name (settings.replicaSetId)
    #[arg(long, value_name = "ID", env = "RSCTL_REPLICA_SET_ID", value_parser = objectid)]
    pub replica_set_id: Option<ObjectId>,
    /// Name server to use instead of the one in resolv.conf
    #[arg(long, value_name = "IP:PORT", env = "RSCTL_DNS", value_parser = socket)]
    pub dns: Option<SocketAddr>,
    /// Connect to the nodes with TLS
    #[arg(long, env = "RSCTL_TLS", value_parser = switch)]
    pub tls: bool,
    /// Certificate authorities of the nodes' certificates (PEM)
    #[arg(long, value_name = "FILE", env = "RSCTL_TLS_CA_FILE")]
    pub tls_ca_file: Option<PathBuf>,
    /// Client certificate and key for the nodes (PEM)
    #[arg(long, value_name = "FILE", env = "RSCTL_TLS_CERT_KEY_FILE")]
    pub tls_cert_key_file: Option<PathBuf>,
}

/// How to log in to the nodes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logging in to the nodes")]
pub struct LoginArgs {
    /// Keyfile of the nodes; rsctl logs in with it as `__system`
    #[arg(long, value_name = "FILE", env = "RSCTL_KEYFILE")]
    pub keyfile: Option<PathBuf>,
    /// Log in with the certificate of --tls-cert-key-file (MONGODB-X509) instead of the keyfile
    #[arg(long, env = "RSCTL_X509", value_parser = switch)]
    pub x509: bool,
    /// User to log in with instead of the keyfile
    #[arg(long, value_name = "NAME", env = "RSCTL_USERNAME")]
    pub username: Option<String>,
    /// File with that user's password
    #[arg(long, value_name = "FILE", env = "RSCTL_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// Authentication database of that user
    #[arg(long, value_name = "DATABASE", env = "RSCTL_AUTH_SOURCE", default_value = "admin")]
    pub auth_source: String,
}

/// The controller's own settings.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Addresses of members in the config; auto uses a host name if it leads to the task, else the IP
    #[arg(long, value_name = "KIND", env = "RSCTL_MEMBER_ADDRESS", default_value = default_of(&MemberAddress::CHOICES),
          value_parser = one_of(&MemberAddress::CHOICES))]
    pub member_address: MemberAddress,
    /// How long a member must be gone from DNS and unreachable before it is removed to help the other members
    #[arg(long, value_name = "TIME", env = "RSCTL_REPLACE_AFTER", default_value = written(defaults::REPLACE_AFTER), value_parser = positive)]
    pub replace_after: Duration,
    /// How long a member must be gone before it is removed in any case
    #[arg(long, value_name = "TIME", env = "RSCTL_REMOVE_AFTER", default_value = written(defaults::REMOVE_AFTER), value_parser = positive)]
    pub remove_after: Duration,
    /// Whether to recover a replica set whose majority has new addresses; auto does it if the evidence is complete
    #[arg(long, value_name = "MODE", env = "RSCTL_RECOVERY", default_value = default_of(&RecoveryMode::CHOICES),
          value_parser = one_of(&RecoveryMode::CHOICES))]
    pub recovery: RecoveryMode,
    /// Whether to create a replica set from blank nodes; auto does it if all expected nodes are blank
    #[arg(long, value_name = "MODE", env = "RSCTL_BOOTSTRAP", default_value = default_of(&Bootstrap::CHOICES),
          value_parser = one_of(&Bootstrap::CHOICES))]
    pub bootstrap: Bootstrap,
    /// How long a majority must miss a primary whose machine is silent before another one is elected; off leaves elections
    /// to MongoDB
    #[arg(long, value_name = "TIME", env = "RSCTL_FAILOVER_AFTER", default_value = written(defaults::FAILOVER_AFTER), value_parser = failover_after)]
    pub failover_after: FailoverAfter,
    /// How long the state must be stable before a bootstrap or a recovery
    #[arg(long, value_name = "TIME", env = "RSCTL_STABLE_FOR", default_value = written(defaults::STABLE_FOR), value_parser = positive)]
    pub stable_for: Duration,
    /// Longest pause between two observations; events cause an earlier one
    #[arg(long, value_name = "TIME", env = "RSCTL_INTERVAL", default_value = written(defaults::INTERVAL), value_parser = positive)]
    pub interval: Duration,
    /// Address to serve the status and the URI on, read-only
    #[arg(long, value_name = "IP:PORT", env = "RSCTL_LISTEN", default_value = "0.0.0.0:8080", value_parser = socket)]
    pub listen: SocketAddr,
    /// File with a token that every request must bring, except role checks and health
    #[arg(long, value_name = "FILE", env = "RSCTL_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Address to accept admin requests on; must be a loopback address
    #[arg(long, value_name = "IP:PORT", env = "RSCTL_ADMIN_LISTEN", default_value = "127.0.0.1:8081",
          value_parser = socket)]
    pub admin_listen: SocketAddr,
    /// File to keep the URI in; it is replaced atomically
    #[arg(long, value_name = "FILE", env = "RSCTL_PUBLISH_FILE")]
    pub publish_file: Option<PathBuf>,
    /// Users that the set must have, one a line or separated by `;`: `NAME[@DATABASE] [ROLE[@DATABASE] ...] [file=PATH]`
    #[arg(long, value_name = "USERS", env = "RSCTL_USERS")]
    pub users: Option<Users>,
    /// Where the nodes are.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
    /// How to log in to them.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// Where an answer comes from: the controller, or the nodes if no controller answers.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// The controller to ask; if it does not answer, rsctl asks the nodes directly
    #[arg(long, value_name = "URL", env = "RSCTL_CONTROLLER", default_value = "http://rsctl:8080")]
    pub controller: ControllerUrl,
    /// File with the token that the controller demands
    #[arg(long, value_name = "FILE", env = "RSCTL_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Where the nodes are, in case no controller answers.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
}

/// `rsctl status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Format of the output: wide is the table with all columns, name is one member a line
    #[arg(long, short, value_name = "FORM", default_value = "table", value_parser = one_of(&View::CHOICES))]
    pub output: View,
    /// Go on until Ctrl-C: redraw the terminal in place, or print a block after every change if there is none
    #[arg(long, short)]
    pub watch: bool,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// How to log in to the nodes.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// How to show the replica set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Text for a terminal, as much as fits.
    Table,
    /// The same with all columns.
    Wide,
    /// JSON for programs.
    Json,
    /// The addresses of the members, one a line.
    Name,
}

impl View {
    const CHOICES: [(&str, Self); 4] =
        [("table", Self::Table), ("wide", Self::Wide), ("json", Self::Json), ("name", Self::Name)];
}

/// `rsctl plan` and `rsctl history`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// Format of the output
    #[arg(long, short, value_name = "FORM", default_value = "table", value_parser = one_of(&Output::CHOICES))]
    pub output: Output,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// How to log in to the nodes.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Text for a terminal.
    Table,
    /// JSON for programs.
    Json,
}

impl Output {
    const CHOICES: [(&str, Self); 2] = [("table", Self::Table), ("json", Self::Json)];
}

/// The command line as clap knows it. The help does not show the values of variables, because they may be secret.
pub fn command() -> clap::Command {
    Cli::command()
        .mut_args(|arg| arg.hide_env_values(true))
        .mut_subcommands(|command| command.mut_args(|arg| arg.hide_env_values(true)))
}

/// Parses one of a fixed list of words. Help and completions show the list.
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
