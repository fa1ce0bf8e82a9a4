//! Tables of text that fit the screen: a narrow one shows fewer columns, and no line is longer than the screen.

use super::terminal::{Paint, Tint};

/// Two spaces keep columns apart.
const GAP: &str = "  ";
/// A note beside a table that has less room than this stands below its row.
const NOTE_MIN: usize = 24;
/// How far a note below its row is indented.
const INDENT: usize = 4;

/// One column.
pub(super) struct Column {
    heading: &'static str,
    /// The higher, the earlier it is left out. A column of rank 0 always stays.
    rank: u8,
    cells: Vec<Cell>,
}

/// One cell. Its tint never says anything that its text does not say.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tint: Tint,
}

impl Column {
    pub(super) fn new(heading: &'static str, rank: u8, cells: impl IntoIterator<Item = String>) -> Self {
        Self::tinted(heading, rank, cells.into_iter().map(|text| Cell { text, tint: Tint::Plain }))
    }

    pub(super) fn tinted(heading: &'static str, rank: u8, cells: impl IntoIterator<Item = Cell>) -> Self {
        Self { heading, rank, cells: cells.into_iter().collect() }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| length(&cell.text));
        cells.chain([length(self.heading)]).max().unwrap_or_default()
    }
}

/// The lines of a table, at most `width` characters long. Each row has a note, which may be empty. A note is folded, and
/// never left out. Without a width nothing is left out or folded.
pub(super) fn lines(mut columns: Vec<Column>, notes: &[String], width: Option<usize>, paint: Paint) -> Vec<String> {
    if let Some(limit) = width {
        while total(&columns) > limit
            && let Some((at, least)) = columns.iter().enumerate().max_by_key(|(_, column)| column.rank)
            && least.rank > 0
        {
            columns.remove(at);
        }
    }
    let room = width.map_or(usize::MAX, |limit| limit.saturating_sub(total(&columns) + GAP.len()));
    let longest = notes.iter().map(|note| length(note)).max().unwrap_or_default();
    let beside = longest <= room || room >= NOTE_MIN;
    let mut heading = columns.iter().map(|c| padded(c.heading, c.width())).collect::<Vec<_>>();
    if beside && longest > 0 {
        heading.push("NOTE".to_owned());
    }
    let mut lines = vec![cut(heading.join(GAP).trim_end(), width)];
    for (row, note) in notes.iter().enumerate() {
        let cells = columns.iter().map(|column| (column.cells.get(row), column.width()));
        let cells = cells.map(|(cell, width)| painted(cell, width, paint)).collect::<Vec<_>>().join(GAP);
        let pieces = fold(note, if beside { room } else { width.unwrap_or(usize::MAX).saturating_sub(INDENT) });
        let mut pieces = pieces.into_iter();
        let first = if beside { pieces.next() } else { None };
        lines.push(format!("{cells}{GAP}{}", first.unwrap_or_default()).trim_end().to_owned());
        let indent = if beside { total(&columns) + GAP.len() } else { INDENT };
        lines.extend(pieces.map(|piece| " ".repeat(indent) + &piece));
    }
    lines
}

fn total(columns: &[Column]) -> usize {
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    columns.iter().map(Column::width).sum::<usize>() + gaps
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text:width$}")
}

fn painted(cell: Option<&Cell>, width: usize, paint: Paint) -> String {
    let Some(Cell { text, tint }) = cell else { return " ".repeat(width) };
    paint.tint(*tint, text) + &" ".repeat(width.saturating_sub(length(text)))
}

/// The beginning of a text that fits. Only a heading is cut: it is wider than its screen if a member's name is.
fn cut(text: &str, width: Option<usize>) -> String {
    text.chars().take(width.unwrap_or(usize::MAX)).collect()
}

/// The lines of a text that is folded between words. A word that is longer than a line is folded too. An empty text has
/// no line.
pub(super) fn fold(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if length(line) + 1 + length(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => {
                let letters: Vec<char> = word.chars().collect();
                lines.extend(letters.chunks(width).map(|part| part.iter().collect::<String>()));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Paint = Paint { colour: false };

    fn columns() -> Vec<Column> {
        let column = |heading, rank, cells: [&str; 2]| Column::new(heading, rank, cells.map(str::to_owned));
        vec![
            column("MEMBER", 0, ["mongo-node1:27017", "mongo-node2:27017"]),
            column("STATE", 0, ["PRIMARY", "STARTUP2"]),
            column("VOTES", 2, ["1", "1"]),
            column("LAG", 1, ["-", "3m"]),
        ]
    }

    fn table(note: &str, width: usize) -> String {
        lines(columns(), &[String::new(), note.to_owned()], Some(width), PLAIN).join("\n") + "\n"
    }

    #[test]
    fn a_narrow_screen_loses_the_least_important_columns_first() {
        let wide = "\
MEMBER             STATE     VOTES  LAG
mongo-node1:27017  PRIMARY   1      -
mongo-node2:27017  STARTUP2  1      3m
";
        let narrow = "\
MEMBER             STATE     LAG
mongo-node1:27017  PRIMARY   -
mongo-node2:27017  STARTUP2  3m
";
        assert_eq!((table("", 39).as_str(), table("", 38).as_str()), (wide, narrow));
        assert_eq!(table("", 30).lines().next().unwrap(), "MEMBER             STATE");
    }

    #[test]
    fn a_note_is_folded_beside_its_row_or_below_it_and_never_lost() {
        let beside = "\
MEMBER             STATE     VOTES  LAG  NOTE
mongo-node1:27017  PRIMARY   1      -
mongo-node2:27017  STARTUP2  1      3m   copies its data from
                                         mongo-node1:27017
";
        assert_eq!(table("copies its data from mongo-node1:27017", 66), beside);
        let below = "\
MEMBER             STATE     VOTES  LAG
mongo-node1:27017  PRIMARY   1      -
mongo-node2:27017  STARTUP2  1      3m
    copies its data from mongo-node1:27017
";
        assert_eq!(table("copies its data from mongo-node1:27017", 60), below);
    }

    #[test]
    fn no_line_is_longer_than_the_screen() {
        let note = "a note with averyveryveryverylongwordthatfitsnowhere and more";
        for width in 27..120 {
            let table = table(note, width);
            let longest = table.lines().map(length).max().unwrap();
            assert!(longest <= width, "{width}:\n{table}");
            let words: String = table.split_whitespace().collect();
            assert!(words.contains("averyveryveryverylongwordthatfitsnowhere"), "{table}");
        }
    }

    #[test]
    fn colours_change_no_column() {
        let state = ["PRIMARY", "STARTUP2"].map(|text| Cell { text: text.to_owned(), tint: Tint::Good });
        let mut columns = columns();
        columns[1] = Column::tinted("STATE", 0, state);
        let colourful = lines(columns, &[String::new(), String::new()], None, Paint { colour: true }).join("\n");
        assert!(colourful.contains("\u{1b}[32mPRIMARY\u{1b}[0m   1"), "{colourful:?}");
        let bare = colourful.replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
        assert_eq!(bare + "\n", table("", 100));
    }
}
