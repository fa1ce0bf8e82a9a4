//! What a controller writes to its log, as captured lines of JSON.

use super::Fixture;
use super::world::{SECOND, World};
use crate::model::{FailedSyncs, NodeState, Probe, ProbeError, ReplConfig};
use crate::telemetry;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio::time::sleep;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

type Line = Map<String, Value>;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Captured {
    /// The lines since the last call.
    fn take(&self) -> Vec<Line> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Captures the log of this thread until the guard is dropped.
fn capture(level: LevelFilter) -> (Captured, tracing::subscriber::DefaultGuard) {
    let captured = Captured::default();
    let guard = tracing::subscriber::set_default(telemetry::subscriber(level, true, false, captured.clone()));
    (captured, guard)
}

fn text<'l>(line: &'l Line, field: &str) -> &'l str {
    line.get(field).and_then(Value::as_str).unwrap_or_else(|| panic!("no text {field} in {line:?}"))
}

fn messages(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| text(line, "message")).collect()
}

fn fields(line: &Line) -> Vec<&str> {
    let common = ["timestamp", "level", "target", "message"];
    line.keys().map(String::as_str).filter(|field| !common.contains(field)).collect()
}

/// Has every member's config name its directory.
fn tag(probe: &mut Probe) {
    let mut document = probe.config.as_ref().unwrap().document().clone();
    document.insert("term", 1);
    for (n, entry) in (1..).zip(document.get_array_mut("members").unwrap()) {
        let data = bson::Uuid::from_bytes([n; 16]).to_string();
        entry.as_document_mut().unwrap().insert("tags", bson::doc! { "rsctlData": data });
    }
    probe.config = Some(ReplConfig::from_stored(document).unwrap());
}

/// Three members whose directories the config names.
fn of_three_tagged() -> World {
    let world = World::of_three_members();
    (1..=3).for_each(|n| world.change(n, tag));
    world
}

