//! What applications and operators are told: the status, and the URI in its forms.
//!
//! **Invariant:** nothing here decides or changes anything about the set.

mod counts;
pub mod file;
pub mod http;
mod recovery;
mod status;
mod summary;

pub use counts::Counts;
pub use recovery::{DirectoryStatus, MissingStatus, RecoveryStatus, VerdictWord};
pub use status::{
    FindingLevel, FindingStatus, Health, MemberStatus, OtherStatus, SeedsError, Snapshot, Status, StepStatus,
};
pub use summary::summarize;
