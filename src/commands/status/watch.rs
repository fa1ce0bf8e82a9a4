//! `rsctl status --watch`: redraws a terminal in place, and elsewhere prints a block after every change.
//!
//! **Invariant:** a reader that does not read holds up no signal, because the output is written by a thread of its own.

use super::screen::{self, Look};
use super::{look, text};
use crate::cli::View;
use crate::client::{Inquiry, Unknown};
use crate::commands::news::without_times;
use crate::commands::terminal::{self, Size, Tint};
use crate::outcome::{Chain, Outcome, note, plain, show};
use crate::publish::{Status, SyncStatus};
use crate::settings::Source;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// The pause between two requests to a controller. Nobody sees more, and an answer costs the controller nothing.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause between two direct observations. Each of them logs in to every mongod.
const WITHOUT_CONTROLLER: Duration = Duration::from_secs(5);
/// The age in milliseconds from which on a status is news for being old.
const STALE_MS: u64 = 30_000;
/// An answer that takes longer than this is one that the screen says it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Goes on until nobody reads any more. A signal ends it from outside.
pub(super) async fn watch(source: &Source, view: View, colour: bool) -> Outcome {
    let mut inquiry = Inquiry::for_people(source);
    let mut shown = Shown { view, colour, last: None, answered: Instant::now(), printed: None, noted: None };
    loop {
        let asked = Instant::now();
        let answer = {
            let mut question = pin!(inquiry.status());
            loop {
                tokio::select! {
                    answer = &mut question => break answer,
                    () = sleep(PATIENCE) => {
                        let why = format!("no answer yet from {}", source.controller);
                        if let Err(outcome) = shown.wait(&why).await {
                            return outcome;
                        }
                    }
                }
            }
        };
        let attended = answer.as_ref().is_ok_and(|status| status.unattended.is_none());
        if let Err(outcome) = shown.answer(answer).await {
            return outcome;
        }
        sleep_until(asked + if attended { PAUSE } else { WITHOUT_CONTROLLER }).await;
    }
}

/// What the reader sees.
struct Shown {
    view: View,
    colour: bool,
    /// The newest answer.
    last: Option<Status>,
    /// When that came; before the first one, when the command began.
    answered: Instant,
    /// What was printed last: on a terminal its text, elsewhere the status without its durations.
    printed: Option<String>,
    /// What was last said on stderr to be missing.
    noted: Option<String>,
}

impl Shown {
    async fn answer(&mut self, answer: Result<Status, Unknown>) -> Result<(), Outcome> {
        match answer {
            Ok(status) => {
                (self.last, self.answered, self.noted) = (Some(status), Instant::now(), None);
                self.draw(None).await
            }
            Err(error) => self.wait(&plain(&Chain(&error).to_string())).await,
        }
    }

    /// Says what it waits for, above what is known.
    async fn wait(&mut self, why: &str) -> Result<(), Outcome> {
        self.draw(Some(why)).await
    }

    async fn draw(&mut self, missing: Option<&str>) -> Result<(), Outcome> {
        let look = look(self.view, self.colour);
        match (terminal::size(), self.view) {
            (Some(size), View::Table | View::Wide) => {
                let frame = frame(&self.screen(missing, look), size);
                self.print(frame.clone(), frame).await
            }
            _ => match (missing, &self.last) {
                (Some(why), _) => {
                    if self.noted.replace(why.to_owned()).is_none_or(|noted| noted != why) {
                        note(why);
                    }
                    Ok(())
                }
                (None, Some(status)) => {
                    let block = self.block(status, look);
                    let essence = if self.view == View::Name { block.clone() } else { essence(status) };
                    self.print(block, essence).await
                }
                (None, None) => Ok(()),
            },
        }
    }

    /// Prints the text if what it says is new.
    async fn print(&mut self, text: String, essence: String) -> Result<(), Outcome> {
        if self.printed.as_ref() == Some(&essence) {
            return Ok(());
        }
        self.printed = Some(essence);
        show(text).await
    }

    fn screen(&self, missing: Option<&str>, look: Look) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(why) = missing {
            let since = self.answered.elapsed().as_secs();
            let known = if self.last.is_some() { "; this is the last known state" } else { "" };
            lines.extend(look.text(Tint::Bad, &format!("waiting for {since} s: {why}{known}")));
        }
        lines.extend(self.last.iter().flat_map(|status| screen::render(status, look)));
        lines
    }

    /// One change for a reader that is no terminal. Blocks of several lines begin with their time.
    fn block(&self, status: &Status, look: Look) -> String {
        match self.view {
            View::Table | View::Wide => {
                let gap = if self.printed.is_some() { "\n" } else { "" };
                let now = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
                format!("{gap}{now}\n{}", text(status, look))
            }
            View::Name | View::Json => text(status, look),
        }
    }
}

