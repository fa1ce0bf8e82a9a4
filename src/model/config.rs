//! A replica set config: the document as the server gave it, and what rsctl reads from it.
//!
//! **Invariant:** a config is never rebuilt. [`ReplConfig::with`] edits the fetched document and touches only the
//! fields that rsctl owns; every other field keeps its value and its place.

use super::member::{SavedVote, TAG_ADDED, TAG_DATA, TAG_SAVED_HOST, TAG_SAVED_VOTE, TAG_SPARE};
use super::{Change, Host, Member, MemberId, NewRole, SetName};
use bson::{Bson, Document, oid::ObjectId};
use std::sync::Arc;
use std::time::Duration;

/// Most members of a set (MongoDB manual, "Replica Set Members"; refused with 103 by 6.0.5).
pub const MEMBERS_MAX: usize = 50;
/// Most voters of a set. 6.0.5 accepts an eighth and then fails to promote it at every heartbeat, so rsctl counts them.
pub const VOTERS_MAX: usize = 7;
/// The largest version of a config. 6.0.5 refuses a larger one with 93.
pub const VERSION_MAX: i64 = i32::MAX as i64;
/// The largest `_id` of a member. MongoDB 4.4 accepts less: see [`super::WireVersion::member_id_max`].
const ID_MAX: i64 = i32::MAX as i64;
/// The server adds this and a random number to the version of a forced config (6.0.5). Above [`VERSION_MAX`] it refuses
/// the config with 51024.
const FORCE_ADDS_MIN: i64 = 10_000;

/// A config as one node stores it. Cheap to clone, because observations, plans and steps all carry it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplConfig {
    document: Arc<Document>,
    version: i64,
    term: Option<i64>,
    members: Arc<Vec<Member>>,
}

impl ReplConfig {
    /// Reads a config from `local.system.replset`, the only place that shows `newlyAdded`. The mark is read and removed
    /// from the document, because the server refuses a config that carries it (93).
    pub fn from_stored(mut document: Document) -> Result<Self, ConfigError> {
        let version = integer(&document, "version").filter(|version| (1..=VERSION_MAX).contains(version));
        let version = version.ok_or(ConfigError::Field("version"))?;
        let term = integer(&document, "term");
        document.get_str("_id").map_err(|_| ConfigError::Field("_id"))?;
        let list = document.get_array_mut("members").map_err(|_| ConfigError::Field("members"))?;
        let members = list
            .iter_mut()
            .map(|entry| entry.as_document_mut().ok_or(ConfigError::Field("members")).and_then(read_member))
            .collect::<Result<_, _>>()?;
        Ok(Self { document: Arc::new(document), version, term, members: Arc::new(members) })
    }

    /// The config for the first initiate: one member, to which the others are added later.
    ///
    /// The heartbeat interval depends on the expected number of members, and rsctl never changes it again. A reconfig
    /// waits for one heartbeat (measured on 6.0.5: 0.5 s at 500 ms, 2 s at the default), and the traffic grows with the
    /// square of the number of members.
    pub fn first(set: &SetName, host: &Host, expect: usize) -> Self {
        let heartbeat_ms: i32 = match expect {
            0..=10 => 500,
            11..=20 => 2000,
            _ => 5000,
        };
        let entry = bson::doc! { "_id": 0, "host": host.to_string(), "tags": { TAG_ADDED: "1" } };
        let document = bson::doc! {
            "_id": set.as_str(), "version": 1, "members": [entry.clone()],
            "settings": { "heartbeatIntervalMillis": heartbeat_ms },
        };
        let members = vec![Member { added: true, ..plain_member(MemberId(0), host) }];
        Self { document: Arc::new(document), version: 1, term: None, members: Arc::new(members) }
    }

    /// The document, ready to be sent.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The set's name.
    pub fn set_name(&self) -> SetName {
        SetName::new(self.document.get_str("_id").unwrap_or_default())
    }

    /// The identity of the set. Two of them are two sets, which can never be merged.
    pub fn replica_set_id(&self) -> Option<ObjectId> {
        self.document.get_document("settings").ok()?.get_object_id("replicaSetId").ok()
    }

    /// The version, which grows with every reconfig. The server refuses a config that is not newer than its own.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The election term in which the config was written; none right after a forced reconfig.
    pub fn term(&self) -> Option<i64> {
        self.term
    }

    /// The same config with this term, or with none: as the primary of that term, or a force, installs it.
    pub fn in_term(&self, term: Option<i64>) -> Self {
        let mut document = Document::clone(&self.document);
        document.remove("term");
        if let Some(term) = term {
            document.insert("term", term);
        }
        Self { document: Arc::new(document), term, ..self.clone() }
    }

    /// All members, in the config's order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// One member.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// The member at this address.
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

