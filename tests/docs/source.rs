//! What the source says, as text: names of variants and fields, and the words of messages.

use std::path::{Path, PathBuf};

use super::page::root;

/// A file of the product's source, without its comments and tests.
pub(crate) struct Source {
    pub path: PathBuf,
    pub code: String,
}

/// Every file below `src`, tests left out.
pub(crate) fn sources() -> Vec<Source> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !is_tests(&path) {
                let code = code(&std::fs::read_to_string(&path).unwrap());
                found.push(Source { path, code });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn is_tests(path: &Path) -> bool {
    path.with_extension("").iter().rev().take(2).any(|part| part == "tests")
}

fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"));
    lines.filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

/// The body of `pub enum NAME` or `pub struct NAME`, and the code of the file that it is in. Of structs only those that
/// become JSON count.
pub(crate) fn declaration(kind: &str, name: &str) -> (String, String) {
    let head = format!("pub {kind} {name} {{\n");
    let all = sources();
    let counts = |code: &str| code.contains(&head) && (kind == "enum" || code.contains("Serialize"));
    let mut found = all.iter().filter(|source| counts(&source.code));
    let source = found.next().unwrap_or_else(|| panic!("no {}", head.trim()));
    assert!(found.next().is_none(), "two of {}", head.trim());
    let body = source.code.split_once(&head).unwrap().1.split_once("\n}").unwrap().0;
    (format!("{body}\n"), source.code.clone())
}

/// The names that stand at the first level of a declaration: variants of an enum, or fields of a struct.
pub(crate) fn names(body: &str) -> Vec<String> {
    let first_level = body.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let words = first_level.map(|line| line.trim().trim_start_matches("pub "));
    let words = words.filter(|line| line.starts_with(|c: char| c.is_alphabetic()));
    words.map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()).collect()
}

/// The string literals of a piece of code, with line ends that `\` joins taken out.
pub(crate) fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => skip_char(&mut chars),
            '"' => found.push(literal(&mut chars)),
            _ => {}
        }
    }
    found
}

/// `'"'` is a character and begins no text; a lifetime is left alone.
fn skip_char(chars: &mut std::str::Chars<'_>) {
    let rest = chars.as_str();
    let length = if rest.starts_with('\\') { 3 } else { 2 };
    if rest.chars().nth(length - 1) == Some('\'') {
        chars.nth(length - 1);
    }
}

fn literal(chars: &mut std::str::Chars<'_>) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('\n') => {
                    while chars.as_str().starts_with([' ', '\n']) {
                        chars.next();
                    }
                }
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => break,
            },
            c => text.push(c),
        }
    }
    text
}

#[test]
fn literals_are_read_as_the_compiler_does() {
    let code = "f('\"', \"a \\\n     b\", \"c \\\"d\\\"\", b'x', &'a str, \"e\")";
    assert_eq!(literals(code), ["a b", "c \"d\"", "e"]);
}

#[test]
fn names_are_those_of_the_first_level() {
    assert_eq!(names("    A,\n    B {\n        c: u8,\n    },\n    #[x]\n    C(u8),\n"), ["A", "B", "C"]);
    assert_eq!(names("    pub a: u8,\n    pub b_c: Vec<u8>,\n"), ["a", "b_c"]);
}
