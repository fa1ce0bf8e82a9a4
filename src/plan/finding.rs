//! What an operator should know, each in one sentence that says what to do about it.

use crate::model::{Host, ProbeError, SetName};
use bson::oid::ObjectId;
use std::fmt;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; nothing is at stake now.
    Warning,
    /// A human is needed.
    Error,
}

/// Something an operator should know, with what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// A mongod of another generation of the set, or of another set.
    ForeignSet {
        /// Where.
        host: Host,
        /// Its generation.
        id: Option<ObjectId>,
        /// Its set's name.
        set: SetName,
    },
    /// A mongod that was started for another set.
    OtherSetName {
        /// Where.
        host: Host,
        /// The name it was started with.
        set: SetName,
        /// The name that is wanted.
        wanted: SetName,
    },
    /// A mongod without `--replSet`.
    Standalone {
        /// Where.
        host: Host,
        /// The name that is wanted.
        wanted: SetName,
    },
    /// A port that is no mongod's, or one that cannot be talked to.
    Unusable {
        /// Where.
        host: Host,
        /// What it does.
        error: ProbeError,
    },
    /// A node with user data that would be dropped if it joined.
    HoldsUserData {
        /// Where.
        hosts: Vec<Host>,
    },
    /// A server that may hold user data, and does not tell (MongoDB 4.4).
    UserDataUnknown {
        /// Where.
        host: Host,
    },
    /// One directory's copy runs twice.
    SameDataTwice {
        /// Where.
        hosts: Vec<Host>,
    },
    /// A data directory is in an older state than it was seen in.
    Rewound {
        /// Where.
        host: Host,
    },
    /// Two sets under one name, and neither is clearly the one.
    TwoSets {
        /// The generations.
        ids: Vec<ObjectId>,
    },
    /// The generation that the operator named is nowhere to be seen.
    PinnedSetMissing {
        /// That generation.
        id: ObjectId,
    },
    /// Two nodes that both say PRIMARY.
    TwoPrimaries {
        /// Where.
        hosts: Vec<Host>,
    },
    /// Two voters: either one's loss stops writes.
    TwoVoters,
    /// The set is not there and rsctl may not begin one.
    BootstrapNever,
    /// Some node has had a config, yet nobody has one now.
    ConfigLost,
    /// A full set.
    Full {
        /// Who would have joined.
        host: Host,
    },
    /// The set could be recovered, but that is left to the operator.
    RecoveryManual,
    /// The newest config was forced, and the others that are seen differ from it by more than one voter.
    ConfigsDisagree,
    /// A member lost its data directory, and with it its vote.
    Wiped {
        /// Which member.
        host: Host,
    },
    /// A mongod that runs and stays outside, by an operator's request.
    LeftOut {
        /// Where.
        host: Host,
    },
    /// A member needs a human: it cannot catch up by itself.
    Stuck {
        /// Which member.
        host: Host,
    },
}

impl Finding {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::TwoVoters | Self::Full { .. } | Self::LeftOut { .. } | Self::Wiped { .. } => Severity::Warning,
            Self::ForeignSet { .. }
            | Self::OtherSetName { .. }
            | Self::Standalone { .. }
            | Self::Unusable { .. }
            | Self::HoldsUserData { .. }
            | Self::UserDataUnknown { .. }
            | Self::SameDataTwice { .. }
            | Self::Rewound { .. }
            | Self::TwoSets { .. }
            | Self::PinnedSetMissing { .. }
            | Self::TwoPrimaries { .. }
            | Self::BootstrapNever
            | Self::ConfigLost
            | Self::RecoveryManual
            | Self::ConfigsDisagree
            | Self::Stuck { .. } => Severity::Error,
        }
    }
}

fn list(hosts: &[Host]) -> String {
    hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(", ")
}

