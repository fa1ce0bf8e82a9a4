//! Looks at a small made-up world, under a clock that only moves when told.

use super::execute::{StepError, execute};
use super::observe::Observer;
use crate::discovery::Discovery;
use crate::model::{
    DataId, DnsTrouble, DnsTroubleKind, Host, Lock, MemberAddress, MemberId, NameAnswer, Naming, Node, NodeState, Peer,
    Probe, ProbeError, ProcessId, ReplConfig, SetName, SetView, TaskList, Token, UserData, WireVersion,
};
use crate::mongo::{Admin, Error};
use crate::plan::Step;
use bson::oid::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::advance;

const INTERVAL: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// Both ports of the loop, filled by hand. What is not in it refuses connections or does not exist.
#[derive(Default)]
struct World {
    tasks: Mutex<TaskList>,
    names: Mutex<BTreeMap<String, NameAnswer>>,
    nodes: Mutex<BTreeMap<SocketAddr, Result<Probe, ProbeError>>>,
    asked: Mutex<Vec<(SocketAddr, Duration)>>,
    resolved: Mutex<Vec<String>>,
    kept: Mutex<BTreeSet<SocketAddr>>,
    initiated: Mutex<Vec<SocketAddr>>,
}

impl World {
    /// Blank tasks at 10.0.0.1 and up.
    fn of_blank_tasks(count: u8) -> Self {
        let world = Self::default();
        for n in 1..=count {
            world.list(n, true);
            world.put(n, Ok(blank(n)));
        }
        world
    }

    fn list(&self, n: u8, listed: bool) {
        let hosts = &mut self.tasks.lock().unwrap().hosts;
        if listed {
            hosts.insert(host(n))
        } else {
            hosts.remove(&host(n))
        };
    }

    fn put(&self, n: u8, answer: Result<Probe, ProbeError>) {
        self.nodes.lock().unwrap().insert(at(n), answer);
    }

    fn change(&self, n: u8, edit: impl FnOnce(&mut Probe)) {
        edit(self.nodes.lock().unwrap().get_mut(&at(n)).unwrap().as_mut().unwrap());
    }

    fn name(&self, name: &str, ips: &[&str]) {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        self.names.lock().unwrap().insert(name.to_owned(), NameAnswer::Addresses(ips));
    }

    fn trouble(&self, there_is: bool) {
        let trouble = DnsTrouble { name: "tasks.mongo".to_owned(), kind: DnsTroubleKind::Timeout };
        self.tasks.lock().unwrap().trouble = if there_is { vec![trouble] } else { Vec::new() };
    }

    fn observer(&self) -> Observer<'_, Self, Self> {
        Observer::new(self, self, MemberAddress::Auto, INTERVAL)
    }
}

fn at(n: u8) -> SocketAddr {
    ([10, 0, 0, n], 27017).into()
}

fn host(n: u8) -> Host {
    at(n).into()
}

fn process(n: u8) -> ProcessId {
    ProcessId(ObjectId::from_bytes([n; 12]))
}

fn blank(n: u8) -> Probe {
    Probe {
        process: process(n),
        wire: WireVersion(17),
        state: NodeState::Blank,
        set: Some(SetName::new("rs")),
        sees_primary: None,
        hostname: Some("0123456789ab".to_owned()),
        config: None,
        data: None,
        user_data: UserData::None,
        lock: None,
        view: None,
    }
}

fn lock(seed: &Host, n: u8) -> Lock {
    Lock { token: Token("other".to_owned()), seed: seed.clone(), seed_process: process(n) }
}

