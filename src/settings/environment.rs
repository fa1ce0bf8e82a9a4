//! Environment variables: read once, used as defaults of the flags, under rsctl's names and those of other tools.

use std::collections::BTreeMap;
use std::fmt;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};

use super::Usage;
use crate::cli;
use crate::parse::values::{Services, log_level, port, set_name};

/// Names that other tools use for one of rsctl's settings. rsctl's own name wins. Among the others the first one wins whose
/// value could be meant: Kubernetes and Docker links set `MONGO_PORT=tcp://10.0.0.3:27017` for no program in particular.
struct Aliases {
    ours: &'static str,
    theirs: &'static [&'static str],
    could_be_meant: fn(&str) -> bool,
}

static ALIASES: [Aliases; 4] = [
    Aliases {
        ours: "RSCTL_SERVICE",
        theirs: &["MONGO_SERVICE_NAME", "SERVICE_NAME"],
        could_be_meant: |value| value.parse::<Services>().is_ok(),
    },
    Aliases {
        ours: "RSCTL_REPLICA_SET",
        theirs: &["REPLICASET_NAME", "REPLICA_SET", "MONGODB_REPLICA_SET_NAME", "MONGODB_RSNAME"],
        could_be_meant: |value| set_name(value).is_ok(),
    },
    Aliases {
        ours: "RSCTL_PORT",
        theirs: &["MONGO_PORT", "MONGODB_PORT_NUMBER", "MONGODB_PORT"],
        could_be_meant: |value| port(value).is_ok(),
    },
    Aliases { ours: "RSCTL_LOG_LEVEL", theirs: &["LOGLEVEL"], could_be_meant: |value| log_level(value).is_ok() },
];

/// Commands that run in the controller's container. In an application's container a variable such as SERVICE_NAME
/// belongs to the application.
const WITH_ALIASES: [&str; 4] = ["run", "status", "recover", "healthcheck"];

/// The variables of the process, or those of a test.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. No other function reads them.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        };
        Self(std::env::vars_os().map(text).collect())
    }

    /// The value of a variable. An empty variable counts as unset, because Compose files set omitted values to nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of these variables that is set, with its value.
    pub(crate) fn first<'a>(&'a self, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// The variables of other tools that are set to a value which rsctl cannot use.
    pub(super) fn unusable_aliases(&self) -> Vec<&'static str> {
        let unusable = |aliases: &'static Aliases| {
            let cannot = |name: &&str| self.get(name).is_some_and(|value| !(aliases.could_be_meant)(value));
            aliases.theirs.iter().copied().filter(cannot).collect::<Vec<_>>()
        };
        ALIASES.iter().flat_map(unusable).collect()
    }

    /// The variable that holds the value of rsctl's variable `ours`, with that value.
    fn standing_for<'a>(&'a self, ours: &'a str, aliases: bool) -> Option<(&'a str, &'a str)> {
        let own = self.first(&[ours]);
        if own.is_some() || !aliases {
            return own;
        }
        let alias = ALIASES.iter().find(|aliases| aliases.ours == ours).and_then(|aliases| {
            let mut set = aliases.theirs.iter().filter_map(|name| Some((*name, self.get(name)?)));
            set.find(|(_, value)| (aliases.could_be_meant)(value))
        });
        let debug = || self.get("DEBUG").filter(|value| matches!(*value, "1" | "true")).map(|_| ("DEBUG", "debug"));
        if ours == "RSCTL_LOG_LEVEL" { alias.or_else(debug) } else { alias }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish() // a value may be a secret
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

/// The command line with the variables as defaults. A flag wins over a variable, and both are checked in the same way.
pub(super) fn overlaid(environment: &Environment) -> Command {
    let lay = |aliases: bool| {
        move |arg: Arg| {
            let Some(name) = arg.get_env().map(|name| name.to_string_lossy().into_owned()) else { return arg };
            // clap must not read the variable itself, because it accepts an empty one.
            let arg = arg.env(Resettable::Reset);
            match environment.standing_for(&name, aliases) {
                Some((_, value)) => arg.default_value(value.to_owned()),
                None => arg,
            }
        }
    };
    cli::command().mut_args(lay(true)).mut_subcommands(|command| {
        let aliases = WITH_ALIASES.contains(&command.get_name());
        command.mut_args(lay(aliases))
    })
}

/// Writes an error in one line, which names the flag or the variable, its value, and what is accepted.
pub(super) fn explain(error: clap::Error, command: &str, environment: &Environment) -> Usage {
    use std::error::Error;
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(arg), Some(value)) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue)) else {
        return Usage::Clap(error);
    };
    let accepted = match (error.source(), error.get(ContextKind::ValidValue)) {
        (_, Some(ContextValue::Strings(words))) if !words.is_empty() => words.join(", "),
        (Some(source), _) => source.to_string(),
        _ => return Usage::Clap(error),
    };
    if value.is_empty() && !arg.is_empty() && error.source().is_none() {
        return Usage::Clap(error); // the last flag of the line has no value
    }
    let flag = arg.split([' ', '=']).next().unwrap_or(arg);
    let variable = variable_of(flag, command);
    let aliases = WITH_ALIASES.contains(&command);
    let origin = match variable.as_deref().and_then(|name| environment.standing_for(name, aliases)) {
        // If the flag has the same value, naming both is correct too.
        Some((name, set)) if set == value => format!("{name} ({flag})"),
        _ => flag.to_owned(),
    };
    Usage::Bad { origin, value: without_credentials(value), accepted }
}

/// A value as it may be shown: what stands before the `@` of a URI may be a secret.
fn without_credentials(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
        }
        None => value.to_owned(),
    }
}

fn variable_of(flag: &str, command: &str) -> Option<String> {
    let root = cli::command();
    let of = |command: &Command| {
        let arg = command.get_arguments().find(|arg| Some(flag) == arg.get_long().map(|l| format!("--{l}")).as_deref());
        arg.and_then(|arg| arg.get_env()).map(|name| name.to_string_lossy().into_owned())
    };
    root.find_subcommand(command).and_then(of).or_else(|| of(&root))
}
