//! A hostile neighbour that lies, stalls and floods. It is one more task of the service and does not know the key.
//! Three real mongods demand the key. Whatever the neighbour answers, the set does not change, and the controller
//! continues to serve.

mod cases;
mod fake;
mod insider;
mod lies;

use std::path::PathBuf;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use rsctl::publish::Status;
use tokio::time::{Instant, sleep, timeout};

use crate::auth::{KEY, keyfile, locked, member_client};
use crate::cluster::{Cluster, LIMIT, is_settled};
use crate::support::controller::Controller;
use crate::support::mongods::Mongod;
use cases::{cases, odd_greetings};
use fake::{Fake, Script};
use insider::{Change, Insider};
use lies::{Lie, lies, newer_primary};

/// The limit of an HTTP answer.
const HTTP_LIMIT: Duration = Duration::from_secs(1);
/// The limit of the controller's memory without its program, which is large in a debug build.
const ANONYMOUS_KB_MAX: u64 = 40 * 1024;
/// The number of questions to each fake before a case ends: the first one, and one after it was refused.
const QUESTIONS: usize = 2;
/// The number of changed answers of an insider: more than two observations have.
const CHANGED_ANSWERS: usize = 12;
/// The limit from SIGTERM to the end of the controller while it is attacked. A step that has begun is finished first,
/// and here there is none.
const END_LIMIT: Duration = Duration::from_millis(100);
/// The number of controllers that are ended. On a busy machine one of them may get no time from the scheduler.
const ENDED: usize = 5;

struct Stand {
    cluster: Cluster,
    controller: Controller,
    key: PathBuf,
    primary: usize,
    config: Document,
    uri: String,
}

impl Stand {
    async fn new() -> Self {
        let key = keyfile(KEY);
        let cluster = locked(3, &key, None).await;
        let controller = cluster.controller(&[("RSCTL_KEYFILE", key.to_str().unwrap())]);
        let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
        let primary = cluster.primary(&status);
        let config = config_of(&cluster.nodes[primary]).await;
        let uri = controller.get("/v1/uri").await.unwrap();
        Self { cluster, controller, key, primary, config, uri }
    }

    /// Checks that everything is as it was, and that nothing is found, once all fakes are gone.
    async fn check_without_neighbours(&mut self) {
        let calm = |s: &Status| is_settled(3)(s) && s.findings.is_empty();
        self.controller.until("calm once the neighbour is gone", LIMIT, calm).await;
        self.check("after all").await;
    }

    /// Checks that everything is as it was before the first fake.
    async fn check(&mut self, case: &str) -> Status {
        let primary = self.cluster.nodes[self.primary].host();
        // On a busy machine an observation may get no answer in time, with or without fakes. The status must show no
        // other primary in the meantime.
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            let status = self.status(case).await;
            match status.primary.as_deref() {
                Some(shown) => assert_eq!(shown, primary, "{case}: the primary\n{status:#?}"),
                None => {
                    assert!(Instant::now() < deadline, "{case}: no primary\n{status:#?}\n{}", self.controller.log());
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            }
            break status;
        };
        assert_eq!(status.members.len(), 3, "{case}: the members\n{status:#?}");
        assert!(status.members.iter().all(|m| m.votes == 1), "{case}: the votes\n{status:#?}");
        assert_eq!(self.controller.get("/v1/uri").await.unwrap(), self.uri, "{case}: the URI");
        let hello = self.cluster.nodes[self.primary].command(doc! { "hello": 1 }).await.unwrap();
        assert!(hello.get_bool("isWritablePrimary").unwrap(), "{case}: {hello}");
        assert_eq!(config_of(&self.cluster.nodes[self.primary]).await, self.config, "{case}: the config");
        status
    }

    /// The controller's status within the limit. Also checks its memory.
    async fn status(&mut self, case: &str) -> Status {
        assert!(self.controller.is_running(), "{case}: the controller has ended\n{}", self.controller.log());
        let Ok(Some(status)) = timeout(HTTP_LIMIT, self.controller.status()).await else {
            panic!("{case}: no status within {HTTP_LIMIT:?}\n{}", self.controller.log());
        };
        let held = anonymous_kb(self.controller.pid());
        assert!(held < ANONYMOUS_KB_MAX, "{case}: {held} kB");
        status
    }

