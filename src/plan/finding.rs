//! What an operator should know: each finding has a type, and a sentence that says what to do.

mod certificate;
mod kinds;
mod severity;
mod user_data;

use super::{LintFault, Rule, reason::list};
use crate::model::{
    AddressKind, FeatureVersion, Host, MEMBERS_MAX, MemberId, NodeState, ProbeError, SetName, UserTrouble, VERSION_MAX,
};
use bson::oid::ObjectId;
use std::fmt;

pub use certificate::{CertificateTrouble, Urgency, Whose};
pub use severity::Severity;

/// Something that an operator should know or do.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// A mongod of another replica set, or of another one with the same name.
    ForeignSet {
        /// Its address.
        host: Host,
        /// Its `replicaSetId`, where it shows one.
        id: Option<ObjectId>,
        /// The name of its set.
        set: SetName,
    },
    /// A mongod that was started with another set name.
    OtherSetName {
        /// Its address.
        host: Host,
        /// The name that it was started with.
        set: SetName,
        /// The name of the managed set.
        wanted: SetName,
    },
    /// A mongod that was started with another set name than its data has.
    SetNamesDiffer {
        /// Its address.
        host: Host,
        /// The name that it was started with.
        started_for: SetName,
        /// The name in its data.
        stored: SetName,
        /// The name of the managed set.
        wanted: SetName,
    },
    /// A mongod without `--replSet`.
    Standalone {
        /// Its address.
        host: Host,
        /// The name of the managed set.
        wanted: SetName,
    },
    /// A task that answers, but not as a mongod that can be a member.
    Unusable {
        /// Its address.
        host: Host,
        /// What is wrong.
        error: ProbeError,
    },
    /// Tasks with user data that would be dropped if they joined.
    HoldsUserData {
        /// Their addresses.
        hosts: Vec<Host>,
    },
    /// A task that may hold user data. MongoDB 4.4 does not tell.
    UserDataUnknown {
        /// Its address.
        host: Host,
    },
    /// Several mongods run on copies of one data directory.
    SameDataTwice {
        /// Their addresses.
        hosts: Vec<Host>,
    },
    /// A data directory is in an older state than it was seen in.
    Rewound {
        /// Its address.
        host: Host,
    },
    /// Several replica sets use the managed set's name, and it is unclear which one to manage.
    TwoSets {
        /// Their `replicaSetId`s, and the addresses of their mongods.
        sets: Vec<(ObjectId, Vec<Host>)>,
    },
    /// No mongod shows the `replicaSetId` that the operator chose.
    PinnedSetMissing {
        /// That `replicaSetId`.
        id: ObjectId,
    },
    /// Two mongods of the set say that they are primary.
    TwoPrimaries {
        /// Their addresses.
        hosts: Vec<Host>,
    },
    /// The set has two voters: the loss of either one stops writes.
    TwoVoters,
    /// No set exists, and the operator forbids to initiate one.
    BootstrapNever,
    /// A set was seen before, and no mongod has a config now.
    ConfigLost,
    /// The set has as many members as a set can have.
    Full {
        /// A task that cannot be added.
        host: Host,
    },
    /// The set can be recovered, and the policy leaves that to the operator.
    RecoveryManual,
    /// There is no primary, and rsctl can do more only on request.
    RecoveryOnRequest,
    /// Members are REMOVED at their own addresses, and no config brings them back.
    RemovedInPlace {
        /// The members.
        hosts: Vec<Host>,
    },
    /// The newest config was forced, and voters that are found store configs that lie more than one voter apart from it.
    ConfigsDisagree,
    /// A member lost its data directory, and with it its vote.
    VoteRevoked {
        /// The member.
        host: Host,
    },
    /// A mongod runs outside the set, because an operator removed it.
    LeftOut {
        /// Its address.
        host: Host,
    },
    /// A member stays in RECOVERING or ROLLBACK, which it may not leave by itself.
    Stuck {
        /// The member.
        host: Host,
        /// Its state.
        state: NodeState,
    },
    /// DNS does not list the primary's task, and the primary leads again after a switchover for that reason.
    PrimaryUnlisted {
        /// The primary.
        host: Host,
    },
    /// The newest config's version is so large that the server accepts no forced config, and soon no config at all.
    VersionLimit {
        /// That version.
        version: i64,
    },
    /// Every machine means itself by a member's address, and no task says that it is this member.
    LocalMember {
        /// The member.
        id: MemberId,
        /// Its address.
        host: Host,
    },
    /// Tasks report one host name, so that it leads to none of them for certain.
    SameName {
        /// The name.
        name: Host,
        /// The tasks.
        hosts: Vec<Host>,
    },
    /// Members have addresses of another kind than the operator wants for members.
    OtherKind {
        /// The members.
        hosts: Vec<Host>,
        /// The kind that the operator wants.
        wanted: AddressKind,
    },
    /// Listed addresses where nothing answers, of tasks that answer at other addresses.
    UnusedAddresses {
        /// The addresses.
        hosts: Vec<Host>,
    },
    /// A member is gone for good, as it seems, and only an operator removes it.
    GoneAndKept {
        /// The member.
        host: Host,
    },
    /// A member is down, and DNS fails for its name instead of answering that the name does not exist.
    NameFails {
        /// The member.
        host: Host,
        /// After which time that counts as such an answer. None: never.
        limit: Option<std::time::Duration>,
    },
    /// The initial sync of a member fails again and again.
    InitialSyncFails {
        /// The member.
        host: Host,
        /// How often it failed since the start of its mongod.
        times: u32,
        /// Why it failed the last time, in the server's words.
        reason: String,
    },
    /// The programs are newer than the behaviour that is switched on, on which the next major version does not start.
    FeatureVersionBehind {
        /// The release of the oldest program among the members.
        program: FeatureVersion,
        /// The release that the set behaves as.
        feature: FeatureVersion,
    },
    /// A task refuses the lock of the first start again and again.
    LockRefused {
        /// Its address.
        host: Host,
        /// The server's words.
        reason: String,
    },
    /// A certificate expires, or a file for TLS is not usable.
    Certificate(CertificateTrouble),
    /// A user that the controller keeps is not as it is declared.
    User(UserTrouble),
    /// A rule made a config that does not pass rsctl's own checks: a bug in rsctl.
    Internal {
        /// The rule.
        rule: Rule,
        /// What is wrong with the config.
        fault: LintFault,
    },
}

