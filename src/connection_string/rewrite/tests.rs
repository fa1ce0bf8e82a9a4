use mongodb::options::{ClientOptions, ConnectionString};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;
use crate::connection_string::build::tests::{any_endpoint, endpoint};
use crate::connection_string::fuzzing::{differs_only_in_hosts, driver_reads};
use crate::secret::Secret;

fn rewritten(text: &str) -> Result<String, RewriteError> {
    GivenUri::parse(text).map(|uri| uri.pointed_at(&endpoint(&["a:1", "b:2"])))
}

#[test]
fn only_hosts_and_replica_set_change() {
    for (given, expected) in [
        ("mongodb://mongo", "mongodb://a:1,b:2/?replicaSet=rs"),
        ("mongodb://mongo/letschat", "mongodb://a:1,b:2/letschat?replicaSet=rs"),
        ("mongodb://mongo:27017/letschat?x=y", "mongodb://a:1,b:2/letschat?x=y&replicaSet=rs"),
        ("mongodb://mongo?x=y", "mongodb://a:1,b:2/?x=y&replicaSet=rs"),
        ("mongodb://mongo/db?", "mongodb://a:1,b:2/db?replicaSet=rs"),
        ("mongodb://m1,m2:2,[::1]:3/db", "mongodb://a:1,b:2/db?replicaSet=rs"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/db", "mongodb://a:1,b:2/db?replicaSet=rs"),
        ("mongodb://u:p%40ss@mongo/db?w=2", "mongodb://u:p%40ss@a:1,b:2/db?w=2&replicaSet=rs"),
        ("mongodb://orion:${PWD}@mongo/", "mongodb://orion:${PWD}@a:1,b:2/?replicaSet=rs"),
        ("mongodb://u@mongo/?appName=a@b", "mongodb://u@a:1,b:2/?appName=a@b&replicaSet=rs"),
        ("mongodb://m/?replicaset=old&w=1&replicaSet=older", "mongodb://a:1,b:2/?replicaSet=rs&w=1"),
        ("mongodb://m/?directConnection=true&w=1", "mongodb://a:1,b:2/?w=1&replicaSet=rs"),
        ("mongodb://m/?directConnection=tru%65&x=%2", "mongodb://a:1,b:2/?x=%2&replicaSet=rs"),
        ("mongodb://m/?future_Option=%zz&x=", "mongodb://a:1,b:2/?future_Option=%zz&x=&replicaSet=rs"),
        ("mongodb://m/?directConnection=false", "mongodb://a:1,b:2/?directConnection=false&replicaSet=rs"),
        ("mongodb://m/?connect=direct&loadBalanced=true", "mongodb://a:1,b:2/?replicaSet=rs"),
        ("mongodb://m/?tlsCAFile=/etc/ca.pem", "mongodb://a:1,b:2/?tlsCAFile=/etc/ca.pem&replicaSet=rs"),
    ] {
        assert_eq!(rewritten(given).as_deref(), Ok(expected), "{given}");
    }
}

#[test]
fn srv_becomes_plain_and_keeps_its_tls() {
    for (given, expected) in [
        ("mongodb+srv://u:p@c.example.org/db?w=1", "mongodb://u:p@a:1,b:2/db?w=1&replicaSet=rs&tls=true"),
        ("mongodb+srv://c.example.org/?tls=false", "mongodb://a:1,b:2/?tls=false&replicaSet=rs"),
        ("mongodb+srv://c.example.org/?SSL=true&srvMaxHosts=2", "mongodb://a:1,b:2/?SSL=true&replicaSet=rs"),
    ] {
        assert_eq!(rewritten(given).as_deref(), Ok(expected), "{given}");
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for (given, why) in [
        ("", RewriteError::NoUri),
        ("mongo:27017", RewriteError::NoUri),
        ("\"mongodb://mongo/db\"", RewriteError::Quoted),
        ("'mongodb://mongo/db'", RewriteError::Quoted),
        ("mongodb://mongo/db\n", RewriteError::Unclean),
        ("mongodb://u:\u{fffd}@mongo/db", RewriteError::Unclean),
        ("mongodb://", RewriteError::Hosts),
        ("mongodb:///db", RewriteError::Hosts),
        ("mongodb://u:p/w@mongo/db", RewriteError::Credentials),
        ("mongodb://u:1/w@mongo", RewriteError::Credentials),
        ("mongodb://u:1?w=@mongo", RewriteError::Credentials),
        ("mongodb://u:p?w@mongo", RewriteError::Credentials),
        ("mongodb://u:p@w@mongo", RewriteError::Credentials),
        ("mongodb://u:p%zz@mongo/db", RewriteError::Credentials),
        ("mongodb://u:p%4@mongo/db", RewriteError::Credentials),
        ("mongodb://u:100%@mongo/db", RewriteError::Credentials),
        ("mongodb://u%é:p@mongo/db", RewriteError::Credentials),
        ("mongodb://mongo/db#x", RewriteError::Credentials),
        ("mongodb://mongo:port/db", RewriteError::Hosts),
        ("mongodb://a,,b/db", RewriteError::Hosts),
        ("mongodb://mongo/a/b", RewriteError::Database),
        ("mongodb://mongo/db?x", RewriteError::Options),
        ("mongodb://mongo/db?=x", RewriteError::Options),
        ("mongodb://mongo/db?a=b;replicaSet=c", RewriteError::Options),
        ("mongodb://mongo/db?replica%53et=c", RewriteError::Options),
    ] {
        assert_eq!(rewritten(given), Err(why), "{given}");
    }
}

fn with(text: &str, username: &str, auth_source: Option<&str>, database: Option<&str>) -> Result<String, RewriteError> {
    let credentials = Credentials {
        username: username.to_owned(),
        password: Secret::new("p@ss"),
        auth_source: auth_source.map(str::to_owned),
    };
    let credentials = Some(credentials).filter(|_| !username.is_empty());
    let inserts = Inserts { database: database.map(|name| name.parse().unwrap()), credentials };
    GivenUri::parse(text)?.with(&inserts).map(|uri| uri.pointed_at(&endpoint(&["a:1"])))
}

#[test]
fn a_uri_without_a_user_gets_the_one_that_is_given() {
    for (given, auth_source, expected) in [
        ("mongodb://m/db", None, "mongodb://u:p%40ss@a:1/db?authSource=admin&replicaSet=rs"),
        ("mongodb://m/db", Some("x"), "mongodb://u:p%40ss@a:1/db?authSource=x&replicaSet=rs"),
        ("mongodb://u@m/db", None, "mongodb://u:p%40ss@a:1/db?authSource=admin&replicaSet=rs"),
        ("mongodb://m/db?AuthSource=x", None, "mongodb://u:p%40ss@a:1/db?AuthSource=x&replicaSet=rs"),
        ("mongodb://m/db?authSource=%78", Some("x"), "mongodb://u:p%40ss@a:1/db?authSource=%78&replicaSet=rs"),
        // All is in the URI already, so every byte stays.
        ("mongodb://%75:p%40ss@m/db", None, "mongodb://%75:p%40ss@a:1/db?replicaSet=rs"),
        ("mongodb://u:p%40ss@m/db", Some("x"), "mongodb://u:p%40ss@a:1/db?authSource=x&replicaSet=rs"),
    ] {
        assert_eq!(with(given, "u", auth_source, None).as_deref(), Ok(expected), "{given}");
    }
    for (given, why) in [
        ("mongodb://u:other@m/db", RewriteError::OtherUser),
        ("mongodb://other:p%40ss@m/db", RewriteError::OtherUser),
        ("mongodb://other@m/db", RewriteError::OtherUser),
        ("mongodb://:p%40ss@m/db", RewriteError::OtherUser),
        ("mongodb://m/db?authSource=y", RewriteError::OtherAuthSource),
    ] {
        assert_eq!(with(given, "u", Some("x"), None), Err(why), "{given}");
    }
}

#[test]
fn a_uri_without_a_database_gets_the_one_that_is_given_and_its_user_stays_where_it_is() {
    for (given, expected) in [
        ("mongodb://m", "mongodb://a:1/chat?replicaSet=rs"),
        ("mongodb://m/ch%61t", "mongodb://a:1/ch%61t?replicaSet=rs"),
        ("mongodb://u:p@m/", "mongodb://u:p@a:1/chat?authSource=admin&replicaSet=rs"),
        ("mongodb://u:p@m/?authSource=x", "mongodb://u:p@a:1/chat?authSource=x&replicaSet=rs"),
        ("mongodb://u@m/?authMechanism=MONGODB-X509", "mongodb://u@a:1/chat?authMechanism=MONGODB-X509&replicaSet=rs"),
    ] {
        assert_eq!(with(given, "", None, Some("chat")).as_deref(), Ok(expected), "{given}");
    }
    assert_eq!(with("mongodb://m/other", "", None, Some("chat")), Err(RewriteError::OtherDatabase));
    let both = with("mongodb://m", "u", None, Some("chat"));
    assert_eq!(both.as_deref(), Ok("mongodb://u:p%40ss@a:1/chat?authSource=admin&replicaSet=rs"));
}

#[test]
fn neither_debug_nor_errors_show_the_password() {
    let uri = GivenUri::parse("mongodb://u:hunter2@mongo/db?tlsCertificateKeyFilePassword=hunter2").unwrap();
    assert!(!format!("{uri:?}").contains("hunter2"));
    let error = GivenUri::parse("mongodb://u:hunter2@w@mongo/db").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

/// Every byte as it is, or encoded, in either case of the digits; what must be encoded always is.
fn encoded(text: &str, dice: &[u8]) -> String {
    let dice = dice.iter().chain(std::iter::repeat(&0));
    let each = text.chars().zip(dice).map(|(c, die)| {
        let always = !(c.is_ascii_alphanumeric() || "-._~!$'()*,".contains(c));
        let escaped = || match c.is_ascii_alphanumeric() {
            true => format!("%{:02X}", c as u32),
            false => utf8_percent_encode(&c.to_string(), NON_ALPHANUMERIC).to_string(),
        };
        match die % 4 {
            0 | 1 if !always => c.to_string(),
            2 => escaped().to_lowercase(),
            _ => escaped(),
        }
    });
    each.collect()
}

fn any_text() -> impl Strategy<Value = (String, Vec<u8>)> {
    (prop_oneof!["[a-zA-Z0-9]{1,8}", "[ -~]{1,12}", "\\PC{1,8}"], prop::collection::vec(any::<u8>(), 12))
}

fn any_host() -> impl Strategy<Value = String> {
    let port = prop::option::of(1u16..).prop_map(|port| port.map(|port| format!(":{port}")).unwrap_or_default());
    let host = prop_oneof![
        "[a-zA-Z][a-zA-Z0-9_-]{0,12}(\\.[a-z]{1,5}){0,2}",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
        any::<std::net::Ipv4Addr>().prop_map(|ip| format!("[::ffff:{ip}]")),
    ];
    prop_oneof![
        9 => (host, port).prop_map(|(host, port)| host + &port),
        1 => "(%2F[a-z]{1,6}){1,3}%2Fmongodb-[0-9]{1,5}\\.sock",
    ]
}

/// Options that the driver knows, each at most once, some of them in several spellings.
const OPTIONS: [&str; 24] = [
    "replicaSet=old",
    "REPLICASET=old%2Der",
    "directConnection=true",
    "directconnection=tru%65",
    "directConnection=false",
    "loadBalanced=true",
    "appName=a%20b%26replicaSet%3Dc",
    "authSource=%24external",
    "authMechanism=SCRAM-SHA-256",
    "w=majority",
    "W=2",
    "plan_log=true",
    "wTimeoutMS=100",
    "readPreference=secondaryPreferred",
    "readPreferenceTags=dc:ny,rack:1",
    "readPreferenceTags=",
    "maxStalenessSeconds=120",
    "readConcernLevel=majority",
    "retryWrites=false",
    "connectTimeoutMS=300",
    "maxPoolSize=7",
    "compressors=snappy,zlib",
    "tls=true",
    "serverSelectionTimeoutMS=4000",
];

prop_compose! {
    /// URIs as people and tools write them: nearly all are fine with the driver.
    fn any_uri()(
        user in prop::option::of((any_text(), prop::option::of(any_text()))),
        hosts in prop::collection::vec(any_host(), 1..5),
        database in prop::option::of(prop::option::of("[a-zA-Z0-9_-]{1,12}|[a-z]{0,5}(é|%C3%A9|%2D|%5f)[a-z]{0,5}")),
        options in prop::sample::subsequence(OPTIONS.to_vec(), 0..8).prop_shuffle(),
    ) -> String {
        let user = user.map(|((name, dice), password)| {
            let password = password.map(|(text, dice)| format!(":{}", encoded(&text, &dice))).unwrap_or_default();
            format!("{}{password}@", encoded(&name, &dice))
        });
        let path = database.map(|database| format!("/{}", database.unwrap_or_default())).unwrap_or_default();
        let name = |option: &&str| option.split('=').next().unwrap().to_lowercase();
        let mut seen = Vec::new();
        let mut options = options;
        options.retain(|option| {
            let again = seen.contains(&name(option)) && name(option) != "readpreferencetags";
            seen.push(name(option));
            !again
        });
        let options = if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) };
        format!("mongodb://{}{}{path}{options}", user.unwrap_or_default(), hosts.join(","))
    }
}

/// What an edit may put anywhere: all that has a meaning in a URI, and some that has none.
fn any_edit() -> impl Strategy<Value = (prop::sample::Index, bool, char)> {
    let char =
        prop_oneof![8 => prop::sample::select("@/?#&=:;,%[]+.-a0".chars().collect::<Vec<_>>()), 1 => any::<char>()];
    (any::<prop::sample::Index>(), any::<bool>(), char)
}

fn edited(text: &str, edits: &[(prop::sample::Index, bool, char)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, replace, with) in edits {
        let at = at.index(chars.len());
        if *replace { chars[at] = *with } else { chars.insert(at, *with) }
    }
    chars.into_iter().collect()
}

/// Whether a client could be made of it.
fn is_usable(uri: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { ClientOptions::parse(uri).await }).is_ok()
}

