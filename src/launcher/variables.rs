//! The values that `exec` and `env` set.

use crate::cli::EnvForm;
use crate::connection_string::Endpoint;
use crate::outcome::note;
use crate::settings::Variables;

/// Orion 1.x copies a host list into 64 bytes, the last of them zero, without a check.
const HOSTS_MAX: usize = 63;

/// Names and values for the set as it is.
pub(crate) fn values<'v>(variables: &'v Variables, endpoint: &Endpoint) -> Vec<(&'v str, String)> {
    let Variables { assignments, inserts, .. } = variables;
    assignments.iter().map(|a| (a.name.as_str(), a.value(endpoint, inserts))).collect()
}

/// The lines of a file that holds them.
pub(crate) fn lines(values: &[(&str, String)], form: EnvForm) -> String {
    let line = |(name, value): &(&str, String)| match form {
        EnvForm::Env => format!("{name}={value}\n"),
        // Inside single quotes a shell leaves everything alone but the quote itself.
        EnvForm::Export => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
    };
    values.iter().map(line).collect()
}

/// Says so when a list of hosts is too long for programs that do not check.
pub(crate) fn warn_of_length(variables: &Variables, endpoint: &Endpoint) {
    let length = endpoint.hosts().len();
    let mut lists = variables.assignments.iter().filter(|a| a.lists_hosts());
    if let Some(assignment) = lists.next().filter(|_| length > HOSTS_MAX) {
        note(format_args!(
            "{} holds a host list of {length} characters; Orion before 2.3 has room for {HOSTS_MAX} and does not check",
            assignment.name
        ));
    }
}
