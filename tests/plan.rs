//! What rsctl decides, as text: every file of `tests/plan/` tells one rule's scenarios.
//!
//! `UPDATE=1 cargo test --test plan` writes what is decided now behind each `----`. A rewrite is a change of
//! behaviour: read it as one.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![allow(unreachable_pub, reason = "modules of one test")]

#[path = "plan/catalogue.rs"]
mod catalogue;
#[path = "plan/evolve.rs"]
mod evolve;
#[path = "plan/fuzz.rs"]
mod fuzz;
#[path = "plan/judge.rs"]
mod judge;
#[path = "plan/made_up.rs"]
mod made_up;
#[path = "plan/parse.rs"]
mod parse;
#[path = "plan/targets.rs"]
mod targets;
#[path = "plan/words.rs"]
mod words;
#[path = "plan/world.rs"]
mod world;

use parse::Scenario;
use rsctl::model::OpTime;
use rsctl::plan::{Evidence, Plan, Step, Verdict, evidence, plan};
use rsctl::publish::{Status, summarize};
use std::fs;
use std::path::PathBuf;

/// Elections after which a world without new faults must have come to rest.
const ELECTIONS_MAX: usize = 3;
/// Steps after which a world that changes only by our steps must have come to rest.
const STEPS_MAX: usize = 250;

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plan");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    files.sort();
    files
}

fn scenarios() -> impl Iterator<Item = (String, Scenario)> {
    files().into_iter().flat_map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        parse::file(&fs::read_to_string(path).unwrap()).into_iter().map(move |scenario| (name.clone(), scenario))
    })
}

/// A plan as the scenarios write it.
fn told(plan: &Plan, prefix: &str) -> Vec<String> {
    let mut lines = vec![format!("{prefix}{}: {}", plan.rule, plan.next)];
    lines.extend(evolve::sends(&plan.next).map(|sent| format!("sends: {sent}")));
    lines.push(format!("because: {}", plan.because));
    lines.extend(plan.waiting.iter().map(|w| format!("waiting: {w}")));
    lines.extend(plan.findings.iter().map(|f| format!("{:?}: {f}", f.severity()).to_lowercase_first()));
    lines.iter().map(|line| words::shorten(line)).collect()
}

/// What is known of a set without a primary.
fn known(evidence: &Evidence) -> Vec<String> {
    let Evidence { directories, missing, have, need, committed, unchecked, verdict } = evidence;
    let or_unknown =
        |at: &Option<OpTime>| at.map_or_else(|| "?".to_owned(), |at| format!("{}.{}", at.term, at.seconds));
    let mut lines: Vec<String> = directories
        .iter()
        .map(|d| {
            let data = d.data.map_or_else(|| "no data".to_owned(), |data| words::word_of(&data.0.bytes()));
            let member = d.member.map_or_else(|| "no member".to_owned(), |id| format!("member {id}"));
            let vote = if d.counts { ", votes" } else { "" };
            format!("found: {} {} {data} at {}, {member}{vote}", d.host, d.state, or_unknown(&d.newest))
        })
        .collect();
    lines.extend(missing.iter().map(|m| format!("missing: {} {}", m.host, m.instead)));
    // Where nothing is said about the past, nobody's is known.
    if unchecked.len() < directories.iter().filter(|d| d.data.is_some()).count() {
        lines.extend(unchecked.iter().map(|host| format!("unchecked: {host}")));
    }
    lines.push(format!("votes: {have} of {need}, committed {}", or_unknown(committed)));
    match verdict {
        Verdict::Primary(host) => lines.push(format!("verdict: {host} is primary")),
        Verdict::Electing => lines.push("verdict: electing".to_owned()),
        Verdict::Safe { step, by_itself } => {
            lines.push(format!("verdict: safe{}: {step}", if *by_itself { " by itself" } else { "" }));
            lines.extend(evolve::sends(step).map(|sent| format!("sends: {sent}")));
        }
        Verdict::Loss(loss) => {
            lines.push(format!("verdict: loss: {}", loss.step));
            lines.extend(evolve::sends(&loss.step).map(|sent| format!("sends: {sent}")));
            lines.extend(loss.lost.iter().map(|lost| format!("lost: {lost}")));
        }
        Verdict::Refused(reasons) => lines.extend(reasons.iter().map(|r| format!("refused: {r}"))),
        Verdict::Unknown(reasons) => lines.extend(reasons.iter().map(|r| format!("unknown: {r}"))),
    }
    lines.iter().map(|line| words::shorten(line)).collect()
}

