//! rsctl

pub mod discovery;
pub mod model;
