//! Runs the commands of the recipes in `deploy/apps`, unchanged, as far as they work without Docker.

use std::path::Path;
use std::process::Command;

use super::answers::healthy;
use super::harness::{Controller, Folder, rsctl};

const URL: &str = "mongodb://mongo-node1:27017,mongo-node2:27017,mongo-node3:27017/app?w=majority&connectTimeoutMS=1000&\
                   socketTimeoutMS=3000&replicaSet=rs\n";

fn recipe(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/apps").join(name)).unwrap()
}

/// The lines of one service of a Compose file.
fn service<'f>(file: &'f str, name: &str) -> Vec<&'f str> {
    let head = format!("  {name}:");
    let lines = file.lines().skip_while(|line| **line != head).skip(1);
    let lines: Vec<_> = lines.take_while(|line| line.starts_with("    ")).collect();
    assert!(!lines.is_empty(), "no service {name}");
    lines
}

/// The value of a key on its line, without the comment after it.
fn value<'f>(lines: &[&'f str], key: &str) -> &'f str {
    let found = lines.iter().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": "));
    let value = found.unwrap_or_else(|| panic!("no {key}"));
    value.split(" # ").next().unwrap().trim()
}

/// A list in JSON notation, with the words that the program gets.
fn list(text: &str) -> Vec<String> {
    let list: Vec<String> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    list.into_iter().map(|word| word.replace("$$", "$")).collect()
}

fn words(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

#[test]
fn the_init_container_leaves_what_the_application_starts_with() {
    let controller = Controller::with(healthy().to_string());
    let folder = Folder::new("init");
    let volume = folder.path("");
    let there = |text: &String| text.replace("/mongo/", &volume);
    let file = recipe("compose-init.yml");

    let init = service(&file, "mongo-url");
    let command: Vec<String> = list(value(&init, "command")).iter().map(there).collect();
    let run = rsctl(&words(&command)).asking(&controller).env("MONGO_URL", value(&init, "MONGO_URL"));
    let ended = run.run();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));

    let app = service(&file, "app");
    let entrypoint: Vec<String> = list(value(&app, "entrypoint")).iter().map(there).collect();
    assert_eq!(list(value(&app, "command")), ["npm", "start"], "which stands for any program");
    let output = Command::new(&entrypoint[0]).args(&entrypoint[1..]).args(["printenv", "MONGO_URL"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), URL);
}

#[test]
fn the_entrypoint_starts_the_program_with_its_url() {
    let stack = recipe("stack.yml");
    let app = service(&stack, "app");
    let dockerfile = recipe("Dockerfile");
    let line = |key: &str| dockerfile.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
    assert!(dockerfile.contains("COPY --from=rsctl:latest /rsctl /usr/local/bin/rsctl\n"));
    assert_eq!(list(line("ENTRYPOINT")), list(value(&app, "entrypoint")), "one form, two places");

    let controller = Controller::with(healthy().to_string());
    let entrypoint = list(value(&app, "entrypoint"));
    assert_eq!(entrypoint[0], "/usr/local/bin/rsctl");
    let args = [&words(&entrypoint[1..])[..], &["printenv", "MONGO_URL"]].concat();
    let ended = rsctl(&args).asking(&controller).env("MONGO_URL", value(&app, "MONGO_URL")).run();
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, URL, ""));
}
