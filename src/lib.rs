//! rsctl creates, monitors and repairs a MongoDB replica set on Docker Swarm, and provides its connection string.
//!
//! This page describes the architecture. `docs/` describes what the program does for its users, and `docs/glossary.md`
//! defines the terms.
//!
//! # The loop
//!
//! ```text
//!        DNS, mongods                                     one mongod
//!             |                                                ^
//!             | tasks, states, configs                         | one admin command
//!             v                                                |
//!       +-----------+   Observed   +--------+       Step   +---------+
//!  +--> |  observe  | -----------> |  plan  | -----------> | execute | --+
//!  |    +-----------+              +--------+              +---------+   |
//!  |                                |      |                             |
//!  |        status, URI, log <------+      | nothing to do               |
//!  |                                       v                             |
//!  |                                   +-------+                         |
//!  | <-------------------------------- | pause |                         |
//!  |    a mongod reports a change,     +-------+                         |
//!  |    DNS differs, or time is up                                       |
//!  |                                                                     |
//!  +---------------------------------------------------------------------+
//!       at once
//! ```
//!
//! One task runs this loop. Only the requests of one observation run in parallel. Beside it `reconcile/users.rs` keeps the
//! users that an operator declares, with its own pure decision in `plan/users.rs`: no repair waits for a user.
//!
//! 1. **Observe.** An observation is a value, [`model::Observed`]: the tasks of the service according to DNS, and what
//!    each mongod answers.
//! 2. **Plan.** The decision is a pure function of the observation, [`plan::plan`]. Its result, [`plan::Plan`], holds
//!    the next step, the reason, what the controller waits for, and what an operator should know. The log, `rsctl
//!    status` and the tests read it.
//! 3. **Execute.** A [`plan::Step`] is one admin command to one mongod, or very few. After each step there is a new
//!    observation. So a step never depends on what an earlier step may have changed.
//! 4. **Pause.** If there is nothing to do, the loop waits for an event or for the interval.
//!
//! # How a decision is made
//!
//! [`plan`] takes an observation through these stages:
//!
//! 1. `situation` ignores nodes that do not belong to the replica set, and finds the primary and the newest config.
//! 2. The rules are asked in a fixed order. `rule` holds the order in one table, with the reason for each position. A
//!    rule proposes a step, waits, or passes.
//! 3. A step that changes the config carries a config that passed `lint`. `safety` may veto the proposed step.
//! 4. The first proposed step without a veto is the next step. `explain` says what is missing if there is none.
//!
//! To follow one decision, read the rule *remove-dead* in `src/plan/removal.rs`. Then read its scenarios in
//! `tests/plan/remove-dead.txt`: each one shows an observation and the expected step.
//!
//! # Where the state is
//!
//! Lasting state is in the replica set's own config: its members, and a few tags. The tag `rsctlData` of a member
//! names the data directory that holds its vote. By this tag a mongod is recognised at a new address, and a mongod
//! with an empty volume is distinguished from the member that it replaces. The controller itself remembers only since
//! when something is true (`src/reconcile/history.rs`). After a restart it starts without memory. An operator's pause must
//! work without a primary, so each member keeps it beside the config (`docs/adr/0010-the-members-keep-the-pause.md`).
//!
//! # Where to start reading
//!
//! 1. `src/plan/mod.rs` and `src/plan/rule.rs`: the rules and their order. Then one rule with its scenarios, as above.
//! 2. `src/reconcile/mod.rs`: the loop.
//! 3. `src/model/observed.rs` and `src/model/node.rs`: the parts of an observation.
//! 4. `src/commands/run.rs`: how the loop, DNS, the mongods and HTTP are connected.
//!
//! `scripts/demo` shows the program at work on one machine.
//!
//! # The modules
//!
//! A module uses only modules above it in this table. `tests/tidy.rs` checks this, so there are no circular
//! dependencies.
//!
//! | module | contents |
//! |---|---|
//! | `panics` | containment: a panic in a library costs one answer |
//! | [`secret`] | text that must never be printed |
//! | [`protection`] | memory that no other process may read |
//! | [`telemetry`] | logs |
//! | [`outcome`] | exit codes, and the only functions that print |
//! | [`model`] | values: hosts, configs, answers of nodes, the operator's policy |
//! | [`plan`] | from an observation to one step |
//! | [`discovery`] | the tasks of the services, according to DNS |
//! | [`mongo`] | the clients of the mongods: the requests of an observation, and the few admin commands |
//! | [`admin`] | what the admin endpoint asks of the loop |
//! | [`reconcile`] | the loop, and what it remembers between observations |
//! | [`parse`] | parsers for text that people write |
//! | [`certificates`] | a certificate authority, and what it signs |
//! | [`connection_string`] | connection strings: built, corrected, or put into a template |
//! | [`publish`] | the status, and how it is published: HTTP, metrics, file |
//! | [`cli`] | flags, their variables and their help |
//! | [`settings`] | from flags and environment to the checked settings of each command |
//! | `runtime` | from settings to the real DNS and the real mongods |
//! | `client` | requests to a running controller, or to the nodes if no controller answers |
//! | `launcher` | the program of `rsctl exec`: its start, signals, restarts and end |
//! | [`commands`] | one file for each command |
//! | `fuzzing` | what strangers send, for the fuzzer and the tests only |
//!
//! # What always holds
//!
//! **Invariant:** [`plan`] and [`model`] take values and return values. They do no IO, read no clock and write no log.
//! Time enters as durations in the observation. `tests/tidy.rs` checks what they import.
//!
//! **Invariant:** unknown is a value. A node that does not answer is an error inside the observation. It counts
//! neither as gone nor as blank. An observation cannot fail.
//!
//! **Invariant:** with a login configured, nothing counts that a mongod says before it proves, on that connection, that it
//! knows the secret. `docs/adr/0008-login-before-belief.md` tells how.
//!
//! **Invariant:** there is one step for each observation. A config is sent with exactly the version after the one that
//! was read. If two controllers send one, the server refuses the second, and that controller observes again.
//!
//! **Invariant:** a config is edited, never rebuilt. Fields that rsctl does not know keep their value and their
//! position.
//!
//! **Invariant:** only `plan::recovery` proposes a forced reconfig. It changes addresses and not votes, unless an
//! operator accepts a loss of writes, once, for the evidence that the operator has seen.
//!
//! **Invariant:** the HTTP pages are read-only, and no request to them reaches a mongod. Admin requests have their own
//! endpoint, on loopback.
//!
//! # What is missing on purpose
//!
//! - A Docker client: DNS is enough, and the Docker socket gives root access.
//! - A store: the replica set's config is the store. The history is for people, and no decision reads it
//!   (`docs/adr/0009-the-members-keep-the-history.md`).
//! - An election between controllers: the config's version already decides between them.
//! - A DNS cache.
//! - Retries inside a step: after a timeout its result is unknown, so the loop observes.
//! - Events that carry decisions: an event only ends a pause.
//! - `unsafe` code.

pub mod admin;
pub mod certificates;
pub mod cli;
mod client;
pub mod commands;
pub mod connection_string;
pub mod discovery;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod launcher;
pub mod model;
pub mod mongo;
pub mod outcome;
mod panics;
pub mod parse;
pub mod plan;
pub mod protection;
pub mod publish;
pub mod reconcile;
mod runtime;
pub mod secret;
pub mod settings;
pub mod telemetry;
