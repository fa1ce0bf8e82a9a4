//! Values only: what rsctl knows about hosts, configs, nodes and the operator's settings.
//!
//! **Invariant:** nothing here does IO, reads a clock, or knows the driver.

mod certificate;
mod config;
mod difference;
mod dns;
mod event;
mod evidence_id;
mod host;
mod initial_sync;
mod member;
mod node;
mod observed;
mod past;
mod pause;
mod policy;
mod refusal;
mod request;
mod user;
mod version;

pub use certificate::{Certificate, CertificateOf, Certificates, Timeliness, UnixSeconds, UnusableFile, Validity};
pub(crate) use config::integer;
pub use config::{ConfigError, MEMBERS_MAX, ReplConfig, VERSION_MAX, VOTERS_MAX};
pub use difference::Difference;
pub use dns::{DnsTrouble, DnsTroubleKind, Family, NameAnswer, TaskList};
pub use event::{EVENTS_MAX, Event, merged};
pub use evidence_id::{EvidenceDigest, EvidenceId, EvidenceIdError};
pub use host::{DEFAULT_PORT, Host, HostError, SetName, SetNameError, is_container_id};
pub use initial_sync::{FailedSyncs, InitialSync};
pub use member::{Change, Member, MemberId, NewRole, SavedVote};
pub use node::{DataId, Lock, NodeState, OpTime, Peer, Probe, ProbeError, ProcessId, Proof, SetView, Token, UserData};
pub use observed::{Found, Naming, Node, Observed, Process, SyncSourceRequest, Taken};
pub use past::Past;
pub use pause::{AHEAD_MAX, PAUSE_MAX, Pause, PauseWord};
pub use policy::{AddressKind, Bootstrap, FailoverAfter, MemberAddress, Policy, RecoveryMode};
pub use refusal::{Cause, Refusal, Subject};
pub use request::{RecoveryRequest, RemovalTarget, RequestState, SwitchoverId, SwitchoverRequest, SwitchoverState};
pub use user::{ADMIN, DeclaredUser, Role, SeenUser, StoredPassword, UserId, UserTrouble};
pub use version::{FeatureVersion, UnknownFeatureVersion, WireVersion};
