//! rsctl

pub mod cli;
pub mod commands;
pub mod discovery;
pub mod model;
pub mod mongo;
pub mod outcome;
pub mod plan;
pub mod publish;
pub mod reconcile;
pub mod secret;
pub mod settings;
pub mod telemetry;
