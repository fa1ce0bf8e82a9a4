//! Rules of this project that no compiler checks, as tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

#[path = "tidy/old_words.rs"]
mod old_words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;

/// Words that must not occur in `src/plan` and `src/model`: code that decides has no access to network, clock or output.
const IMPURE_WORDS: [&str; 18] = [
    "tokio",
    "mongodb",
    "hickory_resolver",
    "tracing",
    "axum",
    "hyper",
    "clap",
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "println",
    "eprintln",
    "async",
    "await",
    "unsafe",
];
const IMPURE_MODULES: [&str; 5] = ["fs", "env", "io", "process", "thread"];

#[test]
fn plan_and_model_are_pure() {
    let mut wrong = Vec::new();
    for file in rust_files("src/plan").into_iter().chain(rust_files("src/model")) {
        for (number, line) in code(&file) {
            let words: BTreeSet<&str> = words(&line).collect();
            wrong.extend(IMPURE_WORDS.iter().filter(|w| words.contains(*w)).map(|w| at(&file, number, w)));
            let from_std = line.contains("std::");
            let named =
                |m: &&&str| line.contains(&format!("std::{m}")) || (line.contains("std::{") && words.contains(*m));
            wrong.extend(IMPURE_MODULES.iter().filter(named).filter(|_| from_std).map(|m| at(&file, number, m)));
        }
    }
    assert!(wrong.is_empty(), "src/plan and src/model must have no side effects, but:\n{}", wrong.join("\n"));
}

/// Which write counts for votes and elections depends on the server's version: only `model/version.rs` chooses.
#[test]
fn no_rule_chooses_between_applied_and_written() {
    let mut wrong = Vec::new();
    let fields = ["applied", "written"];
    for file in ["src/plan", "src/reconcile"].into_iter().flat_map(rust_files) {
        for (number, line) in code(&file) {
            let reads = |field: &&&str| line.contains(&format!(".{field}")) && has_word(&line, field);
            wrong.extend(fields.iter().filter(reads).map(|field| at(&file, number, field)));
        }
    }
    assert!(wrong.is_empty(), "use `newest()` instead:\n{}", wrong.join("\n"));
}

/// The rooms of the house, from the cellar up: each may use only those before it. So there is no circle.
const MODULES: [&str; 23] = [
    "panics",
    "secret",
    "protection",
    "telemetry",
    "outcome",
    "model",
    "plan",
    "discovery",
    "mongo",
    "admin",
    "reconcile",
    "parse",
    "certificates",
    "connection_string",
    "publish",
    "cli",
    "settings",
    "runtime",
    "client",
    "launcher",
    "commands",
    "fuzzing",
    "main",
];

