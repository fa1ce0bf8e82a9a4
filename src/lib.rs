//! rsctl

pub mod model;
