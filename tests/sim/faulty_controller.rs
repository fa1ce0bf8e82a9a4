//! A controller with one safety rule switched off.
//!
//! The product's own planner decides. A mutant changes the answers that the planner gets, or the commands that it
//! sends. So the product has no code for mutants.

use super::events::{Command, End};
use super::mutants::Mutant;
use super::ports::Port;
use super::world::Machine;
use bson::oid::ObjectId;
use bson::{Bson, Document};
use rsctl::discovery::Discovery;
use rsctl::model::{
    Host, Lock, Member, NameAnswer, NodeState, OpTime, Probe, ProbeError, ProcessId, ReplConfig, SetName, TaskList,
    UserData, WireVersion,
};
use rsctl::mongo::{Admin, Error};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A controller's access to DNS and mongods, altered by a mutant.
pub struct FaultyController {
    port: Port,
    mutant: Mutant,
    /// The locks that mongods seem to hold in the altered answers.
    locks: Mutex<BTreeMap<SocketAddr, Lock>>,
    /// The addresses that did not answer the last probe.
    silent: Mutex<BTreeSet<SocketAddr>>,
}

impl FaultyController {
    pub fn new(port: Port, mutant: Mutant) -> Self {
        Self { port, mutant, locks: Mutex::default(), silent: Mutex::default() }
    }

    /// The config that the mongod at an address has.
    fn base(&self, at: SocketAddr) -> Option<ReplConfig> {
        let world = self.port.shared.get();
        let machine = match at.ip() {
            IpAddr::V4(ip) => world.machine_at(ip)?,
            IpAddr::V6(_) => return None,
        };
        world.config(machine).map(|c| c.read.clone())
    }

    fn altered(&self, at: SocketAddr, config: &ReplConfig) -> Option<ReplConfig> {
        let base = self.base(at)?;
        let loses = |m: &&Member| m.votes && config.member(m.id).is_none_or(|n| !n.votes);
        match self.mutant {
            Mutant::ChangesTwoVotes if base.members().iter().any(|m| loses(&m)) => {
                let second = config.members().iter().rfind(|m| m.votes)?.id.0;
                Some(edited(config, |list| {
                    if let Some(entry) = member(list, second) {
                        entry.insert("votes", 0);
                        entry.insert("priority", 0);
                    }
                }))
            }
            Mutant::ReusesMembers => {
                let added = config.members().iter().find(|m| base.member(m.id).is_none())?;
                let silent = |m: &&Member| m.data.is_some() && self.silent(&m.host);
                let reused = base.members().iter().find(silent)?.id.0;
                let (new, host) = (added.id.0, added.host.to_string());
                Some(edited(config, |list| {
                    list.retain(|entry| entry.as_document().and_then(id) != Some(new));
                    if let Some(entry) = member(list, reused) {
                        entry.insert("host", host);
                    }
                }))
            }
            _ => None,
        }
    }

    /// Whether a mongod runs at this address and is not cut off from this controller.
    fn answers(&self, at: SocketAddr) -> bool {
        let (world, here) = (self.port.shared.get(), End::Controller(self.port.controller));
        let up = |p: &Machine| p.proc.is_some() && IpAddr::V4(p.addr) == at.ip();
        world.machines.iter().position(up).is_some_and(|machine| world.both_ways(here, End::Machine(machine)))
    }

    fn silent(&self, host: &Host) -> bool {
        self.port.shared.get().machine_of(host).is_none()
    }

    /// A config with this node as the only member.
    fn alone(&self, at: SocketAddr) -> Option<ReplConfig> {
        let base = self.base(at)?;
        let own = base.members().iter().find(|m| m.host == Host::from(at))?.id.0;
        Some(edited(&base, |list| list.retain(|entry| entry.as_document().and_then(id) == Some(own))))
    }

    /// A config that gives the vote of a silent member to a mongod without data. It goes by the address and not by the
    /// data directory.
    fn by_address(&self, at: SocketAddr, config: &ReplConfig) -> Option<ReplConfig> {
        let outsiders: Vec<String> = {
            let world = self.port.shared.get();
            let others = world.machines.iter().filter(|p| p.proc.is_some() && p.dir.data.is_none());
            others.map(|p| Host::ip(IpAddr::V4(p.addr), super::world::PORT).to_string()).collect()
        };
        let base = self.base(at)?;
        let outsider = outsiders.into_iter().find(|s| base.members().iter().all(|m| m.host.to_string() != *s))?;
        let reused = base.voters().find(|m| m.host.name().is_none() && self.silent(&m.host))?.id.0;
        Some(edited(config, |list| {
            if let Some(entry) = member(list, reused) {
                entry.insert("host", outsider);
            }
        }))
    }
}

fn edited(config: &ReplConfig, edit: impl FnOnce(&mut Vec<Bson>)) -> ReplConfig {
    let mut document = config.document().clone();
    edit(document.get_array_mut("members").unwrap());
    ReplConfig::from_stored(document).unwrap()
}

