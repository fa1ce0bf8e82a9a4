//! Publishes the state of the replica set: as status, over HTTP, as metrics, and as a file.
//!
//! **Invariant:** nothing here decides about or changes the replica set.

mod certificate;
mod counts;
pub mod file;
mod goal;
mod history;
pub mod http;
mod names;
mod pause;
mod recovery;
mod snapshot;
mod status;
mod summary;
mod verdict;

pub use certificate::CertificateStatus;
pub use counts::Counts;
pub use goal::{Goal, NoGoal};
pub use history::{EventStatus, HistoryStatus, last};
pub use names::NameError;
pub use pause::PauseStatus;
pub use recovery::{DirectoryStatus, MissingStatus, RecoveryStatus, VerdictWord};
pub use snapshot::{Listing, Snapshot};
#[cfg(test)]
pub(crate) use status::tests::healthy;
pub use status::{
    FindingLevel, FindingStatus, Health, MemberStatus, OtherStatus, SeedsError, Status, StepStatus, SyncStatus,
};
pub use summary::summarize;
pub use verdict::MarginStatus;
