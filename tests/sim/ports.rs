//! The simulated DNS and mongods behind the controller's interfaces. Answers can be late, wrong, or missing.

use super::commands::LOCK_HELD;
use super::conf::No;
use super::dns::DnsReply;
use super::events::{Command, End, Event};
use super::node::{Answer, at};
use super::world::{SET, Shared, V8_0, World};
use rsctl::discovery::{Discovery, QUESTION_LIMIT};
use rsctl::model::{
    DnsTrouble, DnsTroubleKind, Host, Lock, NameAnswer, NodeState, Peer, Probe, ProbeError, ProcessId, ReplConfig,
    SetName, SetView, TaskList, UserData,
};
use rsctl::mongo::{Admin, Error};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// The access of one controller to the world.
#[derive(Clone)]
pub struct Port {
    pub shared: Shared,
    pub controller: usize,
}

const COMMAND_LIMIT: Duration = Duration::from_secs(5);
const RECONFIG_LIMIT: Duration = Duration::from_secs(6);

fn silent(name: &str) -> DnsTrouble {
    DnsTrouble { name: name.to_owned(), kind: DnsTroubleKind::Timeout }
}

impl Discovery for Port {
    async fn tasks(&self) -> TaskList {
        sleep(Duration::from_millis(1)).await;
        let reply = self.shared.get().dns_tasks(self.controller);
        match reply {
            DnsReply::Answer(list) => list,
            DnsReply::Silence => {
                sleep(QUESTION_LIMIT).await;
                TaskList { hosts: BTreeSet::new(), trouble: vec![silent("mongo")] }
            }
        }
    }

    async fn name(&self, name: &str) -> NameAnswer {
        sleep(Duration::from_millis(1)).await;
        let reply = self.shared.get().dns_name(self.controller, name);
        match reply {
            DnsReply::Answer(answer) => answer,
            DnsReply::Silence => {
                sleep(QUESTION_LIMIT).await;
                NameAnswer::Trouble(silent(name))
            }
        }
    }
}

fn v4(at: SocketAddr) -> Ipv4Addr {
    match at.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

impl Port {
    /// Sends a command. It arrives even if the controller dies in the meantime.
    pub async fn command(&self, at: SocketAddr, command: Command) -> Result<(), Error> {
        let limit = if matches!(command, Command::Reconfig { .. }) { RECONFIG_LIMIT } else { COMMAND_LIMIT };
        let (way, reply) = oneshot::channel();
        {
            let mut world = self.shared.get();
            let answer = Answer { to: self.controller, way };
            let time = world.now + world.latency();
            world.at(time, Event::Command { to: v4(at), command, answer });
        }
        match timeout(limit, reply).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(No(LOCK_HELD, _)))) => Err(Error::LockHeld),
            Ok(Ok(Err(No(code, why)))) => {
                Err(Error::Server { code, code_name: "Simulated".to_owned(), message: why.to_owned() })
            }
            Ok(Err(_)) => Err(Error::Connection(mongodb::error::Error::custom("closed"))),
            Err(_) => Err(Error::Timeout(limit.as_millis())),
        }
    }
}

impl Admin for Port {
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError> {
        let delay = Duration::from_millis(self.shared.get().latency() * 2);
        if delay >= limit {
            sleep(limit).await;
            return Err(ProbeError::Timeout);
        }
        sleep(delay).await;
        let answer = self.shared.get().probe(self.controller, v4(at));
        if answer == Err(ProbeError::Timeout) {
            sleep(limit - delay).await;
        }
        answer
    }

    async fn listens(&self, at: SocketAddr) -> bool {
        let delay = Duration::from_millis(self.shared.get().latency() * 2);
        sleep(delay).await;
        let mut world = self.shared.get();
        world.reached(self.controller, v4(at)).is_ok() || world.only_stalls(self.controller, v4(at))
    }

    async fn initiate(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.command(at, Command::Initiate(config.clone())).await
    }

    async fn reconfig(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.command(at, Command::Reconfig { sent: config.clone(), force: false, limit: 5000 }).await
    }

    async fn force(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.command(at, Command::Reconfig { sent: config.clone(), force: true, limit: 5000 }).await
    }