const TWO_VOTERS: &str = "the set has two voters, and the loss of either one stops writes: run three mongods";
const BOOTSTRAP_NEVER: &str = "no mongod has a config, and --bootstrap never forbids a new set: restore the volumes, \
    or set --bootstrap auto for a first start";
const CONFIG_LOST: &str = "every mongod is blank now, but a set was seen before, so no new set is initiated: restore \
    the volumes, or restart rsctl if a new set is wanted";
const RECOVERY_MANUAL: &str = "the data of a majority of the voters is found, and --recovery manual leaves the recovery \
    to the operator: run `rsctl recover`";
const RECOVERY_ON_REQUEST: &str = "rsctl does nothing more by itself to bring a primary back: `rsctl recover` shows what \
    is found, what it can do, and what that would lose";
const CONFIGS_DISAGREE: &str = "the newest config was forced by hand, and the voters that are found store configs that \
    differ from it by more than one voter, so nothing is forced: see `rsctl recover`";

impl fmt::Display for Finding {
    #[expect(clippy::too_many_lines, reason = "one sentence for each finding, and nothing else")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignSet { host, id: Some(id), set } => write!(
                f,
                "{host} belongs to another replica set {set} (replicaSetId {id}) and is not added, because sets cannot \
                 be merged: empty its data directory to let it join, or check what DNS lists"
            ),
            Self::ForeignSet { host, id: None, set } => write!(
                f,
                "{host} belongs to a replica set {set} without a replicaSetId and is not added: check what DNS lists"
            ),
            Self::OtherSetName { host, set, wanted } => write!(
                f,
                "{host} runs for replica set {set}, not {wanted}, and is not added: start it with --replSet {wanted}, \
                 or correct --replica-set"
            ),
            Self::SetNamesDiffer { host, started_for, stored, wanted } => {
                write!(
                    f,
                    "{host} was started with --replSet {started_for}, but its data belongs to replica set {stored}, and a \
                     set keeps its name: start it with --replSet {stored}"
                )?;
                if wanted == stored { Ok(()) } else { write!(f, ", and rsctl with --replica-set {stored}") }
            }
            Self::Standalone { host, wanted } => {
                write!(f, "{host} is a mongod without --replSet and is not added: start it with --replSet {wanted}")
            }
            Self::Unusable { host, error } => write!(f, "{host} {error}; it is not added"),
            Self::HoldsUserData { hosts } => user_data::would_be_lost(f, hosts),
            Self::UserDataUnknown { host } => user_data::is_unknown(f, host),
            Self::SameDataTwice { hosts } => write!(
                f,
                "{} run on copies of one data directory, and none of them gets a vote by it: stop all but one, and \
                 empty the other volumes",
                list(hosts)
            ),
            Self::Rewound { host } => write!(
                f,
                "{host} lacks writes that its data directory held before, as after the restore of an older snapshot; it \
                 has no vote until it has copied them: if it does not, empty its data directory, so that it syncs anew"
            ),
            Self::TwoSets { sets } => write!(
                f,
                "several replica sets use this name ({}), and it is unclear which one to manage; nothing is changed: \
                 choose the one whose data you want with --replica-set-id, empty the data directories of the others, and \
                 let no healthcheck or script call rs.initiate()",
                sets.iter().map(|(id, hosts)| format!("{id} at {}", list(hosts))).collect::<Vec<_>>().join("; ")
            ),
            Self::PinnedSetMissing { id } => write!(
                f,
                "no mongod with replicaSetId {id} answers, and --replica-set-id allows no other set; nothing is changed"
            ),
            Self::TwoPrimaries { hosts } => {
                write!(f, "{} both say PRIMARY; nothing is changed until one remains", list(hosts))
            }
            Self::TwoVoters => f.write_str(TWO_VOTERS),
            Self::BootstrapNever => f.write_str(BOOTSTRAP_NEVER),
            Self::ConfigLost => f.write_str(CONFIG_LOST),
            Self::RecoveryManual => f.write_str(RECOVERY_MANUAL),
            Self::RecoveryOnRequest => f.write_str(RECOVERY_ON_REQUEST),
            Self::RemovedInPlace { hosts } => write!(
                f,
                "REMOVED at the address in the config, because the mongod started before that led to it: {}; restart \
                 these mongods. That loses nothing, so do not accept a loss",
                list(hosts)
            ),
            Self::ConfigsDisagree => f.write_str(CONFIGS_DISAGREE),
            Self::Full { host } => write!(f, "{host} is not added, because a set has at most {MEMBERS_MAX} members"),
            Self::VoteRevoked { host } => {
                write!(f, "{host} has no vote until it holds the data that its data directory lacks")
            }
            Self::LeftOut { host } => write!(
                f,
                "{host} was removed by `rsctl remove` and still runs: stop its task, or restart its mongod to let it \
                 join"
            ),
            Self::Stuck { host, state } => write!(
                f,
                "{host} does not leave the state {state}: see its log; if it is too stale to catch up, run `rsctl remove \
                 {host}`, empty its data directory, and restart it, so that it copies the data anew"
            ),
            Self::PrimaryUnlisted { host } => write!(
                f,
                "the primary {host} is alive, but DNS does not list its task; another member led once and does not again: \
                 check the network of its node (Swarm needs port 7946, TCP and UDP)"
            ),
            Self::VersionLimit { version } => write!(
                f,
                "the config has version {version}, and MongoDB accepts none above {VERSION_MAX}: no config can be forced \
                 any more, and the number of changes left is {}: move the data to a new set",
                VERSION_MAX - version
            ),
            Self::LocalMember { id, host } => write!(
                f,
                "member {id} has the address {host}, by which every machine means itself, and no task says that it is \
                 this member: list its mongod under --service, or give it an address that the others reach with \
                 rs.reconfig() in mongosh on its machine"
            ),
            Self::SameName { name, hosts } => write!(
                f,
                "{} report one host name, {name}, so no member is added or moved under it: give each its own host name",
                list(hosts)
            ),
            Self::OtherKind { hosts, wanted } => write!(
                f,
                "members keep their addresses ({}), and --member-address {} is for new members only: `rsctl readdress \
                 --to {wanted}` changes the addresses of members",
                list(hosts),
                wanted.setting()
            ),
            Self::UnusedAddresses { hosts } => write!(
                f,
                "nothing answers at {}, and their tasks answer at other addresses, which is enough: to use all of them, \
                 start mongod with --ipv6 --bind_ip_all",
                list(hosts)
            ),
            Self::GoneAndKept { host } => write!(
                f,
                "{host} is gone, and rsctl does not remove it by itself, because it was never a task or was configured by \
                 hand: bring it back, or run `rsctl remove {host}`"
            ),
            Self::NameFails { host, limit: Some(limit) } => write!(
                f,
                "DNS fails for the name of {host}, which is down, instead of answering that there is no such name; it counts \
                 as gone after {} s of SERVFAIL in which all tasks answer; `rsctl remove {host}` removes it now",
                limit.as_secs()
            ),
            Self::NameFails { host, limit: None } => write!(
                f,
                "DNS fails for the name of {host}, which is down, instead of answering that there is no such name, so it is \
                 not removed by itself; `rsctl remove {host}` removes it"
            ),
            Self::InitialSyncFails { host, times, reason } => write!(
                f,
                "{host} has failed to copy the data of the set {times} times ({reason}), and begins again: see its log and \
                 that of the member that it copies from"
            ),
            Self::FeatureVersionBehind { program, feature } => write!(
                f,
                "the mongods are MongoDB {program} and the set behaves as {feature} (featureCompatibilityVersion), on which \
                 the next major version does not start: if there is no way back to {feature}, run on the primary \
                 `{}`",
                program.raise_command()
            ),
            Self::LockRefused { host, reason } => write!(
                f,
                "{host} refuses the lock of the first start ({reason}), so no set is initiated: see the log of that mongod"
            ),
            Self::Certificate(trouble) => write!(f, "{trouble}"),
            Self::User(trouble) => trouble.fmt(f),
            Self::Internal { rule, fault } => write!(
                f,
                "bug in rsctl: rule {rule} made a config that must not be sent ({fault}), so nothing is sent: please \
                 report it"
            ),
        }
    }
}
