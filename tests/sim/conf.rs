//! A replica set config as a server stores it, and the checks of `replSetReconfig` with the server's error codes.

use super::world::SET;
use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use rsctl::model::{MEMBERS_MAX, Member, ReplConfig};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A stored config: the document with its `newlyAdded` marks, and the parsed config.
#[derive(Debug)]
pub struct Conf {
    doc: Document,
    pub read: ReplConfig,
    pub rs: ObjectId,
}

pub type ConfRef = Arc<Conf>;

/// A refusal of the server: error code and reason.
#[derive(Clone, Debug)]
pub struct No(pub i32, pub &'static str);

impl Conf {
    fn stored(doc: Document) -> Result<ConfRef, No> {
        let read = ReplConfig::from_stored(doc.clone()).map_err(|_| No(93, "cannot be read"))?;
        let rs = read.replica_set_id().ok_or(No(93, "no replicaSetId"))?;
        Ok(Arc::new(Self { doc, read, rs }))
    }

    /// The config that `replSetInitiate` stores.
    pub fn initial(sent: &ReplConfig, rs: ObjectId) -> Result<ConfRef, No> {
        let mut doc = sent.document().clone();
        let fit = |m: &rsctl::model::Member| m.votes && m.priority > 0.0;
        let whole = sent.version() == 1 && sent.replica_set_id().is_none() && sent.set_name().as_str() == SET;
        if !whole || sent.members().len() != 1 || !sent.members().iter().all(fit) {
            return Err(No(93, "not a config to begin with"));
        }
        let mut settings = doc.get_document("settings").cloned().unwrap_or_default();
        settings.insert("replicaSetId", rs);
        doc.insert("settings", settings);
        doc.insert("term", 1_i64);
        Self::stored(doc)
    }

    /// The same config in the term of a new primary. After a force there is no term to raise.
    pub fn in_term(&self, term: i64) -> Option<ConfRef> {
        self.read.term()?;
        let mut doc = self.doc.clone();
        doc.insert("term", term);
        Self::stored(doc).ok()
    }

    /// The config of an operator who gives this member a priority.
    pub fn with_priority(&self, id: i64, priority: i32) -> Option<ConfRef> {
        let mut doc = self.doc.clone();
        let list = doc.get_array_mut("members").ok()?;
        let entry = list.iter_mut().filter_map(Bson::as_document_mut).find(|m| id_of(m) == Some(id))?;
        entry.insert("priority", priority);
        doc.insert("version", self.read.version() + 1);
        Self::stored(doc).ok()
    }

    /// The same config without tags, as a set has that rsctl did not make.
    pub fn untagged(&self) -> Option<ConfRef> {
        let mut doc = self.doc.clone();
        for entry in doc.get_array_mut("members").ok()?.iter_mut().filter_map(Bson::as_document_mut) {
            entry.remove("tags");
        }
        Self::stored(doc).ok()
    }

    /// The config of the server's own reconfig that lets a newcomer vote.
    pub fn without_mark(&self, id: i64) -> Option<ConfRef> {
        let mut doc = self.doc.clone();
        let list = doc.get_array_mut("members").ok()?;
        let entry = list.iter_mut().filter_map(Bson::as_document_mut).find(|m| id_of(m) == Some(id))?;
        entry.remove("newlyAdded");
        doc.insert("version", self.read.version() + 1);
        let next = Self::stored(doc).ok()?;
        // Seen on 6.0.5: the server accepts an eighth voter as a newcomer. Then this reconfig fails at every heartbeat.
        (next.read.voters().count() <= 7).then_some(next)
    }

    /// The config that `replSetReconfig` stores on a primary of `term`. With `marks`, new voters are `newlyAdded`.
    /// Without, they vote at once, as in MongoDB 4.4.
    pub fn next(&self, sent: &ReplConfig, term: i64, marks: bool) -> Result<ConfRef, No> {
        if sent.version() <= self.read.version() {
            return Err(No(103, "version must be greater than old"));
        }
        self.compatible(sent)?;
        let known = |id| self.read.member(id);
        let changed = self.read.members().iter().filter(|old| {
            let votes = sent.member(old.id).is_some_and(|new| new.votes);
            // A member with the mark does not vote yet, so its removal changes no majority.
            old.votes_now() != (votes && !old.newly_added)
        });
        let new = |m: &&Member| m.votes && known(m.id).is_none();
        let added = if marks { 0 } else { sent.members().iter().filter(new).count() };
        if changed.count() + added > 1 {
            return Err(No(103, "can only add or remove at most 1 voting member"));
        }
        let mut doc = sent.document().clone();
        for entry in doc.get_array_mut("members").map_err(|_| No(93, "no members"))? {
            let Some(entry) = entry.as_document_mut() else { return Err(No(93, "no member")) };
            if entry.contains_key("newlyAdded") {
                return Err(No(93, "newlyAdded is the server's own"));
            }
            let id = id_of(entry);
            let member = sent.members().iter().find(|m| Some(m.id.0) == id).ok_or(No(93, "no _id"))?;
            // A reconfig keeps the mark, even if it changes the member's vote.
            if known(member.id).map_or(marks && member.votes, |old| old.newly_added) {
                entry.insert("newlyAdded", true);
            }
        }
        self.finish(doc, term)
    }

    /// The config that a forced reconfig stores. Its version is `jump` above the sent and the present one. It has no
    /// term and no marks. The server does not check which votes changed.
    pub fn forced(&self, sent: &ReplConfig, jump: i64) -> Result<ConfRef, No> {
        self.compatible(sent)?;
        let mut doc = sent.document().clone();
        doc.insert("version", sent.version().max(self.read.version()) + jump);
        doc.remove("term");
        Self::stored(self.same_set(doc))
    }

    fn finish(&self, mut doc: Document, term: i64) -> Result<ConfRef, No> {
        doc.insert("term", term);
        Self::stored(self.same_set(doc))
    }

    fn same_set(&self, mut doc: Document) -> Document {
        let mut settings = doc.get_document("settings").cloned().unwrap_or_else(|_| doc! {});
        settings.insert("replicaSetId", self.rs);
        doc.insert("settings", settings);
        doc
    }

    fn compatible(&self, sent: &ReplConfig) -> Result<(), No> {
        if sent.set_name() != self.read.set_name() {
            return Err(No(93, "other set name"));
        }
        if sent.replica_set_id().is_some_and(|rs| rs != self.rs) {
            return Err(No(103, "changed replicaSetId"));
        }
        if sent.members().is_empty() || sent.members().len() > MEMBERS_MAX {
            return Err(No(103, "must have at least 1 and no more than 50 members"));
        }
        let hosts: BTreeSet<_> = sent.members().iter().map(|m| &m.host).collect();
        let ids: BTreeSet<_> = sent.members().iter().map(|m| m.id).collect();
        if hosts.len() != sent.members().len() || ids.len() != sent.members().len() {
            return Err(No(103, "duplicate host or _id"));
        }
        let permuted = |m: &&Member| self.read.member_at(&m.host).is_some_and(|old| old.id != m.id);
        if sent.members().iter().any(|m| permuted(&m)) {
            return Err(No(103, "new and old configurations both have members with this host"));
        }
        if sent.members().iter().any(|m| m.priority > 0.0 && !m.votes) {
            return Err(No(93, "priority without a vote"));
        }
        if !sent.members().iter().any(|m| m.priority > 0.0 && m.votes) {
            return Err(No(103, "nobody electable"));
        }
        Ok(())
    }
}

pub fn id_of(entry: &Document) -> Option<i64> {
    match entry.get("_id")? {
        Bson::Int32(id) => Some(i64::from(*id)),
        Bson::Int64(id) => Some(*id),
        _ => None,
    }
}
