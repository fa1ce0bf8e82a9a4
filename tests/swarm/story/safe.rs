//! A set with login and TLS, made and used by the commands of `docs/guides/secure.md`. Its secrets must stay in the files
//! and in the Swarm: no output, log, metric or description of a container may show one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::{node_of, stack, verdict, whole};
use crate::Outcome;
use crate::agent::{Agent, DRIVER};
use crate::apps::{self, APP_WITH_RSCTL, LOGGED_IN};
use crate::lab::Lab;
use crate::leaks::Leaks;
use crate::remote::{Stored, Way};
use crate::stack::DESK;

const PAGE: &str = "docs/guides/secure.md";
/// The page calls the stack of the set `db`, as the main one of the story is called.
const STACK: &str = "safe";
const NETWORK: &str = "safe_backend";
const MONGO: &str = "safe_mongo";
const RSCTL: &str = "safe_rsctl";
/// The stack and the service of the application.
const APP: &str = "chat";
const THE_SET: &str = "the set with login and TLS";
const LIMIT: Duration = Duration::from_secs(90);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
const UPDATE_LIMIT: Duration = Duration::from_secs(240);

/// The name of the step that reports its result.
pub(super) const NAME: &str = "a set with login and TLS keeps its secrets";

struct Safe<'l> {
    lab: &'l Lab,
    nodes: Vec<String>,
    page: String,
    /// Where the commands run: as in a checkout, with the folder `deploy`.
    dir: PathBuf,
    leaks: Leaks,
}

/// Deploys the set and an application. Both lose the primary's task, and go through a rolling update.
pub(super) async fn kept(lab: &Lab, nodes: Vec<String>) -> Outcome<String> {
    apps::build(lab, &nodes).await?;
    let page = fs::read_to_string(lab.path(PAGE))?;
    let dir = PathBuf::from(format!("{}/checkout", lab.dir()));
    fs::create_dir(&dir)?;
    std::os::unix::fs::symlink(lab.path("deploy"), dir.join("deploy"))?;
    let mut safe = Safe { lab, nodes, page, dir, leaks: Leaks::default() };
    let ended = safe.told().await;
    if ended.is_err() {
        safe.explain().await;
    }
    stack::begin_removal(lab, &[APP, STACK]).await?;
    ended
}

