//! Who is there, according to DNS.
//!
//! **Invariant:** an answer is a list of addresses to ask, never proof of who lives there, and never proof of absence
//! unless it came without trouble.

use std::future::Future;

use crate::model::{NameAnswer, TaskList};

/// Where addresses come from: DNS in production, a simulated one in tests.
///
/// Implementations write plain `async fn`; both answer within a bound of their own.
pub trait Discovery {
    /// The tasks of all services.
    fn tasks(&self) -> impl Future<Output = TaskList> + Send;

    /// The addresses of one host name, asked as an absolute name.
    fn name(&self, name: &str) -> impl Future<Output = NameAnswer> + Send;
}
