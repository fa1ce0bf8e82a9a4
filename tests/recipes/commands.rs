//! Runs every command of the recipes with a test program in place of the application. The program prints its arguments and
//! variables. The test uses them to connect and write, as the application does.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, WriteConcern};

use super::recipe::{Service, Yaml};
use crate::cluster::Cluster;
use crate::support::controller::{Controller, clean};

/// Prints its name, its arguments and its variables, one per line.
const STAND_IN: &str =
    "#!/bin/sh\nprintf 'called %s\\n' \"${0##*/}\"\nprintf 'argument %s\\n' \"$@\"\nprintenv | sed 's/^/variable /'\n";

/// Every application that the recipes start: file, service, program, and the words that its image starts the program
/// with. Each file says where these were read.
const APPLICATIONS: [(&str, &str, &str, &[&str]); 8] = [
    (
        "deploy/orion/stack.yml",
        "orion",
        "contextBroker",
        &["-fg", "-multiservice", "-ngsiv1Autocast", "-disableFileLog"],
    ),
    ("deploy/orion/stack.yml", "old-orion", "contextBroker", &["-fg", "-multiservice", "-ngsiv1Autocast"]),
    ("deploy/lets-chat/stack.yml", "chat", "npm", &["start"]),
    ("deploy/apps/README.md", "app", "npm", &["start"]),
    ("deploy/apps/README.md", "app-env", "", &[]),
    ("deploy/apps/README.md", "comet", "docker/entrypoint.sh", &["-- ", "config.js"]),
    ("deploy/apps/README.md", "iot-agent", "docker/entrypoint.sh", &["-- ", "config.js"]),
    ("deploy/apps/README.md", "exporter", "mongodb_exporter", &[]),
];

/// What a recipe may add to the words of the image.
const ADDED: [&str; 3] = ["-dbhost", "-rplSet", "-dbTimeout"];

/// The name, arguments and variables of a started application.
struct Given {
    called: String,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
}

impl Given {
    fn read(text: &str) -> Self {
        let all = |kind: &str| text.lines().filter_map(|l| l.strip_prefix(kind)).map(str::to_owned).collect::<Vec<_>>();
        let variables = all("variable ");
        let pairs = variables.iter().filter_map(|line| line.split_once('='));
        Self {
            called: all("called ").concat(),
            arguments: all("argument ").into_iter().filter(|word| !word.is_empty()).collect(),
            variables: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.variables))
    }

    fn flag(&self, name: &str) -> &str {
        let at = self.arguments.iter().position(|word| word == name);
        &self.arguments[at.unwrap_or_else(|| panic!("no {name} in {:?}", self.arguments)) + 1]
    }

    /// The URI that this application connects with, built as the application builds it.
    fn uri(&self, service: &str) -> String {
        match service {
            "orion" => {
                without(&["serverSelectionTryOnce=false", "socketTimeoutMS=3000"], self.variable("ORION_MONGO_URI"))
            }
            "old-orion" => format!("mongodb://{}/?replicaSet={}", self.flag("-dbhost"), self.flag("-rplSet")),
            "chat" => without(&["socketTimeoutMS=3000"], self.variable("LCB_DATABASE_URI")),
            "app" => self.variable("DATABASE_URL").to_owned(),
            "comet" => format!("mongodb://{}/?replicaSet={}", self.variable("DB_URI"), self.variable("REPLICA_SET")),
            "iot-agent" => {
                let port = self.variable("IOTA_MONGO_PORT");
                let hosts: Vec<_> =
                    self.variable("IOTA_MONGO_HOST").split(',').map(|host| format!("{host}:{port}")).collect();
                let (db, set) = (self.variable("IOTA_MONGO_DB"), self.variable("IOTA_MONGO_REPLICASET"));
                format!("mongodb://{}/{db}?replicaSet={set}", hosts.join(","))
            }
            "exporter" => self.variable("MONGODB_URI").to_owned(),
            other => panic!("how does {other} connect?"),
        }
    }
}

/// The URI without options that the Rust driver refuses. Each must be there.
fn without(options: &[&str], uri: &str) -> String {
    options.iter().fold(uri.to_owned(), |uri, option| {
        let (before, after) = uri.split_once(&format!("{option}&")).unwrap_or_else(|| panic!("no {option} in {uri}"));
        format!("{before}{after}")
    })
}

/// A folder of test programs with the names of the applications.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("rsctl-recipes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (_, _, program, _) in APPLICATIONS.iter().filter(|(_, _, program, _)| !program.is_empty()) {
            let file = folder.join(program);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, STAND_IN).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rsctl"), folder.join("rsctl")).unwrap();
        Self(folder)
    }

    /// Runs the command of a service. Programs are found in this folder first, also those with an absolute path.
    async fn run(&self, service: &Service, controller: &Controller) -> String {
        let here = |word: &String| {
            let ours = |text: &str| text.replace("/usr/bin/contextBroker", "contextBroker").replace("/env/", "");
            if word == "/mongodb_exporter" { "mongodb_exporter".to_owned() } else { ours(word) }
        };
        let mut words: Vec<String> = service.words.iter().map(here).collect();
        if words[0] == "env" {
            words.insert(0, "rsctl".to_owned()); // the entry point of the rsctl image
        }
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap());
        let mut command = tokio::process::Command::new(self.0.join(&words[0]));
        clean(command.as_std_mut()).env("PATH", path);
        command.args(&words[1..]).current_dir(&self.0).envs(&service.environment);
        command.env("RSCTL_CONTROLLER", controller.url()).kill_on_drop(true);
        let output = command.output().await.unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {complaints}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Connects with this URI only, and writes. Returns the hosts of the URI.