/// A member of a set with these members; it sees those in `down` down.
fn member(n: u8, state: NodeState, members: &[Host], down: &[usize]) -> Probe {
    let entry = |(id, host): (i64, &Host)| bson::doc! { "_id": id, "host": host.to_string() };
    let entries: Vec<_> = (0..).zip(members).map(entry).collect();
    let config = bson::doc! { "_id": "rs", "version": 1, "members": entries };
    let peer = |n: usize| Peer {
        healthy: !down.contains(&n),
        state: NodeState::Secondary,
        applied: Default::default(),
        applied_wall_ms: None,
        message: None,
    };
    let peers = (0..members.len()).map(|n| (MemberId(n as i64), peer(n))).collect();
    let data = DataId(bson::Uuid::from_bytes([n; 16]));
    let config = ReplConfig::from_stored(config).unwrap();
    let view = SetView { peers, ..SetView::default() };
    Probe { state, config: Some(config), data: Some(data), view: Some(view), ..blank(n) }
}

impl Discovery for World {
    async fn tasks(&self) -> TaskList {
        self.tasks.lock().unwrap().clone()
    }

    async fn name(&self, name: &str) -> NameAnswer {
        self.resolved.lock().unwrap().push(name.to_owned());
        self.names.lock().unwrap().get(name).cloned().unwrap_or(NameAnswer::NoSuchName)
    }
}

impl Admin for World {
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError> {
        self.asked.lock().unwrap().push((at, limit));
        self.nodes.lock().unwrap().get(&at).cloned().unwrap_or(Err(ProbeError::Refused))
    }

    async fn initiate(&self, at: SocketAddr, _: &ReplConfig) -> Result<(), Error> {
        self.initiated.lock().unwrap().push(at);
        Ok(())
    }

    async fn reconfig(&self, _: SocketAddr, _: &ReplConfig) -> Result<(), Error> {
        Ok(())
    }

    async fn force(&self, _: SocketAddr, _: &ReplConfig) -> Result<(), Error> {
        Ok(())
    }

    async fn sync_from(&self, _: SocketAddr, _: &Host) -> Result<(), Error> {
        Ok(())
    }

    async fn step_up(&self, _: SocketAddr) -> Result<(), Error> {
        Ok(())
    }

    async fn end_catch_up(&self, _: SocketAddr) -> Result<(), Error> {
        Ok(())
    }

    async fn fsync(&self, _: SocketAddr) -> Result<(), Error> {
        Ok(())
    }

    async fn take_lock(&self, _: SocketAddr, _: &Lock) -> Result<(), Error> {
        Ok(())
    }

    async fn take_over_lock(&self, _: SocketAddr, _: &Lock, _: &Lock) -> Result<(), Error> {
        Ok(())
    }

    async fn release_lock(&self, _: SocketAddr) -> Result<(), Error> {
        Ok(())
    }

    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>) {
        self.kept.lock().unwrap().clone_from(addresses);
    }
}

/// One look after some time.
async fn look_after(observer: &mut Observer<'_, World, World>, time: Duration) -> BTreeMap<Host, Node> {
    advance(time).await;
    observer.look().await.nodes
}

