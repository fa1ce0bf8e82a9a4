//! Random worlds, beyond the written scenarios. In every world, the plan must keep the safety rules.

use crate::{parse, words};
use proptest::prelude::*;
use proptest::sample::select;
use rsctl::model::{Change, Host, NodeState, Observed, Policy, Probe, ReplConfig};
use rsctl::plan::{LintedConfig, Plan, Rule, Step, plan};

const STATES: [&str; 20] = [
    "PRIMARY",
    "SECONDARY",
    "SECONDARY",
    "SECONDARY",
    "SECONDARY",
    "RECOVERING",
    "STARTUP2",
    "STARTUP",
    "ROLLBACK",
    "REMOVED",
    "BLANK",
    "BLANK",
    "BLANK",
    "STANDALONE",
    "ARBITER",
    "UNKNOWN",
    "timeout",
    "refused",
    "shutting-down",
    "= a",
];
const MORE: [&str; 31] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "data=A",
    "data=B",
    "data=X",
    "data=none",
    "config=old",
    "config=none",
    "config=other",
    "wire=9",
    "set=other",
    "sees=a",
    "sees=none",
    "sees=z",
    "sees-up=a,b,c,d",
    "sees-down=b,c",
    "unasked=a,b",
    "applied=9",
    "applied=9 held=12",
    "applied=9 written=12",
    "committed=12",
    "user-data=2",
    "user-data=unknown",
    "lock=other:a",
    "lock=me:b/old",
    "unlisted=40s",
    "",
];
const TIMES: [&str; 5] = ["", "", "for=40s", "for=11m", "silent=40s unhealthy=40s"];
const ATTRIBUTES: [&str; 12] = [
    "",
    "",
    "",
    "",
    ",priority=2",
    ",votes=0,priority=0",
    ",votes=0,priority=0,spare",
    ",votes=0,priority=0,saved-vote=1/1",
    ",new",
    ",arbiter",
    ",hidden,priority=0",
    ",tag=dc",
];
const TAGS: [&str; 6] = ["", "", "", "/-", "/B", "/X"];
const REST: [&str; 15] = [
    "",
    "",
    "",
    "dns timeout",
    "unsynced a b",
    "blank-for 0ms",
    "lock-age other=20s",
    "refused \"remove member 3\" retry=9ms",
    "policy expect=1",
    "request",
    "request loss=other",
    "request loss=rs",
    "request loss=rs",
    "request loss=rs",
    "request loss=rs",
];

fn world() -> impl Strategy<Value = String> {
    let node = (select(&STATES[..]), select(&MORE[..]), select(&MORE[..]), select(&TIMES[..])).prop_map(
        |(state, one, two, time)| {
            // A node that answers has no time of silence.
            let time = if state.chars().all(char::is_lowercase) || state.contains('-') { time } else { "" };
            format!("{state} {one} {two} {time}")
        },
    );
    let nodes = proptest::collection::vec(node, 6);
    let member = (select(&TAGS[..]), select(&ATTRIBUTES[..])).prop_map(|(tag, more)| format!("{tag}{more}"));
    let members = proptest::collection::vec(member, 0..6);
    (nodes, members, select(&REST[..])).prop_map(|(nodes, members, rest)| {
        let letters = || ["a", "b", "c", "d", "e", "f"].into_iter();
        let slots: Vec<_> = letters().zip(&members).map(|(letter, member)| format!("{letter}{member}")).collect();
        let lines: Vec<_> = letters().zip(&nodes).map(|(letter, node)| told(letter, node)).collect();
        let config = if slots.is_empty() { String::new() } else { format!("config v7 term=4 {}", slots.join(" ")) };
        let others = "config old: v5 term=3 a b c\nconfig other: v9 rid=R2 d e";
        let others = if slots.is_empty() { "" } else { others };
        format!("# made up\n{config}\n{others}\n{}\n{rest}\n", lines.join("\n"))
    })
}

/// The number of random worlds. `PROPTEST_CASES=100000` tries more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1500)
}

