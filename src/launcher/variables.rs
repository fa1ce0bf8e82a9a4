//! The variables that `exec` and `env` set, and the files that some of them name.

use std::path::{Path, PathBuf};

use crate::cli::EnvForm;
use crate::connection_string::{Endpoint, Place};
use crate::outcome::{Exit, Outcome, note};
use crate::publish::file::{Readers, write_atomically};
use crate::settings::Variables;

/// The longest host list that Orion 1.x accepts. It copies the list into 64 bytes, with a zero byte at the end, and does
/// not check the length.
const HOSTS_MAX: usize = 63;

/// What a program gets.
#[derive(PartialEq, Eq)]
pub(crate) struct Values<'v> {
    /// The names of the variables with their values.
    pub(crate) variables: Vec<(&'v str, String)>,
    files: Vec<(PathBuf, String)>,
}

/// The values for this endpoint. The path of a file is `beside`, a dot, and the name of its variable.
pub(crate) fn values<'v>(variables: &'v Variables, endpoint: &Endpoint, beside: &Path) -> Result<Values<'v>, Outcome> {
    let mut values = Values { variables: Vec::new(), files: Vec::new() };
    for assignment in &variables.assignments {
        let value =
            assignment.value(endpoint, &variables.inserts).map_err(|error| Outcome::error(Exit::Failed, &error))?;
        let name = assignment.name.as_str();
        match assignment.place {
            Place::Variable => values.variables.push((name, value)),
            Place::File => {
                let path = PathBuf::from(format!("{}.{name}", beside.display()));
                values.variables.push((name, path.display().to_string()));
                values.files.push((path, value));
            }
        }
    }
    Ok(values)
}

impl Values<'_> {
    /// Writes the files that variables name.
    pub(crate) fn write_files(&self, readers: Readers) -> Result<(), Outcome> {
        let write = |(path, text): &(PathBuf, String)| write_atomically(path, text, readers);
        self.files.iter().try_for_each(write).map_err(|error| Outcome::error(Exit::Failed, &error))
    }

    /// Removes those files.
    pub(crate) fn remove_files(&self) {
        for (path, _) in &self.files {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The lines of a file with these variables.
pub(crate) fn lines(values: &[(&str, String)], form: EnvForm) -> String {
    let line = |(name, value): &(&str, String)| match form {
        EnvForm::Env => format!("{name}={value}\n"),
        // Inside single quotes only the quote itself is special.
        EnvForm::Export => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
    };
    values.iter().map(line).collect()
}

/// Writes a note if a list of hosts is too long for programs that do not check its length.
pub(crate) fn warn_of_length(variables: &Variables, endpoint: &Endpoint) {
    let length = endpoint.hosts().len();
    let mut lists = variables.assignments.iter().filter(|a| a.lists_hosts());
    if let Some(assignment) = lists.next().filter(|_| length > HOSTS_MAX) {
        note(format_args!(
            "{} holds a host list of {length} characters; Orion before 2.3 accepts at most {HOSTS_MAX} and does not check",
            assignment.name
        ));
    }
}
