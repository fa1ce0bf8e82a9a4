//! The terminal that stdout is, if it is one.

use std::io::{IsTerminal, stdout};

use rustix::termios::tcgetwinsize;

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// What a terminal has that does not tell its size, as with `docker exec -t` before its first resize.
const UNKNOWN: Size = Size { columns: 80, rows: 24 };

/// The present size of the terminal. `None` if stdout is no terminal.
pub(super) fn size() -> Option<Size> {
    if !stdout().is_terminal() {
        return None;
    }
    let told = tcgetwinsize(stdout()).ok().map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    let size = told.filter(|(columns, rows)| *columns > 0 && *rows > 0);
    Some(size.map_or(UNKNOWN, |(columns, rows)| Size { columns, rows }))
}

/// Colours text if the terminal shows colours. The text is complete without them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) colour: bool,
}

/// A meaning that a colour repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tint {
    /// Nothing to say.
    Plain,
    /// As it should be.
    Good,
    /// Not yet as it should be.
    Warning,
    /// Not as it should be.
    Bad,
}

impl Paint {
    pub(super) fn tint(self, tint: Tint, text: &str) -> String {
        let code = match tint {
            Tint::Plain => return text.to_owned(),
            Tint::Good => "32",
            Tint::Warning => "33",
            Tint::Bad => "31",
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
