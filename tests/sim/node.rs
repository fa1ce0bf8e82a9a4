//! A data directory, and a mongod that runs on one.

use super::conf::{ConfRef, No};
use bson::oid::ObjectId;
use rsctl::model::{DataId, Lock, MemberId, NodeState, OpTime, ReplConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use tokio::sync::oneshot;

/// One entry of the oplog. Its position in the log stands for its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub term: i64,
    /// Which write of the client; 0 for entries that the server makes itself.
    pub write: u32,
}

/// What survives a restart.
#[derive(Clone, Debug, Default)]
pub struct Dir {
    /// `local.replset.initialSyncId`: there as soon as the directory is complete.
    pub data: Option<DataId>,
    pub config: Option<ConfRef>,
    pub log: Vec<Entry>,
    pub term: i64,
    /// The last term in which it voted.
    pub voted_in: i64,
    pub lock: Option<Lock>,
    /// The process that an operator asked to remove.
    pub leaving: Option<ObjectId>,
    /// `fsync` came since it joined: even an unfinished member remembers config and vote then.
    pub fsynced: bool,
    /// Its identity is not on disk yet. (Real servers also save it by themselves, within a minute or at once.)
    pub unsaved: bool,
    /// It was killed in that state: complete, and without an identity until a config names it again.
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

    /// SIGKILL. A member that has not finished its initial sync forgets that it ever joined (seen on 6.0.5); one
    /// that was complete does not. Its identity it forgets before the first fsync, and makes another.
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

/// After this silence, in milliseconds, a controller may replace a primary.
pub fn long_silent(config: &ReplConfig) -> u64 {
    3000.max(4 * config.heartbeat_interval().as_millis() as u64)
}

/// What a mongod knows of another member.
#[derive(Clone, Copy, Debug)]
pub struct PeerSeen {
    pub up: bool,
    /// A heartbeat was answered, or failed.
    pub asked: bool,
    pub up_since: u64,
    pub heard_at: u64,
    /// When its last heartbeat came in.
    pub asked_us_at: Option<u64>,
    /// When its first heartbeat after a silence of [`long_silent`] came in.
    pub back_at: Option<u64>,
    pub state: NodeState,
    pub optime: OpTime,
    /// (term, version) of its config.
    pub config: (Option<i64>, i64),
    pub process: Option<ObjectId>,
}

/// A command whose answer is awaited; dropped without one when the process dies.
pub struct Answer {
    /// The controller that asked.
    pub to: usize,
    pub way: oneshot::Sender<Result<(), No>>,
}

/// A reconfig that waits: for the current config to be committed, or for its own.
pub struct Waiting {
    pub sent: Option<ReplConfig>,
    /// When it came.
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
    pub peers: BTreeMap<MemberId, PeerSeen>,
    pub election: Option<Election>,
    pub waiting: Vec<Waiting>,
    /// A primary that has finished its catch-up.
    pub writable: bool,
    /// Everything up to here must be committed before the next reconfig: the first entry of its term, and what was
    /// committed under the config before. Zero as soon as it is committed. Real servers do not check a second time
    /// either.
    pub settled: usize,
    /// From whom, until when, and how much it copies.
    pub sync: Option<(usize, u64, usize)>,
    /// Since when it takes writes.
    pub leads_since: u64,
    /// Replication stands still until then (a slow disk).
    pub slow_until: u64,
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
            peers: BTreeMap::new(),
            election: None,
            waiting: Vec::new(),
            writable: false,
            settled: 0,
            sync: None,
            leads_since: 0,
            slow_until: 0,
        }
    }
}
