//! A pause: an operator's word that no controller changes the set for a while.

use std::time::Duration;

/// The longest pause. A pause that is forgotten ends by itself.
pub const PAUSE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// A word from further in the future than this comes from a wrong clock, and does not count.
pub const AHEAD_MAX: Duration = Duration::from_secs(300);
/// The longest reason in characters.
const WHY_MAX: usize = 200;

/// What an operator said about a pause. The newest word counts: it begins a pause, makes it longer or shorter, or ends it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PauseWord {
    said_ms: i64,
    until_ms: i64,
    why: String,
}

/// A pause that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The word that began it.
    pub word: PauseWord,
    /// For how long it still lasts.
    pub left: Duration,
    /// How many nodes keep the word. Every controller sees it as long as one of them answers.
    pub kept_by: usize,
}

impl PauseWord {
    /// A pause of this length from now on. It is newer than any word before, whatever the clocks say.
    pub fn pause(now_ms: i64, length: Duration, why: &str, before: Option<&Self>) -> Self {
        Self::read(newer(now_ms, before), now_ms.saturating_add(millis(length.min(PAUSE_MAX))), why)
    }

    /// The end of a pause, now.
    pub fn resume(now_ms: i64, before: Option<&Self>) -> Self {
        Self::read(newer(now_ms, before), 0, "")
    }

    /// A word as a member keeps it. Its pause is never longer than [`PAUSE_MAX`], whatever the member says.
    pub fn read(said_ms: i64, until_ms: i64, why: &str) -> Self {
        let until_ms = until_ms.min(said_ms.saturating_add(millis(PAUSE_MAX)));
        Self { said_ms, until_ms, why: why.chars().filter(|c| !c.is_control()).take(WHY_MAX).collect() }
    }

    /// The newest of these words.
    pub fn newest(words: impl Iterator<Item = Self>, now_ms: i64) -> Option<Self> {
        words.filter(|word| word.said_ms <= now_ms.saturating_add(millis(AHEAD_MAX))).max()
    }

    /// For how long the pause still lasts. `None` if there is none. A clock that is behind makes it no longer.
    pub fn left(&self, now_ms: i64) -> Option<Duration> {
        let left = self.until_ms.saturating_sub(now_ms.max(self.said_ms));
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
    }

    /// When it was said, in milliseconds since 1970, by the clock of the controller that was told.
    pub fn said_ms(&self) -> i64 {
        self.said_ms
    }

    /// When the pause ends, by the same clock. Not after [`PauseWord::said_ms`] if the word ends it.
    pub fn until_ms(&self) -> i64 {
        self.until_ms
    }

    /// Why, in the operator's words. It may be empty.
    pub fn why(&self) -> &str {
        &self.why
    }
}

fn newer(now_ms: i64, before: Option<&PauseWord>) -> i64 {
    before.map_or(now_ms, |before| now_ms.max(before.said_ms.saturating_add(1)))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_newest_word_counts_whatever_the_clocks_say() {
        let pause = PauseWord::pause(1_000_000, HOUR, "disks\u{1b}", None);
        assert_eq!((pause.left(1_000_000), pause.why()), (Some(HOUR), "disks"));
        assert_eq!(pause.left(1_000_000 + 3_600_000), None, "it ends by itself");
        // This controller's clock is behind that of the one that began the pause.
        let resume = PauseWord::resume(900_000, Some(&pause));
        assert_eq!(PauseWord::newest([resume.clone(), pause.clone()].into_iter(), 900_000), Some(resume.clone()));
        assert_eq!((pause.left(900_000), resume.left(900_000)), (Some(HOUR), None));
    }

    #[test]
    fn no_word_pauses_for_ever() {
        assert_eq!(PauseWord::pause(0, HOUR * 10_000, "", None).left(0), Some(PAUSE_MAX));
        let forged = PauseWord::read(5, i64::MAX, &"x".repeat(10_000));
        assert_eq!((forged.left(0), forged.why().len()), (Some(PAUSE_MAX), WHY_MAX));
        assert_eq!(forged.left(5 + millis(PAUSE_MAX)), None);
        assert_eq!(PauseWord::newest([PauseWord::read(i64::MAX, i64::MAX, "")].into_iter(), 0), None);
        assert_eq!(PauseWord::read(0, i64::MIN, "").left(i64::MAX), None);
    }
}