#[tokio::test(start_paused = true)]
async fn each_write_is_one_line_with_its_reason_and_what_it_changes() {
    let fixture = Fixture::new(World::of_three_members());
    let (log, _guard) = capture(LevelFilter::INFO);
    fixture.run_for(SECOND / 10).await;
    let lines = log.take();
    let mut doing = lines.iter().filter(|line| text(line, "message") == "doing");
    let doing = doing.find(|line| text(line, "step").ends_with("(v1 -> v2)")).unwrap();
    assert_eq!((text(doing, "rule"), text(doing, "level")), ("finalize-member", "INFO"));
    assert_eq!(fields(doing), ["because", "changes", "rule", "step"]);
    let data = bson::Uuid::from_bytes([1; 16]).to_string();
    assert!(text(doing, "changes").contains(&format!("10.0.0.1:27017 tags.rsctlData: - → {data}")), "{doing:?}");
    let done = lines.iter().find(|line| text(line, "message") == "done").unwrap();
    assert!(fields(done) == ["ms", "step"] && done["ms"].is_u64(), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_calm_controller_says_so_once_and_again_every_five_minutes() {
    let fixture = Fixture::new(of_three_tagged());
    let (log, _guard) = capture(LevelFilter::INFO);
    fixture.run_for(3600 * SECOND).await;
    let lines = log.take();
    let settled = lines.iter().position(|line| text(line, "message") == "nothing to do").unwrap();
    let repeated = &lines[settled + 1..];
    assert!(repeated.iter().all(|line| text(line, "message") == "still nothing to do"), "{repeated:#?}");
    assert!((10..=12).contains(&repeated.len()), "{} in an hour", repeated.len());
    assert!(repeated.iter().all(|line| text(line, "because") == "the set is as it should be"));
}

#[tokio::test(start_paused = true)]
async fn what_is_waited_for_is_said_once_and_again_every_five_minutes() {
    let fixture = Fixture::new(of_three_tagged());
    fixture.run_for(10 * SECOND).await;
    fixture.world.put(3, Err(ProbeError::Timeout));
    let (log, _guard) = capture(LevelFilter::INFO);
    fixture.run_for(900 * SECOND).await;
    let lines = log.take();
    let waiting: Vec<_> = lines.iter().filter(|line| text(line, "message").ends_with("waiting")).collect();
    let said: Vec<_> = waiting.iter().map(|line| text(line, "message")).collect();
    assert_eq!(said[..2], ["waiting", "still waiting"], "{lines:#?}");
    assert!(said[1..].iter().all(|message| *message == "still waiting") && said.len() <= 4, "{said:?}");
    assert!(waiting.iter().all(|line| text(line, "waiting_for").contains("10.0.0.3:27017 does not answer")));
}

#[tokio::test(start_paused = true)]
async fn another_primary_and_a_config_of_others_are_one_line_each() {
    let fixture = Fixture::new(of_three_tagged());
    let lead = |n: u8, term: i64| {
        fixture.world.change(n, |probe| {
            probe.state = NodeState::Primary;
            probe.view.as_mut().unwrap().term = term;
        });
    };
    lead(1, 1);
    let (log, _guard) = capture(LevelFilter::INFO);
    fixture.run_for(10 * SECOND).await;
    let first = log.take();
    let seen = |lines: &[Line]| -> Vec<Line> {
        lines.iter().filter(|line| text(line, "message") == "seen").cloned().collect()
    };
    let [one] = seen(&first).try_into().unwrap_or_else(|_| panic!("{first:#?}"));
    assert_eq!((text(&one, "what"), text(&one, "why")), ("10.0.0.1:27017 is primary", "elected in term 1"));
    assert_eq!(fields(&one), ["what", "why"]);

    fixture.world.change(1, |probe| probe.state = NodeState::Secondary);
    lead(2, 2);
    for n in 1..=3 {
        fixture.world.change(n, |probe| {
            let mut document = probe.config.as_ref().unwrap().document().clone();
            document.insert("version", 2);
            document.get_document_mut("settings").unwrap().insert("electionTimeoutMillis", 2000);
            probe.config = Some(ReplConfig::from_stored(document).unwrap());
        });
    }
    fixture.run_for(10 * SECOND).await;
    let seen = seen(&log.take());
    let [config, primary] = seen.as_slice() else { panic!("{seen:#?}") };
    assert_eq!((text(primary, "what"), text(config, "what")), ("10.0.0.2:27017 is primary", "the config changed"));
    assert_eq!(text(config, "changes"), "settings.electionTimeoutMillis: - → 2000");
}

#[tokio::test(start_paused = true)]
async fn every_observation_is_one_line_for_developers() {
    let fixture = Fixture::new(of_three_tagged());
    fixture.run_for(10 * SECOND).await;
    let (log, _guard) = capture(LevelFilter::DEBUG);
    let before = fixture.world.asked.lock().unwrap().len();
    fixture.run_for(60 * SECOND).await;
    let asked = fixture.world.asked.lock().unwrap().len() - before;
    let lines = log.take();
    let planned: Vec<_> = lines.iter().filter(|line| text(line, "message") == "planned").collect();
    assert_eq!(planned.len(), asked / 3, "{:?}", messages(&lines));
    let last = planned.last().unwrap();
    assert_eq!((last["nodes"].as_u64(), last["answering"].as_u64()), (Some(3), Some(3)), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_finding_with_another_number_is_found_again_and_cleared_once() {
    let fixture = Fixture::new(of_three_tagged());
    let (log, _guard) = capture(LevelFilter::INFO);
    let fails = async {
        for times in [Some(3), Some(4), None] {
            fixture.world.change(3, |probe| {
                let failed = times.map(|times| FailedSyncs { times, reason: "no disk".to_owned() });
                probe.view.as_mut().unwrap().failed_syncs = failed;
            });
            sleep(10 * SECOND).await;
        }
    };
    tokio::join!(fixture.run_for(30 * SECOND), fails);
    let lines = log.take();
    let about = lines.iter().filter(|line| line.contains_key("finding"));
    let said: Vec<_> = about.map(|line| (text(line, "level"), text(line, "message"))).collect();
    assert_eq!(said, [("ERROR", "found"), ("ERROR", "found"), ("INFO", "cleared")], "{lines:#?}");
}
