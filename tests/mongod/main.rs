//! The real controller and real mongods on loopback, with a DNS server whose answers the test sets.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, reason = "figures are worth seeing")]
#![allow(unreachable_pub, reason = "a test has no public interface")]

mod adopted;
mod adopting_addresses;
mod applications;
mod auth;
mod bad_input;
mod changes;
mod cluster;
mod first_start;
mod history;
mod hostile;
mod logs;
mod lost_majority;
mod names;
mod networks;
mod official_image;
mod pause;
mod progress;
mod readdress;
mod recovery;
mod rewound;
mod secure;
mod shaped_set;
mod shapes;
mod stale;
#[path = "../support/mod.rs"]
mod support;
mod switchover;
mod tls;
mod to_tls;
mod users;
mod versions;
