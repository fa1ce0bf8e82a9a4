//! The real controller and real mongods on loopback, with a DNS server that says what the test wants.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, reason = "figures are worth seeing")]
#![allow(unreachable_pub, reason = "nobody outside sees a test")]

mod applications;
mod auth;
mod bad_input;
mod changes;
mod cluster;
mod first_start;
mod lost_majority;
mod names;
mod recovery;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod versions;
