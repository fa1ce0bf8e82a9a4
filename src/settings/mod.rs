//! From the command line and the environment to the settings of each command, checked as a whole.
//!
//! **Invariant:** no other module reads the environment. A setting that is not valid ends the program with exit code 2
//! and one line, which names the flag or the variable, its value, and what is accepted.

mod admin;
mod apps;
mod behaviour;
mod environment;
mod login;
mod nodes;
mod secrets;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::FromArgMatches;
use clap::error::ErrorKind;
use clap_complete::Shell;
use tracing::level_filters::LevelFilter;

pub use admin::{PauseSettings, ReaddressSettings, RecoverSettings, RemoveSettings, SwitchoverSettings};
pub use apps::{EnvSettings, ExecSettings, UriSettings, Variables, WaitSettings};
pub use behaviour::Behaviour;
pub use environment::Environment;
pub use login::Login;
pub use nodes::{Nodes, Tls};
pub use secrets::SecretsSettings;

use crate::cli::{self, Output, View};
use crate::connection_string::AssignmentError;
use crate::model::DeclaredUser;
use crate::parse::values::ControllerUrl;
use crate::parse::written;
use crate::secret::{Secret, SecretError};
use crate::telemetry::LogFormat;

/// The settings of one run of the program.
#[derive(Debug)]
pub struct Settings {
    /// How to log.
    pub log: Log,
    /// The command with its own settings.
    pub command: Command,
    /// Variables that are set and have no effect. The log names them.
    pub ignored: Vec<&'static str>,
    /// Names of other tools whose values rsctl cannot use, so that they count as unset.
    pub unusable: Vec<&'static str>,
}

/// How to log.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The least important level to log.
    pub level: LevelFilter,
    /// The format of log lines.
    pub format: LogFormat,
    /// Whether output may be coloured on a terminal (<https://no-color.org>).
    pub colour: bool,
}

/// A command with its settings.
#[derive(Debug)]
pub enum Command {
    /// Run the controller.
    Run(Box<RunSettings>),
    /// Show the replica set.
    Status(Box<StatusSettings>),
    /// Show the next steps.
    Plan(Box<PlanSettings>),
    /// Show what was done.
    History(Box<PlanSettings>),
    /// Begin or end a pause.
    Pause(PauseSettings),
    /// Remove members.
    Remove(RemoveSettings),
    /// Have another member lead.
    Switchover(SwitchoverSettings),
    /// Give the members another kind of address.
    Readdress(Box<ReaddressSettings>),
    /// Recover a replica set without a primary.
    Recover(Box<RecoverSettings>),
    /// Print the URI.
    Uri(Box<UriSettings>),
    /// Run a program with the connection string in its environment.
    Exec(Box<ExecSettings>),
    /// Write variables to a file.
    Env(Box<EnvSettings>),
    /// Wait for a condition of the replica set.
    Wait(Box<WaitSettings>),
    /// Make keys, certificates and passwords.
    Secrets(SecretsSettings),
    /// Ask the controller at this address whether it is alive.
    Healthcheck(SocketAddr),
    /// Print a completion script.
    Completions(Shell),
}

/// The controller's settings.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// Where the nodes are, which replica set they form, and how to log in.
    pub nodes: Nodes,
    /// What the controller may do, and when.
    pub behaviour: Behaviour,
    /// Where to serve status and URI.
    pub listen: SocketAddr,
    /// The token that requests to `listen` must bring. None: no token.
    pub token: Option<Secret>,
    /// Where to accept admin requests. Always a loopback address.
    pub admin_listen: SocketAddr,
    /// The file to keep the URI in.
    pub publish_file: Option<PathBuf>,
    /// The users that the set must have.
    pub users: Vec<DeclaredUser>,
}

/// Where an answer comes from: the controller, or the nodes if no controller answers.
#[derive(Clone, Debug)]
pub struct Source {
    /// The controller.
    pub controller: ControllerUrl,
    /// The nodes, for an observation without a controller.
    pub nodes: Nodes,
}

