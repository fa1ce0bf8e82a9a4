//! The texts of errors, each as a person meets it: what happened, to whom, and what to do next.
//!
//! `UPDATE=1 cargo test --test cli -- error` rewrites `errors.txt`. Read each changed line as somebody who is woken by it.

use std::fmt::Write;
use std::net::TcpListener;

use super::harness::{Act, Controller, Folder, golden, rsctl};

/// A command with its variables, as it is shown.
struct Case {
    variables: Vec<(&'static str, String)>,
    arguments: Vec<String>,
}

impl Case {
    fn new(line: &str) -> Self {
        Self { variables: Vec::new(), arguments: line.split(' ').map(str::to_owned).collect() }
    }

    fn with(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((variable, value.into()));
        self
    }

    /// What the command says. `hidden` are texts that differ each time, and what stands for them.
    fn shown(&self, hidden: &[(String, &str)]) -> String {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let command = self.variables.iter().fold(rsctl(&arguments), |run, (name, value)| run.env(name, value));
        let ended = command.run();
        assert_ne!(ended.code, 0, "{arguments:?}: {ended:?}");
        let mut text = String::new();
        let variables: Vec<String> = self.variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        writeln!(text, "$ {}rsctl {}", variables.concat(), self.arguments.join(" ")).unwrap();
        text.push_str(&ended.err);
        writeln!(text, "[{}]\n", ended.code).unwrap();
        hidden.iter().fold(text, |text, (what, name)| text.replace(what, name))
    }
}

fn all(cases: &[Case], hidden: &[(String, &str)]) -> String {
    cases.iter().map(|case| case.shown(hidden)).collect()
}

#[test]
fn errors_of_settings_are_as_recorded() {
    let folder = Folder::new("errors");
    let file = |name: &str, text: &str| folder.file(name, text);
    let (empty, key, large) = (file("empty", ""), file("key", "no key!"), file("large", &"k".repeat(100_000)));
    let hidden = [(folder.path(""), "/run/secrets/")];
    let cases = [
        Case::new("stepback"),
        Case::new("uri --databse x"),
        Case::new("run --port"),
        Case::new("run").with("RSCTL_PORT", "70000"),
        Case::new("run --interval 5"),
        Case::new("run --member-address name"),
        Case::new("run --service mongo/27017"),
        Case::new("run --admin-listen 0.0.0.0:8081"),
        Case::new("run --keyfile /nowhere/key"),
        Case::new("run").with("RSCTL_KEYFILE", empty),
        Case::new("run").with("RSCTL_KEYFILE", key),
        Case::new("run").with("RSCTL_KEYFILE", large),
        Case::new("run --keyfile hunter2"),
        Case::new("run").with("RSCTL_PASSWORD", "hunter2"),
        Case::new("run --username root"),
        Case::new("run --password-file /nowhere/password"),
        Case::new("run").with("MONGO_INITDB_ROOT_USERNAME", "root"),
        Case::new("run --x509 --tls"),
        Case::new("run --tls-ca-file /nowhere/ca.pem"),
        Case::new("run --tls --tls-ca-file /nowhere/ca.pem"),
        Case::new("run --users root:/nowhere/password"),
        Case::new("run").with("RSCTL_USERS", "root root"),
        Case::new("exec --set URL={uri}"),
        Case::new("exec --set URL={uri} --set URL={hosts} -- true"),
        Case::new("exec --set URL -- true"),
        Case::new("exec --set URL -- true").with("URL", "postgres://db"),
        Case::new("exec --set URL={url} -- true"),
        Case::new("uri --username app"),
        Case::new("wait --for ready"),
        Case::new("recover --evidence yes"),
    ];
    golden("errors-settings", &all(&cases, &hidden));
}

#[test]
fn errors_of_commands_are_as_recorded() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let answers: &[(&str, u16, &str)] = &[
        ("/v1/remove?node=mongo%2Dnode9", 404, "no such member; there are: mongo-node1:27017, mongo-node2:27017"),
        ("/v1/switchover?", 409, "the set is paused: `rsctl resume` ends the pause"),
        ("/v1/switchover?to=mongo%2Dnode1", 503, "there is no primary that could hand over: `rsctl status` shows why"),
        ("/v1/readdress?to=names", 404, "no such page"),
    ];
    let controller = Controller::new(move |path, _| {
        let found = answers.iter().find(|(at, ..)| *at == path);
        found.map_or(Act::Answer(404, "no such page\n".to_owned()), |(_, code, text)| {
            Act::Answer(*code, format!("{text}\n"))
        })
    });
    let (url, stranger) = (controller.url(), Controller::new(|_, _| Act::Answer(200, "hello\n".to_owned())));
    let hidden =
        [(url.clone(), "http://rsctl:8081"), (listen.clone(), "0.0.0.0:8080"), (stranger.url(), "http://web:80")];
    let cases = [
        Case::new(&format!("run --listen {listen}")),
        Case::new("healthcheck --admin-listen 127.0.0.1:1"),
        Case::new("remove mongo-node9"),
        Case::new(&format!("remove mongo-node9 --admin {url}")),
        Case::new(&format!("switchover --admin {url}")),
        Case::new(&format!("switchover --to mongo-node1 --admin {url}")),
        Case::new(&format!("pause --for 1h --admin {url}")),
        Case::new("uri"),
        Case::new("uri").with("RSCTL_CONTROLLER", stranger.url()),
        Case::new("exec --wait 0s --set A={uri} -- true"),
    ];
    golden("errors-commands", &all(&cases, &hidden));
}
