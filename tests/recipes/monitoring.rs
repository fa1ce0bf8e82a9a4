//! `deploy/monitoring/`: Prometheus' own tool reads the configuration, tests the alerts, and reads the metrics of a real
//! set. Each alert has a metric that the controller serves.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::recipe::said;
use crate::cluster::{Cluster, LIMIT, is_settled};
use crate::support::controller::{Controller, free_address, get};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring")
}

/// False where the tool cannot be had, which is then said. It is installed once for all tests.
fn has_promtool(what: &str) -> bool {
    static HAS_IT: OnceLock<bool> = OnceLock::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/need");
    let has_it = *HAS_IT.get_or_init(|| Command::new(script).arg("promtool:prometheus").status().unwrap().success());
    if !has_it {
        println!("skipped: {what}: there is no promtool, and it cannot be installed");
    }
    has_it
}

fn promtool(words: &[&str], input: &str) {
    said(Command::new("promtool").args(words).current_dir(folder()), input);
}

fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    words.filter(|word| word.starts_with("rsctl_")).collect()
}

#[test]
fn the_alerts_are_raised_when_they_should_be() {
    if has_promtool("the alerts for Prometheus") {
        promtool(&["check", "config", "prometheus.yml"], "");
        promtool(&["test", "rules", "alerts.test.yml"], "");
    }
}

#[test]
fn the_guide_lists_every_alert() {
    let alerts = std::fs::read_to_string(folder().join("alerts.yml")).unwrap();
    let page = include_str!("../../docs/guides/monitoring.md");
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let listed = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).map(|(name, _)| name);
    let listed: Vec<_> = listed.filter(|name| name.chars().all(char::is_alphanumeric)).collect();
    assert_eq!(listed, names.collect::<Vec<_>>(), "left: docs/guides/monitoring.md, right: alerts.yml");
}

/// This set has no certificates. `tests/mongod/tls.rs` looks for the metric on one that has.
const WITH_TLS: &str = "rsctl_certificate_expiry_timestamp_seconds";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_has_a_metric_of_a_real_set() {
    let cluster = Cluster::blank(3).await;
    let controller = cluster.controller(&[]);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    let page = controller.get("/metrics").await.unwrap();
    let has_sample =
        |name: &&str| page.lines().any(|line| line.strip_prefix(*name).is_some_and(|r| r.starts_with([' ', '{'])));
    let alerts = std::fs::read_to_string(folder().join("alerts.yml")).unwrap();
    let expected = metrics_in(&alerts).into_iter().filter(|name| *name != WITH_TLS);
    let missing: Vec<_> = expected.filter(|name| !has_sample(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in\n{page}");
    assert!(page.contains("rsctl_steps_total{rule=\"recover\"} 0\n"), "{page}");
    if has_promtool("the metrics of a real set") {
        promtool(&["check", "metrics"], &page);
    }
}

/// Every query of the dashboard, with the title of its panel. Grafana's own variables get a value.
fn queries() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder().join("grafana/rsctl.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "rsctl", "the one in datasource.yml");
            let expr = target["expr"].as_str().unwrap();
            let expr = expr.replace("$__rate_interval", "1m").replace("$__range", "1h");
            queries.push((panel["title"].as_str().unwrap().to_owned(), expr));
        }
    }
    queries
}

/// Whoever looks at the dashboard sees everything that the reference lists.
#[test]
fn the_dashboard_shows_every_metric() {
    let shown = queries().iter().map(|(_, expr)| expr.as_str()).collect::<Vec<_>>().join("\n");
    let page = include_str!("../../docs/reference/metrics.md");
    let listed: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(metrics_in(&shown), listed, "left: grafana/rsctl.json, right: docs/reference/metrics.md");
}

/// A Prometheus that reads one controller every second. It ends with the test.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Prometheus {
    fn reading(controller: &Controller) -> Self {
        let address = free_address().unwrap();
        let folder = std::env::temp_dir().join(format!("rsctl-prometheus-{}", address.port()));
        std::fs::create_dir_all(&folder).unwrap();
        let target = controller.url().replace("http://", "");
        let config = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: rsctl\n    static_configs: [{{ targets: ['{target}'] }}]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, address, folder }
    }

    /// The answer to a query now, which must be one that Prometheus understands.
    async fn ask(&self, query: &str) -> Option<Vec<Value>> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(self.address, &format!("/api/v1/query?query={encoded}")).await.ok()?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned()
    }

    async fn until_it_has_read(&self, times: u32) {
        let query = format!("count_over_time(rsctl_observations_total[1m]) >= {times}");
        let read = async {
            while self.ask(&query).await.is_none_or(|found| found.is_empty()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(LIMIT, read).await.expect("Prometheus reads the controller");
    }
}

/// What has happened too rarely for a settled set to show it, and what only a set with TLS has.
const MAY_BE_EMPTY: [&str; 3] = ["Steps, by rule", "Failed and vetoed", "Certificates: time left"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_of_the_dashboard_has_an_answer_from_a_real_set() {
    if !has_promtool("the queries of the dashboard") {
        return;
    }
    let cluster = Cluster::blank(3).await;
    let controller = cluster.controller(&[]);
    let prometheus = Prometheus::reading(&controller);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    prometheus.until_it_has_read(3).await;
    let mut empty = Vec::new();
    for (title, expr) in queries() {
        let found = prometheus.ask(&expr).await.unwrap_or_else(|| panic!("{title}: Prometheus does not take {expr}"));
        if found.is_empty() && !MAY_BE_EMPTY.contains(&title.as_str()) {
            empty.push((title, expr));
        }
    }
    assert!(empty.is_empty(), "no answer: {empty:#?}\n{}", controller.get("/metrics").await.unwrap());
    let value = async |query: &str| prometheus.ask(query).await.unwrap()[0]["value"][1].as_str().unwrap().to_owned();
    assert_eq!(value("max(rsctl_dns_tasks)").await, "3");
    assert_eq!(value("max(rsctl_dns_missing_members)").await, "0");
}
