//! The fuzzer's targets for the planner. `scripts/fuzz` makes up new bytes, and `cargo test --test plan` replays those
//! in `tests/fuzz/corpus`.

use crate::judge::judge;
use crate::{made_up, parse, words};
use bson::Document;
use rsctl::model::{
    DataId, Host, Naming, Node, NodeState, Observed, OpTime, Peer, Policy, Probe, ProcessId, ReplConfig, SetName,
    SetView, TaskList, UserData, WireVersion,
};
use rsctl::plan::{Plan, Step, evidence, plan, preview};
use rsctl::publish::summarize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A function that takes what a stranger made up.
pub type Target = fn(&[u8]);

/// Each target with its name.
pub const TARGETS: [(&str, Target); 2] = [("planner", planner), ("config", config)];

/// Steps after which a world of a few members must have come to rest.
const STEPS_MAX: usize = 50;

/// Bytes that choose the words of a scenario.
pub fn planner(bytes: &[u8]) {
    told(&made_up::scenario(bytes));
}

/// The plan keeps the safety rules, and so does every plan after it when each step works, until there is rest.
pub fn told(text: &str) {
    let mut world = parse::file(text).remove(0).world;
    shown(&world.observe(), &world.policy);
    let mut story = Vec::new();
    loop {
        let observed = world.observe();
        let decided = decide(&observed, &world.policy, text);
        if decided.next == Step::Wait {
            return;
        }
        story.push(words::shorten(&decided.next.to_string()));
        assert!(story.len() < STEPS_MAX, "no end of\n{}\n{text}", story.join("\n"));
        if matches!(decided.next, Step::Initiate { .. }) && !world.configs.is_empty() {
            return; // The scenario has configs that no node stores, and `apply` knows only one set.
        }
        world.apply(&decided.next, &observed);
        // `apply` forgets an address that is gone, also when another config has it.
        let is_known = |host: &Host| host.port() == 9 || world.word(host).is_some();
        if !world.configs.values().flat_map(ReplConfig::members).all(|member| is_known(&member.host)) {
            return;
        }
    }
}

fn decide(observed: &Observed, policy: &Policy, text: &str) -> Plan {
    let decided = plan(observed, policy);
    assert_eq!(decided, plan(observed, policy), "{text}");
    if let Err(broken) = judge(observed, policy, &decided) {
        panic!("{broken}: {}\n{text}", words::shorten(&decided.next.to_string()));
    }
    decided
}

/// What people are shown can be made, whatever was observed.
fn shown(observed: &Observed, policy: &Policy) {
    let status = summarize(observed, &plan(observed, policy), policy);
    assert!(serde_json::to_string(&status).is_ok());
    let _ = (preview(observed, policy), evidence(observed, policy).id());
}

/// The config of a primary, as extended JSON. Its members are healthy, and there is a blank task.
pub fn config(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else { return };
    let Ok(mut config) = ReplConfig::from_stored(document) else { return };
    if config.members().len() > 60 {
        return;
    }
    let policy = policy(config.set_name());
    shown(&observed(&config), &policy);
    for _ in 0..STEPS_MAX {
        let observed = observed(&config);
        let text = config.document().to_string();
        match decide(&observed, &policy, &text).next {
            Step::Reconfig { next, .. } => {
                let term = config.term();
                config = ReplConfig::from_stored(next.config().document().clone()).unwrap().in_term(term);
            }
            _ => return,
        }
    }
    panic!("no end of reconfigs: {}", config.document());
}

fn policy(set: SetName) -> Policy {
    Policy { set, ..parse::policy() }
}

fn observed(config: &ReplConfig) -> Observed {
    let wrote = OpTime { term: 1, seconds: 10, counter: 1 };
    let leader = config.members().iter().find(|m| !m.arbiter && m.priority > 0.0).map(|m| &m.host);
    let state = |host: &Host, arbiter| match arbiter {
        _ if Some(host) == leader => NodeState::Primary,
        true => NodeState::Arbiter,
        false => NodeState::Secondary,
    };
    let peers = config.members().iter().map(|member| {
        let peer = Peer {
            healthy: true,
            asked: true,
            unheard_for: None,
            state: state(&member.host, member.arbiter),
            applied: wrote,
            written: Some(wrote),
            applied_wall_ms: None,
            message: None,
        };
        (member.id, peer)
    });
    let term = config.term().unwrap_or(1);
    let view = SetView {
        term,
        committed: wrote,
        applied: wrote,
        durable: wrote,
        peers: peers.collect(),
        ..SetView::default()
    };
    let mut nodes = BTreeMap::new();
    for (nth, member) in (1_u8..).zip(config.members()) {
        let process = ProcessId(bson::oid::ObjectId::from_bytes([nth; 12]));
        let probe = Probe {
            set: Some(config.set_name()),
            sees_primary: leader.cloned(),
            config: Some(config.clone()),
            data: (!member.arbiter).then(|| member.data.unwrap_or(DataId(bson::Uuid::from_bytes([nth; 16])))),
            view: Some(view.clone()),
            ..Probe::new(process, WireVersion(17), state(&member.host, member.arbiter))
        };
        let at = member.host.socket().unwrap_or_else(|| SocketAddr::from(([10, 0, 2, nth], 27017)));
        nodes.insert(
            member.host.clone(),
            Node::new(Some(at), Ok(Arc::new(probe)), Naming::Stable(member.host.clone()), true),
        );
    }
    let at = SocketAddr::from(([10, 0, 3, 1], 27017));
    let process = ProcessId(bson::oid::ObjectId::from_bytes([255; 12]));
    let blank = Probe {
        set: Some(config.set_name()),
        user_data: UserData::None,
        ..Probe::new(process, WireVersion(17), NodeState::Blank)
    };
    nodes.entry(Host::from(at)).or_insert(Node::new(Some(at), Ok(Arc::new(blank)), Naming::Unstable, true));
    let hosts = nodes.keys().cloned().collect();
    Observed { tasks: TaskList { hosts, trouble: Vec::new() }, nodes, ..Observed::default() }
}
