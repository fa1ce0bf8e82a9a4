//! Parts of pages that are made from the program, between `<!-- generated: NAME -->` and `<!-- end -->`.

use super::harness::rsctl;
use super::page::{Page, pages, root};

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

#[test]
fn generated_parts_are_what_the_program_says() {
    let (update, mut count) = (std::env::var_os("UPDATE").is_some(), 0);
    for page in pages() {
        let (text, parts) = renewed(&page);
        count += parts;
        if update && text != page.text {
            std::fs::write(root().join(&page.path), text).unwrap();
        } else {
            let differs = page.text.lines().zip(text.lines()).find(|(is, shall)| is != shall);
            assert!(text == page.text, "{}: run UPDATE=1 cargo test --test docs: {differs:?}", page.path.display());
        }
    }
    assert!(count >= 4, "only {count} generated parts are found: is this test blind?");
}

/// The page as it should be, and how many parts of it are generated.
fn renewed(page: &Page) -> (String, usize) {
    let mut parts = page.text.split(BEGIN);
    let (mut text, mut count) = (parts.next().unwrap().to_owned(), 0);
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").unwrap();
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{}: {name}: no end", page.path.display()));
        text.push_str(&format!("{BEGIN}{name} -->\n{}{END}{after}", generated(name)));
        count += 1;
    }
    (text, count)
}

fn generated(name: &str) -> String {
    match name {
        "help" => commands().iter().map(|command| section(command)).collect(),
        "settings" => settings(),
        file => {
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            format!("```text\n{text}```\n")
        }
    }
}

fn help(args: &[&str]) -> String {
    let ended = rsctl(args).run();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    ended.out
}

/// Every command but `help`, in the order of the help.
fn commands() -> Vec<String> {
    let help = help(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

fn section(command: &str) -> String {
    format!("\n## rsctl {command}\n\n```text\n{}```\n", help(&[command, "--help"]))
}

/// A table for each group of settings of `rsctl run`.
fn settings() -> String {
    let mut page = String::new();
    for line in help(&["run", "--help"]).lines() {
        if let Some(title) = line.strip_suffix(':').filter(|title| !title.starts_with(' ')) {
            let title = if title == "Options" { "The controller" } else { title };
            page.push_str(&format!("\n## {title}\n\n| flag | variable | default | |\n|---|---|---|---|\n"));
        } else if line.trim_start().starts_with("--") {
            page.push_str(&row(line.trim_start()));
        }
    }
    page.push('\n');
    page
}

/// `--flag <VALUE>  What it is [env: X] [default: Y] [possible values: a, b]`
fn row(line: &str) -> String {
    let (flag, words) = line.split_once("  ").unwrap();
    let (words, extras) = words.trim().split_once(" [").unwrap_or((words.trim(), ""));
    let extras: Vec<&str> = extras.trim_end_matches(']').split("] [").collect();
    let extra = |name: &str| extras.iter().find_map(|e| e.strip_prefix(name)?.strip_prefix(": "));
    let code = |text: &str| format!("`{text}`");
    let (name, value) = flag.split_once(' ').unwrap_or((flag, ""));
    let value = if value.is_empty() { String::new() } else { format!(" {value}") };
    let values =
        extra("possible values").map(|list| format!(": {}", list.split(", ").map(code).collect::<Vec<_>>().join(", ")));
    let default = extra("default").map_or_else(String::new, |d| if d.contains(' ') { d.to_owned() } else { code(d) });
    let variable = extra("env").map_or_else(String::new, code);
    format!("| `{name}{value}` | {variable} | {default} | {words}{} |\n", values.unwrap_or_default())
}

#[test]
fn a_line_of_help_becomes_a_row() {
    let line = "--mode <MODE>    Which way [env: RSCTL_MODE] [default: a] [possible values: a, b]";
    assert_eq!(row(line), "| `--mode <MODE>` | `RSCTL_MODE` | `a` | Which way: `a`, `b` |\n");
}
