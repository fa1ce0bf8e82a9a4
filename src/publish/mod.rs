//! Publishes the state of the replica set: as status, over HTTP, as metrics, and as a file.
//!
//! **Invariant:** nothing here decides about or changes the replica set.

mod counts;
pub mod file;
pub mod http;
mod recovery;
mod status;
mod summary;
mod verdict;

pub use counts::Counts;
pub use recovery::{DirectoryStatus, MissingStatus, RecoveryStatus, VerdictWord};
pub use status::{
    FindingLevel, FindingStatus, Health, MemberStatus, OtherStatus, SeedsError, Snapshot, Status, StepStatus,
};
pub use summary::summarize;
pub use verdict::MarginStatus;
