//! What passed, what failed, and how long it took, in cargo's own words at the end: for tests that are programs.

#![allow(clippy::print_stdout, reason = "this reports to people")]

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use futures_util::FutureExt;
use tokio::time::Instant;

/// What goes wrong in a test: told in one line.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome<T = ()> = Result<T, Failure>;

/// The checks so far.
pub struct Report {
    words: Vec<String>,
    began: Instant,
    passed: usize,
    failed: Vec<String>,
    ignored: usize,
    filtered: usize,
}

impl Report {
    pub fn new(words: Vec<String>) -> Self {
        Self { words, began: Instant::now(), passed: 0, failed: Vec::new(), ignored: 0, filtered: 0 }
    }

    pub fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }

    pub fn pass_over(&mut self) {
        self.filtered += 1;
    }

    /// Runs one check and says how it ended; whether it passed.
    pub async fn step(&mut self, name: &str, check: impl Future<Output = Outcome<String>>) -> bool {
        let began = Instant::now();
        // A half-done step may leave the story in any state: the steps after it look for themselves.
        let ended = AssertUnwindSafe(check).catch_unwind().await;
        let seconds = began.elapsed().as_secs_f64();
        match ended.unwrap_or_else(|_| Err("it panicked (see above)".into())) {
            Ok(note) => {
                println!("ok   {name} ({seconds:.1} s){}{note}", if note.is_empty() { "" } else { ": " });
                self.passed += 1;
                true
            }
            Err(failure) => {
                self.fail(name, &failure);
                false
            }
        }
    }

    pub fn fail(&mut self, name: &str, failure: &Failure) {
        println!("FAILED {name}: {failure}");
        self.failed.push(name.to_owned());
    }

    /// These checks cannot be made here, all for one reason.
    pub fn ignore_all<'a>(&mut self, what: &str, names: impl IntoIterator<Item = &'a str>, why: &str) {
        println!("\nSKIPPED: {what}: {why}\n");
        for name in names {
            println!("test {name} ... ignored, {why}");
            self.ignored += 1;
        }
    }

    pub fn sum_up(self) -> ExitCode {
        let Self { passed, failed, ignored, filtered, began, .. } = self;
        println!();
        for name in &failed {
            println!("test {name} ... FAILED");
        }
        let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
        println!(
            "test result: {verdict}. {passed} passed; {} failed; {ignored} ignored; 0 measured; {filtered} filtered out; \
             finished in {:.2}s\n",
            failed.len(),
            began.elapsed().as_secs_f64()
        );
        if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
