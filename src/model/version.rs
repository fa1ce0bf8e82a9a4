//! Every difference between MongoDB versions that rsctl knows of, in one place.
//!
//! [T] was tried on the servers that `scripts/mongod` fetches (4.2.6, 4.4.2, 5.0.4, 6.0.5). [D] is read from MongoDB's
//! documentation or source only; 7.0 and 8.0 have not been tried.
//!
//! | what | 4.4 | 5.0, 6.0 | where it matters |
//! |---|---|---|---|
//! | a voter that is added counts in majorities | at once | when it holds data (`newlyAdded`), if the feature version is 5.0 too [T] | [`Probe::guards_new_voters`] |
//! | `serverStatus.catalogStats` | absent | there [T], also in STARTUP | [`super::UserData`] |
//! | feature version of a mongod with `--replSet` and nothing but `local` | unknown, error 258 [T] | the same [T] | [`super::UserData`] |
//! | a delayed member has | `slaveDelay` | `secondaryDelaySecs` [T] | `ReplConfig::from_stored` reads both |
//! | `create` in `local` of a blank mongod | aborts the server [T] | aborts it [T] | rsctl only inserts |
//! | `dbHash` on `local` of a blank mongod | aborts the server [T] | not tried | never sent |
//! | a config that changes the implicit default write concern | accepted [D] | refused, with force too [T 6.0.5] | [`WireVersion::guards_default_write_concern`] |
//! | beside an arbiter, a second voter with data that is electable at once | accepted [D] | refused [T 6.0.5] | `Change::GiveBareVote` |
//! | SIGTERM waits for clients to leave | no [D] | up to 15 s [T] | the stack file's grace period |

use super::Probe;
use std::fmt;
use std::str::FromStr;

/// `maxWireVersion` of `hello`: what a server speaks, by its program, whatever its feature version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireVersion(pub i32);

impl WireVersion {
    /// The oldest server that can be kept safe. Before 4.4 there is no `initialSyncId`, so that a wiped directory cannot
    /// be told from a whole one, and a reconfig may change any number of votes at once [T].
    pub const OLDEST: Self = Self::V4_4;

    const V4_4: Self = Self(9);
    const V5_0: Self = Self(13);
    const V6_0: Self = Self(17);

    /// The release that first spoke this version.
    fn release(self) -> Option<&'static str> {
        let known =
            [(25, "8.0"), (21, "7.0"), (17, "6.0"), (13, "5.0"), (9, "4.4"), (8, "4.2"), (7, "4.0"), (6, "3.6")];
        known.iter().find(|(wire, _)| *wire == self.0).map(|(_, name)| *name)
    }

    /// A config that would change the implicit default write concern is refused (103), forced or not.
    pub fn guards_default_write_concern(self) -> bool {
        self >= Self::V5_0
    }

    /// The program may still run with the feature version of 4.4, as in the middle of an upgrade: so do 5.0 and the
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

/// `featureCompatibilityVersion`: which release's behaviour is switched on. After an upgrade of the programs it stays
/// the old one until an operator raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureVersion {
    major: u16,
    minor: u16,
}

impl FeatureVersion {
    const V5_0: Self = Self { major: 5, minor: 0 };
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
    /// As a primary, it keeps a voter that is added from voting before it holds data (`newlyAdded`). 4.4 does not, nor
    /// does 5.0.4 while its feature version is 4.4 [T]; when in doubt it does not.
    pub fn guards_new_voters(&self) -> bool {
        if self.wire.may_act_as_4_4() {
            return self.feature.is_some_and(|feature| feature >= FeatureVersion::V5_0);
        }
        self.wire >= WireVersion::V5_0
    }
}
