//! The status page in a real Chromium: through a failover of a real set, and with answers that mean ill.

use std::sync::Arc;
use std::time::Duration;

use rsctl::publish::{FindingLevel, FindingStatus, OtherStatus, Snapshot, Status, http};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::browser::{Browser, DESK, PHONE, Sight};
use crate::cluster::{Cluster, LIMIT, is_settled, names_work};

/// Whether the page begins with this word.
fn begins(word: &str) -> String {
    format!("document.getElementById('verdict-word').textContent === '{word}'")
}

const LIVE: &str = "document.getElementById('freshness').textContent.startsWith('live')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_follows_a_failover_without_being_loaded_again() {
    let what = "the status page through a failover";
    if !names_work() {
        return;
    }
    let Some(mut browser) = Browser::start(what) else { return };
    let mut cluster = Cluster::named(3, None).await;
    let mut controller = cluster.controller(&[]);
    let status = controller.until("a settled set", 2 * LIMIT, is_settled(3)).await;
    browser.look(DESK);
    browser.open(&controller.url());
    browser.until(&begins("healthy"), LIMIT).await;
    browser.until(LIVE, LIMIT).await;
    browser.until("document.querySelectorAll('svg .edge').length === 2", LIMIT).await;
    assert_eq!(browser.text("#verdict-rest"), "can lose 1 more member");
    assert_eq!(browser.text("#uri"), controller.get("/v1/uri").await.unwrap().trim());
    assert_eq!((browser.count("svg .member"), browser.count("svg .primary"), browser.count("tbody tr")), (3, 1, 3));
    let leads = |status: &Status| {
        let host = status.primary.clone().unwrap();
        format!("document.querySelector('svg .primary title')?.textContent.startsWith('{host}: PRIMARY')")
    };
    browser.until(&leads(&status), LIMIT).await;
    browser.picture("healthy", None);

    browser.value("window.loadedOnce = true");
    let primary = cluster.primary(&status);
    cluster.nodes[primary].kill();
    let other = |s: &Status| s.primary.is_some() && s.primary != status.primary;
    let after = controller.until("another primary", LIMIT, other).await;
    browser.until(&leads(&after), Duration::from_secs(5)).await;
    browser.until(&begins("degraded"), LIMIT).await;
    browser.until("document.querySelector('svg .bad .state')?.textContent === 'UNREACHABLE'", LIMIT).await;
    browser.until("document.querySelectorAll('svg .edge').length === 1", LIMIT).await;
    let elected = format!("{} is primary", after.primary.clone().unwrap());
    browser.until(&format!("document.getElementById('events').textContent.includes('{elected}')"), LIMIT).await;
    browser.picture("degraded", Some(540));
    browser.look(PHONE);
    browser.until("document.querySelector('svg').viewBox.baseVal.width < 390", LIMIT).await;
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 390, "nothing is wider than a phone");
    browser.picture("phone", Some(760));
    browser.look(DESK);

    cluster.nodes[primary].restart().await.unwrap();
    browser.until(&begins("healthy"), LIMIT).await;
    assert_eq!(browser.value("window.loadedOnce"), true, "it was never loaded again");
    assert_eq!(browser.complaints(), [""; 0]);

    controller.kill();
    browser.until("document.getElementById('stale').textContent.startsWith('No connection')", LIMIT).await;
    assert!(browser.text("#freshness").starts_with("stale"), "{}", browser.text("#freshness"));
    browser.picture("stale", None);
}

/// What a mongod, a DNS server or a peer may say, on a page of this process.
fn ill() -> Status {
    let mut status: Status = serde_json::from_str(include_str!("../fuzz/status.json")).unwrap();
    let markup = "<img src=x onerror=window.hit=1><script>window.hit=1</script>\u{202e}\"'`";
    let long = "x".repeat(5000);
    status.set = markup.to_owned();
    status.verdict = format!("{markup}: {markup} {long}");
    status.because = long.clone();
    let mut member = status.members[0].clone();
    (member.host, member.state, member.note) = (markup.to_owned(), markup.to_owned(), Some(long));
    (member.node, member.sync_source) = (Some(markup.to_owned()), Some(markup.to_owned()));
    status.members = vec![member; 50];
    status.others = vec![OtherStatus {
        host: markup.to_owned(),
        address: None,
        state: markup.to_owned(),
        note: Some(markup.to_owned()),
    }];
    status.findings = vec![FindingStatus { severity: FindingLevel::Error, text: format!("`rsctl {markup}` {markup}") }];
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_shows_ill_answers_as_text_and_old_ones_as_old() {
    let Some(mut browser) = Browser::start("the status page with ill answers") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (feed, snapshots) = watch::channel(Arc::new(Snapshot::new(ill())));
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(http::serve(listener, snapshots, LIMIT, None, async { drop(stopped.await) }));
    browser.look(Sight { width: 320, dark: false });
    browser.open(&url);
    browser.until("document.querySelectorAll('tbody tr').length === 50", LIMIT).await;
    browser.until(LIVE, LIMIT).await;
    assert_eq!(browser.count("img, main script, iframe, object"), 0);
    assert_eq!(browser.value("window.hit ?? null"), serde_json::Value::Null);
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 320, "long words do not widen the page");
    browser.look(Sight { width: 900, dark: true });
    browser.until("document.querySelector('svg').viewBox.baseVal.width > 700", LIMIT).await;
    assert_eq!(browser.complaints(), [""; 0], "neither the policy nor a script refused anything");

    // Everything that can be used is reached by the Tab key, and a screen reader hears the verdict.
    let mut reached = Vec::new();
    for _ in 0..4 {
        browser.key("Tab");
        reached.push(browser.value("document.activeElement.className || document.activeElement.textContent"));
    }
    assert_eq!(reached, ["skip", "Copy", "Copy", "scroll"], "there is no URI that could be copied");
    assert_eq!(browser.value("document.querySelector('#verdict h1').closest('[role=status]') !== null"), true);
    assert_eq!(browser.count("tbody th[scope=row]"), 50);

    // The controller observes nothing any more, but answers.
    let old = "document.getElementById('stale').textContent.startsWith('The controller has not observed')";
    browser.until(old, LIMIT).await;
    feed.send_replace(Arc::new(Snapshot::new(ill())));
    browser.until("document.getElementById('stale').hidden", LIMIT).await;
    drop(stop);
}