#[test]
fn modules_depend_in_one_direction() {
    let mut wrong = Vec::new();
    let mut uses = 0;
    for file in rust_files("src") {
        let module = top_module(&file);
        if module == "lib" {
            continue;
        }
        let rank = |name: &str| MODULES.iter().position(|m| *m == name);
        let Some(own) = rank(&module) else {
            wrong.push(format!("{module} has no place in MODULES"));
            continue;
        };
        let src = root().join("src");
        let at_the_root = file.parent() == Some(&src) || file == src.join(&module).join("mod.rs");
        for (number, line) in code(&file) {
            // These two would hide a use from this test.
            let hidden = line.trim_end().ends_with("crate::{") || (at_the_root && line.contains("super::"));
            wrong.extend(hidden.then(|| at(&file, number, "write `use crate::MODULE::…` on one line")));
            for used in used_modules(&line) {
                uses += usize::from(used != module);
                if rank(&used).is_none_or(|r| r > own) {
                    wrong.push(at(&file, number, &format!("{module} uses {used}")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "a module uses only modules above it in MODULES, but:\n{}", wrong.join("\n"));
    assert!(uses > 50, "only {uses} uses found: is this test blind?");
}

/// The module of the crate's root that this file belongs to.
fn top_module(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    Path::new(inside.iter().next().unwrap()).file_stem().unwrap().to_string_lossy().into_owned()
}

/// The modules that follow `crate::` in this line, or `rsctl::` as `main` calls it. `crate::{` is followed by several.
fn used_modules(line: &str) -> Vec<String> {
    let starts = line.match_indices("crate::").map(|(at, word)| at + word.len());
    let starts = starts.chain(line.match_indices("rsctl::").map(|(at, word)| at + word.len()));
    let mut found = Vec::new();
    for start in starts {
        let rest = &line[start..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(|part| words(part.trim()).next().unwrap_or_default()).collect(),
            None => vec![words(rest).next().unwrap_or_default()],
        };
        found.extend(names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned));
    }
    found
}

#[test]
fn uses_are_found_in_every_form() {
    assert_eq!(used_modules("use crate::plan::{self, Plan};"), ["plan"]);
    assert_eq!(used_modules("use crate::{cli, settings};"), ["cli", "settings"]);
    assert_eq!(used_modules("    x: &crate::model::Node, y: crate::plan::Step"), ["model", "plan"]);
}

#[test]
fn files_fit_on_a_few_screens() {
    let long = |file: &PathBuf| (fs::read_to_string(file).unwrap().lines().count(), file.clone());
    let long: Vec<_> = rust_files("src").iter().map(long).filter(|(lines, _)| *lines >= FILE_LINES_MAX).collect();
    assert!(long.is_empty(), "files have fewer than {FILE_LINES_MAX} lines, but: {long:?}");
}

#[test]
fn the_program_does_not_panic_by_choice() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        for (number, line) in code(&file) {
            let found = [".unwrap()", ".expect(", "todo!(", "unimplemented!("].into_iter().filter(|w| line.contains(w));
            wrong.extend(found.map(|w| at(&file, number, w)));
        }
    }
    assert!(wrong.is_empty(), "outside tests, code must return failures, but:\n{}", wrong.join("\n"));
}

#[test]
fn modules_are_named_for_what_they_are() {
    let vague = ["utils", "util", "helpers", "common", "misc", "manager"];
    let wrong: Vec<_> = rust_files("src")
        .into_iter()
        .filter(|f| vague.iter().any(|v| f.iter().any(|part| Path::new(part).file_stem().is_some_and(|s| s == *v))))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_module_says_what_it_is() {
    let modules = rust_files("src").into_iter().filter(|file| !is_tests(file));
    let silent: Vec<_> = modules.filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! ")).collect();
    assert!(silent.is_empty(), "files without a module comment (`//! …`): {silent:?}");
}

#[test]
fn every_dependency_has_a_reason() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (mut inside, mut above, mut count) = (false, "", 0);
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if inside && line.contains('=') {
            count += 1;
            assert!(
                line.contains(" # ") || above.starts_with("# "),
                "this dependency has no reason in a comment: {line}"
            );
        }
        above = line;
    }
    assert!(count > 10, "only {count} dependencies found: is this test blind?");
}

/// They were lost once, in a change of something else.
#[test]
fn the_lints_are_there() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lints = |table: &str| -> BTreeSet<String> {
        let lines = text.lines().skip_while(move |line| *line != table).skip(1);
        let lines = lines.take_while(|line| !line.starts_with('[')).map(|line| line.split('#').next().unwrap().trim());
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    for (table, expected) in [
        (
            "[lints.rust]",
            ["unsafe_code = \"forbid\"", "unreachable_pub = \"warn\"", "missing_docs = \"warn\""].as_slice(),
        ),
        (
            "[lints.clippy]",
            &[
                "unwrap_used = \"warn\"",
                "dbg_macro = \"warn\"",
                "print_stdout = \"warn\"",
                "print_stderr = \"warn\"",
                "exit = \"warn\"",
                "too_many_lines = \"warn\"",
                "wildcard_imports = \"warn\"",
            ],
        ),
    ] {
        let found = lints(table);
        let missing: Vec<_> = expected.iter().filter(|lint| !found.contains(**lint)).collect();
        assert!(missing.is_empty(), "Cargo.toml, {table}: {missing:?} missing");
    }
}

/// Files and folders in which old words are refused.
const TEXTS: [&str; 12] = [
    "src",
    "tests",
    "examples",
    "scripts",
    "deploy",
    "docs",
    ".github",
    "README.md",
    "BENCHMARKS.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Cargo.toml",
];

#[test]
fn old_words_stay_away() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in TEXTS.iter().flat_map(|name| files(&root().join(name))) {
        if file.ends_with("tests/tidy/old_words.rs") || file.extension().is_some_and(|e| e == "json") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        seen += 1;
        for (number, line) in text.lines().enumerate() {
            let found = old_words::OLD_WORDS.iter().filter(|(old, _)| has_word(line, old));
            wrong.extend(found.map(|(old, new)| at(&file, number + 1, &format!("\"{old}\" is now {new}"))));
        }
    }
    assert!(seen > 200, "only {seen} files found: is this test blind?");
    assert!(wrong.is_empty(), "old words:\n{}", wrong.join("\n"));
}

#[test]
fn old_words_are_found_as_whole_words() {
    assert!(has_word("an OldName here", "OldName") && has_word("rsctl_old_name{}", "old_name"));
    assert!(has_word("olds old", "old") && !has_word("older olds", "old") && !has_word("OldNames", "OldName"));
}

/// Whether a line contains a word with neither a letter nor a digit directly before or after it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    })
}

/// This file, or all files below this folder; none when neither exists.
fn files(path: &Path) -> Vec<PathBuf> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flat_map(|entry| files(&entry.unwrap().path())).collect(),
        Err(_) => path.is_file().then(|| path.to_owned()).into_iter().collect(),
    }
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// All Rust files below a folder of the repository; none when there is no such folder.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines without comments and tests, numbered. Tests are at the end of a file, or in their own file.
fn code(file: &Path) -> Vec<(usize, String)> {
    if is_tests(file) {
        return Vec::new();
    }
    let text = fs::read_to_string(file).unwrap();
    let bare = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let lines: Vec<&str> = text.lines().collect();
    // A `mod tests;` has its own file, and what follows it is code.
    let is_inline = |at: usize| lines.get(at + 1).is_none_or(|next| !next.ends_with(';'));
    let begins_tests = |(at, line): &(usize, &&str)| line.trim_start().starts_with("#[cfg(test)]") && is_inline(*at);
    lines.iter().enumerate().take_while(|line| !begins_tests(line)).map(|(i, line)| (i + 1, bare(line))).collect()
}

/// Whether this file contains only tests, or targets of the fuzzer.
fn is_tests(file: &Path) -> bool {
    file.with_extension("").iter().rev().take(2).any(|part| part == "tests" || part == "fuzzing")
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn at(file: &Path, line: usize, what: &str) -> String {
    let file = file.strip_prefix(root()).unwrap_or(file);
    format!("{}:{line}: {what}", file.display())
}

#[test]
fn these_tests_see_something() {
    assert!(rust_files("src/model").len() > 1);
    let reconcile = code(&root().join("src/reconcile/mod.rs"));
    assert!(reconcile.iter().any(|(_, line)| line.contains("async fn")), "code after `mod tests;` is code");
    assert!(code(&root().join("src/discovery/resolver.rs")).iter().any(|(_, line)| line.contains("tokio")));
}
