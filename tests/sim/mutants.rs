//! Controllers with one safety rule switched off, to show that the checker would notice.

use super::ports::Port;
use super::world::Command;
use bson::{Bson, Document};
use rsctl::model::{Host, Lock, Member, Probe, ProbeError, ReplConfig};
use rsctl::mongo::{Admin, Error};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The controller as it is.
    None,
    /// Initiates a second node as well.
    InitiatesTwice,
    /// Leaves a wiped directory its vote.
    KeepsWipedVotes,
    /// Gives a newcomer the slot of a member that does not answer.
    ReusesSlots,
    /// Takes a second vote whenever it takes one or removes a member.
    ChangesTwoVotes,
    /// Forces a set of one upon whoever should stand for election.
    ForcesAnybody,
    /// Forces the config's addresses as they are found, by place instead of by directory.
    ForcesByPlace,
    /// Removes whom it does not see at once.
    RemovesEarly,
}

/// Every mutant that must be found.
pub const ALL: [Mutant; 6] = [
    Mutant::InitiatesTwice,
    Mutant::ReusesSlots,
    Mutant::ChangesTwoVotes,
    Mutant::ForcesAnybody,
    Mutant::ForcesByPlace,
    Mutant::RemovesEarly,
];

/// The door to mongods, bent by a mutant.
pub struct Warped {
    pub port: Port,
    pub mutant: Mutant,
}

impl Warped {
    /// The config that stands at an address.
    fn base(&self, at: SocketAddr) -> Option<ReplConfig> {
        let world = self.port.shared.get();
        let place = match at.ip() {
            IpAddr::V4(ip) => world.place_at(ip)?,
            IpAddr::V6(_) => return None,
        };
        world.config(place).map(|c| c.read.clone())
    }

    fn bent(&self, at: SocketAddr, config: &ReplConfig) -> Option<ReplConfig> {
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
            Mutant::ReusesSlots => {
                let added = config.members().iter().find(|m| base.member(m.id).is_none())?;
                let silent = |m: &&Member| m.data.is_some() && self.silent(&m.host);
                let slot = base.members().iter().find(silent)?.id.0;
                let (new, host) = (added.id.0, added.host.to_string());
                Some(edited(config, |list| {
                    list.retain(|entry| entry.as_document().and_then(id) != Some(new));
                    if let Some(entry) = member(list, slot) {
                        entry.insert("host", host);
                    }
                }))
            }
            _ => None,
        }
    }

    fn silent(&self, host: &Host) -> bool {
        self.port.shared.get().place_of(host).is_none()
    }

    /// A config of one: the node itself.
    fn alone(&self, at: SocketAddr) -> Option<ReplConfig> {
        let base = self.base(at)?;
        let own = base.members().iter().find(|m| m.host == Host::from(at))?.id.0;
        Some(edited(&base, |list| list.retain(|entry| entry.as_document().and_then(id) == Some(own))))
    }

    /// Votes stay where the addresses are, whoever is there now.
    fn by_place(&self, at: SocketAddr, config: &ReplConfig) -> Option<ReplConfig> {
        let strangers: Vec<String> = {
            let world = self.port.shared.get();
            let others = world.places.iter().filter(|p| p.proc.is_some() && p.dir.data.is_none());
            others.map(|p| Host::ip(IpAddr::V4(p.addr), super::world::PORT).to_string()).collect()
        };
        let base = self.base(at)?;
        let stranger = strangers.into_iter().find(|s| base.members().iter().all(|m| m.host.to_string() != *s))?;
        let slot = base.voters().find(|m| m.host.name().is_none() && self.silent(&m.host))?.id.0;
        Some(edited(config, |list| {
            if let Some(entry) = member(list, slot) {
                entry.insert("host", stranger);
            }
        }))
    }
}

fn edited(config: &ReplConfig, edit: impl FnOnce(&mut Vec<Bson>)) -> ReplConfig {
    let mut document = config.document().clone();
    edit(document.get_array_mut("members").unwrap());
    ReplConfig::from_stored(document).unwrap()
}

fn member(list: &mut [Bson], wanted: i64) -> Option<&mut Document> {
    list.iter_mut().filter_map(Bson::as_document_mut).find(|d| id(d) == Some(wanted))
}

fn id(entry: &Document) -> Option<i64> {
    super::conf::id_of(entry)
}

impl Admin for Warped {
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError> {
        self.port.probe(at, limit).await
    }

    async fn listens(&self, at: SocketAddr) -> bool {
        self.port.listens(at).await
    }

    async fn initiate(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        if self.mutant == Mutant::InitiatesTwice {
            let other = {
                let world = self.port.shared.get();
                let blank = |p: &&super::world::Place| p.proc.is_some() && IpAddr::V4(p.addr) != at.ip();
                world.places.iter().find(blank).map(|p| (p.addr, p.name.clone(), world.named))
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
        let bent = self.bent(at, config);
        self.port.reconfig(at, bent.as_ref().unwrap_or(config)).await
    }

    async fn force(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        let bent = if self.mutant == Mutant::ForcesByPlace { self.by_place(at, config) } else { None };
        self.port.force(at, bent.as_ref().unwrap_or(config)).await
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

    async fn end_catch_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.end_catch_up(at).await
    }

    async fn fsync(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.fsync(at).await
    }

    async fn take_lock(&self, at: SocketAddr, lock: &Lock) -> Result<(), Error> {
        self.port.take_lock(at, lock).await
    }

    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error> {
        self.port.take_over_lock(at, stale, lock).await
    }

    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.release_lock(at).await
    }

    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>) {
        self.port.keep_only(addresses);
    }
}
