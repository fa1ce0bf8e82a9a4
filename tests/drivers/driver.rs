//! The drivers, and how an application with each of them starts.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::rust;
use crate::support::report::Outcome;

/// One driver.
#[derive(Clone, Copy)]
pub struct Driver {
    pub name: &'static str,
    /// The variable from which its application reads the URI.
    pub variable: &'static str,
    /// The value before rsctl changes it. The database and the options stay.
    pub uri: &'static str,
    /// The newest version of `scripts/mongod` that it supports. `None`: the default version.
    pub newest: Option<&'static str>,
    /// More variables of its application.
    pub variables: &'static [(&'static str, &'static str)],
    program: Program,
}

#[derive(Clone, Copy)]
enum Program {
    /// This program itself.
    Us,
    /// The program that `scripts/drivers` prints for this word, with the application as its argument.
    Made(&'static str, Option<&'static str>),
    /// Let's Chat, edited as by the Dockerfile of its recipe.
    LetsChat,
}

/// How the members are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By IP address.
    Addresses,
    /// By stable names, as in the stack in `deploy/swarm`.
    Names,
}

pub const DRIVERS: [Driver; 8] = [
    Driver::modern("rust", Program::Us),
    Driver::modern("node", Program::Made("node", Some("node.js"))),
    Driver::modern("mongoose", Program::Made("node", Some("mongoose.js"))),
    Driver::modern("python", Program::Made("python", Some("python.py"))),
    Driver {
        variable: "ORION_MONGO_URI",
        uri: "mongodb://mongo/drivers?serverSelectionTryOnce=false",
        ..Driver::modern("c", Program::Made("c", None))
    },
    // Orion 3.12 is built with libmongoc 1.24.3, and Debian 12 has 1.23.1.
    Driver {
        variable: "ORION_MONGO_URI",
        uri: "mongodb://mongo/drivers?serverSelectionTryOnce=false",
        ..Driver::modern("c-new", Program::Made("c-new", None))
    },
    MONGOOSE_4,
    Driver { name: "mongoose-4-recipe", program: Program::LetsChat, ..MONGOOSE_4 },
];

/// Let's Chat as it is.
const MONGOOSE_4: Driver = Driver {
    variable: "LCB_DATABASE_URI",
    newest: Some("5.0.4"), // it writes with OP_QUERY, which MongoDB removed in 5.1
    ..Driver::modern("mongoose-4", Program::Made("node", Some("mongoose4.js")))
};

/// libmongoc with a pool, which a thread of its own watches the set for.
pub const POOLED: Driver = Driver {
    variable: "ORION_MONGO_URI",
    variables: &[("POOLED", "1")],
    ..Driver::modern("c-pool", Program::Made("c", None))
};

impl Driver {
    const fn modern(name: &'static str, program: Program) -> Self {
        Self { name, variable: "MONGO_URL", uri: "mongodb://mongo/drivers", newest: None, variables: &[], program }
    }

    /// The same driver with more options in its URI. It lives as long as the program.
    pub fn with(self, what: &str, options: &str) -> &'static Self {
        let separator = if options.is_empty() {
            ""
        } else if self.uri.contains('?') {
            "&"
        } else {
            "?"
        };
        let name: &'static str = format!("{}{what}", self.name).leak();
        let uri: &'static str = format!("{}{separator}{options}", self.uri).leak();
        Box::leak(Box::new(Self { name, uri, ..self }))
    }

    /// The command of its application. Installs what is missing.
    pub fn program(&self) -> Outcome<Vec<PathBuf>> {
        match self.program {
            Program::Us => Ok(vec![std::env::current_exe()?, rust::ENTER.into()]),
            Program::Made(kind, script) => {
                let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/drivers/apps"));
                Ok(std::iter::once(made(kind)?).chain(script.map(|name| folder.join(name))).collect())
            }
            Program::LetsChat => {
                let app = format!("CHAT_APP={}", edited()?.display());
                let words = Self { program: MONGOOSE_4.program, ..*self }.program()?;
                Ok(["env".into(), app.into()].into_iter().chain(words).collect())
            }
        }
    }
}

/// A copy of `chat/app.js`, after the `RUN` of the recipe's Dockerfile.
fn edited() -> Outcome<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let recipe = std::fs::read_to_string(format!("{root}deploy/lets-chat/Dockerfile"))?;
    let run = recipe.split("\nRUN ").nth(1).and_then(|rest| rest.split("\nUSER").next()).ok_or("no RUN")?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lets-chat");
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(format!("{root}tests/drivers/apps/chat/app.js"), folder.join("app.js"))?;
    let status = Command::new("sh").args(["-c", run]).current_dir(&folder).status()?;
    if status.success() { Ok(folder.join("app.js")) } else { Err("the recipe cannot edit app.js".into()) }
}

fn made(kind: &str) -> Outcome<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/drivers");
    let output = Command::new(script).arg(kind).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?.trim().into());
    }
    Err(said.lines().last().unwrap_or("scripts/drivers does not say why").into())
}
