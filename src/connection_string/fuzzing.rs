//! The fuzzer's target for the strings of an application: its URI, and the templates of its variables.

use super::Assignment;
use super::build::{Endpoint, Inserts};
use super::rewrite::GivenUri;
use crate::model::SetName;
use crate::outcome::Chain;
use crate::secret::Secret;
use mongodb::options::ConnectionString;

/// A line with an argument of `--set`, and the value of the variable that it may name, or of its file.
pub(crate) fn assignment(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (set, held) = text.split_once('\n').unwrap_or((text, ""));
    let hosts = ["a:1", "[fd00::5]:27017"].into_iter().filter_map(|host| host.parse().ok()).collect();
    let Some(endpoint) = Endpoint::new(SetName::new("rs"), hosts) else { return };
    let inserts = Inserts { database: "chat".parse().ok(), credentials: None };
    let variable = |name: &str| (name == set).then_some(held);
    match Assignment::list(&[set.to_owned()], &inserts, variable, |_| Ok(Secret::new(held))) {
        Ok(list) => {
            let values = list.iter().filter_map(|assignment| assignment.value(&endpoint, &inserts).ok());
            // A file may end with a line end.
            values.for_each(|value| assert!(!value.trim_end_matches('\n').contains(char::is_control), "{value:?}"));
        }
        // The text of a template or of a URI may hold a password.
        Err(error) => {
            let shown = Chain(&error).to_string();
            let name = set.split('=').next().unwrap_or_default();
            assert!(!shown.replace(name, "").contains(char::is_control), "{shown:?}");
        }
    }
    rewritten(held, &endpoint);
}

fn rewritten(given: &str, endpoint: &Endpoint) {
    let Ok(uri) = GivenUri::parse(given) else { return };
    let once = uri.pointed_at(endpoint);
    let Ok(again) = GivenUri::parse(&once) else { panic!("{given:?} becomes {once:?}, which is refused") };
    assert_eq!(again.pointed_at(endpoint), once, "of {given:?}");
    if let Some(read) = driver_reads(given) {
        differs_only_in_hosts(&read, &once, endpoint);
    }
}

/// What the driver reads. Where a letter of more than one byte follows a percent sign it panics (3.9.1), which is no yes.
pub(crate) fn driver_reads(uri: &str) -> Option<ConnectionString> {
    let panics = uri.split('%').skip(1).any(|after| !after.is_char_boundary(after.len().min(2)));
    if panics { None } else { ConnectionString::parse(uri).ok() }
}

/// What the driver reads from both is the same but for the hosts, the set's name, and what forbids several hosts.
pub(crate) fn differs_only_in_hosts(given: &ConnectionString, rewritten: &str, endpoint: &Endpoint) {
    let Ok(after) = ConnectionString::parse(rewritten) else { panic!("the driver refuses {rewritten:?}") };
    assert_eq!(after.replica_set.as_deref(), Some(endpoint.set().as_str()));
    let there = ConnectionString::parse(endpoint.uri(&Inserts::default())).map(|there| there.host_info);
    assert_eq!(there.ok().as_ref(), Some(&after.host_info));
    let mut expected = given.clone();
    expected.host_info = after.host_info.clone();
    expected.replica_set.clone_from(&after.replica_set);
    expected.direct_connection = given.direct_connection.filter(|direct| !direct);
    expected.load_balanced = given.load_balanced.filter(|balanced| !balanced);
    assert_eq!(after, expected);
}
