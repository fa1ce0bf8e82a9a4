//! `rsctl env`: variables as a file, for programs that cannot be started through `rsctl exec`.

use std::path::Path;

use super::source::Inquiry;
use crate::cli::EnvForm;
use crate::outcome::{Exit, Outcome};
use crate::publish::file::{Readers, write_atomically};
use crate::settings::Variables;

pub(super) async fn env(settings: Variables, out: &Path, form: EnvForm) -> Outcome {
    let endpoint = match Inquiry::new(&settings.source).endpoint(settings.wait).await {
        Ok(endpoint) => endpoint,
        Err(outcome) => return outcome,
    };
    let line = |(name, value): (&str, String)| match form {
        EnvForm::Env => format!("{name}={value}\n"),
        // Inside single quotes a shell leaves everything alone but the quote itself.
        EnvForm::Export => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
    };
    let values = settings.assignments.iter().map(|a| (a.name.as_str(), a.value(&endpoint, &settings.inserts)));
    let text: String = values.map(line).collect();
    if out.as_os_str() == "-" {
        return Outcome::print(Exit::Ok, &text);
    }
    match write_atomically(out, &text, Readers::Owner) {
        Ok(()) => Outcome::silent(Exit::Ok),
        Err(error) => Outcome::error(Exit::Failed, &error),
    }
}
