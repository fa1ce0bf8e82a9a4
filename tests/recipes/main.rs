//! The recipes in `deploy/`, run: HAProxy with its configurations as they ship, and every command that they start
//! applications with.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, reason = "figures are worth seeing")]
#![allow(unreachable_pub, reason = "nobody outside sees a test")]

mod balancer;
mod browser;
#[path = "../mongod/cluster.rs"]
#[allow(dead_code, reason = "shared with the tests of the controller")]
mod cluster;
mod commands;
mod haproxy;
mod login;
mod monitoring;
mod page;
mod recipe;
#[path = "../support/mod.rs"]
mod support;