/// Settings of `status`.
#[derive(Debug)]
pub struct StatusSettings {
    /// Where the answer comes from.
    pub source: Source,
    /// How to show the replica set.
    pub view: View,
    /// Whether to go on and show every change.
    pub watch: bool,
    /// Whether output may be coloured on a terminal.
    pub colour: bool,
}

/// Settings of `plan` and `history`.
#[derive(Debug)]
pub struct PlanSettings {
    /// Where the answer comes from.
    pub source: Source,
    /// The format of the output.
    pub output: Output,
}

/// Settings that are not valid. Requests for help are here too, because clap returns them as errors.
#[derive(Debug, thiserror::Error)]
pub enum Usage {
    /// An unknown flag, a missing command, `--help`.
    #[error("{0}")]
    Clap(clap::Error),
    /// A value that is not accepted.
    #[error("{origin}: `{value}` is not accepted; accepted: {accepted}")]
    Bad {
        /// Flag or variable.
        origin: String,
        /// The value.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// A file from which no secret can be read.
    #[error("{origin}: {}", path.display())]
    Secret {
        /// Flag or variable.
        origin: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        source: SecretError,
    },
    /// A `--set` that is not valid.
    #[error("--set")]
    Set(#[source] AssignmentError),
    /// Settings that contradict each other, or a file that cannot be opened.
    #[error("{0}")]
    Conflict(String),
}

impl Usage {
    fn conflict(text: impl Into<String>) -> Self {
        Self::Conflict(text.into())
    }
}

/// Reads the command line and the variables.
///
/// # Errors
///
/// A flag, a variable or their combination is not valid, or the user asks for help.
pub fn parse(args: Vec<OsString>, environment: &Environment) -> Result<Settings, Usage> {
    let overlaid = environment::overlaid(environment);
    let matches = match overlaid.try_get_matches_from(&args) {
        Ok(matches) => matches,
        // The help shows the built-in defaults, not the values of variables.
        Err(error) if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let pristine = cli::command().try_get_matches_from(&args);
            return Err(Usage::Clap(pristine.err().unwrap_or(error)));
        }
        Err(error) => {
            let commands = cli::command();
            let named = |arg: &OsString| commands.find_subcommand(arg).map(|command| command.get_name().to_owned());
            let command = args.iter().skip(1).find_map(named).unwrap_or_default();
            return Err(environment::explain(error, &command, environment));
        }
    };
    let cli = cli::Cli::from_arg_matches(&matches).map_err(Usage::Clap)?;
    build(cli, environment)
}

fn build(cli: cli::Cli, environment: &Environment) -> Result<Settings, Usage> {
    let is_run = matches!(cli.command, cli::Command::Run(_));
    let default_level = if is_run { LevelFilter::INFO } else { LevelFilter::WARN };
    let log = Log {
        level: cli.log.log_level.unwrap_or(default_level),
        format: cli.log.log_format,
        colour: environment.get("NO_COLOR").is_none(),
    };
    let command = match cli.command {
        cli::Command::Run(run) => Command::Run(Box::new(RunSettings::new(*run, environment)?)),
        cli::Command::Status(status) => {
            Command::Status(Box::new(StatusSettings::new(*status, environment, log.colour)?))
        }
        cli::Command::Plan(plan) => Command::Plan(Box::new(PlanSettings::new(*plan, environment)?)),
        cli::Command::History(history) => Command::History(Box::new(PlanSettings::new(*history, environment)?)),
        cli::Command::Pause(pause) => Command::Pause(PauseSettings::pause(pause)),
        cli::Command::Resume(resume) => Command::Pause(PauseSettings::resume(resume)),
        cli::Command::Remove(remove) => Command::Remove(RemoveSettings::new(*remove)),
        cli::Command::Switchover(switchover) => Command::Switchover(SwitchoverSettings::new(*switchover)),
        cli::Command::Readdress(readdress) => {
            Command::Readdress(Box::new(ReaddressSettings::new(*readdress, environment)?))
        }
        cli::Command::Recover(recover) => Command::Recover(Box::new(RecoverSettings::new(*recover, environment)?)),
        cli::Command::Uri(uri) => Command::Uri(Box::new(UriSettings::new(*uri, environment)?)),
        cli::Command::Exec(exec) => Command::Exec(Box::new(ExecSettings::new(*exec, environment)?)),
        cli::Command::Env(env) => Command::Env(Box::new(EnvSettings::new(*env, environment)?)),
        cli::Command::Wait(wait) => Command::Wait(Box::new(WaitSettings::new(*wait, environment)?)),
        cli::Command::Secrets(secrets) => Command::Secrets(SecretsSettings::new(secrets)?),
        cli::Command::Healthcheck(healthcheck) => Command::Healthcheck(healthcheck.admin_listen),
        cli::Command::Completions { shell } => Command::Completions(shell),
    };
    let ignored = ["OVERLAY_NETWORK_NAME", "BACKEND_NETWORK_NAME", "NETWORK_NAME"];
    let ignored = ignored.into_iter().filter(|name| is_run && environment.get(name).is_some()).collect();
    let unusable = if is_run { environment.unusable_aliases() } else { Vec::new() };
    Ok(Settings { log, command, ignored, unusable })
}

impl RunSettings {
    fn new(cli: cli::RunArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::RunArgs {
            discovery,
            login,
            replace_after,
            remove_after,
            listen,
            token_file,
            admin_listen,
            publish_file,
            users,
            ..
        } = cli;
        if remove_after < replace_after {
            return Err(Usage::conflict(format!(
                "--remove-after {} is shorter than --replace-after {}",
                written(remove_after),
                written(replace_after)
            )));
        }
        if !admin_listen.ip().is_loopback() {
            return Err(Usage::Bad {
                origin: "RSCTL_ADMIN_LISTEN (--admin-listen)".to_owned(),
                value: admin_listen.to_string(),
                accepted: "a loopback address such as 127.0.0.1:8081, because every client there can change the set"
                    .to_owned(),
            });
        }
        let behaviour = Behaviour {
            member_address: cli.member_address,
            replace_after,
            remove_after,
            recovery: cli.recovery,
            bootstrap: cli.bootstrap,
            failover_after: cli.failover_after,
            stable_for: cli.stable_for,
            interval: cli.interval,
        };
        let nodes = Nodes::new(discovery, Login::new(login, environment)?)?;
        let token = login::token(token_file, environment)?;
        let users = users.map(|users| users.0).unwrap_or_default();
        if !users.is_empty() && matches!(nodes.login, Login::None) {
            // Without a login, rsctl would send the passwords to a mongod that has proved nothing.
            return Err(Usage::conflict("--users needs a login: --keyfile, --x509, or --username and --password-file"));
        }
        Ok(Self { nodes, behaviour, listen, token, admin_listen, publish_file, users })
    }
}

impl StatusSettings {
    fn new(cli: cli::StatusArgs, environment: &Environment, colour: bool) -> Result<Self, Usage> {
        let cli::StatusArgs { source, login, output: view, watch } = cli;
        Ok(Self { source: Source::new(source, Login::new(login, environment)?, environment)?, view, watch, colour })
    }
}

impl PlanSettings {
    fn new(cli: cli::PlanArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::PlanArgs { source, login, output } = cli;
        Ok(Self { source: Source::new(source, Login::new(login, environment)?, environment)?, output })
    }
}

impl Source {
    fn new(cli: cli::SourceArgs, login: Login, environment: &Environment) -> Result<Self, Usage> {
        let cli::SourceArgs { controller, token_file, discovery } = cli;
        let controller = controller.with_token(login::token(token_file, environment)?);
        Ok(Self { controller, nodes: Nodes::new(discovery, login)? })
    }
}

#[cfg(test)]
mod tests;
