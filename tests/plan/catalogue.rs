//! Compares the library's rules, findings and reasons to wait with the documents and the scenarios.

use crate::scenarios;
use rsctl::plan::{Applies, Finding, Rule, WaitingOn, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// The least number of scenarios in which a rule proposes a step. The scenarios in which it must not propose one come
/// on top.
const SCENARIOS_MIN: usize = 3;

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/development/planner-rules.md")
}

/// The page that the table of rules generates.
fn rules_page() -> String {
    let mut text = "# Planner rules

<!-- Generated from src/plan/rule.rs by `UPDATE=1 cargo test --test plan`. Do not edit it here. -->

rsctl makes one decision per observation. It asks the rules of the table in [src/plan/rule.rs](../../src/plan/rule.rs)
in the order below, and the first rule whose step may be done now wins. A step may not be done now when the server
refused it a moment ago, or when [src/plan/safety.rs](../../src/plan/safety.rs) objects to it. Then the next rule is
asked. When no rule proposes a step that may be done, the plan's rule is `wait`, and `rsctl status` shows what rsctl
waits for.

No rule knows what another rule decided. Where two rules could act on the same observation, only the order decides, so
each rule has a reason for its position. The name of the rule is in the log, in the metric `rsctl_steps_total`, and at
the beginning of each decision in the scenarios: [tests/plan](../../tests/plan/README.md) has one text file per rule.
[How it works](../concepts/how-it-works.md#plan), [Membership and votes](../concepts/membership-and-votes.md) and
[Failover](../concepts/failover.md) describe what the rules do together.
"
    .to_owned();
    for (applies, title) in [(Applies::WithPrimary, "With a primary"), (Applies::WithoutPrimary, "Without a primary")] {
        text += &format!("\n## {title}\n\n| | Rule | What it does | Why it stands here |\n|---|---|---|---|\n");
        for (nth, rule) in Rule::all().filter(|rule| rule.applies() == Some(applies)).enumerate() {
            text += &format!("| {} | `{rule}` | {} | {} |\n", nth + 1, rule.what(), rule.why_here());
        }
    }
    text
}

#[test]
fn the_page_of_rules_is_what_the_table_says() {
    let (path, expected) = (page(), rules_page());
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &expected).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, expected, "run UPDATE=1 cargo test --test plan");
}

#[test]
fn every_rule_has_scenarios_of_its_own() {
    let mut proposed: BTreeMap<Rule, usize> = BTreeMap::new();
    for (_, scenario) in scenarios() {
        let decided = plan(&scenario.world.observe(), &scenario.world.policy);
        *proposed.entry(decided.rule).or_default() += 1;
    }
    for rule in Rule::all() {
        let count = proposed.get(&rule).copied().unwrap_or_default();
        assert!(count >= SCENARIOS_MIN, "{rule} proposes a step in {count} scenarios only");
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/plan/{rule}.txt"));
        assert!(file.exists(), "{rule} has no scenarios in {}", file.display());
    }
}

#[test]
fn every_kind_occurs_in_a_scenario_and_no_other_does() {
    let (mut waiting, mut findings) = (BTreeSet::new(), BTreeSet::new());
    for (_, scenario) in scenarios() {
        let decided = plan(&scenario.world.observe(), &scenario.world.policy);
        waiting.extend(decided.waiting.iter().map(WaitingOn::kind));
        findings.extend(decided.findings.iter().map(Finding::kind));
    }
    assert_eq!(waiting, WaitingOn::KINDS.into_iter().collect());
    assert_eq!(findings, Finding::KINDS.into_iter().collect());
}

#[test]
fn only_the_scenario_of_a_bug_finds_one() {
    let found = scenarios().filter(|(_, scenario)| {
        let decided = plan(&scenario.world.observe(), &scenario.world.policy);
        decided.findings.iter().any(|f| matches!(f, Finding::Internal { .. }))
    });
    let titles: Vec<String> = found.map(|(_, scenario)| scenario.title).collect();
    assert!(titles.len() == 1 && titles[0].contains("reports a bug"), "{titles:?}");
}