/// What an operator sees first, and what is noted about each node.
fn shown(status: &Status) -> Vec<String> {
    let note = |note: &Option<String>| note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
    let members = status.members.iter().map(|m| format!("shown: {} {}{}", m.host, m.state, note(&m.note)));
    let others = status.others.iter().map(|o| format!("shown: {} {}, no member{}", o.host, o.state, note(&o.note)));
    let lines = std::iter::once(status.verdict()).chain(members).chain(others);
    lines.map(|line| words::shorten(&line)).collect()
}

trait LowercaseFirst {
    fn to_lowercase_first(&self) -> String;
}

impl LowercaseFirst for String {
    fn to_lowercase_first(&self) -> String {
        let (first, rest) = self.split_at(1);
        first.to_lowercase() + rest
    }
}

/// What is decided in a scenario, and after `then`, what follows when each step is done.
fn decided(scenario: &Scenario) -> Vec<String> {
    let mut world = scenario.world.clone();
    let mut observed = world.observe();
    let mut next = plan(&observed, &world.policy);
    let mut lines = told(&next, "");
    if scenario.evidence {
        lines.extend(known(&evidence(&observed, &world.policy)));
    }
    if scenario.status {
        lines.extend(shown(&summarize(&observed, &next, &world.policy)));
    }
    for left in (0..scenario.then).rev() {
        if next.next == Step::Wait {
            break;
        }
        world.apply(&next.next, &observed);
        observed = world.observe();
        next = plan(&observed, &world.policy);
        let last = left == 0 || next.next == Step::Wait;
        let mut story = told(&next, "then ");
        if !last {
            story.retain(|line| line.starts_with("then ") || line.starts_with("sends: "));
        }
        lines.extend(story);
    }
    lines
}

#[test]
fn every_scenario_is_decided_as_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let mut rewritten = Vec::new();
        for scenario in parse::file(&text) {
            let decided = decided(&scenario);
            if decided != scenario.expected {
                let (file, title) = (path.file_name().unwrap().to_string_lossy(), &scenario.title);
                let (was, is) = (scenario.expected.join("\n  "), decided.join("\n  "));
                wrong.push(format!("{file}: {title}\n expected:\n  {was}\n decided:\n  {is}\n"));
            }
            rewritten.push(format!(
                "# {}\n{}\n----\n{}\n",
                scenario.title,
                scenario.input.join("\n"),
                decided.join("\n")
            ));
        }
        if update {
            fs::write(&path, rewritten.join("\n")).unwrap();
        } else {
            assert_eq!(text, text.trim_start(), "{}: begins with a blank line", path.display());
        }
    }
    assert!(update || wrong.is_empty(), "{} scenarios differ:\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_same_look_always_gives_the_same_plan() {
    for (file, scenario) in scenarios() {
        let (observed, policy) = (scenario.world.observe(), &scenario.world.policy);
        assert_eq!(plan(&observed, policy), plan(&observed, policy), "{file}: {}", scenario.title);
    }
}

#[test]
fn every_world_comes_to_rest_when_each_step_works() {
    for (file, scenario) in scenarios() {
        let mut world = scenario.world.clone();
        let mut story = Vec::new();
        loop {
            let observed = world.observe();
            let decided = plan(&observed, &world.policy);
            if decided.next == Step::Wait {
                break;
            }
            story.push(words::shorten(&decided.next.to_string()));
            assert!(story.len() < STEPS_MAX, "{file}: {}: no end of\n{}", scenario.title, story.join("\n"));
            world.apply(&decided.next, &observed);
        }
    }
}

/// The servers answer a step too: a member with a higher priority takes the lead back. Where the controller and the
/// servers want different primaries, one of them must give in.
#[test]
fn no_controller_and_no_server_unseat_each_other_for_ever() {
    let mut preferred = 0;
    for (file, scenario) in scenarios() {
        let mut world = scenario.world.clone();
        preferred += usize::from(world.prefer_primary());
        let (mut story, mut elections) = (Vec::new(), 0);
        loop {
            let observed = world.observe();
            let decided = plan(&observed, &world.policy);
            story.push(words::shorten(&decided.next.to_string()));
            elections += usize::from(matches!(decided.next, Step::StepUp { .. }));
            assert!(elections <= ELECTIONS_MAX, "{file}: {}: no end of\n{}", scenario.title, story.join("\n"));
            match decided.next {
                Step::Wait if world.take_over() => story.push("take-over".to_owned()),
                Step::Wait => break,
                step => world.apply(&step, &observed),
            }
        }
    }
    assert!(preferred > 100, "only {preferred} scenarios have a primary");
}