    /// Members may copy from secondaries (`settings.chainingAllowed`, on unless switched off).
    pub fn allows_chaining(&self) -> bool {
        let settings = self.document.get_document("settings");
        settings.ok().and_then(|s| s.get_bool("chainingAllowed").ok()).unwrap_or(true)
    }

    /// The time between two heartbeats (`settings.heartbeatIntervalMillis`, 2 s unless set).
    pub fn heartbeat_interval(&self) -> Duration {
        let ms = self.document.get_document("settings").ok().and_then(|s| integer(s, "heartbeatIntervalMillis"));
        Duration::from_millis(ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(2000))
    }

    /// The version is so large that the server refuses every forced config.
    pub fn is_too_late_to_force(&self) -> bool {
        next_version(self.version, FORCE_ADDS_MIN).is_err()
    }

    /// An identity above those of all members of this config.
    pub fn next_id(&self) -> MemberId {
        MemberId(self.members.iter().map(|m| m.id.0).max().map_or(0, |id| id.saturating_add(1)))
    }

    /// Whether this config is newer, as the server compares configs: by term and version, and by version alone when one of
    /// them has no term.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        match (self.term, other.term) {
            (Some(mine), Some(theirs)) if mine != theirs => mine > theirs,
            _ => self.version > other.version,
        }
    }

    /// The newest of these; of equally new ones the first.
    pub fn newest<'c>(configs: impl IntoIterator<Item = &'c Self>) -> Option<&'c Self> {
        configs.into_iter().reduce(|a, b| if b.is_newer_than(a) { b } else { a })
    }

    /// The config after these changes, at exactly the next version, so that the server refuses it when another config came
    /// first.
    pub fn with(&self, changes: &[Change]) -> Result<Self, ConfigError> {
        self.edited(changes, next_version(self.version, 0)?)
    }

    /// The config after these changes, for a forced reconfig. Its version is above `newest`, the newest version that was
    /// seen, so that no node keeps an older config. The server adds a large random number to it, and removes all
    /// `newlyAdded` marks, so that every member with a vote counts.
    pub fn forced(&self, changes: &[Change], newest: i64) -> Result<Self, ConfigError> {
        let mut next = self.edited(changes, next_version(newest, FORCE_ADDS_MIN)?)?;
        for member in Arc::make_mut(&mut next.members) {
            member.newly_added = false;
        }
        Ok(next)
    }

    fn edited(&self, changes: &[Change], version: i64) -> Result<Self, ConfigError> {
        let mut document = Document::clone(&self.document);
        let list = document.get_array_mut("members").map_err(|_| ConfigError::Field("members"))?;
        for change in changes {
            edit(list, change)?;
        }
        document.insert("version", version);
        // The server sets the term itself and ignores one that is sent.
        document.remove("term");
        let mut next = Self::from_stored(document)?;
        for member in Arc::make_mut(&mut next.members) {
            member.newly_added = self.member(member.id).is_some_and(|m| m.newly_added);
        }
        Ok(next)
    }
}

/// The version of the config after the newest one, to which the server adds at least so much.
fn next_version(newest: i64, added: i64) -> Result<i64, ConfigError> {
    let next = newest.saturating_add(1);
    if next.saturating_add(added) > VERSION_MAX { Err(ConfigError::NoNextVersion(newest)) } else { Ok(next) }
}

fn edit(list: &mut Vec<Bson>, change: &Change) -> Result<(), ConfigError> {
    let id = match change {
        Change::Add { id, host, role } => {
            let mut entry = bson::doc! { "_id": id.0, "host": host.to_string() };
            entry.extend(match role {
                NewRole::Voter => bson::doc! { "tags": { TAG_ADDED: "1" } },
                NewRole::LateVoter => {
                    bson::doc! { "votes": 0, "priority": 0, "tags": { TAG_ADDED: "1", TAG_SAVED_VOTE: "1/1" } }
                }
                NewRole::Spare => bson::doc! { "votes": 0, "priority": 0, "tags": { TAG_ADDED: "1", TAG_SPARE: "1" } },
            });
            list.push(entry.into());
            return Ok(());
        }
        Change::Remove { id } => {
            list.retain(|entry| entry.as_document().and_then(|d| integer(d, "_id")) != Some(id.0));
            return Ok(());
        }
        Change::Readdress { id, .. }
        | Change::Respell { id, .. }
        | Change::RevokeVote { id }
        | Change::RestoreVote { id, .. }
        | Change::RestoreVoteWithoutPriority { id, .. }
        | Change::Promote { id }
        | Change::Tag { id, .. } => *id,
    };
    let entry = list
        .iter_mut()
        .filter_map(Bson::as_document_mut)
        .find(|d| integer(d, "_id") == Some(id.0))
        .ok_or(ConfigError::NoSuchMember(id))?;
    edit_member(entry, change);
    Ok(())
}

