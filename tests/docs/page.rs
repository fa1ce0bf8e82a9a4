//! A page of Markdown, as far as these tests read it.

use std::path::{Path, PathBuf};

/// A file of Markdown in this repository.
pub(crate) struct Page {
    /// The path from the root of the repository.
    pub path: PathBuf,
    pub text: String,
}

/// A fenced block.
pub(crate) struct Block {
    pub language: String,
    /// The number of its first line in the file, from 1.
    pub line: usize,
    pub lines: Vec<String>,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages: those in `docs`, those beside the recipes, and those at the root.
pub(crate) fn pages() -> Vec<Page> {
    let at_root = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "BENCHMARKS.md"];
    let mut paths: Vec<PathBuf> = at_root.iter().map(PathBuf::from).collect();
    ["docs", "deploy", "tests"].iter().for_each(|folder| collect(Path::new(folder), &mut paths));
    let pages: Vec<Page> = paths.into_iter().map(Page::read).collect();
    assert!(pages.len() > 40, "only {} pages are found: is this test blind?", pages.len());
    pages
}

/// The pages in `docs`.
pub(crate) fn docs() -> Vec<Page> {
    pages().into_iter().filter(|page| page.path.starts_with("docs")).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let path = entry.strip_prefix(root()).unwrap();
        if entry.is_dir() {
            collect(path, paths);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            paths.push(path.to_owned());
        }
    }
}

impl Page {
    pub(crate) fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = std::fs::read_to_string(root().join(&path));
        Self { text: text.unwrap_or_else(|error| panic!("{}: {error}", path.display())), path }
    }

    /// Fenced blocks, in their order.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for (number, inside, line) in self.fenced() {
            match inside {
                Fence::Opens => {
                    let language = line.trim_start().trim_start_matches('`').to_owned();
                    blocks.push(Block { language, line: number + 1, lines: Vec::new() });
                }
                Fence::Inside => blocks.last_mut().unwrap().lines.push(line.to_owned()),
                Fence::Outside | Fence::Closes => {}
            }
        }
        blocks
    }

    /// The lines outside of fenced blocks, numbered from 1.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let outside = self.fenced().into_iter().filter(|(_, inside, _)| *inside == Fence::Outside);
        outside.map(|(number, _, line)| (number, line)).collect()
    }

    fn fenced(&self) -> Vec<(usize, Fence, &str)> {
        let mut open = false;
        let lines = self.text.lines().enumerate().map(|(at, line)| {
            let fence = line.trim_start().starts_with("```") && !line.trim_start()[3..].contains('`');
            let inside = match (open, fence) {
                (false, false) => Fence::Outside,
                (false, true) => Fence::Opens,
                (true, false) => Fence::Inside,
                (true, true) => Fence::Closes,
            };
            open ^= fence;
            (at + 1, inside, line)
        });
        let lines: Vec<_> = lines.collect();
        assert!(!open, "{}: a block does not end", self.path.display());
        lines
    }

    /// The anchors of all headings, as GitHub and mdbook make them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.prose().into_iter().filter(|(_, line)| line.starts_with('#'));
        headings.map(|(_, line)| anchor(line.trim_start_matches('#').trim())).collect()
    }

    /// Code in the prose, with the number of its line.
    pub(crate) fn code_spans(&self) -> Vec<(usize, String)> {
        let spans = |(number, line): (usize, &str)| split_code(line).1.into_iter().map(move |code| (number, code));
        self.prose().into_iter().flat_map(spans).collect()
    }

    /// The first column of the first table after this line of text, without its heading.
    pub(crate) fn column_after(&self, marker: &str) -> Vec<String> {
        self.cells_after(marker, 1)
    }

    /// The same for another column, from 1.
    pub(crate) fn cells_after(&self, marker: &str, column: usize) -> Vec<String> {
        let after = self.text.split_once(marker).unwrap_or_else(|| panic!("{}: no {marker}", self.path.display())).1;
        let rows = after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        rows.skip(2).map(|row| row.split('|').nth(column).unwrap().trim().to_owned()).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fence {
    Outside,
    Opens,
    Inside,
    Closes,
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// A line without its code, and the code.
pub(crate) fn split_code(line: &str) -> (String, Vec<String>) {
    let (mut prose, mut code) = (String::new(), Vec::new());
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].chars().take_while(|c| *c == '`').count();
        let fence = "`".repeat(ticks);
        let body = &rest[start + ticks..];
        let Some(end) = body.find(&fence) else { break };
        prose.push_str(&rest[..start]);
        code.push(body[..end].to_owned());
        rest = &body[end + ticks..];
    }
    prose.push_str(rest);
    (prose, code)
}

#[test]
fn code_is_found_between_equal_ticks() {
    let (prose, code) = split_code("a `b` c ``d ` e`` f");
    assert_eq!((prose.as_str(), code), ("a  c  f", vec!["b".to_owned(), "d ` e".to_owned()]));
}

#[test]
fn anchors_are_those_of_github() {
    assert_eq!(anchor("`/v1/events`"), "v1events");
    assert_eq!(anchor("The controller's memory"), "the-controllers-memory");
}
