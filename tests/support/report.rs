//! Reports what passed and what failed, in the format of `cargo test`, for tests that are programs.

#![allow(clippy::print_stdout, reason = "this reports to people")]

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use futures_util::FutureExt;
use tokio::time::Instant;

/// Why a test failed, in one line.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome<T = ()> = Result<T, Failure>;

/// The results so far.
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

    /// Runs one check and prints its result. Returns whether it passed.
    pub async fn step(&mut self, name: &str, check: impl Future<Output = Outcome<String>>) -> bool {
        let began = Instant::now();
        // A failed step may leave any state behind, so later steps check what they need.
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

    /// Reports that these checks cannot run here, and why.
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
