//! Settings of the commands that applications start with: `uri`, `exec`, `env` and `wait`.

use super::{Environment, Login, Source, Usage, login};
use crate::cli::{self, EnvForm};
use crate::connection_string::{Assignment, Format, Inserts, Place};
use crate::parse::values::OnChange;
use crate::publish::Goal;
use crate::publish::file::Readers;
use crate::secret::Secret;
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Settings of `wait`.
#[derive(Debug)]
pub struct WaitSettings {
    /// Where the answer comes from.
    pub source: Source,
    /// What to wait for.
    pub goal: Goal,
    /// How long to wait.
    pub timeout: Duration,
}

/// Settings of `uri`.
#[derive(Debug)]
pub struct UriSettings {
    /// Where the answer comes from.
    pub source: Source,
    /// What to put into the URI.
    pub inserts: Inserts,
    /// The format of the answer.
    pub format: Format,
    /// How long to wait until applications can start. `None` uses what is known now.
    pub wait: Option<Duration>,
}

/// Settings of `exec` and `env`.
#[derive(Debug)]
pub struct Variables {
    /// Where the answer comes from.
    pub source: Source,
    /// What to put into the URI.
    pub inserts: Inserts,
    /// The variables to set.
    pub assignments: Vec<Assignment>,
    /// How long to wait until applications can start. `None` uses what is known now.
    pub wait: Option<Duration>,
    /// What must hold then too.
    pub until: Goal,
}

/// Settings of `exec`.
#[derive(Debug)]
pub struct ExecSettings {
    /// The variables that the program gets.
    pub variables: Variables,
    /// What to do when their values change later.
    pub on_change: OnChange,
    /// How long the program may take to end before a restart.
    pub stop_grace: Duration,
    /// A file to keep the variables in too.
    pub out: Option<PathBuf>,
    /// How the paths of files begin that hold a secret value.
    pub secret_files: PathBuf,
    /// The program and its arguments.
    pub program: Vec<OsString>,
}

/// Settings of `env`.
#[derive(Debug)]
pub struct EnvSettings {
    /// The variables that the file holds.
    pub variables: Variables,
    /// The file; `-` is stdout.
    pub out: PathBuf,
    /// The format of its lines.
    pub form: EnvForm,
    /// Who can read it.
    pub readers: Readers,
}

impl WaitSettings {
    pub(super) fn new(cli: cli::WaitArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::WaitArgs { goal, timeout, source } = cli;
        Ok(Self { source: Source::new(source, Login::None, environment)?, goal, timeout })
    }
}

impl UriSettings {
    pub(super) fn new(cli: cli::UriArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::UriArgs { source, credentials, database, format, wait } = cli;
        Ok(Self {
            source: Source::new(source, Login::None, environment)?,
            inserts: Inserts { credentials: login::credentials(credentials)?, database },
            format,
            wait: wait.filter(|wait| !wait.is_zero()),
        })
    }
}

impl Variables {
    pub(super) fn new(cli: cli::VariablesArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::VariablesArgs { source, credentials, set, database, wait, until } = cli;
        if wait.is_zero() && until != Goal::Usable {
            return Err(Usage::conflict(format!("--until {until}: --wait 0s does not wait for it; give it a time")));
        }
        let inserts = Inserts { credentials: login::credentials(credentials)?, database };
        let assignments = Assignment::list(&set, &inserts, |name| environment.get(name), Secret::text_file);
        Ok(Self {
            source: Source::new(source, Login::None, environment)?,
            assignments: assignments.map_err(Usage::Set)?,
            inserts,
            wait: Some(wait).filter(|wait| !wait.is_zero()),
            until,
        })
    }
}

impl ExecSettings {
    pub(super) fn new(cli: cli::ExecArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::ExecArgs { variables, on_change, stop_grace, out, command: program } = cli;
        let variables = Variables::new(variables, environment)?;
        // In memory, if there is such a folder. The random name is unique: several containers may share it.
        let folder = Path::new("/dev/shm");
        let folder = if folder.is_dir() { folder } else { Path::new("/tmp") };
        let secret_files = folder.join(format!("rsctl-{:016x}", RandomState::new().hash_one(0u8)));
        Ok(Self { variables, on_change, stop_grace, out, secret_files, program })
    }
}

impl EnvSettings {
    pub(super) fn new(cli: cli::EnvArgs, environment: &Environment) -> Result<Self, Usage> {
        let cli::EnvArgs { variables, out, format: form, readers } = cli;
        let variables = Variables::new(variables, environment)?;
        for Assignment { name, place, .. } in &variables.assignments {
            if *place == Place::File && out.as_os_str() == "-" {
                return Err(Usage::conflict(format!("--out -: {name} names a file, which needs a place beside FILE")));
            }
        }
        if form == EnvForm::Export
            && let Some(other) = variables.assignments.iter().find(|assignment| !assignment.suits_a_shell())
        {
            return Err(Usage::conflict(format!("--format export: no shell has a variable named {}", other.name)));
        }
        Ok(Self { variables, out, form, readers })
    }
}
