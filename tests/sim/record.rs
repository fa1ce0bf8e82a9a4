//! The kinds of event that happened in the worlds. They show what a green run covered.

use std::collections::{BTreeMap, BTreeSet};

/// The events of one world.
#[derive(Clone, Debug, Default)]
pub struct Record {
    seen: BTreeSet<&'static str>,
    pub acknowledged: u64,
    pub simulated_ms: u64,
}

impl Record {
    pub fn saw(&mut self, what: &'static str) {
        self.seen.insert(what);
    }
}

/// The events of many worlds.
#[derive(Debug, Default)]
pub struct Records {
    worlds: u64,
    with: BTreeMap<&'static str, u64>,
    acknowledged: u64,
    simulated_ms: u64,
}

impl Records {
    pub fn add(&mut self, one: &Record) {
        self.worlds += 1;
        self.acknowledged += one.acknowledged;
        self.simulated_ms += one.simulated_ms;
        for what in &one.seen {
            *self.with.entry(what).or_default() += 1;
        }
    }
}

impl std::fmt::Display for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days = self.simulated_ms as f64 / 86_400_000.0;
        let (worlds, writes) = (self.worlds, self.acknowledged);
        write!(f, "{worlds} worlds, {days:.1} days in them, {writes} acknowledged writes; worlds with")?;
        for (nth, (what, count)) in self.with.iter().enumerate() {
            write!(f, "{} {what} {count}", if nth == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
