//! Every difference between MongoDB versions that rsctl knows.
//!
//! (T) was tried on the servers that `scripts/mongod` fetches: 4.2.6, 4.4.2, 5.0.4, 6.0.5, 6.0.27. (D) is only read, in
//! MongoDB's manual or tickets or in the server's source. 7.0 and later have not been tried.
//!
//! | since | what | what follows |
//! |---|---|---|
//! | 4.4 | `hello`, `topologyVersion`, `local.replset.initialSyncId`, a config with a term, one vote a reconfig (T) | [`WireVersion::OLDEST`] |
//! | 5.0 | a voter that is added does not count before it holds data: `newlyAdded` (T) ((D) SERVER-46344). Not while the feature version is 4.4 (T) | [`Probe::guards_new_voters`] |
//! | 5.0 | a new member may have an `_id` above 255, with the feature version of 4.4 too (T 5.0.4). 4.4.2 refuses it with 103 (T) | [`WireVersion::member_id_max`] |
//! | 5.0 | `serverStatus.catalogStats`, while blank too (T) ((D) SERVER-55784). Time series and views are not among its `collections` (T) | [`super::UserData`] |
//! | 5.0 | `secondaryDelaySecs` was `slaveDelay` (D) (manual, replica set configuration) | a config is read with both, and never renamed |
//! | 5.0 | SIGTERM waits 15 s for clients to leave: 16 s on 5.0.4, 2 s on 4.4.2 (T). The parameter that shortens it is unknown to 4.4 (T) | the stack files |
//! | 5.0 | writes wait for a majority unless told otherwise (D) (5.0 release notes, "Implicit Default Write Concern"). A reconfig that would change that is refused (D) (manual, `replSetReconfig`) | applications on 4.4 ask for `w=majority` themselves |
//! | 5.0 | that refusal of a config which changes the implicit default write concern (103) holds with force too (T 6.0.5) | [`WireVersion::guards_default_write_concern`] |
//! | 5.0 | beside an arbiter, a second voter with data may not become a voter and electable at once: 103 (T 6.0.5) | `Change::RestoreVoteWithoutPriority` |
//! | 6.0 | `__system` no longer logs in by SCRAM-SHA-1 (18) (T) | SCRAM-SHA-256, which all take (T) |
//! | 7.0 | `setFeatureCompatibilityVersion` needs `confirm: true` (D) (manual) | [`FeatureVersion::raise_command`] |
//! | all | a program starts only on the feature version of its own release, of the one before, and of the last long-term one (D) (manual; 8.3 on 8.0, 8.2, 8.3; 9.0 on 8.0, 8.3). 6.0.27 does not start on 4.4 (T) | the finding `FeatureVersionBehind`, and `deploy/swarm/rolling-update` |
//! | all | `maxWireVersion`: 9, 13, 17 are 4.4, 5.0, 6.0 (T); 21 is 7.0, 25 is 8.0, 29 is 9.0, and those between are the rapid releases (D) | [`WireVersion::release`] |
//! | 7.0 | `findAndModify` and an upsert on a mongod without a config are not among MongoDB's own tests; insert, update, delete and find in `local` are (D) | the lock of the first start uses only these (T 4.4.2, 5.0.4, 6.0.27) |
//! | 8.0 | votes, elections and the commit point go by what is written to the oplog, applied or not (D) (SERVER-84196, SERVER-85701; 8.0 compatibility changes, "Write Concern Majority"). It is reported as `optimes.writtenOpTime` and `members[n].optimeWritten` (D). Whether an 8.0 with the feature version 7.0 does so is not known | [`SetView::newest`], [`Peer::newest`] |
//!
//! The same on 4.4.2, 5.0.4 and 6.0.5 (T): `replSetStepUp`, `replSetSyncFrom`, `replSetAbortPrimaryCatchUp` (20 when there is
//! none), force, hosts that change in place, a moved node's `hello` without set name and its 93, `maxTimeMS` of a
//! reconfig. `create` in `local` aborts a blank 6.0.5, and `dbHash` there a blank 4.4.2: rsctl sends neither.
//! `replSetStepUp` is in the source of 7.0 (D) and in no manual; should a server not have it, MongoDB elects by itself.

use super::{MemberId, OpTime, Peer, Probe, SetView};
use std::fmt;
use std::str::FromStr;

/// `maxWireVersion` of `hello`: the newest protocol that a server's program supports, whatever its feature version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireVersion(pub i32);

impl WireVersion {
    /// The oldest server that rsctl can keep safe. Before 4.4 there is no `initialSyncId`, so that an emptied directory
    /// cannot be told from a complete one, and a reconfig may change any number of votes at once (T).
    pub const OLDEST: Self = Self::V4_4;

