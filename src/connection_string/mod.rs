//! Connection strings: built from a replica set's hosts, corrected in an application's own URI, or put into a template.
//!
//! **Invariant:** nothing here knows where the hosts come from. `publish` and `client` supply them.

mod assignment;
pub(crate) mod build;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod rewrite;
mod template;

pub use assignment::{Assignment, AssignmentError, Place};
pub use build::{Credentials, Database, Endpoint, Format, Inserts};
pub use rewrite::RewriteError;
pub use template::{TemplateError, Unfillable};
