//! `docs/reference/logs.md` lists every line that the program can log, with its level and its fields.

use std::collections::{BTreeMap, BTreeSet};

use super::page::Page;
use super::source::{literals, sources};

type Lines = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// What stands between the brackets of a macro, whose opening bracket is left out.
fn between(code: &str) -> &str {
    let (mut depth, mut in_text, mut before) = (1, false, ' ');
    for (at, c) in code.char_indices() {
        match c {
            '"' if before != '\\' => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[..at];
        }
        before = c;
    }
    panic!("no end of {code}");
}

/// The names of the fields: the arguments before the message, each `name = value`, `%name`, `?name` or `name`.
fn fields(arguments: &str) -> BTreeSet<String> {
    let (mut depth, mut in_text, mut parts) = (0, false, vec![String::new()]);
    for c in arguments.chars() {
        match c {
            '"' => in_text = !in_text,
            '(' | '[' | '{' if !in_text => depth += 1,
            ')' | ']' | '}' if !in_text => depth -= 1,
            _ => {}
        }
        let is_end = c == ',' && depth == 0 && !in_text;
        if is_end { parts.push(String::new()) } else { parts.last_mut().unwrap().push(c) }
    }
    let parts = parts.iter().map(|part| part.trim().trim_start_matches(['%', '?']));
    let words = parts.filter(|part| !part.is_empty() && !part.starts_with('"'));
    words.map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()).collect()
}

fn logged() -> Lines {
    let mut found = Lines::new();
    for source in sources() {
        for level in LEVELS {
            let head = format!("{level}!(");
            for (at, _) in source.code.match_indices(&head) {
                if source.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let arguments = between(&source.code[at + head.len()..]);
                let message = literals(arguments).pop().unwrap_or_else(|| panic!("no message: {arguments}"));
                let line = found.entry(message).or_default();
                line.0.insert(level.to_owned());
                line.1.extend(fields(arguments));
            }
        }
    }
    found
}

#[test]
fn the_lines_are_those_that_are_logged() {
    let logged = logged();
    assert!(logged.len() > 20, "{} lines: is this test blind?", logged.len());
    let page = Page::read("docs/reference/logs.md");
    let after = page.text.split_once("## Lines").unwrap().1;
    let rows = after.lines().filter(|line| line.starts_with("| `"));
    let words = |cell: &str| cell.split([',', '`', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let listed: Lines = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [message, levels, fields, _] = cells[..] else { panic!("{row}") };
            (message.trim_matches('`').to_owned(), (words(levels), words(fields)))
        })
        .collect();
    assert_eq!(listed, logged, "left: docs/reference/logs.md, right: src");
}

#[test]
fn arguments_are_read_as_the_compiler_does() {
    assert_eq!(between("%a, \"b) c\") d"), "%a, \"b) c\"");
    let names: Vec<_> = fields("%a, b = %c(d, e), ?f, g, \"h, i\"").into_iter().collect();
    assert_eq!(names, ["a", "b", "f", "g"]);
}
