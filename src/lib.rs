//! rsctl

pub mod cli;
pub mod commands;
pub mod model;
pub mod outcome;
pub mod publish;
pub mod secret;
pub mod settings;
pub mod telemetry;