    /// Lists fakes in DNS beside the mongods, until each got enough questions and the status shows it correctly.
    async fn endure(&mut self, case: &str, scripts: Vec<Script>) {
        let mut fakes = Vec::new();
        for script in scripts {
            fakes.push(Fake::start(script).await);
        }
        self.cluster.list(self.cluster.nodes.iter().map(Mongod::ip).chain(fakes.iter().map(|fake| fake.ip)));
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status(case).await;
            let is_shown = |fake: &Fake| status.others.iter().any(|other| other.host == fake.host());
            if fakes.iter().all(|fake| fake.asked() >= QUESTIONS && is_shown(fake)) {
                break;
            }
            let asked: Vec<usize> = fakes.iter().map(Fake::asked).collect();
            assert!(Instant::now() < deadline, "{case}: asked {asked:?} times\n{status:#?}");
            sleep(Duration::from_millis(50)).await;
        }
        let status = self.check(case).await;
        for fake in &fakes {
            let shown = status.others.iter().find(|other| other.host == fake.host());
            let shown = shown.unwrap_or_else(|| panic!("{case}: {} is not shown\n{status:#?}", fake.host()));
            let said = format!("{shown:?}");
            assert!(!["PRIMARY", "SECONDARY", "ARBITER", "BLANK"].contains(&shown.state.as_str()), "{case}: {said}");
            assert!(!said.contains("\\u{7}") && !said.contains("\\u{1b}"), "{case}: {said}");
            let ways = fake.mechanisms();
            assert!(ways.iter().all(|way| way == "SCRAM-SHA-256"), "{case}: {ways:?}");
        }
        self.cluster.list_all();
    }

    /// Lists an insider in DNS beside the mongods, until the controller got enough changed answers.
    async fn list_insider(&mut self, case: &str, change: Change) -> Insider {
        let behind = self.cluster.nodes[(self.primary + 1) % 3].address();
        let insider = Insider::start(behind, change).await;
        self.cluster.list(self.cluster.nodes.iter().map(Mongod::ip).chain([insider.ip]));
        let deadline = Instant::now() + LIMIT;
        while insider.changed() < CHANGED_ANSWERS {
            let status = self.status(case).await;
            assert!(Instant::now() < deadline, "{case}: {} answers\n{status:#?}", insider.changed());
            sleep(Duration::from_millis(50)).await;
        }
        insider
    }

    /// The `hello` of the primary, which needs no login.
    async fn hello(&self) -> Document {
        self.cluster.nodes[self.primary].command(doc! { "hello": 1 }).await.unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.key);
    }
}

/// The config that a mongod stores, read with the login of the members.
async fn config_of(node: &Mongod) -> Document {
    let client = member_client(node);
    let config = client.database("local").collection::<Document>("system.replset").find_one(doc! {}).await;
    client.shutdown().immediate(true).await;
    config.unwrap().unwrap()
}

/// A fake that claims to be an arbiter, and knows what the primary's `hello` contains.
pub async fn arbiter(hello: &Document) -> Fake {
    Fake::start(cases::arbiter(hello)).await
}

fn anonymous_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_without_the_key_changes_nothing() {
    let mut stand = Stand::new().await;
    let (config, hello) = (stand.config.clone(), stand.hello().await);
    for case in cases() {
        println!("{}", case.name);
        stand.endure(case.name, vec![case.script(&config, &hello)]).await;
    }
    stand.endure("greetings with a field that is odd", odd_greetings(&config, &hello)).await;
    stand.check_without_neighbours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_controller_that_is_attacked() {
    let mut stand = Stand::new().await;
    let (config, hello) = (stand.config.clone(), stand.hello().await);
    let attacks = ["the most iterations that are accepted", "48 MB of greeting", "silence in the middle of a document"];
    let mut fakes = Vec::new();
    for case in cases().iter().filter(|case| attacks.contains(&case.name)) {
        for _ in 0..4 {
            fakes.push(Fake::start(case.script(&config, &hello)).await);
        }
    }
    assert_eq!(fakes.len(), 4 * attacks.len(), "the names of the cases");
    stand.controller.kill();
    stand.cluster.list(stand.cluster.nodes.iter().map(Mongod::ip).chain(fakes.iter().map(|fake| fake.ip)));
    let mut ends = Vec::new();
    for _ in 0..ENDED {
        let asked: Vec<usize> = fakes.iter().map(Fake::asked).collect();
        let mut controller = stand.cluster.controller(&[("RSCTL_KEYFILE", stand.key.to_str().unwrap())]);
        let deadline = Instant::now() + LIMIT;
        while fakes.iter().zip(&asked).any(|(fake, before)| fake.asked() == *before) {
            assert!(Instant::now() < deadline, "not every fake was asked\n{}", controller.log());
            sleep(Duration::from_millis(10)).await;
        }
        let end = controller.terminate(LIMIT).await;
        ends.push(end.unwrap_or_else(|| panic!("it did not end\n{}", controller.log())));
    }
    ends.sort();
    println!("figures: ends after SIGTERM {ends:?}");
    assert!(ends[ENDED / 2] < END_LIMIT, "{ends:?}");
}

/// Whoever knows the key can be a member. As one voice among others it changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_with_the_key_that_contradicts_the_others_changes_nothing() {
    let mut stand = Stand::new().await;
    for Lie { name, change } in lies() {
        println!("{name}");
        let insider = stand.list_insider(name, change).await;
        stand.check(name).await;
        drop(insider);
        stand.cluster.list_all();
    }
    stand.check_without_neighbours().await;
}

/// As a primary of a newer term, a neighbour with the key can be published. It stops every change, and makes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_with_the_key_that_leads_stops_all_changes() {
    let mut stand = Stand::new().await;
    let Lie { name, change } = newer_primary();
    let insider = stand.list_insider(name, change).await;
    let names_both = |s: &Status| s.findings.iter().any(|f| f.text.contains("both say PRIMARY"));
    let status = stand.controller.until("two primaries", LIMIT, names_both).await;
    println!("figures: shown as primary: {:?}, the insider is {}", status.primary, insider.host());
    assert_eq!(status.next, "nothing");
    assert_eq!(config_of(&stand.cluster.nodes[stand.primary]).await, stand.config);
    drop(insider);
    stand.cluster.list_all();
    let calm = |s: &Status| is_settled(3)(s) && s.findings.is_empty();
    stand.controller.until("calm once the neighbour is gone", LIMIT, calm).await;
    stand.check("after it").await;
}