/// The line of a node. The first node cannot be an alias; the others can be further addresses of the first one.
fn told(letter: &str, node: &str) -> String {
    if letter == "a" { format!("a {}", node.replace("= a", "SECONDARY")) } else { format!("{letter} {node}") }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_world_makes_a_plan_that_must_not_be(text in world()) {
        let scenario = parse::file(&text).remove(0);
        let (observed, policy) = (scenario.world.observe(), &scenario.world.policy);
        let decided = plan(&observed, policy);
        prop_assert_eq!(&decided, &plan(&observed, policy));
        if let Err(broken) = judge(&observed, policy, &decided) {
            prop_assert!(false, "{broken}: {}\n{text}", words::shorten(&decided.next.to_string()));
        }
    }
}

fn judge(observed: &Observed, policy: &Policy, decided: &Plan) -> Result<(), &'static str> {
    let probes = || observed.nodes.values().filter_map(|n| n.probe());
    let primaries: Vec<&Probe> = probes().filter(|p| p.state == NodeState::Primary).collect();
    match &decided.next {
        Step::Wait => {
            let said = !decided.waiting.is_empty() || !decided.findings.is_empty();
            // Only the generator makes a mongod that accepts writes without a config. Such a world is ignored.
            let real = primaries.iter().all(|p| p.config.is_some());
            require(said || decided.primary.is_some() || !real, "a wait that says nothing")
        }
        Step::Initiate { .. } | Step::TakeLock { .. } | Step::TakeOverLock { .. } => {
            let listed = || observed.nodes.values().filter(|n| n.listed);
            let blank = listed().all(|n| n.probe().is_some_and(|p| p.state == NodeState::Blank && p.config.is_none()));
            require(blank && observed.tasks.is_good(), "an initiate beside something that is not blank")?;
            let settled = observed.blank_for >= policy.stable_for || !matches!(decided.next, Step::Initiate { .. });
            require(settled, "an initiate in a hurry")?;
            let ours = |p: &Probe| p.set.as_ref() == Some(&policy.set) && p.state != NodeState::Standalone;
            require(!probes().any(|p| p.config.is_some() && ours(p)), "a second initiate")
        }
        Step::StepUp { on } => {
            let leading = observed.nodes.values().filter(|n| n.probe().is_some_and(|p| p.state == NodeState::Primary));
            let ours = leading.filter(|n| n.probe().is_some_and(|p| p.set.as_ref() == Some(&policy.set)));
            let leaving = decided.rule == Rule::Switchover && observed.tasks.is_good();
            require(ours.clone().all(|n| leaving && !n.listed), "an election beside a primary that stays")?;
            require(observed.probe(on).is_some_and(|p| p.state == NodeState::Secondary), "a candidate that is none")
        }
        Step::AbortCatchUp { on } => {
            require(primaries.iter().all(|p| p.set.as_ref() != Some(&policy.set)), "a catch-up beside a primary")?;
            require(observed.probe(on).is_some_and(|p| p.state == NodeState::Other), "the end of no catch-up")
        }
        Step::Reconfig { next, .. } => {
            let base = next.base();
            require(primaries.iter().any(|p| p.config.as_ref() == Some(base)), "a base that no primary has")?;
            reconfig(observed, next)
        }
        Step::Recover { next, .. } => {
            let base = next.base();
            let of_the_set = |p: &&Probe| p.set.as_ref() == Some(&policy.set);
            let mut leading = primaries.iter().copied().filter(of_the_set);
            require(leading.all(|p| p.config.as_ref() != Some(base)), "force beside a primary")?;
            require(observed.tasks.is_good(), "force in DNS trouble")?;
            let voters = |c: &ReplConfig| c.voters().map(|m| m.id).collect::<Vec<_>>();
            require(voters(base) == voters(next.config()), "force that changes who votes")?;
            let configs = probes().filter(of_the_set).filter_map(|p| p.config.as_ref());
            let mut seen = configs.filter(|c| c.replica_set_id() == base.replica_set_id());
            require(seen.all(|c| c.version() < next.config().version()), "force below a version that is seen")
        }
        Step::AcceptLoss { on, next } => accept_loss(observed, policy, on, next),
        Step::SetSyncSource { on, source, .. } => {
            let secondary = |h| observed.probe(h).is_some_and(|p| p.state == NodeState::Secondary);
            require(on != source && secondary(on) && secondary(source), "a line of others than secondaries")
        }
        Step::Fsync { on } | Step::ReleaseLock { on } => require(observed.probe(on).is_some(), "a command to nobody"),
        Step::MarkRemoved { on } => require(has_config(observed.probe(on)), "a note on one who is in no set"),
    }
}

