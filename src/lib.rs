//! rsctl keeps a MongoDB replica set right on Docker Swarm and tells applications where it is.
//!
//! This page is the architecture in words. What the program does for its users is in `README.md`.
//!
//! # The picture
//!
//! ```text
//!        DNS, mongods                                   the one mongod concerned
//!             |                                                     ^
//!             | tasks, states, configs                              | one admin command
//!             v                                                     |
//!       +-----------+   Observed   +--------+       Step        +---------+
//!  +--> |  observe  | -----------> |  plan  | ----------------> | execute | --+
//!  |    +-----------+              +--------+                   +---------+   |
//!  |                                |      |                                  |
//!  |        status, URI, log <------+      | nothing to do                    |
//!  |                                       v                                  |
//!  |                                   +-------+                              |
//!  | <-------------------------------- | pause |                              |
//!  |    a mongod reports a change,     +-------+                              |
//!  |    DNS differs, or time is up                                            |
//!  |                                                                          |
//!  +--------------------------------------------------------------------------+
//!       at once
//! ```
//!
//! One loop, one task. Only the questions of one observation run side by side. An observation is a value, [`model::Observed`]; the
//! decision is a function of it, [`plan::plan`]; its outcome, [`plan::Plan`], is what the log, `rsctl status` and the
//! tests read. A [`plan::Step`] is small enough to be one admin command. After each there is a new observation, so a step is
//! never based on what an earlier one may have changed.
//!
//! What has to last lives in the replica set's own config: its members, and a few tags beside them. A member's tag
//! `rsctlData` names the data directory that holds its vote. That is how a mongod is known again at another address,
//! and how one is told from another whose volume was wiped. The controller remembers only since when something has
//! been so ([`reconcile`]), and starts from nothing when it is restarted.
//!
//! # Where to start reading
//!
//! 1. `src/plan/mod.rs`: the rules in their order. Then any one rule, say *gone* in `src/plan/membership.rs`, beside
//!    its scenarios in `tests/plan/gone.txt`.
//! 2. `src/reconcile/mod.rs`: the loop.
//! 3. `src/model/observed.rs` and `src/model/node.rs`: what an observation consists of.
//! 4. `src/commands/run.rs`: how DNS, mongods, the loop and HTTP are put together.
//!
//! `scripts/demo` shows it all at work on one machine.
//!
//! # The modules
//!
//! | | |
//! |---|---|
//! | [`cli`] | flags, their variables and help; no meaning |
//! | [`settings`] | from flags and environment to what each command works with, checked as a whole |
//! | [`commands`] | one module for each command; `ports` builds the real DNS and the real mongods from settings |
//! | [`discovery`] | which tasks exist, according to DNS |
//! | [`mongo`] | the only endpoint to mongods: what one observation asks, and the few commands that change something |
//! | [`model`] | values: hosts, configs, what nodes said, what the operator wants |
//! | [`plan`] | from an observation to one step: filters, rules, veto, lint |
//! | [`reconcile`] | the loop, and what it remembers from look to look |
//! | [`publish`] | what people and applications get: status, URIs, files, HTTP |
//! | [`outcome`] | exit codes, and the only functions that print |
//! | [`secret`], [`telemetry`] | text that must not get out; logs |
//! | [`parse`] | text that people write: what is accepted, times with their units |
//!
//! A decision takes this way through [`plan`]: `situation` leaves out what is not ours and names the primary and the
//! config that count; the rules (in `bootstrap`, `failover`, `recovery`, `membership` and `voting`) propose a step;
//! `safety` may object, and has `lint` check the config about to leave; `explain` says what is missing.
//!
//! # What always holds
//!
//! **Invariant:** [`plan`] and [`model`] take values and give values. They do no IO, read no clock, write no log; time
//! enters as durations in the observation. `tests/tidy.rs` checks what they import.
//!
//! **Invariant:** unknown is a value. A node that does not answer is an error inside the observation, and neither gone nor
//! blank. An observation cannot fail.
//!
//! **Invariant:** one step an observation. A config is written at exactly the version after the one that was read, so that of
//! two controllers one loses and looks again.
//!
//! **Invariant:** a config is edited, never rebuilt. What we do not know keeps its value and its place.
//!
//! **Invariant:** `plan::recovery` alone proposes force, and a force changes addresses, not who votes; but for a loss
//! that an operator accepted, once, on the evidence that he was shown.
//!
//! **Invariant:** nothing that comes over HTTP changes anything or reaches a mongod. AdminRequests come through a endpoint of their
//! own, on loopback.
//!
//! Absent on purpose: a Docker client (DNS is enough, and the socket is root); a store of our own; an election between
//! controllers; a DNS cache; a retry inside a step (after a timeout its outcome is unknown, so the loop looks);
//! events that carry decisions (they only end a pause); `unsafe`.

pub mod admin;
pub mod cli;
mod client;
pub mod commands;
pub mod connection_string;
pub mod discovery;
mod launcher;
pub mod model;
pub mod mongo;
pub mod outcome;
pub mod parse;
pub mod plan;
pub mod publish;
pub mod reconcile;
mod runtime;
pub mod secret;
pub mod settings;
pub mod telemetry;
