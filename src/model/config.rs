//! A replica set config: the document as the server gave it, and what rsctl reads in it.
//!
//! **Invariant:** a config is never rebuilt. [`ReplConfig::with`] edits the fetched document and touches only the
//! fields that rsctl owns; every other field keeps its value and its place.

use super::change::edit;
use super::{Change, DataId, Host, SetName};
use bson::{Bson, Document, oid::ObjectId};
use std::fmt;

/// Most members of a set (MongoDB manual, "Replica Set Members"; refused with 103 by 6.0.5).
pub const MEMBERS_MAX: usize = 50;
/// Most voters of a set. 6.0.5 accepts an eighth and then fails to promote it at every heartbeat, so we count.
pub const VOTERS_MAX: usize = 7;

/// Tag that names the data directory which holds the slot's vote.
pub(super) const TAG_DATA: &str = "rsctlData";
/// Tag that remembers the votes and priority which rsctl took, as `votes/priority`.
pub(super) const TAG_WAS: &str = "rsctlWas";
/// Tag of a non-voter that may be promoted when a voter is gone for good.
pub(super) const TAG_SPARE: &str = "rsctlSpare";

/// `members[n]._id`: the identity of a slot, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(pub i64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What rsctl reads of one `members[n]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The slot's identity.
    pub id: MemberId,
    /// Where the set looks for this member.
    pub host: Host,
    /// Whether the config gives it a vote.
    pub votes: bool,
    /// Its priority; above zero means electable.
    pub priority: f64,
    /// The server keeps it from voting until it holds data (`newlyAdded`, MongoDB 5.0 and later).
    pub newly_added: bool,
    /// Votes, holds no data, cannot carry tags.
    pub arbiter: bool,
    /// Hidden from drivers.
    pub hidden: bool,
    /// Applies writes late on purpose.
    pub delayed: bool,
    /// The data directory that holds the slot's vote, where it is tagged.
    pub data: Option<DataId>,
    /// A non-voter of ours that waits for a voter's place.
    pub spare: bool,
    /// Votes and priority from before rsctl took the vote.
    pub was: Option<(bool, f64)>,
    /// Carries tags that are not ours.
    pub foreign_tags: bool,
}

impl Member {
    /// Counts in elections and majorities now.
    pub fn votes_now(&self) -> bool {
        self.votes && !self.newly_added
    }

    /// Holds a copy of the data that applications may read.
    pub fn serves_reads(&self) -> bool {
        !self.arbiter && !self.hidden
    }

    /// An operator set this one up by hand: it goes only when he says so.
    pub fn hand_tuned(&self) -> bool {
        // What rsctl took says nothing about the operator; what it was before does.
        let (votes, priority) = self.was.unwrap_or((self.votes, self.priority));
        let plain = priority == 1.0 || (priority == 0.0 && !votes);
        self.hidden || self.delayed || self.arbiter || self.foreign_tags || !plain
    }
}

/// A config as one node stores it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplConfig {
    document: Document,
    version: i64,
    term: Option<i64>,
    members: Vec<Member>,
}

impl ReplConfig {
    /// Reads a config from `local.system.replset`, where alone `newlyAdded` can be seen. The mark is noted and taken
    /// out of the document: the server refuses a config that carries it (93).
    pub fn from_stored(mut document: Document) -> Result<Self, ConfigError> {
        let version = integer(&document, "version").ok_or(ConfigError::Field("version"))?;
        let term = integer(&document, "term");
        document.get_str("_id").map_err(|_| ConfigError::Field("_id"))?;
        let list = document.get_array_mut("members").map_err(|_| ConfigError::Field("members"))?;
        let members = list
            .iter_mut()
            .map(|entry| entry.as_document_mut().ok_or(ConfigError::Field("members")).and_then(read_member))
            .collect::<Result<_, _>>()?;
        Ok(Self { document, version, term, members })
    }

    /// The config for the first initiate: one member, everything else joins later.
    ///
    /// The heartbeat interval is chosen here by the expected size and never touched again: a reconfig waits for one
    /// heartbeat (measured on 6.0.5: 0.5 s at 500 ms, 2 s at the default), and the traffic grows with the square of
    /// the members.
    pub fn first(set: &SetName, host: &Host, expect: usize) -> Self {
        let heartbeat_ms: i32 = match expect {
            0..=10 => 500,
            11..=20 => 2000,
            _ => 5000,
        };
        let entry = bson::doc! { "_id": 0, "host": host.to_string() };
        let document = bson::doc! {
            "_id": set.as_str(), "version": 1, "members": [entry.clone()],
            "settings": { "heartbeatIntervalMillis": heartbeat_ms },
        };
        let members = vec![Member { host: host.clone(), ..plain_member(MemberId(0), host) }];
        Self { document, version: 1, term: None, members }
    }

