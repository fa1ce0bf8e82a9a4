//! `rsctl env`: writes variables to a file, for programs that `rsctl exec` cannot start.

use crate::client::Inquiry;
use crate::launcher::variables::{lines, values, warn_of_length};
use crate::outcome::{Exit, Outcome};
use crate::publish::file::write_atomically;
use crate::settings::EnvSettings;

pub(super) async fn env(settings: EnvSettings) -> Outcome {
    let EnvSettings { variables, out, form, readers } = settings;
    let endpoint = match Inquiry::new(&variables.source).endpoint(variables.wait, variables.until).await {
        Ok(endpoint) => endpoint,
        Err(outcome) => return outcome,
    };
    warn_of_length(&variables, &endpoint);
    let values = match values(&variables, &endpoint, &out) {
        Ok(values) => values,
        Err(outcome) => return outcome,
    };
    let text = lines(&values.variables, form);
    if out.as_os_str() == "-" {
        return Outcome::print(Exit::Ok, &text);
    }
    if let Err(outcome) = values.write_files(readers) {
        return outcome;
    }
    match write_atomically(&out, &text, readers) {
        Ok(()) => Outcome::silent(Exit::Ok),
        Err(error) => Outcome::error(Exit::Failed, &error),
    }
}
