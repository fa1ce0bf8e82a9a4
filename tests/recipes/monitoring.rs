//! `deploy/monitoring/`: Prometheus' own tool reads the configuration, tests the alerts, and reads the metrics of a real
//! set. Each alert has a metric that the controller serves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::recipe::said;
use crate::cluster::{Cluster, LIMIT, is_settled};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_has_a_metric_of_a_real_set() {
    let cluster = Cluster::blank(3).await;
    let controller = cluster.controller(&[]);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
    let page = controller.get("/metrics").await.unwrap();
    let has_sample =
        |name: &&str| page.lines().any(|line| line.strip_prefix(*name).is_some_and(|r| r.starts_with([' ', '{'])));
    let alerts = std::fs::read_to_string(folder().join("alerts.yml")).unwrap();
    let missing: Vec<_> = metrics_in(&alerts).into_iter().filter(|name| !has_sample(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in\n{page}");
    assert!(page.contains("rsctl_steps_total{rule=\"recover\"} 0\n"), "{page}");
    if has_promtool("the metrics of a real set") {
        promtool(&["check", "metrics"], &page);
    }
}