    const V4_4: Self = Self(9);
    const V5_0: Self = Self(13);
    const V6_0: Self = Self(17);

    /// The release that first supported this version (T up to 6.0, except the rapid releases; D from there on).
    pub fn release(self) -> Option<FeatureVersion> {
        let (major, minor) = match self.0 {
            6 => (3, 6),
            7 => (4, 0),
            8 => (4, 2),
            9 => (4, 4),
            13..=16 => (5, self.0 - 13),
            17..=20 => (6, self.0 - 17),
            21..=24 => (7, self.0 - 21),
            25..=28 => (8, self.0 - 25),
            29 => (9, 0),
            _ => return None,
        };
        Some(FeatureVersion { major, minor: u16::try_from(minor).ok()? })
    }

    /// The server refuses a config that would change the implicit default write concern (103), forced or not.
    pub fn guards_default_write_concern(self) -> bool {
        self >= Self::V5_0
    }

    /// The largest `_id` that a new member may have. 4.4.2 refuses one above 255 with 103, and 5.0.4 takes 70000 (T). For
    /// newer servers it is the largest int.
    pub fn member_id_max(self) -> MemberId {
        MemberId(if self < Self::V5_0 { 255 } else { i32::MAX.into() })
    }

    /// The server may still run with the feature version of 4.4, as in the middle of an upgrade. This is so for 5.0 and the
    /// rapid releases before 6.0.
    pub fn may_act_as_4_4(self) -> bool {
        (Self::V5_0..Self::V6_0).contains(&self)
    }
}

impl fmt::Display for WireVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.release() {
            Some(release) => write!(f, "MongoDB {release}"),
            None => write!(f, "a MongoDB of wire version {}", self.0),
        }
    }
}

/// `featureCompatibilityVersion`: the release whose behaviour is switched on. After an upgrade of the programs it stays
/// the old one until an operator raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureVersion {
    major: u16,
    minor: u16,
}

impl FeatureVersion {
    const V5_0: Self = Self { major: 5, minor: 0 };
    const V7_0: Self = Self { major: 7, minor: 0 };

    /// The command that makes a set behave as this release. From 7.0 on it must be confirmed (D).
    pub fn raise_command(self) -> String {
        let confirm = if self >= Self::V7_0 { ", confirm: true" } else { "" };
        format!("db.adminCommand({{ setFeatureCompatibilityVersion: \"{self}\"{confirm} }})")
    }
}

impl fmt::Display for FeatureVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for FeatureVersion {
    type Err = UnknownFeatureVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').ok_or(UnknownFeatureVersion)?;
        let number = |text: &str| text.parse().map_err(|_| UnknownFeatureVersion);
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// Not of the form `5.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a feature compatibility version")]
pub struct UnknownFeatureVersion;

impl Probe {
    /// As a primary, it does not count the vote of a new member before that holds the data (`newlyAdded`). 4.4 counts it,
    /// and so does 5.0.4 while its feature version is 4.4 (T). When the feature version is unknown, false.
    pub fn guards_new_voters(&self) -> bool {
        if self.wire.may_act_as_4_4() {
            return self.feature.is_some_and(|feature| feature >= FeatureVersion::V5_0);
        }
        self.wire >= WireVersion::V5_0
    }
}

impl SetView {
    /// The newest write that the node holds by the rule of its own version: the one that counts when it votes, when it
    /// stands for election, and when a majority acknowledges.
    pub fn newest(&self) -> OpTime {
        held(self.applied, self.written)
    }
}

impl Peer {
    /// The newest write that the other member is known to hold, by the same rule as [`SetView::newest`].
    pub fn newest(&self) -> OpTime {
        held(self.applied, self.written)
    }
}

/// What is written, where the server reports it (8.0 and later). Older servers write and apply as one.
fn held(applied: OpTime, written: Option<OpTime>) -> OpTime {
    written.unwrap_or(applied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_names_and_others_have_numbers() {
        let names: Vec<String> = [9, 13, 17, 20, 21, 25, 28, 29, 31].map(|n| WireVersion(n).to_string()).into();
        let known = ["4.4", "5.0", "6.0", "6.3", "7.0", "8.0", "8.3", "9.0"].map(|name| format!("MongoDB {name}"));
        assert_eq!(names[..8], known);
        assert_eq!(names[8], "a MongoDB of wire version 31");
    }

    #[test]
    fn from_7_0_on_the_command_is_confirmed() {
        let command = |text: &str| text.parse::<FeatureVersion>().unwrap().raise_command();
        assert_eq!(command("6.0"), r#"db.adminCommand({ setFeatureCompatibilityVersion: "6.0" })"#);
        assert_eq!(command("8.0"), r#"db.adminCommand({ setFeatureCompatibilityVersion: "8.0", confirm: true })"#);
    }
}
