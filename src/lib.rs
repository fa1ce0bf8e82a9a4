//! rsctl

pub mod discovery;
pub mod model;
pub mod mongo;
pub mod plan;
pub mod reconcile;
