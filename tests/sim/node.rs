//! A data directory, and a mongod that runs on it.

use super::conf::{ConfRef, No};
use super::source::Fetch;
use bson::oid::ObjectId;
use rsctl::model::{DataId, Lock, MemberId, NodeState, OpTime, ReplConfig};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::sync::oneshot;

/// One entry of the oplog. Its position in the log stands for its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub term: i64,
    /// The number of the client's write. 0 for entries that the server makes itself.
    pub write: u32,
}

/// A data directory: the state that survives a restart.
#[derive(Clone, Debug, Default)]
pub struct Dir {
    /// `local.replset.initialSyncId`. It exists as soon as the directory is complete.
    pub data: Option<DataId>,
    pub config: Option<ConfRef>,
    pub log: Vec<Entry>,
    pub term: i64,
    /// The last term in which it voted.
    pub voted_in: i64,
    pub lock: Option<Lock>,
    /// The process that is marked for removal.
    pub leaving: Option<ObjectId>,
    /// Whether it got an `fsync` since it joined. After `fsync`, even a member with an unfinished initial sync keeps
    /// its config and vote.
    pub fsynced: bool,
    /// Whether its identity is not on disk yet. (Real servers also save it by themselves, within a minute or at once.)
    pub unsaved: bool,
    /// Whether it was killed while `unsaved`. It is complete, but has no identity until a config names it again.
    pub nameless: bool,
    pub commit: usize,
}

impl Dir {
    pub fn last(&self) -> OpTime {
        at(&self.log, self.log.len())
    }

    pub fn committed(&self) -> OpTime {
        at(&self.log, self.commit)
    }

    /// The effect of SIGKILL. A member with an unfinished initial sync loses its config (seen on 6.0.5). A complete
    /// member keeps it. A complete member that had no fsync yet loses its identity, and makes a new one.
    pub fn killed(&mut self) {
        if self.unsaved {
            (self.data, self.unsaved, self.nameless) = (None, false, true);
        } else if self.data.is_none() && !self.nameless && !self.fsynced {
            *self = Self { lock: self.lock.take(), ..Self::default() };
        } else if self.data.is_none() && !self.nameless {
            self.log.clear();
            self.commit = 0;
        }
    }
}

pub fn at(log: &[Entry], length: usize) -> OpTime {
    match length.checked_sub(1).and_then(|n| log.get(n)) {
        Some(entry) => OpTime { term: entry.term, seconds: length as u32, counter: 0 },
        None => OpTime { term: -1, seconds: 0, counter: 0 },
    }
}

/// The silence of a primary, in milliseconds, after which a controller may replace it.
pub fn long_silent(config: &ReplConfig) -> u64 {
    FAILOVER_AFTER.max(2 * config.heartbeat_interval()).as_millis() as u64
}

/// The controllers' `--failover-after`.
pub const FAILOVER_AFTER: Duration = Duration::from_secs(2);

/// The knowledge of a mongod about another member.
#[derive(Clone, Copy, Debug)]
pub struct PeerSeen {
    pub up: bool,
    /// Whether a heartbeat to it was answered or has failed.
    pub asked: bool,
    pub up_since: u64,
    pub heard_at: u64,
    /// When its last heartbeat arrived.
    pub asked_us_at: Option<u64>,
    /// When its first heartbeat after a silence of [`long_silent`] arrived.
    pub back_at: Option<u64>,
    pub state: NodeState,
    pub optime: OpTime,
    /// (term, version) of its config.
    pub config: (Option<i64>, i64),
    pub process: Option<ObjectId>,
}

/// The way back for the answer to a command. It is dropped without an answer if the process dies.
pub struct Answer {
    /// The controller that asked.
    pub to: usize,
    pub way: oneshot::Sender<Result<(), No>>,
}

/// A reconfig that waits for the commitment of the current config or of its own.
pub struct Waiting {
    pub sent: Option<ReplConfig>,
    /// When it arrived.
    pub came: u64,
    pub deadline: u64,
    pub answer: Answer,
}

pub struct Election {
    pub term: i64,
    pub dry: bool,
    pub yes: BTreeSet<MemberId>,
    pub deadline: u64,
    pub answer: Option<Answer>,
}

/// A running mongod.
pub struct Proc {
    pub id: ObjectId,
    pub at: Ipv4Addr,
    pub state: NodeState,
    /// Its member `_id`; `None` when its config does not name it.
    pub me: Option<MemberId>,
    pub leader: Option<MemberId>,
    pub election_due: u64,
    /// When it stands for election because it has a higher priority than the primary.
    pub takeover_due: Option<u64>,
    pub peers: BTreeMap<MemberId, PeerSeen>,
    pub election: Option<Election>,
    pub waiting: Vec<Waiting>,
    /// Whether it is a primary that has finished its catch-up.
    pub writable: bool,
    /// All entries up to this position must be committed before the next reconfig. These are the first entry of its
    /// term, and the entries that were committed under the config before. It is 0 as soon as they are committed. Real
    /// servers do not check a second time either.
    pub settled: usize,
    /// From whom it copies, and whom it avoids.
    pub fetch: Fetch,
    /// The initial sync: its source, its end, and the number of entries that it copies.
    pub sync: Option<(usize, u64, usize)>,
    /// The time since which it accepts writes.
    pub leads_since: u64,
    /// Replication stands still until then (a slow disk).
    pub slow_until: u64,
    /// What is written and not applied yet: at each time, the entries from this position on are applied. A restart
    /// applies everything.
    pub unapplied: VecDeque<(u64, usize)>,
}

impl Proc {
    pub fn new(id: ObjectId, at: Ipv4Addr) -> Self {
        Self {
            id,
            at,
            state: NodeState::Startup,
            me: None,
            leader: None,
            election_due: 0,
            takeover_due: None,
            peers: BTreeMap::new(),
            election: None,
            waiting: Vec::new(),
            writable: false,
            settled: 0,
            fetch: Fetch::default(),
            sync: None,
            leads_since: 0,
            slow_until: 0,
            unapplied: VecDeque::new(),
        }
    }

    /// How many entries of a log of this length are applied at this time. A primary applies what it writes.
    pub fn applied(&self, now: u64, log: usize) -> usize {
        let first = self.unapplied.iter().find(|(at, _)| *at > now).filter(|_| self.state != NodeState::Primary);
        first.map_or(log, |(_, from)| log.min(*from))
    }
}