    /// The document, ready to be sent.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The set's name.
    pub fn set_name(&self) -> SetName {
        SetName::new(self.document.get_str("_id").unwrap_or_default())
    }

    /// The generation of the set. Two of them are two sets and can never be merged.
    pub fn replica_set_id(&self) -> Option<ObjectId> {
        self.document.get_document("settings").ok()?.get_object_id("replicaSetId").ok()
    }

    /// Grows with every reconfig; the guard of every write.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The election term it was written in; none right after a forced reconfig.
    pub fn term(&self) -> Option<i64> {
        self.term
    }

    /// All slots, in the config's order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// One slot.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// The slot at this address.
    pub fn member_at(&self, host: &Host) -> Option<&Member> {
        self.members.iter().find(|m| &m.host == host)
    }

    /// The members that count in elections now.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.votes_now())
    }

    /// How many of the voters an election or a majority write needs.
    pub fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// An identity that no slot of this config has had.
    pub fn next_id(&self) -> MemberId {
        MemberId(self.members.iter().map(|m| m.id.0).max().unwrap_or(-1) + 1)
    }

    /// (term, version) as the server compares configs: by version alone when either lacks a term.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        match (self.term, other.term) {
            (Some(mine), Some(theirs)) if mine != theirs => mine > theirs,
            _ => self.version > other.version,
        }
    }

    /// The config after these changes, at exactly the next version, so that a lost race is refused by the server.
    pub fn with(&self, changes: &[Change]) -> Result<Self, ConfigError> {
        let mut document = self.document.clone();
        let list = document.get_array_mut("members").map_err(|_| ConfigError::Field("members"))?;
        for change in changes {
            edit(list, change)?;
        }
        document.insert("version", self.version + 1);
        // The server sets the term itself and ignores ours; none at all is the honest form.
        document.remove("term");
        let mut next = Self::from_stored(document)?;
        for member in &mut next.members {
            member.newly_added = self.member(member.id).is_some_and(|m| m.newly_added);
        }
        Ok(next)
    }
}

fn read_member(entry: &mut Document) -> Result<Member, ConfigError> {
    let newly_added = entry.remove("newlyAdded").and_then(|mark| mark.as_bool()).unwrap_or(false);
    let id = MemberId(integer(entry, "_id").ok_or(ConfigError::Field("members._id"))?);
    let host =
        entry.get_str("host").ok().and_then(|text| text.parse().ok()).ok_or(ConfigError::Field("members.host"))?;
    let flag = |name| entry.get_bool(name).unwrap_or(false);
    let tags = entry.get_document("tags").ok();
    let tag = |name| tags.and_then(|t| t.get_str(name).ok());
    Ok(Member {
        votes: integer(entry, "votes").unwrap_or(1) > 0,
        priority: number(entry, "priority").unwrap_or(1.0),
        newly_added,
        arbiter: flag("arbiterOnly"),
        hidden: flag("hidden"),
        // `slaveDelay` before MongoDB 5.0.
        delayed: ["secondaryDelaySecs", "slaveDelay"].iter().any(|n| integer(entry, n).unwrap_or(0) > 0),
        data: tag(TAG_DATA).and_then(|text| text.parse().ok()),
        spare: tag(TAG_SPARE).is_some(),
        was: read_was(entry),
        foreign_tags: tags.is_some_and(|t| t.keys().any(|k| ![TAG_DATA, TAG_WAS, TAG_SPARE].contains(&k.as_str()))),
        ..plain_member(id, &host)
    })
}

fn plain_member(id: MemberId, host: &Host) -> Member {
    Member {
        id,
        host: host.clone(),
        votes: true,
        priority: 1.0,
        newly_added: false,
        arbiter: false,
        hidden: false,
        delayed: false,
        data: None,
        spare: false,
        was: None,
        foreign_tags: false,
    }
}

pub(super) fn read_was(entry: &Document) -> Option<(bool, f64)> {
    let (votes, priority) = entry.get_document("tags").ok()?.get_str(TAG_WAS).ok()?.split_once('/')?;
    Some((votes != "0", priority.parse().ok()?))
}

/// Servers and hand-written configs use any number type for the same field.
pub(super) fn number(document: &Document, field: &str) -> Option<f64> {
    match document.get(field)? {
        Bson::Int32(n) => Some(f64::from(*n)),
        Bson::Int64(n) => Some(*n as f64),
        Bson::Double(n) => Some(*n),
        _ => None,
    }
}

pub(super) fn integer(document: &Document, field: &str) -> Option<i64> {
    match document.get(field)? {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        Bson::Double(n) if n.fract() == 0.0 => Some(*n as i64),
        _ => None,
    }
}

/// A document that cannot be a replica set config, or a change that does not fit it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A field that every config has is missing or of another type.
    #[error("the config has no usable `{0}`")]
    Field(&'static str),
    /// A change names a slot that is not there.
    #[error("the config has no member with _id {0}")]
    NoSuchMember(MemberId),
}