#[tokio::test(start_paused = true)]
async fn silence_counts_from_the_first_look_that_showed_it_and_by_two_intervals_at_most() {
    let world = World::of_blank_tasks(1);
    let mut observer = world.observer();
    observer.look().await;
    world.put(1, Err(ProbeError::Timeout));
    let nodes = look_after(&mut observer, 4 * SECOND).await;
    assert_eq!(nodes[&host(1)].silent_for, Duration::ZERO, "it may have fallen silent just now");
    let nodes = look_after(&mut observer, 3 * SECOND).await;
    assert_eq!(nodes[&host(1)].silent_for, 3 * SECOND);
    let nodes = look_after(&mut observer, 3600 * SECOND).await;
    assert_eq!(nodes[&host(1)].silent_for, 3 * SECOND + 2 * INTERVAL, "a frozen controller learns no more than that");
    world.put(1, Ok(blank(1)));
    let nodes = look_after(&mut observer, SECOND).await;
    assert_eq!(nodes[&host(1)].silent_for, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn only_good_dns_answers_make_a_member_unlisted() {
    let world = World::of_blank_tasks(2);
    world.put(1, Ok(member(1, NodeState::Primary, &[host(1), host(2), host(3)], &[])));
    let mut observer = world.observer();
    observer.look().await;
    world.list(2, false);
    let seen = |nodes: &BTreeMap<Host, Node>, n| (nodes[&host(n)].ever_listed, nodes[&host(n)].unlisted_for);
    let nodes = look_after(&mut observer, SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, Duration::ZERO));
    let nodes = look_after(&mut observer, SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, SECOND));
    world.trouble(true);
    let nodes = look_after(&mut observer, 9 * SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, SECOND), "an outage adds nothing");
    world.trouble(false);
    let nodes = look_after(&mut observer, SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, 2 * SECOND));
    assert_eq!(seen(&nodes, 3), (false, 4 * SECOND - SECOND), "whom DNS never listed is missed too, and marked");
    world.list(2, true);
    let nodes = look_after(&mut observer, SECOND).await;
    assert_eq!(seen(&nodes, 2), (true, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn closed_ports_are_counted_until_an_answer_and_so_is_leaving_dns_after_one() {
    let world = World::of_blank_tasks(1);
    let mut observer = world.observer();
    let mut counts = Vec::new();
    for answer in [ProbeError::Refused, ProbeError::Closed, ProbeError::Timeout, ProbeError::Refused] {
        world.put(1, Err(answer));
        counts.push(look_after(&mut observer, SECOND).await[&host(1)].down_looks);
    }
    assert_eq!(counts, [1, 2, 2, 3]);
    world.put(1, Ok(blank(1)));
    assert_eq!(look_after(&mut observer, SECOND).await[&host(1)].down_looks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_removed_container_is_down_when_its_port_was_closed_and_dns_has_dropped_it() {
    let world = World::of_blank_tasks(2);
    let members = [host(1), host(2)];
    world.put(1, Ok(member(1, NodeState::Secondary, &members, &[])));
    world.put(2, Ok(member(2, NodeState::Primary, &members, &[])));
    let mut observer = world.observer();
    look_after(&mut observer, SECOND).await;
    let steps = [(ProbeError::Refused, true, 1), (ProbeError::Timeout, true, 1), (ProbeError::Timeout, false, 2)];
    for (answer, listed, expected) in steps {
        world.put(2, Err(answer));
        world.list(2, listed);
        assert_eq!(look_after(&mut observer, SECOND).await[&host(2)].down_looks, expected);
    }
    // Silence alone is no proof, listed or not.
    world.put(2, Ok(member(2, NodeState::Primary, &members, &[])));
    look_after(&mut observer, SECOND).await;
    world.put(2, Err(ProbeError::Timeout));
    assert_eq!(look_after(&mut observer, SECOND).await[&host(2)].down_looks, 0);
}

#[tokio::test(start_paused = true)]
async fn blankness_starts_anew_with_every_change_of_the_tasks_and_with_trouble() {
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
        times.push(observer.look().await.blank_for.as_secs());
    }
    assert_eq!(times, [0, 1, 0, 1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_ages_while_it_stays_the_same() {
    let world = World::of_blank_tasks(2);
    let mut observer = world.observer();
    world.change(1, |p| p.lock = Some(lock(&host(1), 1)));
    observer.look().await;
    advance(4 * SECOND).await;
    assert_eq!(observer.look().await.locks, [(lock(&host(1), 1), 4 * SECOND)]);
    world.change(1, |p| p.lock = Some(lock(&host(2), 2)));
    advance(4 * SECOND).await;
    assert_eq!(observer.look().await.locks, [(lock(&host(2), 2), Duration::ZERO)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_config_names_is_asked_in_the_same_look() {
    let world = World::of_blank_tasks(1);
    let named: Host = "mongo-3:27017".parse().unwrap();
    world.put(1, Ok(member(1, NodeState::Primary, &[host(1), host(2), named.clone()], &[])));
    world.put(2, Ok(blank(2)));
    world.put(3, Ok(blank(3)));
    world.name("mongo-3", &["10.0.0.3"]);
    let look = world.observer().look().await;
    assert_eq!(look.probe(&host(2)).map(|p| p.process), Some(process(2)));
    assert_eq!(look.probe(&named).map(|p| p.process), Some(process(3)));
    assert!(!look.nodes[&host(2)].listed);
    let kept = world.kept.lock().unwrap().clone();
    assert_eq!(kept, BTreeSet::from([at(1), at(2), at(3)]), "and nobody else's connection is kept");
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_may_not_slow_the_next_look_down() {
    let world = World::of_blank_tasks(1);
    world.list(2, true);
    let mut observer = world.observer();
    observer.look().await;
    observer.look().await;
    let asked = world.asked.lock().unwrap().clone();
    let limits = |n| asked.iter().filter(|(a, _)| *a == at(n)).map(|(_, limit)| *limit).collect::<Vec<_>>();
    assert_eq!(limits(1), [SECOND, SECOND]);
    assert_eq!(limits(2), [SECOND, Duration::from_millis(250)]);
}

#[tokio::test(start_paused = true)]
async fn a_name_must_lead_to_one_mongod() {
    let world = World::of_blank_tasks(2);
    let v6: SocketAddr = "[fd00::1]:27017".parse().unwrap();
    let naming = |name: &'static str| {
        world.change(1, |p| p.hostname = Some(name.to_owned()));
        async { world.observer().look().await.nodes[&host(1)].naming.clone() }
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
    assert_eq!(naming("dual").await, stable("dual"), "nor need it not");
    world.nodes.lock().unwrap().insert(v6, Ok(blank(7)));
    assert_eq!(naming("dual").await, Naming::Unstable, "but somebody else there is too many");
}

#[tokio::test(start_paused = true)]
async fn container_ids_are_not_looked_up() {
    let world = World::of_blank_tasks(1);
    let look = world.observer().look().await;
    assert_eq!(look.nodes[&host(1)].naming, Naming::Unstable);
    assert!(world.resolved.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_seed_keeps_its_name_when_a_lock_names_its_address() {
    let world = World::of_blank_tasks(2);
    world.change(1, |p| p.hostname = Some("nobody".to_owned()));
    let mut observer = world.observer();
    assert_eq!(observer.look().await.nodes[&host(1)].naming, Naming::Unstable);
    world.change(2, |p| p.lock = Some(lock(&host(1), 1)));
    for _ in 0..2 {
        assert_eq!(observer.look().await.nodes[&host(1)].naming, Naming::Unstable, "or no set would ever begin");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_is_down_only_for_all_primaries_that_know_it() {
    let world = World::of_blank_tasks(2);
    let members = [host(1), host(2), host(3)];
    world.put(1, Ok(member(1, NodeState::Primary, &members, &[2])));
    let mut observer = world.observer();
    let unhealthy = |nodes: &BTreeMap<Host, Node>| nodes[&host(3)].unhealthy_for;
    observer.look().await;
    assert_eq!(unhealthy(&look_after(&mut observer, SECOND).await), SECOND);
    world.put(2, Ok(member(2, NodeState::Primary, &members, &[])));
    assert_eq!(unhealthy(&look_after(&mut observer, SECOND).await), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_initiated_when_a_task_has_changed_since_the_look() {
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
        let look = world.observer().look().await;
        world.change(2, change);
        let refused = execute(&world, &look, &step).await;
        assert!(matches!(refused, Err(StepError::NoLongerBlank(h)) if h == host(2)), "{what}");
        assert!(world.initiated.lock().unwrap().is_empty(), "{what}");
    }
    let world = World::of_blank_tasks(2);
    let look = world.observer().look().await;
    execute(&world, &look, &step).await.unwrap();
    assert_eq!(*world.initiated.lock().unwrap(), [at(1)]);
}