/// The bytes that replace what the terminal shows by these lines. Nothing is erased before it is overwritten, so nothing
/// flickers. The cursor stays visible, so there is nothing to restore at the end.
fn frame(lines: &[String], size: Size) -> String {
    let height = |lines: &[String]| lines.iter().map(|l| visible(l).div_ceil(size.columns).max(1)).sum::<usize>();
    let rows = size.rows.saturating_sub(1); // the cursor is below the last line
    let mut kept = lines;
    while height(kept) + usize::from(kept.len() < lines.len()) > rows && !kept.is_empty() {
        kept = &kept[..kept.len() - 1];
    }
    let more = lines.len() - kept.len();
    let more = (more > 0).then(|| format!("… {more} more"));
    let lines: String = kept.iter().chain(&more).map(|line| format!("{line}\u{1b}[K\n")).collect();
    format!("\u{1b}[H{lines}\u{1b}[J")
}

/// How many characters of a line are visible: colours are not.
fn visible(line: &str) -> usize {
    let mut parts = line.split('\u{1b}');
    let plain = parts.next().map_or(0, |part| part.chars().count());
    let after = |part: &str| part.split_once('m').map_or(0, |(_, rest)| rest.chars().count());
    plain + parts.map(after).sum::<usize>()
}

/// What a status says, without how long something has been so. Time alone is no change.
fn essence(status: &Status) -> String {
    let mut status = status.clone();
    status.observed_ms_ago = u64::from(status.observed_ms_ago >= STALE_MS);
    status.primary_ms = None;
    if let Some(pause) = &mut status.pause {
        pause.left_ms = 0;
    }
    for member in &mut status.members {
        (member.state_ms, member.lag_ms, member.oplog_ms) = (None, None, None);
        member.sync = member.sync.map(|sync| SyncStatus { left_ms: None, ..sync });
        member.note = member.note.as_deref().map(without_times);
    }
    status.because = without_times(&status.because);
    for text in status.waiting.iter_mut().chain(status.findings.iter_mut().map(|finding| &mut finding.text)) {
        *text = without_times(text);
    }
    status.unattended = status.unattended.as_deref().map(without_times);
    serde_json::to_string(&status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::healthy;

    const SIZE: Size = Size { columns: 20, rows: 5 };

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_frame_overwrites_the_one_before_it() {
        assert_eq!(frame(&lines(&["one", "two"]), SIZE), "\u{1b}[Hone\u{1b}[K\ntwo\u{1b}[K\n\u{1b}[J");
    }

    #[test]
    fn a_frame_is_never_higher_than_the_screen() {
        let bare = |frame: String| frame.replace("\u{1b}[H", "").replace("\u{1b}[K", "").replace("\u{1b}[J", "");
        let many = frame(&lines(&["1", "2", "3", "4", "5", "6"]), SIZE);
        assert_eq!(bare(many), "1\n2\n3\n… 3 more\n");
        let long = "a line that is longer than the screen";
        assert_eq!(bare(frame(&lines(&["1", long, "4"]), SIZE)), format!("1\n{long}\n4\n"), "it takes two rows");
        assert_eq!(bare(frame(&lines(&["1", "2", long, "5"]), SIZE)), "1\n2\n… 2 more\n");
        let red = format!("\u{1b}[31m{}\u{1b}[0m", "x".repeat(20));
        assert_eq!(visible(&red), 20);
        assert_eq!(bare(frame(&lines(&["1"]), Size { columns: 1, rows: 1 })), "… 1 more\n");
    }

    #[test]
    fn time_alone_is_no_change() {
        let mut later = healthy();
        (later.observed_ms_ago, later.members[0].state_ms, later.members[1].lag_ms) = (900, Some(8_000_000), Some(3));
        (later.primary_ms, later.members[1].oplog_ms) = (Some(8_060_000), Some(94_000_000));
        assert_eq!(essence(&later), essence(&healthy()));
        later.observed_ms_ago = STALE_MS;
        assert_ne!(essence(&later), essence(&healthy()), "the controller no longer observes");
        later = healthy();
        later.members[1].state = "RECOVERING".to_owned();
        assert_ne!(essence(&later), essence(&healthy()));
    }
}
