//! Values only: what rsctl knows about hosts, configs, nodes and the operator's wishes.
//!
//! **Invariant:** nothing here does IO, reads a clock, or knows the driver.

mod host;
mod policy;

pub use host::{DEFAULT_PORT, Host, HostError, SetName, SetNameError};
pub use policy::{Bootstrap, MemberAddress, Recovery};