fn has_config(probe: Option<&Probe>) -> bool {
    probe.is_some_and(|p| p.config.is_some())
}

fn accept_loss(observed: &Observed, policy: &Policy, on: &Host, next: &LintedConfig) -> Result<(), &'static str> {
    let probes = || observed.nodes.values().filter_map(|n| n.probe());
    let (base, next) = (next.base(), next.config());
    let accepted = observed.request.as_ref().and_then(|request| request.accepts_loss_of.as_ref());
    require(accepted == Some(&policy.set), "a loss that nobody accepted")?;
    require(observed.tasks.is_good(), "force in DNS trouble")?;
    let rid = base.replica_set_id();
    let of_it = |p: &&Probe| p.config.as_ref().is_some_and(|c| c.replica_set_id() == rid);
    let ours: Vec<&Probe> = probes().filter(of_it).filter(|p| p.set.as_ref() == Some(&policy.set)).collect();
    let led = |p: &Probe| p.state == NodeState::Primary || p.sees_primary.is_some();
    require(!ours.iter().any(|p| led(p)), "a loss beside a primary")?;
    require(ours.iter().all(|p| p.config.as_ref().unwrap().version() < next.version()), "force below a version")?;
    let leader = observed.probe(on).ok_or("force on nobody")?;
    for voter in next.voters() {
        let there = observed.probe(&voter.host).ok_or("a vote for one who is not there")?;
        require(voter.arbiter || there.data.is_some(), "a vote for one without data")?;
        require(there.newest() <= leader.newest(), "a leader without the newest write")?;
    }
    require(next.voters().next().is_some(), "a set without voters")
}

fn reconfig(observed: &Observed, linted: &LintedConfig) -> Result<(), &'static str> {
    let (base, next) = (linted.base(), linted.config());
    require(next.version() == base.version() + 1, "a jump of the version")?;
    let voted = |c: &ReplConfig, id| c.member(id).is_some_and(|m| m.votes);
    let lost = base.members().iter().filter(|m| m.votes && !voted(next, m.id)).count();
    let won = base.members().iter().filter(|m| !m.votes && voted(next, m.id)).count();
    require(lost + won <= 1, "two votes at once")?;
    require(next.members().iter().filter(|m| m.votes).count() <= 7, "eight voters")?;
    for change in linted.changes() {
        let host = |id| base.member(id).map(|m| &m.host);
        let there = |id| host(id).and_then(|h| observed.probe(h));
        match change {
            Change::Remove { id } => {
                require(observed.tasks.is_good(), "a removal in DNS trouble")?;
                require(there(*id).is_none(), "a removal of one who answers")?;
                require(base.member(*id).is_some_and(|m| !m.hand_tuned()), "a removal of what an operator set up")?;
            }
            Change::RevokeVote { id } => {
                require(there(*id).is_some_and(|p| p.state != NodeState::Primary), "the primary's vote")?;
            }
            Change::RestoreVote { id, .. } | Change::RestoreVoteWithoutPriority { id, .. } | Change::Promote { id } => {
                require(there(*id).is_some_and(|p| p.state == NodeState::Secondary), "a vote for one not ready")?;
            }
            Change::Add { id, .. } => {
                let known = observed.nodes.values().filter_map(|n| n.probe());
                let of_the_set = known.filter(|p| p.state != NodeState::Standalone && p.set == Some(base.set_name()));
                let used = of_the_set.filter_map(|p| p.config.as_ref());
                let ours = used.filter(|c| c.replica_set_id() == base.replica_set_id());
                require(!ours.flat_map(|c| c.members()).any(|m| m.id == *id), "an identity used twice")?;
            }
            Change::Tag { .. } | Change::Readdress { .. } => {}
        }
    }
    let mut tags: Vec<_> = next.members().iter().filter_map(|m| m.data).collect();
    let all = tags.len();
    tags.sort();
    tags.dedup();
    let mut before: Vec<_> = base.members().iter().filter_map(|m| m.data).collect();
    before.sort();
    before.dedup();
    let were = base.members().iter().filter(|m| m.data.is_some()).count() - before.len();
    require(all - tags.len() <= were, "one directory in two slots")
}

fn require(holds: bool, broken: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(broken) }
}
