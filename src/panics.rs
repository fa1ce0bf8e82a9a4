//! Containment of panics: a panic in a library costs one answer, and the controller keeps running with its history.
//!
//! **Invariant:** only questions and commands to mongods and DNS are contained. A panic in a rule or in the loop is a
//! bug in rsctl and ends rsctl. Swarm then starts it again.

use futures_util::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;

/// The first line of a panic's message. The full message and its location were written to stderr when it happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a panic: {0}")]
pub(crate) struct Panicked(String);

impl Panicked {
    fn of(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let line = text.unwrap_or("no message").lines().next().unwrap_or_default();
        Self(line.chars().filter(|c| !c.is_control()).take(160).collect())
    }
}

/// The outcome of a future, or its panic. After a panic, the caller must drop what the future used.
pub(crate) async fn contained<F: Future>(future: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| Panicked::of(&*panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error_with_its_first_line() {
        assert_eq!(contained(async { 7 }).await, Ok(7));
        let bad = contained(async { std::hint::black_box([1, 2, 3].as_slice())[std::hint::black_box(3)] });
        assert!(bad.await.unwrap_err().to_string().contains("index out of bounds"));
        let bad = contained(async { assert!(std::hint::black_box(false), "first\u{7}\nsecond") });
        assert_eq!(bad.await, Err(Panicked("first".to_owned())));
    }
}