#[test]
fn nearly_all_made_up_uris_are_fine_with_the_driver_and_with_us() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let uris = (0..500).map(|_| any_uri().new_tree(&mut runner).unwrap().current());
    let known: Vec<String> = uris.filter(|uri| ConnectionString::parse(uri).is_ok()).collect();
    assert!(known.len() > 250, "the driver takes only {} of 500, so the properties see little", known.len());
    for uri in known {
        assert!(GivenUri::parse(&uri).is_ok(), "{uri}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn rewriting_keeps_what_the_driver_reads_and_settles(given in any_uri(), endpoint in any_endpoint()) {
        let Some(read) = driver_reads(&given) else { return Ok(()) };
        let once = GivenUri::parse(&given).unwrap().pointed_at(&endpoint);
        differs_only_in_hosts(&read, &once, &endpoint);
        prop_assert_eq!(&GivenUri::parse(&once).unwrap().pointed_at(&endpoint), &once);
        prop_assert!(is_usable(&once) || !is_usable(&given), "{}", once);
    }

    #[test]
    fn an_edit_anywhere_is_kept_or_refused(
        given in any_uri(),
        edits in prop::collection::vec(any_edit(), 1..4),
        endpoint in any_endpoint(),
    ) {
        let given = edited(&given, &edits);
        let Ok(uri) = GivenUri::parse(&given) else { return Ok(()) };
        let once = uri.pointed_at(&endpoint);
        prop_assert_eq!(&GivenUri::parse(&once).unwrap().pointed_at(&endpoint), &once);
        if let Some(read) = driver_reads(&given) {
            differs_only_in_hosts(&read, &once, &endpoint);
        }
    }

    #[test]
    fn srv_keeps_the_rest_to_the_letter(given in any_uri(), name in "[a-z]{1,8}(\\.[a-z]{1,8}){2,3}", endpoint in any_endpoint()) {
        // The driver is built without SRV, so it judges the same URI with hosts, and with the TLS that SRV implies.
        let rest = given.strip_prefix("mongodb://").unwrap();
        let (user, rest) = rest.split_at(rest.find('@').map_or(0, |at| at + 1));
        let rest = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
        let plain = GivenUri::parse(&format!("mongodb://{user}{name}{rest}")).unwrap().pointed_at(&endpoint);
        let srv = GivenUri::parse(&format!("mongodb+srv://{user}{name}{rest}")).unwrap().pointed_at(&endpoint);
        let tls = if rest.contains("tls=") { "" } else { "&tls=true" };
        prop_assert_eq!(srv, plain + tls);
    }

    #[test]
    fn options_that_nobody_knows_are_kept_to_the_letter(
        names in prop::collection::hash_set("x[a-zA-Z0-9_.-]{1,10}", 0..5),
        value in "[!\"$%'-:<-?A-~]{0,12}",
    ) {
        let options: Vec<String> = names.iter().map(|name| format!("{name}={value}")).collect();
        let given = format!("mongodb://u:p@m/db?{}", options.join("&"));
        let mut expected = options;
        expected.push("replicaSet=rs".to_owned());
        let expected = format!("mongodb://u:p@a:1/db?{}", expected.join("&"));
        prop_assert_eq!(GivenUri::parse(&given).unwrap().pointed_at(&endpoint(&["a:1"])), expected);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(mongodb(\\+srv)?://)?(\\PC|[@/?#&=:;,%]){0,40}") {
        if let Ok(uri) = GivenUri::parse(&text) {
            let once = uri.pointed_at(&endpoint(&["a:1"]));
            prop_assert_eq!(GivenUri::parse(&once).unwrap().pointed_at(&endpoint(&["a:1"])), once);
        }
    }
}
