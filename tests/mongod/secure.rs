//! The files that `rsctl secrets` makes, in a set with the options of `deploy/swarm/secure.yml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc, oid::ObjectId};
use rsctl::publish::Status;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, LIMIT, PORT, hosts_file, is_settled, name, names_work};
use crate::support::controller::Controller;
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions, NamedNode, free_ip};
use crate::versions::is_here;

/// The directory with the files.
struct Secrets(PathBuf);

impl Secrets {
    /// Runs the command. Returns what it printed too.
    async fn make(nodes: &str, names: &str) -> (Self, String) {
        let dir = std::env::temp_dir().join(format!("rsctl-secrets-{}", ObjectId::new()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsctl"));
        command.args(["secrets", "--nodes", nodes, "--name", names, "--app", "chat", "--out"]).arg(&dir);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        (Self(dir), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The options that the stack gives to mongod, with these files.
    fn options_of_the_stack(&self) -> Vec<String> {
        let stack = include_str!("../../deploy/swarm/secure.yml");
        let lines = stack.lines().map(str::trim).filter(|line| line.starts_with("--"));
        let options: Vec<String> = lines.flat_map(str::split_whitespace).map(|word| self.here(word)).collect();
        assert!(options.iter().any(|option| option == "requireTLS") && options.len() == 9, "{options:?}");
        options
    }

    /// The controller's variables in the stack, with these files.
    fn variables_of_the_stack(&self) -> Vec<(String, String)> {
        // Variables of the second file replace those of the first.
        let stacks = [include_str!("../../deploy/swarm/app.yml"), include_str!("../../deploy/swarm/secure.yml")];
        let lines = stacks.into_iter().flat_map(str::lines).filter_map(|line| line.trim().split_once(": "));
        let variables = lines.filter(|(name, _)| name.starts_with("RSCTL_"));
        let value = |text: &str| self.here(text.split(" #").next().unwrap().trim_matches('"'));
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, text) in variables.filter(|(name, _)| !name.is_empty()) {
            if found.iter().all(|(known, _)| known != name) {
                found.push((name.to_owned(), value(text)));
            }
        }
        assert_eq!(found.len(), 6, "{found:?}");
        let users = found.iter_mut().find(|(name, _)| name == "RSCTL_USERS").unwrap();
        let file = |user: &str| {
            let name = user.split_whitespace().next().unwrap();
            format!("{user} file={}", self.path(&format!("mongo-password-{name}")))
        };
        users.1 = users.1.split(';').map(file).collect::<Vec<_>>().join(";");
        found
    }

    fn here(&self, word: &str) -> String {
        word.strip_prefix("/run/secrets/").map_or_else(|| word.to_owned(), |name| self.path(name))
    }

    /// No line of a file is in this text.
    fn assert_absent(&self, where_: &str, text: &str) {
        for file in [
            "ca.key",
            "mongo-server",
            "mongo-rsctl",
            "mongo-keyfile",
            "mongo-password-root",
            "mongo-password-monitoring",
            "mongo-password-chat",
        ] {
            let held = self.text(file);
            let lines = held.lines().filter(|line| !line.starts_with("-----")).map(|line| &line[..line.len().min(40)]);
            for line in lines {
                assert!(!text.contains(line), "a line of {file} is in {where_}");
            }
        }
    }

    /// What the application of the guide gets from `rsctl exec`.
    async fn uri_of_the_application(&self, controller: &Controller) -> String {
        let guide = include_str!("../../docs/guides/secure.md");
        let words = guide.lines().filter_map(|line| line.trim().strip_prefix("- "));
        let words = words.skip_while(|word| *word != "exec").take_while(|word| *word != "--");
        let words: Vec<String> =
            words.map(|word| word.replace("/run/secrets", &self.0.display().to_string())).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--", "printenv", "DATABASE_URL"]).collect();
        assert_eq!(words.len(), 8, "{words:?}");
        assert!(!words.iter().any(|word| word.contains(&self.text("mongo-password-chat"))), "argv shows no password");
        let output = controller.run(&words).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    async fn client(&self, node: &Mongod, user: Option<&str>) -> Client {
        let login = user.map(|user| format!("{user}:{}@", self.text(&format!("mongo-password-{user}"))));
        let (login, ca) = (login.unwrap_or_default(), self.path("mongo-ca"));
        let options = format!("directConnection=true&tls=true&tlsCAFile={ca}&authSource=admin");
        Client::with_uri_str(format!("mongodb://{login}{}/?{options}", node.address())).await.unwrap()
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Members check each other's names, as in the stack: no option turns that off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_with_the_made_secrets_begins_and_an_application_writes() {
    if !names_work() {
        return;
    }
    let ips: Vec<_> = (0..3).map(|_| free_ip(PORT)).collect();
    // The test's own clients know the mongods by their addresses, so these are further names.
    let addresses = ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let (secrets, printed) = Secrets::make("node1,node2,node3", &addresses).await;
    let mut nodes = Vec::new();
    for (n, ip) in ips.iter().enumerate() {
        let name = Some(NamedNode { hostname: name(n), hosts: hosts_file(&ips) });
        let args = secrets.options_of_the_stack();
        nodes.push(Mongod::start(MongodOptions { name, args, ..MongodOptions::at(*ip, PORT) }).await.unwrap());
    }
    let cluster = Cluster { dns: DnsServer::start().await, nodes };
    cluster.tell_names();
    let variables = secrets.variables_of_the_stack();
    let variables: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let controller = cluster.controller(&variables);
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    assert_eq!(status.seeds, ["mongo-node1:27017", "mongo-node2:27017", "mongo-node3:27017"]);

    let primary = &cluster.nodes[cluster.primary(&status)];
    let uri = secrets.uri_of_the_application(&controller).await;
    // The test's own machine does not know the names that a driver would learn from the set.
    let (login, rest) = uri.split_once('@').unwrap();
    let options = rest.split_once('/').unwrap().1.replace("replicaSet=rs", "directConnection=true");
    let uri = format!("{login}@{}/{options}", primary.address());
    let chat = until_login(&uri).await;
    assert_eq!(roles(&secrets.client(primary, Some("root")).await).await, [("root", "admin")].map(pair));
    let monitoring = [("clusterMonitor", "admin"), ("read", "local")].map(pair);
    assert_eq!(roles(&secrets.client(primary, Some("monitoring")).await).await, monitoring);
    let write = doc! { "insert": "rooms", "documents": [{}], "writeConcern": { "w": 3, "wtimeout": 20_000 } };
    let written = chat.database("chat").run_command(write).await.unwrap();
    assert!(!written.contains_key("writeConcernError"), "{written}");
    assert!(chat.database("other").run_command(doc! { "insert": "rooms", "documents": [{}] }).await.is_err());

    secrets.assert_absent("the output of `rsctl secrets`", &printed);
    secrets.assert_absent("the log of the controller", &controller.log());
    for path in ["/v1/uri", "/v1/status", "/metrics"] {
        secrets.assert_absent(path, &controller.get(path).await.unwrap());
    }
    for node in &cluster.nodes {
        secrets.assert_absent("the log of mongod", &read(&node.log()));
    }
}

/// The client of this URI, as soon as its user is there.
async fn until_login(uri: &str) -> Client {
    let deadline = Instant::now() + LIMIT;
    loop {
        let client = Client::with_uri_str(uri).await.unwrap();
        match client.database("chat").run_command(doc! { "ping": 1 }).await {
            Ok(_) => return client,
            Err(error) => assert!(Instant::now() < deadline, "the application cannot log in: {error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The roles of the user that this client logs in as.
async fn roles(client: &Client) -> Vec<(String, String)> {
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).await.unwrap();
    let roles = status.get_document("authInfo").unwrap().get_array("authenticatedUserRoles").unwrap();
    let text = |role: &Document, key: &str| role.get_str(key).unwrap().to_owned();
    let roles = roles.iter().map(|role| role.as_document().unwrap());
    let mut roles: Vec<_> = roles.map(|role| (text(role, "role"), text(role, "db"))).collect();
    roles.sort();
    roles
}

fn pair((role, database): (&str, &str)) -> (String, String) {
    (role.to_owned(), database.to_owned())
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// Members that log in to each other by certificate, without a keyfile. Their certificate is a member's for rsctl too.
async fn begins_by_certificate(version: Option<&'static str>) {
    let ips: Vec<_> = (0..3).map(|_| free_ip(PORT)).collect();
    let addresses = ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let (secrets, _) = Secrets::make("node1,node2,node3", &addresses).await;
    let (server, ca, client) = (secrets.path("mongo-server"), secrets.path("mongo-ca"), secrets.path("mongo-rsctl"));
    let options = ["--clusterAuthMode=x509", "--tlsMode=requireTLS"].map(str::to_owned);
    let files = [format!("--tlsCertificateKeyFile={server}"), format!("--tlsCAFile={ca}")];
    let args: Vec<String> = options.into_iter().chain(files).collect();
    let mut nodes = Vec::new();
    for ip in ips {
        let options = MongodOptions { args: args.clone(), version, ..MongodOptions::at(ip, PORT) };
        nodes.push(Mongod::start(options).await.unwrap());
    }
    let mut cluster = Cluster { dns: DnsServer::start().await, nodes };
    cluster.list_all();
    let tls = [("RSCTL_X509", "true"), ("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", ca.as_str())];
    let with = |certificate| [&tls[..], &[("RSCTL_TLS_CERT_KEY_FILE", certificate)]].concat();
    {
        let stranger = cluster.controller(&with(client.as_str()));
        let refused = |note: &Option<String>| note.as_deref().is_some_and(|note| note.contains("refuses our login"));
        let told = |s: &Status| s.others.len() == 3 && s.others.iter().all(|other| refused(&other.note));
        let status = stranger.until("a certificate of no member is refused", LIMIT, told).await;
        assert!(status.members.is_empty());
    }
    let controller = cluster.controller(&with(server.as_str()));
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    let (old, primary) = (status.primary.clone(), cluster.primary(&status));
    cluster.nodes[primary].kill();
    controller.until("another primary", LIMIT, |s| s.primary.is_some() && s.primary != old).await;
    cluster.nodes[primary].restart().await.unwrap();
    controller.until("all three again", LIMIT, is_settled(3)).await;
    secrets.assert_absent("the log of the controller", &controller.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_log_in_by_certificate_form_a_set() {
    begins_by_certificate(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_4_4_that_log_in_by_certificate_form_a_set() {
    if is_here("4.4.2") {
        begins_by_certificate(Some("4.4.2")).await;
    }
}