fn edit_member(entry: &mut Document, change: &Change) {
    match change {
        Change::Readdress { to, .. } => {
            entry.insert("host", to.to_string());
            remove_tag(entry, TAG_SAVED_HOST);
        }
        Change::Respell { to, .. } => {
            let host = entry.get_str("host").unwrap_or_default().to_owned();
            set_tag(entry, TAG_SAVED_HOST, host);
            entry.insert("host", to.to_string());
        }
        Change::RevokeVote { .. } => {
            let saved =
                format!("{}/{}", integer(entry, "votes").unwrap_or(1), number(entry, "priority").unwrap_or(1.0));
            // A vote that was half restored and is revoked again: the first saved vote still counts.
            if read_saved_vote(entry).is_none() {
                set_tag(entry, TAG_SAVED_VOTE, saved);
            }
            entry.insert("votes", 0);
            entry.insert("priority", 0);
        }
        Change::RestoreVote { data, .. } => {
            let SavedVote { votes, priority } =
                read_saved_vote(entry).unwrap_or(SavedVote { votes: true, priority: 1.0 });
            entry.insert("votes", i32::from(votes));
            entry.insert("priority", priority);
            remove_tag(entry, TAG_SAVED_VOTE);
            remove_tag(entry, TAG_ADDED);
            set_tag(entry, TAG_DATA, data.to_string());
        }
        Change::RestoreVoteWithoutPriority { data, .. } => {
            entry.insert("votes", 1);
            entry.insert("priority", 0);
            remove_tag(entry, TAG_ADDED);
            set_tag(entry, TAG_DATA, data.to_string());
        }
        Change::Promote { .. } => {
            entry.insert("votes", 1);
            entry.insert("priority", 1);
            remove_tag(entry, TAG_SPARE);
        }
        Change::Tag { data, .. } => {
            remove_tag(entry, TAG_ADDED);
            set_tag(entry, TAG_DATA, data.to_string());
        }
        Change::Add { .. } | Change::Remove { .. } => {}
    }
}

const OUR_TAGS: [&str; 5] = [TAG_ADDED, TAG_DATA, TAG_SPARE, TAG_SAVED_VOTE, TAG_SAVED_HOST];

fn set_tag(entry: &mut Document, tag: &str, value: String) {
    if entry.get_document("tags").is_err() {
        entry.insert("tags", Document::new());
    }
    if let Ok(tags) = entry.get_document_mut("tags") {
        tags.insert(tag, value);
    }
}

fn remove_tag(entry: &mut Document, tag: &str) {
    if let Ok(tags) = entry.get_document_mut("tags") {
        tags.remove(tag);
    }
}

fn read_member(entry: &mut Document) -> Result<Member, ConfigError> {
    let newly_added = entry.remove("newlyAdded").and_then(|mark| mark.as_bool()).unwrap_or(false);
    let id = integer(entry, "_id").filter(|id| (0..=ID_MAX).contains(id));
    let id = MemberId(id.ok_or(ConfigError::Field("members._id"))?);
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
        added: tag(TAG_ADDED).is_some(),
        saved_vote: read_saved_vote(entry),
        saved_host: tag(TAG_SAVED_HOST).and_then(|text| text.parse().ok()),
        foreign_tags: tags.is_some_and(|t| t.keys().any(|k| !OUR_TAGS.contains(&k.as_str()))),
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
        added: false,
        saved_vote: None,
        saved_host: None,
        foreign_tags: false,
    }
}

fn read_saved_vote(entry: &Document) -> Option<SavedVote> {
    let (votes, priority) = entry.get_document("tags").ok()?.get_str(TAG_SAVED_VOTE).ok()?.split_once('/')?;
    Some(SavedVote { votes: votes != "0", priority: priority.parse().ok()? })
}

fn number(document: &Document, field: &str) -> Option<f64> {
    match document.get(field)? {
        Bson::Int32(n) => Some(f64::from(*n)),
        Bson::Int64(n) => Some(*n as f64),
        Bson::Double(n) => Some(*n),
        _ => None,
    }
}

/// A whole number of any type. Servers and hand-written configs use different types for the same field.
pub(crate) fn integer(document: &Document, field: &str) -> Option<i64> {
    match document.get(field)? {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        Bson::Double(n) if n.fract() == 0.0 => Some(*n as i64),
        _ => None,
    }
}

/// Why a document cannot be a replica set config, or a change does not fit one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A field that every config has is missing or of another type.
    #[error("the config has no usable `{0}`")]
    Field(&'static str),
    /// A change names a member that the config does not have.
    #[error("the config has no member with _id {0}")]
    NoSuchMember(MemberId),
    /// The version after this one would be too large for the server.
    #[error("no config can follow version {0}, because a version is at most {VERSION_MAX}")]
    NoNextVersion(i64),
}