const TWO_VOTERS: &str = "two voters survive no loss: run three mongods";
const BOOTSTRAP_NEVER: &str = "no mongod has a config, and --bootstrap never forbids to begin a set: restore the \
    volumes, or set --bootstrap auto for a first start";
const CONFIG_LOST: &str = "every mongod is blank now, yet a set was seen before: it is not begun again; restore the \
    volumes, or restart rsctl if a new set is wanted";
const RECOVERY_MANUAL: &str =
    "a majority of the voters' data is at hand, at new addresses; --recovery manual leaves the rest to `rsctl recover`";
const CONFIGS_DISAGREE: &str = "the newest config was forced by hand, and those that the found voters store differ \
    from it by more than one voter, so none of them is forced: see `rsctl recover`";

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignSet { host, id: Some(id), set } => write!(
                f,
                "{host} belongs to another set {set} (replicaSetId {id}) and is left out; sets cannot be merged: \
                 wipe its data to let it join, or check what DNS lists"
            ),
            Self::ForeignSet { host, id: None, set } => {
                write!(f, "{host} belongs to set {set} of unknown generation and is left out; check what DNS lists")
            }
            Self::OtherSetName { host, set, wanted } => write!(
                f,
                "{host} runs for set {set}, not {wanted}, and is left out: start it with --replSet {wanted}, or \
                 correct --replica-set"
            ),
            Self::Standalone { host, wanted } => {
                write!(f, "{host} is a mongod without --replSet and is left out: start it with --replSet {wanted}")
            }
            Self::Unusable { host, error } => write!(f, "{host} {error}; it is left out"),
            Self::HoldsUserData { hosts } => write!(
                f,
                "{} would lose the user data there by joining, so nothing is done: empty the data directories, or \
                 keep only the one whose data shall begin the set",
                list(hosts)
            ),
            Self::UserDataUnknown { host } => write!(
                f,
                "{host} has had databases beside local and might lose user data by joining: empty its data directory"
            ),
            Self::SameDataTwice { hosts } => write!(
                f,
                "{} run copies of one data directory; neither gets a vote by it: stop one and wipe its volume",
                list(hosts)
            ),
            Self::Rewound { host } => write!(
                f,
                "{host} lacks writes that its data directory held before, as after the restore of an older snapshot; it \
                 has no vote until it has copied them: if it does not, empty its data directory, so that it syncs anew"
            ),
            Self::TwoSets { ids } => write!(
                f,
                "sets of different origin under one name ({}), and not just one of them has a primary or a majority: \
                 nothing is changed; take the wrong one away, or choose with --replica-set-id",
                ids.iter().map(ObjectId::to_string).collect::<Vec<_>>().join(", ")
            ),
            Self::PinnedSetMissing { id } => write!(
                f,
                "no mongod of replicaSetId {id} answers, and --replica-set-id allows no other set: nothing is changed"
            ),
            Self::TwoPrimaries { hosts } => {
                write!(f, "{} both say PRIMARY; nothing is changed until one remains", list(hosts))
            }
            Self::TwoVoters => f.write_str(TWO_VOTERS),
            Self::BootstrapNever => f.write_str(BOOTSTRAP_NEVER),
            Self::ConfigLost => f.write_str(CONFIG_LOST),
            Self::RecoveryManual => f.write_str(RECOVERY_MANUAL),
            Self::ConfigsDisagree => f.write_str(CONFIGS_DISAGREE),
            Self::Full { host } => write!(f, "{host} cannot join: a set has at most 50 members"),
            Self::Wiped { host } => {
                write!(f, "{host} lost its data directory; it has no vote until it holds the data again")
            }
            Self::LeftOut { host } => {
                write!(f, "{host} was taken out by `rsctl remove`: stop its task, or restart its mongod to let it join")
            }
            Self::Stuck { host } => write!(
                f,
                "{host} stays in RECOVERING: if it has fallen behind the oplog, empty its data directory and restart it"
            ),
        }
    }
}
