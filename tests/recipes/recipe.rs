//! The services of a recipe, as Docker would read them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What one service starts, and with which variables.
#[derive(Debug)]
pub struct Service {
    pub name: String,
    /// `entrypoint` and `command`, one after the other.
    pub words: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// `net.ipv4.tcp_retries2` among its `sysctls`.
    pub retries: Option<String>,
}

/// What the command prints when it reads this input. It must succeed.
pub fn said(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let [out, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{command:?}: {out}{errors}\n{input}");
    out
}

/// A program that reads YAML on stdin and prints JSON, with merges done.
pub struct Yaml {
    python: String,
}

impl Yaml {
    /// None where it cannot be had, which is then said.
    pub fn reader() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/drivers");
        let output = Command::new(script).arg("python").stderr(Stdio::inherit()).output().unwrap();
        if !output.status.success() {
            println!("skipped: the recipes' commands: scripts/drivers python gave no reader of YAML");
            return None;
        }
        Some(Self { python: String::from_utf8(output.stdout).unwrap().trim().to_owned() })
    }

    fn read(&self, text: &str) -> Value {
        let program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
        serde_json::from_str(&said(Command::new(&self.python).args(["-c", program]), text)).unwrap()
    }

    /// Every service of a stack file, or of the snippets in a page of Markdown.
    pub fn services(&self, path: &str) -> Vec<Service> {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let parts: Vec<Value> = if path.ends_with(".md") {
            snippets(&text).iter().map(|part| self.read(part)).collect()
        } else {
            vec![self.read(&text)["services"].take()]
        };
        let services = parts.iter().flat_map(|part| part.as_object().unwrap());
        services.map(|(name, service)| Service::read(name, service)).collect()
    }
}

fn snippets(page: &str) -> Vec<&str> {
    page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

impl Service {
    fn read(name: &str, service: &Value) -> Self {
        let words = |key| service[key].as_array().into_iter().flatten().map(|word| filled(word.as_str().unwrap()));
        let variables = service["environment"].as_object().into_iter().flatten();
        Self {
            name: name.to_owned(),
            words: words("entrypoint").chain(words("command")).collect(),
            environment: variables.map(|(name, value)| (name.clone(), filled(value.as_str().unwrap()))).collect(),
            retries: service["sysctls"]["net.ipv4.tcp_retries2"].as_str().map(str::to_owned),
        }
    }
}

/// `${NAME:-default}` and `$$`, as `docker stack deploy` reads them with none of the variables set.
fn filled(text: &str) -> String {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').unwrap();
        filled += variable.split_once(":-").unwrap_or_else(|| panic!("no default in {text}")).1;
        filled += rest;
    }
    filled.replace("$$", "$")
}