impl Safe<'_> {
    async fn told(&mut self) -> Outcome<String> {
        let began = Instant::now();
        self.run("1. Make the secrets").await?;
        self.leaks.know(&self.dir.join("secrets"))?;
        let (deploy, look) = self.commands("2. Deploy the set")?;
        self.shell(&deploy).await?;
        let mut agent = Agent::enter(self.lab, DESK, NETWORK)?;
        self.application().await?;
        let uri = self.uri(&mut agent).await?;
        let stored = Stored { database: APP.to_owned(), collection: "writes".to_owned() };
        agent.write_by(DRIVER, Way::Driver { uri: uri.clone() }, stored).await?;
        LOGGED_IN.enter(&mut agent).await?;
        let writing = began.elapsed().as_secs_f64();
        whole(&mut agent, LIMIT, THE_SET).await?;
        self.shell(&look).await?;
        // More lines in which a secret could be.
        self.shell(&format!("docker service update --quiet --detach --env-add RSCTL_LOG_LEVEL=trace {RSCTL}")).await?;
        let primary = whole(&mut agent, LIMIT, THE_SET).await?.primary.ok_or("no primary")?;

        agent.mark().await?;
        let node = node_of(&primary)?;
        stack::lose(self.lab, &node, MONGO).await?;
        whole(&mut agent, LIMIT, THE_SET).await?;
        let lost = gaps(&mut agent, &uri).await?;

        agent.mark().await?;
        let began = Instant::now();
        self.updated().await?;
        let took = began.elapsed().as_secs_f64();
        let updated = gaps(&mut agent, &uri).await?;

        self.look_everywhere(&mut agent).await?;
        let looked = self.leaks.found_none()?;
        Ok(format!(
            "both write {writing:.1} s after the first command; primary's task removed: {lost}; rolling update in \
             {took:.1} s: {updated}; {looked}"
        ))
    }

    /// The commands of a section of the page: what changes something, and the one that shows the result.
    fn commands(&self, section: &str) -> Outcome<(String, String)> {
        let text = self.block(section, "sh")?;
        let (change, look) = text.trim_end().rsplit_once('\n').ok_or("one command only")?;
        Ok((change.to_owned(), look.to_owned()))
    }

    /// The first block of this language in a section of the page. Only names differ from the page.
    fn block(&self, section: &str, language: &str) -> Outcome<String> {
        let (_, rest) = self.page.split_once(&format!("\n## {section}\n")).ok_or(format!("no section {section}"))?;
        let block = rest.split_once(&format!("```{language}\n")).and_then(|(_, rest)| rest.split_once("```"));
        let (block, _) = block.ok_or(format!("{section} has no block of {language}"))?;
        let mine = [(".yml db\n", ".yml safe\n"), ("rsctl db ", "rsctl safe "), ("db_backend", NETWORK)];
        let named = mine.iter().fold(block.to_owned(), |text, (theirs, mine)| text.replace(theirs, mine));
        Ok(named.replace("image: chat-with-rsctl", &format!("image: {APP_WITH_RSCTL}")))
    }

    async fn run(&mut self, section: &str) -> Outcome {
        let commands = self.block(section, "sh")?;
        self.shell(&commands).await
    }

    /// Runs commands on the manager. Their output must not show a secret.
    async fn shell(&mut self, commands: &str) -> Outcome {
        self.shell_within(COMMAND_LIMIT, commands).await
    }

    async fn shell_within(&mut self, limit: Duration, commands: &str) -> Outcome {
        let script = format!("set -e; cd {}; exec 2>&1\n{commands}", self.dir.display());
        let said = self.lab.session(limit, "bash", &["-o", "pipefail", "-c", &script], &BTreeMap::new()).await?;
        self.leaks.note(commands.trim(), said);
        Ok(())
    }

    /// Deploys the application with the file of the page.
    async fn application(&mut self) -> Outcome {
        fs::write(self.dir.join("chat.yml"), self.block("3. Give the application its URI", "yaml")?)?;
        self.run("4. Deploy the application").await
    }

    /// The URI that `rsctl exec` gives to a program of the user `chat`.
    async fn uri(&self, agent: &mut Agent) -> Outcome<String> {
        let secret = |name: &str| self.dir.join("secrets").join(name).display().to_string();
        let password = format!("--password-file={}", secret("mongo-password-chat"));
        let variable = format!("--set=URI={{uri}}&tls=true&tlsCAFile={}", secret("mongo-ca"));
        let user = ["exec", "--username=chat", &password, "--database=chat", &variable];
        let program = ["--wait", "120s", "--", "printenv", "URI"];
        let ran = agent.rsctl(&[&user[..], &program].concat(), Duration::from_secs(125)).await?;
        if ran.code == Some(0) { Ok(ran.out.trim().to_owned()) } else { Err(ran.err.into()) }
    }

    /// Replaces every mongod by the script of the stack.
    async fn updated(&mut self) -> Outcome {
        let before = stack::containers(self.lab, &self.nodes, MONGO).await?;
        self.shell_within(UPDATE_LIMIT, &format!("deploy/swarm/rolling-update {STACK}")).await?;
        let after = stack::containers(self.lab, &self.nodes, MONGO).await?;
        match before.intersection(&after).next() {
            Some(kept) => Err(format!("{kept} was not replaced").into()),
            None => Ok(()),
        }
    }

    /// Reads whatever others can read.
    async fn look_everywhere(&mut self, agent: &mut Agent) -> Outcome {
        for service in [MONGO, RSCTL, "chat_chat"] {
            self.look(DESK, &["service", "inspect", service]).await?;
            self.look(DESK, &["service", "ps", "--no-trunc", service]).await?;
            self.look(DESK, &["service", "logs", "--tail", "100", service]).await?;
        }
        for node in self.nodes.clone() {
            let ids = self.lab.docker(&node, &["ps", "-aq"]).await?;
            let ids: Vec<_> = ids.lines().collect();
            self.look(&node, &[&["inspect"], &ids[..]].concat()).await?;
            for id in ids {
                self.look(&node, &["logs", id]).await?;
            }
        }
        let secrets = self.lab.docker(DESK, &["secret", "ls", "-q"]).await?;
        let secrets: Vec<_> = secrets.lines().collect();
        self.look(DESK, &[&["secret", "inspect"], &secrets[..]].concat()).await?;
        for path in ["/", "/v1/status", "/v1/history", "/v1/uri", "/metrics"] {
            let url = format!("http://rsctl:8080{path}");
            self.look(DESK, &["run", "--rm", "--network", NETWORK, "localhost:1/mongo:test", "wget", "-qO-", &url])
                .await?;
        }
        for command in ["status", "plan", "history", "uri"] {
            let ran = agent.rsctl(&[command], Duration::from_secs(20)).await?;
            self.leaks.note(&format!("rsctl {command}"), ran.out + &ran.err);
        }
        self.leaks.note("the arguments of every process", arguments()?);
        Ok(())
    }

    async fn look(&mut self, node: &str, words: &[&str]) -> Outcome {
        let said = self.lab.spoken(node, words).await?;
        self.leaks.note(&format!("docker {} on {node}", words.join(" ")), said);
        Ok(())
    }

    async fn explain(&self) {
        for service in [RSCTL, MONGO, "chat_chat"] {
            let logs = self.lab.spoken(DESK, &["service", "logs", "--raw", "--tail", "30", service]).await;
            let tasks = self.lab.spoken(DESK, &["service", "ps", "--no-trunc", service]).await;
            println!("--- {service}\n{}\n{}", logs.unwrap_or_default(), tasks.unwrap_or_default());
        }
    }
}

/// The arguments of every process on this machine, on which all engines and containers run.
fn arguments() -> Outcome<String> {
    let mut found = String::new();
    for process in fs::read_dir("/proc")? {
        // A process that has ended has none.
        let arguments = fs::read(process?.path().join("cmdline")).unwrap_or_default();
        found += &String::from_utf8_lossy(&arguments).replace('\0', " ");
        found.push('\n');
    }
    Ok(found)
}

/// The longest time without a write of the driver and of the application. Every acknowledged write must be there.
async fn gaps(agent: &mut Agent, uri: &str) -> Outcome<String> {
    let note = verdict(agent, uri).await?;
    let driver = agent.tallies().await?.get(DRIVER).ok_or("there is no writer")?.gap.as_secs_f64();
    Ok(format!("driver {driver:.1} s, {note}"))
}
