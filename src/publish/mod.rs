//! What applications and operators are told: the status, and the URI in its forms.
//!
//! **Invariant:** nothing here decides or changes anything about the set.

mod counts;
pub mod file;
pub mod http;
mod recovery;
pub mod rewrite;
mod status;
mod summary;
pub mod template;
pub mod uri;

pub use counts::Counts;
pub use recovery::{DirectoryStatus, MissingStatus, RecoveryStatus, VerdictWord};
pub use status::{FindingStatus, Health, MemberStatus, OtherStatus, Severity, Snapshot, Status, StepStatus};
pub use summary::summarize;
