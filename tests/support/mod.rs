//! What the tests and the demo share: a DNS server that answers as told, real mongods, and an application.

// Every test binary and the demo compile this folder for themselves, and none of them uses all of it.
#![allow(dead_code, unreachable_pub, reason = "shared between binaries that each use a part")]
#![allow(clippy::unwrap_used, reason = "a broken lock or a full disk ends a test, as it should")]

pub mod controller;
pub mod dns;
pub mod mongods;
pub mod process;
pub mod report;
pub mod writer;
