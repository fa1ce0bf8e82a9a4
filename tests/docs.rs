//! The documentation is checked like code: what it shows is run or compared with the source, and what it links to exists.
//!
//! `UPDATE=1 cargo test --test docs` rewrites the generated parts.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![allow(clippy::print_stdout, reason = "a part that is skipped says so")]

#[path = "cli/answers.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod answers;
#[path = "docs/book.rs"]
mod book;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/generated.rs"]
mod generated;
#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod harness;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/logs.rs"]
mod logs;
#[path = "docs/messages.rs"]
mod messages;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/privileges.rs"]
mod privileges;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/source.rs"]
mod source;
#[path = "docs/supply.rs"]
mod supply;
