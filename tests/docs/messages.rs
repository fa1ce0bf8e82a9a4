//! `docs/troubleshooting.md` explains every message that says what is waited for or what is wrong.

use super::page::Page;
use super::source::{declaration, literals, names};

const PAGE: &str = "docs/troubleshooting.md";

/// The kinds of messages that have one section with a table for all, and the least number of texts that each has.
const TABLES: [(&str, usize); 7] = [
    ("ProbeError", 17),
    ("DnsTroubleKind", 8),
    ("Objection", 10),
    ("Obstacle", 9),
    ("NoSuccessor", 6),
    ("CertificateTrouble", 4),
    ("NotRemovable", 3),
];

/// The sections of the page that a comment such as `<!-- Finding::Stuck -->` marks, by what it names.
fn sections(text: &str) -> Vec<(String, String)> {
    let marked = |section: &str| {
        let (_, rest) = section.split_once("<!-- ")?;
        Some((rest.split_once(" -->")?.0.to_owned(), plain(section)))
    };
    text.split("\n##").filter_map(|section| marked(section.trim_start_matches('#'))).collect()
}

/// Text without the breaks of its lines, and without what marks code.
fn plain(text: &str) -> String {
    text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a message that do not change.
fn fixed(message: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in message.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                parts.push(String::new());
            }
            c if depth == 0 => parts.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    let words = parts.iter().map(|part| plain(part));
    words.filter(|part| part.chars().filter(|c| c.is_alphabetic()).count() >= 2).collect()
}

/// What `Display` says of each variant: of an `impl` with one arm for each, where a constant may hold the words.
fn messages(kind: &str) -> Vec<(String, Vec<String>)> {
    let (body, code) = declaration("enum", kind);
    let head = format!("impl fmt::Display for {kind} {{\n");
    let display = code.split_once(&head).unwrap_or_else(|| panic!("no {}", head.trim())).1.split_once("\n}").unwrap().0;
    let said = |name: &String| {
        let arms = display.split("            Self::").skip(1);
        let own = arms.filter(|arm| arm.split(|c: char| !c.is_alphanumeric()).next() == Some(name.as_str()));
        let words = own.flat_map(|arm| {
            let constant = arm.split("write_str(").nth(1).and_then(|rest| rest.split(')').next());
            let constant = constant.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
            constant.map_or_else(|| literals(arm), |name| literals(value(&code, name)))
        });
        (name.clone(), words.flat_map(|message| fixed(&message)).collect())
    };
    names(&body).iter().map(said).collect()
}

/// The value of a constant.
fn value<'c>(code: &'c str, constant: &str) -> &'c str {
    let rest = code.split_once(&format!("const {constant}: &str =")).unwrap_or_else(|| panic!("no {constant}")).1;
    rest.split_once(";\n").unwrap().0
}

#[test]
fn every_message_has_a_section_with_its_words() {
    let page = Page::read(PAGE);
    let sections = sections(&page.text);
    let (mut wrong, mut expected, mut words) = (Vec::new(), Vec::new(), 0);
    for kind in ["WaitingOn", "Finding", "UserTrouble"] {
        for (name, message) in messages(kind) {
            let marker = format!("{kind}::{name}");
            match sections.iter().find(|(named, _)| *named == marker) {
                None => wrong.push(format!("no section with <!-- {marker} -->")),
                Some((_, text)) => {
                    words += message.len();
                    let missing = message.iter().filter(|part| !text.contains(*part));
                    wrong.extend(missing.map(|part| format!("{marker}: its section lacks \"{part}\"")));
                    for part in ["**Cause.**", "**What to do.**"].iter().filter(|part| !text.contains(*part)) {
                        wrong.push(format!("{marker}: its section lacks {part}"));
                    }
                }
            }
            expected.push(marker);
        }
    }
    let unknown = sections.iter().map(|(named, _)| named).filter(|named| named.contains("::"));
    wrong.extend(unknown.filter(|named| !expected.contains(named)).map(|named| format!("there is no {named}")));
    assert!(expected.len() > 30 && words > 40, "{} messages, {words} parts: is this test blind?", expected.len());
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
}

#[test]
fn messages_that_stand_in_tables_are_explained() {
    let page = Page::read(PAGE);
    let sections = sections(&page.text);
    let mut wrong = Vec::new();
    for (kind, least) in TABLES {
        let section = sections.iter().find(|(named, _)| named == kind);
        let (_, text) = section.unwrap_or_else(|| panic!("{PAGE}: no section with <!-- {kind} -->"));
        let (body, _) = declaration("enum", kind);
        // thiserror's words stand before the variant, others in an `impl`.
        let said = match body.contains("#[error(") {
            true => body.split("#[error(").skip(1).filter_map(|rest| literals(rest).into_iter().next()).collect(),
            false => messages(kind).into_iter().flat_map(|(_, parts)| parts).collect::<Vec<_>>(),
        };
        assert!(said.len() >= least, "only {} messages of {kind} are found: is this test blind?", said.len());
        let missing = said.iter().flat_map(|message| fixed(message)).filter(|part| !text.contains(part.as_str()));
        wrong.extend(missing.map(|part| format!("{kind}: no \"{part}\"")));
    }
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
}
