//! The edits of a config, and nothing else that rsctl ever writes into one.

use super::config::{TAG_DATA, TAG_SPARE, TAG_WAS, integer, number, read_was};
use super::{ConfigError, DataId, Host, MemberId};
use bson::{Bson, Document};

/// One edit of a config. Together in one reconfig they are one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The member's directory answers elsewhere now.
    Readdress {
        /// The slot, which keeps its identity and vote.
        id: MemberId,
        /// Where the directory answers.
        to: Host,
    },
    /// A new slot.
    Add {
        /// Never used before.
        id: MemberId,
        /// Where the newcomer answers.
        host: Host,
        /// What it joins as.
        role: NewRole,
    },
    /// The slot goes.
    Remove {
        /// The slot.
        id: MemberId,
    },
    /// The slot's vote may be cast without the writes it vouched for: away with it, remembered in `rsctlWas`.
    TakeVote {
        /// The slot.
        id: MemberId,
    },
    /// The slot holds data again: vote and priority come back from `rsctlWas`.
    GiveVote {
        /// The slot.
        id: MemberId,
        /// The directory that votes from now on.
        data: DataId,
    },
    /// A spare, or a newcomer of a server that knows no `newlyAdded`, becomes a voter.
    Promote {
        /// The slot.
        id: MemberId,
    },
    /// Notes which directory holds the slot.
    Tag {
        /// The slot.
        id: MemberId,
        /// The directory found there.
        data: DataId,
    },
}

/// What a newcomer joins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewRole {
    /// Votes as soon as it holds data; the server sees to that (`newlyAdded`).
    Voter,
    /// Holds data, votes when a voter is gone for good.
    Spare,
}

/// Does one edit in the list of members.
pub(super) fn edit(list: &mut Vec<Bson>, change: &Change) -> Result<(), ConfigError> {
    let id = match change {
        Change::Add { id, host, role } => {
            let mut entry = bson::doc! { "_id": id.0, "host": host.to_string() };
            if *role == NewRole::Spare {
                entry.extend(bson::doc! { "votes": 0, "priority": 0, "tags": { TAG_SPARE: "1" } });
            }
            list.push(entry.into());
            return Ok(());
        }
        Change::Remove { id } => {
            list.retain(|entry| entry.as_document().and_then(|d| integer(d, "_id")) != Some(id.0));
            return Ok(());
        }
        Change::Readdress { id, .. }
        | Change::TakeVote { id }
        | Change::GiveVote { id, .. }
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
        }
        Change::TakeVote { .. } => {
            let was = format!("{}/{}", integer(entry, "votes").unwrap_or(1), number(entry, "priority").unwrap_or(1.0));
            set_tag(entry, TAG_WAS, was);
            entry.insert("votes", 0);
            entry.insert("priority", 0);
        }
        Change::GiveVote { data, .. } => {
            let (votes, priority) = read_was(entry).unwrap_or((true, 1.0));
            entry.insert("votes", i32::from(votes));
            entry.insert("priority", priority);
            remove_tag(entry, TAG_WAS);
            set_tag(entry, TAG_DATA, data.to_string());
        }
        Change::Promote { .. } => {
            entry.insert("votes", 1);
            entry.insert("priority", 1);
            remove_tag(entry, TAG_SPARE);
        }
        Change::Tag { data, .. } => set_tag(entry, TAG_DATA, data.to_string()),
        Change::Add { .. } | Change::Remove { .. } => {}
    }
}

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
