//! A small fake world behind `Discovery` and `Admin`.

use super::super::observe::Observer;
use crate::discovery::Discovery;
use crate::model::{
    Bootstrap, DataId, DnsTrouble, DnsTroubleKind, FailoverAfter, Host, Lock, MemberAddress, MemberId, NameAnswer,
    NodeState, PauseWord, Peer, Policy, Probe, ProbeError, ProcessId, RecoveryMode, ReplConfig, SetName, SetView,
    TaskList, Token, UserData, WireVersion,
};
use crate::mongo::{Admin, Error};
use bson::oid::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use tokio::time::{advance, sleep, timeout};

pub(super) const INTERVAL: Duration = Duration::from_secs(5);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What an observer takes from it: the set's name, and that members have names or addresses.
static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy { member_address: MemberAddress::Auto, ..policy() });

/// A set of three that is only observed.
pub(super) fn policy() -> Policy {
    Policy {
        set: SetName::new("rs"),
        expect: 3,
        member_address: MemberAddress::Ip,
        replace_after: 30 * SECOND,
        remove_after: 600 * SECOND,
        failover_after: FailoverAfter::Silence(2 * SECOND),
        stable_for: SECOND,
        recovery: RecoveryMode::Auto,
        bootstrap: Bootstrap::Never,
        replica_set_id: None,
        token: Token("me".to_owned()),
    }
}

/// The fake `Discovery` and `Admin`. A test fills it by hand. An address that is not in it refuses connections.
#[derive(Default)]
pub(super) struct World {
    pub(super) tasks: Mutex<TaskList>,
    pub(super) names: Mutex<BTreeMap<String, NameAnswer>>,
    pub(super) nodes: Mutex<BTreeMap<SocketAddr, Result<Probe, ProbeError>>>,
    pub(super) asked: Mutex<Vec<(SocketAddr, Duration)>>,
    pub(super) resolved: Mutex<Vec<String>>,
    pub(super) kept: Mutex<BTreeSet<SocketAddr>>,
    pub(super) initiated: Mutex<Vec<SocketAddr>>,
    pub(super) forced: Mutex<Vec<SocketAddr>>,
    /// How long the controller is frozen during each probe of the first node.
    pub(super) freeze: Mutex<Duration>,
    /// The newest word about a pause that each node was told to keep.
    pub(super) paused: Mutex<BTreeMap<SocketAddr, PauseWord>>,
    pub(super) stirred: Mutex<Vec<SocketAddr>>,
    /// How long a node takes to answer; no time unless set.
    pub(super) takes: Mutex<BTreeMap<SocketAddr, Duration>>,
    /// How long the primary takes to answer a reconfig that it has installed. Zero: it installs none.
    pub(super) reconfig_takes: Mutex<Duration>,
}

impl World {
    /// Blank tasks at 10.0.0.1 and up.
    pub(super) fn of_blank_tasks(count: u8) -> Self {
        let world = Self::default();
        for n in 1..=count {
            world.list(n, true);
            world.put(n, Ok(blank(n)));
        }
        world
    }

    /// Three members that name each other; the first one leads.
    pub(super) fn of_three_members() -> Self {
        let world = Self::of_blank_tasks(3);
        let members = [host(1), host(2), host(3)];
        for (n, state) in [(1, NodeState::Primary), (2, NodeState::Secondary), (3, NodeState::Secondary)] {
            world.put(n, Ok(member(n, state, &members, &[])));
        }
        world
    }

    pub(super) fn list(&self, n: u8, listed: bool) {
        let hosts = &mut self.tasks.lock().unwrap().hosts;
        if listed {
            hosts.insert(host(n))
        } else {
            hosts.remove(&host(n))
        };
    }

    pub(super) fn put(&self, n: u8, answer: Result<Probe, ProbeError>) {
        self.nodes.lock().unwrap().insert(at(n), answer);
    }

    pub(super) fn change(&self, n: u8, edit: impl FnOnce(&mut Probe)) {
        edit(self.nodes.lock().unwrap().get_mut(&at(n)).unwrap().as_mut().unwrap());
    }

    pub(super) fn name(&self, name: &str, ips: &[&str]) {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        self.names.lock().unwrap().insert(name.to_owned(), NameAnswer::Addresses(ips));
    }

    pub(super) fn trouble(&self, there_is: bool) {
        let trouble = DnsTrouble { name: "tasks.mongo".to_owned(), kind: DnsTroubleKind::Timeout };
        self.tasks.lock().unwrap().trouble = if there_is { vec![trouble] } else { Vec::new() };
    }

