//! The variables that `exec` and `env` set.

use crate::cli::EnvForm;
use crate::connection_string::Endpoint;
use crate::outcome::note;
use crate::settings::Variables;

/// The longest host list that Orion 1.x accepts. It copies the list into 64 bytes, with a zero byte at the end, and does
/// not check the length.
const HOSTS_MAX: usize = 63;

/// The names of the variables with their values for this endpoint.
pub(crate) fn values<'v>(variables: &'v Variables, endpoint: &Endpoint) -> Vec<(&'v str, String)> {
    let Variables { assignments, inserts, .. } = variables;
    assignments.iter().map(|a| (a.name.as_str(), a.value(endpoint, inserts))).collect()
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
