//! Observations of a small fake world, on a paused clock.

mod bounded;
mod by_its_word;
mod chain_secondary;
mod event_log;
mod eyesight;
mod failing_names;
mod families;
mod force;
mod freeze;
mod log;
mod pause;
mod progress;
mod removal;
mod repeats;
mod steering;
mod switchover;
mod world;

use super::execute::{StepError, execute};
use super::observe::Observer;
use super::{AdminRequests, EventLog, Loop, UserTroubles};
use crate::admin::AdminEndpoint;
use crate::model::{
    Change, Host, MemberId, Naming, Node, NodeState, Policy, Probe, ProbeError, RecoveryRequest, ReplConfig,
    RequestState, SetName, UserData,
};
use crate::plan::{LintedConfig, Step, evidence};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{advance, sleep};

use world::{INTERVAL, SECOND, World, at, blank, host, lock, member, one_of_three, policy, process};

/// Advances the clock and makes one observation.
async fn observe_after(observer: &mut Observer<'_, World, World>, time: Duration) -> BTreeMap<Host, Node> {
    advance(time).await;
    observer.observe().await.nodes
}

#[tokio::test(start_paused = true)]
async fn silence_counts_from_the_first_observation_that_showed_it_and_by_two_intervals_at_most() {
    let world = World::of_blank_tasks(1);
    let mut observer = world.observer();
    observer.observe().await;
    world.put(1, Err(ProbeError::Timeout));
    let nodes = observe_after(&mut observer, 4 * SECOND).await;
    assert_eq!(nodes[&host(1)].silent_for, Duration::ZERO, "it may have become silent just now");
    let nodes = observe_after(&mut observer, 3 * SECOND).await;
    assert_eq!(nodes[&host(1)].silent_for, 3 * SECOND);
    let nodes = observe_after(&mut observer, 3600 * SECOND).await;
    assert_eq!(nodes[&host(1)].silent_for, 3 * SECOND + 2 * INTERVAL, "a frozen controller learns no more than that");
    world.put(1, Ok(blank(1)));
    let nodes = observe_after(&mut observer, SECOND).await;
    assert_eq!(nodes[&host(1)].silent_for, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn only_dns_answers_without_trouble_make_a_member_unlisted() {
    let world = World::of_blank_tasks(2);
    world.put(1, Ok(member(1, NodeState::Primary, &[host(1), host(2), host(3)], &[])));
    let mut observer = world.observer();
    observer.observe().await;
    world.list(2, false);
    let seen = |nodes: &BTreeMap<Host, Node>, n| (nodes[&host(n)].ever_listed, nodes[&host(n)].unlisted_for);
    let nodes = observe_after(&mut observer, SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, Duration::ZERO));
    let nodes = observe_after(&mut observer, SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, SECOND));
    world.trouble(true);
    let nodes = observe_after(&mut observer, 9 * SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, SECOND), "an outage adds nothing");
    world.trouble(false);
    let nodes = observe_after(&mut observer, SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, 2 * SECOND));
    assert_eq!(
        seen(&nodes, 3),
        (false, 4 * SECOND - SECOND),
        "a member that DNS never listed is unlisted too, and this is known"
    );
    world.list(2, true);
    let nodes = observe_after(&mut observer, SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn closed_ports_are_counted_and_silence_after_them_proves_nothing() {
    let world = World::of_blank_tasks(1);
    let mut observer = world.observer();
    let mut counts = Vec::new();
    // At the second time-out the mongod may be back, with only the path from this controller cut.
    for answer in [ProbeError::Refused, ProbeError::Closed, ProbeError::Timeout, ProbeError::Refused] {
        world.put(1, Err(answer));
        counts.push(observe_after(&mut observer, SECOND).await[&host(1)].down_observations);
    }
    assert_eq!(counts, [1, 2, 1, 2]);
    world.put(1, Ok(blank(1)));
    assert_eq!(observe_after(&mut observer, SECOND).await[&host(1)].down_observations, 0);
}

#[tokio::test(start_paused = true)]
async fn a_removed_container_is_down_when_its_port_was_closed_and_dns_has_dropped_it() {
    let world = World::of_blank_tasks(2);
    let members = [host(1), host(2)];
    world.put(1, Ok(member(1, NodeState::Secondary, &members, &[])));
    world.put(2, Ok(member(2, NodeState::Primary, &members, &[])));
    let mut observer = world.observer();
    observe_after(&mut observer, SECOND).await;
    let steps = [(ProbeError::Refused, true, 1), (ProbeError::Timeout, true, 1), (ProbeError::Timeout, false, 2)];
    for (answer, listed, expected) in steps {
        world.put(2, Err(answer));
        world.list(2, listed);
        assert_eq!(observe_after(&mut observer, SECOND).await[&host(2)].down_observations, expected);
    }
    // Silence alone is no proof, listed or not.
    world.put(2, Ok(member(2, NodeState::Primary, &members, &[])));
    observe_after(&mut observer, SECOND).await;
    world.put(2, Err(ProbeError::Timeout));
    assert_eq!(observe_after(&mut observer, SECOND).await[&host(2)].down_observations, 0);
}

#[tokio::test(start_paused = true)]
async fn blank_for_starts_at_zero_with_every_change_of_the_tasks_and_with_dns_trouble() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    let mut times = Vec::new();
    let changes: [&dyn Fn(); 7] = [
        &|| {},
        &|| {},
        &|| world.change(2, |p| p.process = process(9)),
        &|| {},
        &|| world.trouble(true),
        &|| world.trouble(false),
        &|| world.put(2, Err(ProbeError::Timeout)),
    ];
    for change in changes {
        change();
        advance(SECOND).await;
        times.push(observer.observe().await.blank_for.as_secs());
    }
    assert_eq!(times, [0, 1, 0, 1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_ages_while_it_stays_the_same() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    world.change(1, |p| p.lock = Some(lock(&host(1), 1)));
    observer.observe().await;
    advance(4 * SECOND).await;
    assert_eq!(observer.observe().await.locks, [(lock(&host(1), 1), 4 * SECOND)]);
    world.change(1, |p| p.lock = Some(lock(&host(2), 2)));
    advance(4 * SECOND).await;
    assert_eq!(observer.observe().await.locks, [(lock(&host(2), 2), Duration::ZERO)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_config_names_is_probed_in_the_same_observation() {
    let world = World::of_blank_tasks(1);
    let named: Host = "mongo-3:27017".parse().unwrap();
    world.put(1, Ok(member(1, NodeState::Primary, &[host(1), host(2), named.clone()], &[])));
    world.put(2, Ok(blank(2)));
    world.put(3, Ok(blank(3)));
    world.name("mongo-3", &["10.0.0.3"]);
    let observed = world.observer().observe().await;
    assert_eq!(observed.probe(&host(2)).map(|p| p.process), Some(process(2)));
    assert_eq!(observed.probe(&named).map(|p| p.process), Some(process(3)));
    assert!(!observed.nodes[&host(2)].listed);
    let kept = world.kept.lock().unwrap().clone();
    assert_eq!(kept, BTreeSet::from([at(1), at(2), at(3)]), "and no other connection is kept");
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_does_not_slow_down_the_next_observation() {
    let world = World::of_blank_tasks(2);
    world.list(3, true);
    let mut observer = world.observer();
    observer.observe().await;
    world.put(2, Err(ProbeError::Timeout));
    for _ in 0..6 {
        observer.observe().await;
    }
    let asked = world.asked.lock().unwrap().clone();
    let limits = |n| asked.iter().filter(|(a, _)| *a == at(n)).map(|(_, limit)| limit.as_millis()).collect::<Vec<_>>();
    assert_eq!(limits(1), [1000; 7]);
    assert_eq!(limits(2), [1000, 1000, 30, 60, 120, 240, 250], "it has always answered at once");
    assert_eq!(limits(3), [1000, 250, 250, 250, 250, 250, 250], "it may be far away");
}

#[tokio::test(start_paused = true)]
async fn a_name_must_lead_to_one_mongod() {
    let world = World::of_blank_tasks(2);
    let v6: SocketAddr = "[fd00::1]:27017".parse().unwrap();
    let naming = |name: &'static str| {
        world.change(1, |p| p.hostname = Some(name.to_owned()));
        async { world.observer().observe().await.nodes[&host(1)].naming.clone() }
    };
    let stable = |name: &str| Naming::Stable(Host::named(name, 27017).unwrap());
    world.name("own", &["10.0.0.1"]);
    world.name("vip", &["10.0.0.1", "10.0.0.2"]);
    world.name("foreign", &["10.0.0.2"]);
    world.name("dual", &["10.0.0.1", "fd00::1"]);
    assert_eq!(naming("own").await, stable("own"));
    assert_eq!(naming("vip").await, Naming::Unstable);
    assert_eq!(naming("foreign").await, Naming::Unstable);
    assert_eq!(naming("nobody").await, Naming::Unstable);
    assert_eq!(naming("dual").await, stable("dual"), "mongod need not listen on IPv6");
    world.tasks.lock().unwrap().hosts.insert(v6.into());
    let mine = world.nodes.lock().unwrap()[&at(1)].clone();
    world.nodes.lock().unwrap().insert(v6, mine);
    assert_eq!(naming("dual").await, stable("dual"), "and it may");
    world.nodes.lock().unwrap().insert(v6, Ok(blank(7)));
    assert_eq!(naming("dual").await, Naming::Unstable, "but another mongod there makes the name ambiguous");
}

#[tokio::test(start_paused = true)]
async fn container_ids_are_not_resolved() {
    let world = World::of_blank_tasks(1);
    let observed = world.observer().observe().await;
    assert_eq!(observed.nodes[&host(1)].naming, Naming::Unstable);
    assert!(world.resolved.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_seed_keeps_its_name_when_a_lock_names_its_address() {
    let world = World::of_blank_tasks(2);
    world.change(1, |p| p.hostname = Some("nobody".to_owned()));
    let mut observer = world.observer();
    assert_eq!(observer.observe().await.nodes[&host(1)].naming, Naming::Unstable);
    world.change(2, |p| p.lock = Some(lock(&host(1), 1)));
    for _ in 0..2 {
        assert_eq!(
            observer.observe().await.nodes[&host(1)].naming,
            Naming::Unstable,
            "otherwise no set could be initiated"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_is_unhealthy_only_if_every_primary_that_knows_it_says_so() {
    let world = World::of_blank_tasks(2);
    let members = [host(1), host(2), host(3)];
    world.put(1, Ok(member(1, NodeState::Primary, &members, &[2])));
    let mut observer = world.observer();
    let unhealthy = |nodes: &BTreeMap<Host, Node>| nodes[&host(3)].unhealthy_for;
    observer.observe().await;
    assert_eq!(unhealthy(&observe_after(&mut observer, SECOND).await), SECOND);
    world.put(2, Ok(member(2, NodeState::Primary, &members, &[])));
    assert_eq!(unhealthy(&observe_after(&mut observer, SECOND).await), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_initiated_when_a_task_has_changed_since_the_observation() {
    let on = host(1);
    let config = ReplConfig::first(&SetName::new("rs"), &on, 2);
    let step = Step::Initiate { on, config };
    type Edit = fn(&mut Probe);
    let changes: [(&str, Edit); 4] = [
        ("restarted", |p| p.process = process(9)),
        ("in a set", |p| p.state = NodeState::Secondary),
        ("holds data", |p| p.user_data = UserData::Collections(1)),
        ("locked by another", |p| p.lock = None),
    ];
    for (what, change) in changes {
        let world = World::of_blank_tasks(2);
        world.change(2, |p| p.lock = Some(lock(&host(1), 1)));
        let observed = world.observer().observe().await;
        world.change(2, change);
        let refused = execute(&world, &observed, &step).await;
        assert!(matches!(refused, Err(StepError::NoLongerBlank(h)) if h == host(2)), "{what}");
        assert!(world.initiated.lock().unwrap().is_empty(), "{what}");
    }
    let world = World::of_blank_tasks(2);
    let observed = world.observer().observe().await;
    execute(&world, &observed, &step).await.unwrap();
    assert_eq!(*world.initiated.lock().unwrap(), [at(1)]);
}

/// Everything that the loop works with, in the fake world.
struct Fixture {
    world: World,
    policy: Policy,
    requests: AdminRequests,
    users: UserTroubles,
    event_log: EventLog,
    wake: Arc<Notify>,
}

impl Fixture {
    fn new(world: World) -> Self {
        let wake = Arc::new(Notify::new());
        let event_log = EventLog::new("rsctl-1".to_owned());
        Self {
            world,
            policy: policy(),
            requests: AdminRequests::new(Arc::clone(&wake)),
            users: UserTroubles::new(Arc::clone(&wake)),
            event_log,
            wake,
        }
    }

    fn reconciler(&self) -> Loop<'_, World, World> {
        let Self { world, policy, requests, users, event_log, wake } = self;
        Loop { discovery: world, admin: world, policy, interval: INTERVAL, requests, users, event_log, wake }
    }

    /// Requests to accept the loss that the current observation shows.
    async fn accept(&self) -> RecoveryRequest {
        let (observed, _) = self.reconciler().once().await;
        let request = RecoveryRequest {
            evidence: evidence(&observed, &self.policy).id(),
            accepts_loss_of: Some(self.policy.set.clone()),
        };
        self.requests.recover(request.clone());
        request
    }

    async fn run_for(&self, time: Duration) {
        self.reconciler().run(|_| {}, sleep(time)).await;
    }

    fn forced(&self) -> usize {
        self.world.forced.lock().unwrap().len()
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_loss_is_done_once_even_if_it_fails() {
    let fixture = Fixture::new(one_of_three());
    fixture.run_for(10 * SECOND).await;
    assert_eq!(fixture.forced(), 0, "there is no request");
    let request = fixture.accept().await;
    fixture.run_for(120 * SECOND).await;
    assert_eq!(*fixture.world.forced.lock().unwrap(), [at(1)], "once");
    assert!(
        matches!(fixture.requests.request_state(&request), Some(RequestState::Dropped(why)) if why.contains("unknown"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_accepted_loss_waits_until_the_state_is_stable_and_is_dropped_after_a_limit() {
    let mut fixture = Fixture::new(one_of_three());
    fixture.policy.stable_for = 60 * SECOND;
    let request = fixture.accept().await;
    fixture.run_for(20 * SECOND).await;
    assert_eq!((fixture.forced(), fixture.requests.request_state(&request)), (0, Some(RequestState::Pending)));
    fixture.run_for(120 * SECOND).await;
    assert_eq!(fixture.forced(), 0, "the operator no longer watches");
    assert!(
        matches!(fixture.requests.request_state(&request), Some(RequestState::Dropped(why)) if why.contains("in time"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_accepted_loss_is_dropped_when_there_is_more_to_lose_than_was_shown() {
    let fixture = Fixture::new(one_of_three());
    let request = fixture.accept().await;
    fixture.world.change(1, |p| p.view.as_mut().unwrap().applied.seconds = 77);
    fixture.run_for(20 * SECOND).await;
    assert_eq!(fixture.forced(), 0);
    assert!(
        matches!(fixture.requests.request_state(&request), Some(RequestState::Dropped(why)) if why.contains("has changed"))
    );
}

#[tokio::test(start_paused = true)]
async fn no_loss_is_forced_when_an_answer_has_changed_since_the_observation() {
    type Edit = fn(&World);
    let changes: [(&str, u8, Edit); 4] = [
        ("a new write", 1, |w| w.change(1, |p| p.view.as_mut().unwrap().applied.seconds = 77)),
        ("a primary", 1, |w| w.change(1, |p| p.sees_primary = Some(host(2)))),
        ("a restart", 1, |w| w.change(1, |p| p.process = process(9))),
        ("a lost one is back", 2, |w| w.put(2, Ok(member(2, NodeState::Secondary, &[host(1), host(2), host(3)], &[])))),
    ];
    for (what, who, change) in changes {
        let world = one_of_three();
        let observed = world.observer().observe().await;
        let base = observed.probe(&host(1)).unwrap().config.clone().unwrap();
        let changes = vec![Change::RevokeVote { id: MemberId(1) }, Change::RevokeVote { id: MemberId(2) }];
        let next = LintedConfig::accepting_loss(&base, changes, 1).unwrap();
        let step = Step::AcceptLoss { on: host(1), next };
        change(&world);
        let refused = execute(&world, &observed, &step).await;
        assert!(matches!(refused, Err(StepError::Changed(h)) if h == host(who)), "{what}");
        assert!(world.forced.lock().unwrap().is_empty(), "{what}");
    }
}
