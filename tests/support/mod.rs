//! What the tests and the demo share: a DNS server whose answers the test sets, real mongods, and an application.

// Each test binary and the demo compile this folder, and none of them uses all of it.
#![allow(dead_code, unreachable_pub, reason = "shared between binaries that each use a part")]
#![allow(clippy::unwrap_used, reason = "a broken lock or a full disk must end a test")]

pub mod controller;
pub mod dns;
pub mod mongods;
pub mod private_network;
pub mod process;
pub mod report;
pub mod writer;