async fn write(uri: &str) -> Vec<String> {
    let mut options = ClientOptions::parse(uri).await.unwrap_or_else(|error| panic!("{uri}: {error}"));
    assert_eq!(options.repl_set_name.as_deref(), Some("rs"), "{uri}");
    options.write_concern = Some(WriteConcern::majority());
    let mut hosts: Vec<_> = options.hosts.iter().map(ToString::to_string).collect();
    hosts.sort();
    let database = Client::with_options(options).unwrap().database("recipes");
    let wrote = database.collection::<Document>("writes").insert_one(doc! {}).await;
    assert!(wrote.is_ok(), "{uri}: {wrote:?}");
    hosts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_recipes_gives_the_application_what_it_connects_with() {
    let Some(yaml) = Yaml::reader() else { return };
    let mut files: Vec<_> = APPLICATIONS.iter().map(|(file, ..)| *file).collect();
    files.dedup();
    let services: Vec<Service> = files.iter().flat_map(|file| yaml.services(file)).collect();
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names.len(), APPLICATIONS.len(), "a recipe without a test: {names:?}");
    let (_cluster, controller) = Cluster::settled(&[]).await;
    let mut seeds = controller.status().await.unwrap().seeds;
    // As text, which `write` goes by: rsctl sorts addresses as numbers.
    seeds.sort();
    let folder = Folder::new();
    for (_, name, program, own) in APPLICATIONS {
        let service = services.iter().find(|service| service.name == name).unwrap();
        let said = folder.run(service, &controller).await;
        let uri = if program.is_empty() {
            let file = std::fs::read_to_string(folder.0.join("mongo.env")).unwrap();
            file.trim().strip_prefix("DATABASE_URL=").unwrap().to_owned()
        } else {
            let given = Given::read(&said);
            assert_eq!(given.called, program.rsplit('/').next().unwrap(), "{said}");
            let (first, added) = given.arguments.split_at(own.len().min(given.arguments.len()));
            assert_eq!(first, own, "{name} starts with the words of its image");
            assert!(added.chunks(2).all(|pair| ADDED.contains(&pair[0].as_str())), "{name} adds {added:?}");
            given.uri(name)
        };
        println!("{name}: {uri}");
        assert_eq!(write(&uri).await, seeds, "{name}");
    }
}

/// What docs/guides/applications.md recommends, and tests/drivers shows to bring each driver back in time.
#[test]
fn every_application_gives_up_a_dead_machine_soon() {
    let Some(yaml) = Yaml::reader() else { return };
    for (file, names) in [
        ("orion/stack.yml", &["orion", "old-orion"][..]),
        ("lets-chat/stack.yml", &["chat"]),
        ("apps/stack.yml", &["app"]),
        ("apps/compose-init.yml", &["app", "mongo-url"]),
    ] {
        let services = yaml.services(&format!("deploy/{file}"));
        for service in services.iter().filter(|service| names.contains(&service.name.as_str())) {
            let name = format!("{file}: {}", service.name);
            if service.name != "mongo-url" {
                assert_eq!(service.retries.as_deref(), Some("3"), "{name}");
            }
            let uri = service.environment.values().find(|value| value.starts_with("mongodb://"));
            let options = "connectTimeoutMS=1000&socketTimeoutMS=3000";
            assert!(uri.is_none_or(|uri| uri.contains(options)), "{name}: {uri:?}");
        }
        assert_eq!(services.iter().filter(|s| names.contains(&s.name.as_str())).count(), names.len(), "{file}");
    }
}

/// Docker must accept each whole file.
#[test]
fn every_stack_file_is_one_that_docker_can_read() {
    let Some(yaml) = Yaml::reader() else { return };
    let files = [
        "haproxy/stack.yml",
        "haproxy/apps.yml",
        "orion/stack.yml",
        "lets-chat/stack.yml",
        "apps/stack.yml",
        "apps/uri-file.yml",
    ];
    for file in files {
        let file = &format!("deploy/{file}");
        assert!(!yaml.services(file).is_empty(), "{file}");
        let mut docker = std::process::Command::new("docker");
        let output = docker.args(["stack", "config", "-c", file]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        match output {
            Ok(output) if output.status.success() => println!("{file}: docker stack config reads it"),
            Ok(output) if said_no_such_command(&output.stderr) => println!("{file}: this docker cannot check it"),
            Ok(output) => panic!("{file}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => println!("{file}: there is no docker here to check it"),
        }
    }
}

fn said_no_such_command(stderr: &[u8]) -> bool {
    let said = String::from_utf8_lossy(stderr);
    ["is not a docker command", "Usage:", "unknown"].iter().any(|words| said.contains(words))
}