    async fn step_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.command(at, Command::StepUp).await
    }

    async fn sync_from(&self, at: SocketAddr, source: &Host) -> Result<(), Error> {
        self.command(at, Command::SyncFrom(source.clone())).await
    }

    /// Always fails: the simulated clients write all the time, so no-op writes are not needed.
    async fn write_noop(&self, _: SocketAddr) -> Result<(), Error> {
        Err(Error::Timeout(0))
    }

    async fn abort_catch_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.command(at, Command::AbortCatchUp).await
    }

    async fn fsync(&self, at: SocketAddr) -> Result<(), Error> {
        self.command(at, Command::Fsync).await
    }

    async fn take_lock(&self, at: SocketAddr, lock: &Lock) -> Result<(), Error> {
        self.command(at, Command::TakeLock(lock.clone())).await
    }

    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error> {
        self.command(at, Command::TakeOver { stale: stale.clone(), lock: lock.clone() }).await
    }

    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error> {
        self.command(at, Command::Release).await
    }

    async fn mark_removed(&self, at: SocketAddr, process: ProcessId) -> Result<(), Error> {
        self.command(at, Command::MarkRemoved(process.0)).await
    }

    fn keep_only(&self, _: &BTreeSet<SocketAddr>) {}
}

impl World {
    /// The machine whose mongod accepts a connection from a controller.
    fn reached(&mut self, controller: usize, at: Ipv4Addr) -> Result<usize, ProbeError> {
        let Some(machine) = self.machine_at(at) else {
            return Err(if self.refuses(at) { ProbeError::Refused } else { ProbeError::Timeout });
        };
        if self.dropped() || !self.both_ways(End::Controller(controller), End::Machine(machine)) {
            return Err(ProbeError::Timeout);
        }
        Ok(machine)
    }

    /// Whether the machine at this address is reached, and only its mongod stalls.
    fn only_stalls(&self, controller: usize, at: Ipv4Addr) -> bool {
        let ends = |machine| (End::Controller(controller), End::Machine(machine));
        let is_cut = |(one, other): (End, End)| self.cut.contains(&(one, other)) || self.cut.contains(&(other, one));
        self.machine_at(at).is_some_and(|machine| self.stalled.contains(&machine) && !is_cut(ends(machine)))
    }

    /// The answer of a mongod to the probe of a controller.
    pub fn probe(&mut self, controller: usize, at: Ipv4Addr) -> Result<Probe, ProbeError> {
        let machine = self.reached(controller, at)?;
        let now = self.now;
        let here = &self.machines[machine];
        let Some(proc) = &here.proc else { return Err(ProbeError::Closed) };
        let dir = &here.dir;
        let state = match proc.state {
            NodeState::Primary if !proc.writable => NodeState::Other,
            state => state,
        };
        let host_of = |id| Some(dir.config.as_ref()?.read.member(id)?.host.clone());
        let hostname = if self.named { here.name.clone() } else { proc.id.to_hex()[..12].to_owned() };
        let user_data = match (&dir.config, dir.log.len()) {
            (None, 0) => UserData::None,
            (None, _) => UserData::Collections(1),
            _ => UserData::Unknown,
        };
        let probe = Probe {
            set: Some(SetName::new(SET)),
            sees_primary: proc.leader.and_then(host_of),
            hostname: Some(hostname),
            config: dir.config.as_ref().map(|c| c.read.clone()),
            data: dir.data,
            user_data,
            lock: dir.lock.clone(),
            marked_removed: dir.leaving == Some(proc.id),
            view: self.view(machine),
            oplog_end: (state == NodeState::Removed).then(|| here.dir.last()),
            ..Probe::new(ProcessId(proc.id), self.wire, state)
        };
        self.checker.has_answered(controller, at, now, &probe);
        Ok(probe)
    }

    fn view(&self, machine: usize) -> Option<SetView> {
        let here = &self.machines[machine];
        let proc = here.proc.as_ref().filter(|p| !matches!(p.state, NodeState::Blank | NodeState::Removed))?;
        let host_of = |id| Some(here.dir.config.as_ref()?.read.member(id)?.host.clone());
        let (log, written) = (&here.dir.log, here.dir.last());
        let applied = at(log, proc.applied(self.now, log.len()));
        let mut peers = BTreeMap::new();
        for (id, seen) in &proc.peers {
            let own = Some(*id) == proc.me;
            let peer = Peer {
                healthy: own || seen.up,
                asked: own || seen.asked,
                unheard_for: seen.asked_us_at.map(|then| Duration::from_millis(self.now.saturating_sub(then))),
                state: if own { proc.state } else { seen.state },
                applied: if own { applied } else { seen.optime },
                written: (self.wire >= V8_0).then_some(if own { written } else { seen.optime }),
                applied_wall_ms: None,
                message: None,
            };
            peers.insert(*id, peer);
        }
        let (term, committed) = (here.dir.term, here.dir.committed());
        Some(SetView {
            term,
            committed,
            applied,
            written: (self.wire >= V8_0).then_some(written),
            durable: written,
            applied_wall_ms: None,
            sync_source: proc.fetch.source.and_then(host_of),
            failed_syncs: None,
            initial_sync: None,
            elected_for: None,
            peers,
            me: None,
        })
    }
}