    pub(super) fn observer(&self) -> Observer<'_, Self, Self> {
        Observer::new(self, self, &POLICY, INTERVAL)
    }
}

pub(super) fn at(n: u8) -> SocketAddr {
    ([10, 0, 0, n], 27017).into()
}

pub(super) fn host(n: u8) -> Host {
    at(n).into()
}

pub(super) fn process(n: u8) -> ProcessId {
    ProcessId(ObjectId::from_bytes([n; 12]))
}

pub(super) fn blank(n: u8) -> Probe {
    Probe {
        set: Some(SetName::new("rs")),
        hostname: Some("0123456789ab".to_owned()),
        user_data: UserData::None,
        ..Probe::new(process(n), WireVersion(17), NodeState::Blank)
    }
}

pub(super) fn lock(seed: &Host, n: u8) -> Lock {
    Lock { token: Token("other".to_owned()), seed: seed.clone(), seed_process: process(n) }
}

/// A member of a set with these members. It reports the members in `down` as down.
pub(super) fn member(n: u8, state: NodeState, members: &[Host], down: &[usize]) -> Probe {
    let entry = |(id, host): (i64, &Host)| bson::doc! { "_id": id, "host": host.to_string() };
    let entries: Vec<_> = (0..).zip(members).map(entry).collect();
    let settings = bson::doc! { "replicaSetId": ObjectId::from_bytes([7; 12]) };
    let config = bson::doc! { "_id": "rs", "version": 1, "members": entries, "settings": settings };
    let peer = |n: usize| Peer {
        healthy: !down.contains(&n),
        asked: true,
        unheard_for: None,
        state: NodeState::Secondary,
        applied: Default::default(),
        written: None,
        applied_wall_ms: None,
        message: None,
    };
    let peers = (0..members.len()).map(|n| (MemberId(n as i64), peer(n))).collect();
    let data = DataId(bson::Uuid::from_bytes([n; 16]));
    let config = ReplConfig::from_stored(config).unwrap();
    let view = SetView { peers, ..SetView::default() };
    Probe { state, config: Some(config), data: Some(data), view: Some(view), ..blank(n) }
}

/// A set of three in which only the first member's directory is left.
pub(super) fn one_of_three() -> World {
    let world = World::of_blank_tasks(1);
    let members = [host(1), host(2), host(3)];
    world.put(1, Ok(member(1, NodeState::Secondary, &members, &[1, 2])));
    world
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
        let freeze = *self.freeze.lock().unwrap();
        if at == super::world::at(1) && !freeze.is_zero() {
            advance(freeze).await;
        }
        let takes = self.takes.lock().unwrap().get(&at).copied().unwrap_or_default();
        if timeout(limit, sleep(takes)).await.is_err() {
            return Err(ProbeError::Timeout);
        }
        self.nodes.lock().unwrap().get(&at).cloned().unwrap_or(Err(ProbeError::Refused))
    }

    async fn listens(&self, at: SocketAddr) -> bool {
        self.nodes.lock().unwrap().get(&at).is_some_and(Result::is_ok)
    }

    async fn initiate(&self, at: SocketAddr, _: &ReplConfig) -> Result<(), Error> {
        self.initiated.lock().unwrap().push(at);
        Ok(())
    }

    async fn reconfig(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        let takes = *self.reconfig_takes.lock().unwrap();
        if !takes.is_zero() {
            // The primary has it at once, and answers when a majority has it.
            if let Some(Ok(probe)) = self.nodes.lock().unwrap().get_mut(&at) {
                probe.config = Some(config.clone());
            }
            sleep(takes).await;
        }
        Ok(())
    }

    async fn force(&self, at: SocketAddr, _: &ReplConfig) -> Result<(), Error> {
        self.forced.lock().unwrap().push(at);
        Err(Error::Timeout(5000))
    }

    async fn sync_from(&self, _: SocketAddr, _: &Host) -> Result<(), Error> {
        Ok(())
    }

    async fn write_noop(&self, at: SocketAddr) -> Result<(), Error> {
        self.stirred.lock().unwrap().push(at);
        Ok(())
    }

    async fn step_up(&self, _: SocketAddr) -> Result<(), Error> {
        Ok(())
    }

    async fn abort_catch_up(&self, _: SocketAddr) -> Result<(), Error> {
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

    async fn mark_removed(&self, _: SocketAddr, _: ProcessId) -> Result<(), Error> {
        Ok(())
    }

    fn keep_pause(&self, at: SocketAddr, word: &PauseWord) {
        self.paused.lock().unwrap().insert(at, word.clone());
    }

    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>) {
        self.kept.lock().unwrap().clone_from(addresses);
    }
}