/// The config, but the newcomers of `base` keep the votes that a force takes from them.
fn with_newcomers(base: &ReplConfig, config: &ReplConfig) -> ReplConfig {
    let newcomers: Vec<i64> = base.members().iter().filter(|m| m.newly_added).map(|m| m.id.0).collect();
    edited(config, |list| {
        for new in newcomers {
            if let Some(entry) = member(list, new) {
                entry.insert("votes", 1);
                entry.insert("priority", 1);
            }
        }
    })
}

/// The config, but every voter of `base` keeps its vote.
fn with_every_vote(base: &ReplConfig, config: &ReplConfig) -> ReplConfig {
    let voters: Vec<i64> = base.voters().map(|m| m.id.0).collect();
    edited(config, |list| {
        for voter in voters {
            let Some(entry) = member(list, voter) else { continue };
            entry.insert("votes", 1);
            entry.insert("priority", 1);
            if let Ok(tags) = entry.get_document_mut("tags") {
                tags.remove("rsctlSavedVote");
            }
        }
    })
}

fn member(list: &mut [Bson], wanted: i64) -> Option<&mut Document> {
    list.iter_mut().filter_map(Bson::as_document_mut).find(|d| id(d) == Some(wanted))
}

fn id(entry: &Document) -> Option<i64> {
    super::conf::id_of(entry)
}

/// The altered answers.
impl FaultyController {
    fn blank(at: SocketAddr) -> Probe {
        let mut id = [7; 12];
        if let IpAddr::V4(ip) = at.ip() {
            id[..4].copy_from_slice(&ip.octets());
        }
        Probe {
            set: Some(SetName::new(super::world::SET)),
            hostname: Some("0123456789ab".to_owned()),
            user_data: UserData::None,
            ..Probe::new(ProcessId(ObjectId::from_bytes(id)), WireVersion(17), NodeState::Blank)
        }
    }

    /// An invented answer: the member that a config has at this address seems to be there.
    fn assumed_member(&self, at: SocketAddr) -> Option<Probe> {
        let world = self.port.shared.get();
        let config = world.configs().into_iter().next()?.read.clone();
        let IpAddr::V4(ip) = at.ip() else { return None };
        let data = config.members().iter().find(|m| world.resolve(&m.host) == Some(ip))?.data;
        let state = NodeState::Removed;
        data.map(|data| Probe { state, data: Some(data), config: Some(config), ..Self::blank(at) })
    }

    fn unlisted(&self, at: SocketAddr) -> bool {
        let world = self.port.shared.get();
        !world.listing_for(self.port.controller).iter().any(|(_, ip)| IpAddr::V4(*ip) == at.ip())
    }

    /// The answer of a primary, changed so that it reports every member as down that the mutant treats as gone.
    fn seen_down(&self, mut probe: Probe, gone: impl Fn(&SocketAddr) -> bool) -> Probe {
        // The lock of the world is released before the call of `gone`, which may take the same lock.
        let at = |host: &Host| {
            let ip = self.port.shared.get().resolve(host).unwrap_or(Ipv4Addr::UNSPECIFIED);
            SocketAddr::new(ip.into(), host.port())
        };
        if let (Some(config), Some(view)) = (&probe.config, &mut probe.view) {
            for member in config.members() {
                if let Some(peer) = view.peers.get_mut(&member.id)
                    && gone(&at(&member.host))
                {
                    peer.healthy = false;
                }
            }
        }
        probe
    }

    fn altered_answer(&self, at: SocketAddr, answer: Result<Probe, ProbeError>) -> Result<Probe, ProbeError> {
        let silent = answer == Err(ProbeError::Timeout);
        match self.mutant {
            Mutant::IgnoresLocks => answer.map(|p| Probe { lock: held(&self.locks).get(&at).cloned(), ..p }),
            Mutant::TakesSilenceForBlank if silent => {
                Ok(Probe { lock: held(&self.locks).get(&at).cloned(), ..Self::blank(at) })
            }
            Mutant::ForcesUnseen => answer.or_else(|e| self.assumed_member(at).ok_or(e)),
            Mutant::UnseatsPrimaries => answer.map(|p| Probe { sees_primary: None, ..p }),
            Mutant::GivesVotesEarly => answer.map(|mut p| {
                if let Some(view) = p.view.as_mut().filter(|_| p.state == NodeState::Secondary) {
                    // The member seems to be ahead of all others in its own term. With a newer term no vote would be
                    // restored at all.
                    view.applied = OpTime { term: view.term, seconds: u32::MAX, counter: 0 };
                    view.written = view.written.map(|_| view.applied);
                }
                p
            }),
            Mutant::ComparesApplied => answer.map(|mut p| {
                if let Some(view) = &mut p.view {
                    view.written = None;
                    view.peers.values_mut().for_each(|peer| peer.written = None);
                }
                p
            }),
            // No write seems durable, so the controller remembers none.
            Mutant::ForgetsThePast => answer.map(|mut p| {
                if let Some(view) = &mut p.view {
                    view.durable = OpTime::default();
                }
                p
            }),
            Mutant::TakesSilenceForGone => {
                let mut silent_now = held(&self.silent);
                if silent {
                    silent_now.insert(at)
                } else {
                    silent_now.remove(&at)
                };
                let gone = |other: &SocketAddr| silent_now.contains(other);
                answer.map(|p| self.seen_down(p, gone)).map_err(|_| ProbeError::Refused)
            }
            Mutant::TrustsDnsAlone if self.unlisted(at) => Err(ProbeError::Refused),
            Mutant::TrustsDnsAlone => answer.map(|p| self.seen_down(p, |other| self.unlisted(*other))),
            _ => answer,
        }
    }
}

