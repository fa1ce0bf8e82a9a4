//! What `rsctl run` writes to its log through a life on real mongods.

use std::collections::BTreeMap;
use std::time::Duration;

use rsctl::publish::Status;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, HASTY, LIMIT, is_settled};
use crate::support::controller::Controller;

type Line = Map<String, Value>;

fn lines(controller: &Controller) -> Vec<Line> {
    // The last line may be on its way.
    let log = controller.log();
    let whole = log.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn text<'l>(line: &'l Line, field: &str) -> &'l str {
    line.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn with<'l>(lines: &'l [Line], message: &str) -> Vec<&'l Line> {
    lines.iter().filter(|line| text(line, "message") == message).collect()
}

/// The sum of a counter of `/metrics` by rule. Rules without a count are left out.
async fn by_rule(controller: &Controller, metric: &str) -> BTreeMap<String, usize> {
    let page = controller.get("/metrics").await.unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix("{rule=\"")?.split_once("\"} "));
    let counts = rows.map(|(rule, count)| (rule.to_owned(), count.parse::<f64>().unwrap() as usize));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn count_by_rule(lines: &[&Line]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    lines.iter().for_each(|line| *counts.entry(text(line, "rule").to_owned()).or_default() += 1);
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_life_tells_each_change_once_and_is_quiet_at_rest() {
    let settings = [HASTY.as_slice(), &[("RSCTL_LOG_FORMAT", "json")]].concat();
    let (mut cluster, controller) = Cluster::settled(&settings).await;
    let primary = cluster.primary(&controller.status().await.unwrap());
    let host = cluster.nodes[primary].host();
    cluster.nodes[primary].kill();
    let leads = |s: &Status| s.primary.as_ref().is_some_and(|now| *now != host);
    let after = controller.until("another primary", LIMIT, leads).await;
    cluster.nodes[primary].restart().await.unwrap();
    controller.until("rest", LIMIT, is_settled(3)).await;

    // At rest, some observations later, there is no new line.
    let at_rest = || async {
        let began = Instant::now();
        loop {
            let (before, counted) = (lines(&controller).len(), observations(&controller).await);
            while observations(&controller).await < counted + 5 {
                assert!(began.elapsed() < LIMIT, "no five observations");
                sleep(Duration::from_millis(50)).await;
            }
            if lines(&controller).len() == before {
                return;
            }
            assert!(began.elapsed() < LIMIT, "no rest: {:#?}", lines(&controller));
        }
    };
    at_rest().await;
    let log = lines(&controller);
    assert_eq!(text(log.last().unwrap(), "message"), "nothing to do");

    // Each write is a line before it and one after it, and each is counted once.
    let (doing, done) = (with(&log, "doing"), with(&log, "done"));
    let failed = by_rule(&controller, "rsctl_steps_failed_total").await.values().sum::<usize>();
    assert_eq!(doing.len(), done.len() + failed, "{log:#?}");
    assert_eq!(by_rule(&controller, "rsctl_steps_total").await, count_by_rule(&doing));
    for line in &doing {
        // A config that only gets a term differs in no field.
        let changes = text(line, "step").contains(" -> ") && !text(line, "step").starts_with("renew ");
        assert_eq!(changes, line.contains_key("changes"), "{line:?}");
        assert!(!text(line, "because").is_empty(), "{line:?}");
    }

    // Every version of the config is told, and every primary.
    let versions = log.iter().filter(|line| line.contains_key("changes")).count();
    let version = controller.status().await.unwrap().config_version.unwrap();
    assert!(versions + 1 >= usize::try_from(version).unwrap(), "{versions} lines for version {version}: {log:#?}");
    let led: Vec<_> =
        with(&log, "seen").into_iter().filter(|line| text(line, "what").ends_with("is primary")).collect();
    assert_eq!(text(led[0], "what"), format!("{host} is primary"), "{log:#?}");
    assert!(led.iter().any(|line| text(line, "what") == format!("{} is primary", after.primary.clone().unwrap())));
    assert!(with(&log, "waiting").iter().any(|line| text(line, "waiting_for").contains(&host)), "{log:#?}");
}

async fn observations(controller: &Controller) -> usize {
    let page = controller.get("/metrics").await.unwrap();
    let count = page.lines().find_map(|line| line.strip_prefix("rsctl_observations_total "));
    count.unwrap().parse::<f64>().unwrap() as usize
}