impl Discovery for FaultyController {
    async fn tasks(&self) -> TaskList {
        let mut list = self.port.tasks().await;
        if self.mutant == Mutant::TakesSilenceForGone {
            list.trouble.clear();
            list.hosts.retain(|host| !host.socket().is_some_and(|at| held(&self.silent).contains(&at)));
        }
        list
    }

    async fn name(&self, name: &str) -> NameAnswer {
        let answer = self.port.name(name).await;
        let gone = |answer: &NameAnswer| match answer {
            NameAnswer::Trouble(_) => true,
            NameAnswer::Addresses(ips) => {
                let port = super::world::PORT;
                ips.iter().any(|ip| held(&self.silent).contains(&SocketAddr::new(*ip, port)))
            }
            NameAnswer::NoSuchName => false,
        };
        if self.mutant == Mutant::TakesSilenceForGone && gone(&answer) { NameAnswer::NoSuchName } else { answer }
    }
}

impl Admin for FaultyController {
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError> {
        let answer = self.port.probe(at, limit).await;
        self.altered_answer(at, answer)
    }

    async fn listens(&self, at: SocketAddr) -> bool {
        self.port.listens(at).await
    }

    async fn initiate(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        if self.mutant == Mutant::InitiatesTwice {
            let other = {
                let world = self.port.shared.get();
                let blank = |p: &&Machine| p.proc.is_some() && IpAddr::V4(p.addr) != at.ip();
                world.machines.iter().find(blank).map(|p| (p.addr, p.name.clone(), world.named))
            };
            if let Some((ip, name, named)) = other {
                let host = if named { Host::named(&name, at.port()).unwrap() } else { Host::ip(ip.into(), at.port()) };
                let second = ReplConfig::first(&config.set_name(), &host, 3);
                let _ = self.port.command(SocketAddr::new(ip.into(), at.port()), Command::Initiate(second)).await;
            }
        }
        self.port.initiate(at, config).await
    }

    async fn reconfig(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        let takes = |m: &Member| m.votes && config.member(m.id).is_some_and(|n| !n.votes);
        if self.mutant == Mutant::KeepsWipedVotes && self.base(at).is_some_and(|b| b.members().iter().any(takes)) {
            return Err(Error::Timeout(0));
        }
        let altered = self.altered(at, config);
        self.port.reconfig(at, altered.as_ref().unwrap_or(config)).await
    }

    async fn force(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        let altered = match self.mutant {
            Mutant::ForcesByAddress => self.by_address(at, config),
            Mutant::ForcesNewcomers => self.base(at).map(|base| with_newcomers(&base, config)),
            Mutant::KeepsEveryVote => self.base(at).map(|base| with_every_vote(&base, config)),
            _ => None,
        };
        self.port.force(at, altered.as_ref().unwrap_or(config)).await
    }

    async fn step_up(&self, at: SocketAddr) -> Result<(), Error> {
        if self.mutant == Mutant::ForcesAnybody
            && let Some(alone) = self.alone(at)
        {
            return self.port.force(at, &alone).await;
        }
        self.port.step_up(at).await
    }

    async fn sync_from(&self, at: SocketAddr, source: &Host) -> Result<(), Error> {
        self.port.sync_from(at, source).await
    }

    async fn write_noop(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.write_noop(at).await
    }

    async fn abort_catch_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.abort_catch_up(at).await
    }

    async fn fsync(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.fsync(at).await
    }

    async fn take_lock(&self, at: SocketAddr, lock: &Lock) -> Result<(), Error> {
        if matches!(self.mutant, Mutant::IgnoresLocks | Mutant::TakesSilenceForBlank) {
            held(&self.locks).insert(at, lock.clone());
        }
        if self.mutant == Mutant::IgnoresLocks || self.mutant == Mutant::TakesSilenceForBlank && !self.answers(at) {
            return Ok(());
        }
        self.port.take_lock(at, lock).await
    }

    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error> {
        self.port.take_over_lock(at, stale, lock).await
    }

    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error> {
        held(&self.locks).remove(&at);
        self.port.release_lock(at).await
    }

    async fn mark_removed(&self, at: SocketAddr, process: ProcessId) -> Result<(), Error> {
        self.port.mark_removed(at, process).await
    }

    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>) {
        self.port.keep_only(addresses);
    }
}

fn held<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
