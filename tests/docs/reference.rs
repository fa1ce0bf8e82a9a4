//! What the reference lists is what the source has: no more and no less.

use std::collections::BTreeSet;

use super::page::{Page, docs};
use super::source::{declaration, literals, names, sources};

type Words = BTreeSet<String>;

/// Literals of the source that satisfy this.
fn literals_where(file: impl Fn(&str) -> bool, wanted: impl Fn(&str) -> bool) -> Words {
    let all = sources();
    let files = all.iter().filter(|source| file(&source.path.to_string_lossy()));
    files.flat_map(|source| literals(&source.code)).filter(|text| wanted(text)).collect()
}

/// The code in the first cell of each row of every table.
fn first_cells(page: &Page) -> Vec<String> {
    let rows = page.prose().into_iter().filter(|(_, line)| line.starts_with("| `"));
    rows.map(|(_, line)| line.split('`').nth(1).unwrap().to_owned()).collect()
}

fn lower(c: char) -> bool {
    c.is_ascii_lowercase() || c == '_'
}

#[test]
fn the_metrics_are_those_that_are_served() {
    let metric = |text: &str| text.strip_prefix("rsctl_").is_some_and(|rest| rest.chars().all(lower));
    let served = literals_where(|file| file.ends_with("metrics.rs"), metric);
    assert!(served.len() > 10, "{served:?}");
    let listed: Words = first_cells(&Page::read("docs/reference/metrics.md")).into_iter().collect();
    assert_eq!(listed, served, "left: docs/reference/metrics.md, right: src");
    for page in docs() {
        for (number, code) in page.code_spans() {
            let words = code.split(|c: char| !lower(c)).filter(|word| metric(word));
            let unknown: Vec<_> = words.filter(|word| !served.contains(*word)).collect();
            assert!(unknown.is_empty(), "{}:{number}: {unknown:?}", page.path.display());
        }
    }
}

#[test]
fn the_tags_are_those_that_are_written() {
    let tag =
        |text: &str| text.strip_prefix("rsctl").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
    let written = literals_where(|file| file.contains("/model/"), |text| tag(text) && !text.contains(' '));
    assert_eq!(written.len(), 5, "{written:?}");
    let listed: Words = first_cells(&Page::read("docs/reference/tags.md")).into_iter().filter(|t| tag(t)).collect();
    assert_eq!(listed, written, "left: docs/reference/tags.md, right: src/model");
}

#[test]
fn the_paths_are_those_that_are_served() {
    let path = |text: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-');
        text.starts_with('/') && text.chars().all(word)
    };
    let all = sources();
    let routers = all.iter().filter(|source| source.code.contains(".route("));
    let served: Words = routers.flat_map(|source| literals(&source.code)).filter(|text| path(text)).collect();
    assert!(served.len() > 15, "{served:?}");
    let spans = Page::read("docs/reference/http-api.md").code_spans();
    let paths = spans.iter().map(|(_, code)| code.trim_start_matches("POST ").trim_start_matches("GET "));
    let listed: Words =
        paths.map(|code| code.split('?').next().unwrap().to_owned()).filter(|text| path(text)).collect();
    assert_eq!(listed, served, "left: docs/reference/http-api.md, right: src");
}

#[test]
fn the_fields_are_those_of_the_status() {
    let page = Page::read("docs/reference/status-json.md");
    let structs: Vec<&str> =
        page.text.lines().filter_map(|l| l.strip_prefix("<!-- fields: ")?.strip_suffix(" -->")).collect();
    assert_eq!(structs.len(), 13, "{structs:?}");
    for name in structs {
        let (body, _) = declaration("struct", name);
        let marker = format!("<!-- fields: {name} -->");
        let listed = page.column_after(&marker).into_iter().map(|cell| cell.trim_matches('`').to_owned());
        let listed: Vec<(String, String)> = listed.zip(page.cells_after(&marker, 2)).collect();
        let of_source = names(&body).into_iter().map(|field| (json_type(&body, &field), field));
        let of_source: Vec<_> = of_source.map(|(kind, field)| (field, kind)).collect();
        assert_eq!(listed, of_source, "{name}: left the page, right the source");
    }
}

/// What JSON makes of a field, in the words of the page. A field that is left out when it is none is not null.
fn json_type(body: &str, field: &str) -> String {
    let head = format!("pub {field}: ");
    let at = body.lines().position(|line| line.trim().starts_with(&head)).unwrap();
    let lines: Vec<&str> = body.lines().collect();
    let left_out = at > 0 && lines[at - 1].contains("skip_serializing_if");
    let rust = lines[at].trim().strip_prefix(&head).unwrap().trim_end_matches(',');
    let (rust, null) = match rust.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        Some(inner) if left_out => (inner, ""),
        Some(inner) => (inner, " or null"),
        None => (rust, ""),
    };
    let kind = match rust {
        "String" | "Health" | "FindingLevel" | "VerdictWord" => "string",
        "bool" => "boolean",
        "u8" | "u64" | "i64" | "f64" | "usize" => "number",
        "Vec<String>" => "list of strings",
        list if list.starts_with("Vec<") => "list",
        _ => "object",
    };
    format!("{kind}{null}")
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let all = sources();
    let outcome = all.iter().find(|source| source.path.ends_with("outcome.rs")).unwrap();
    let arms = outcome.code.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => "));
    let numbers = arms.filter_map(|(_, code)| code.trim_end_matches(',').parse::<u8>().ok());
    let given: BTreeSet<u8> = numbers.collect();
    assert!(given.len() > 8, "{given:?}");
    let listed = Page::read("docs/reference/exit-codes.md").column_after("# Exit codes");
    let listed = listed.iter().flat_map(|cell| cell.split(", ")).map(|code| code.parse::<u8>().unwrap());
    let listed: BTreeSet<u8> = listed.filter(|code| *code < 128).collect();
    assert_eq!(listed, given, "left: docs/reference/exit-codes.md, right: src/outcome.rs");
}

#[test]
fn the_names_from_other_tools_are_those_that_are_read() {
    let variable = |text: &str| text.len() > 5 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let foreign = |text: &str| variable(text) && !text.starts_with("RSCTL_");
    let read = literals_where(|file| file.contains("/settings/"), foreign);
    assert!(read.len() > 12, "{read:?}");
    let spans = Page::read("docs/reference/settings.md").code_spans();
    let listed: Words = spans.into_iter().map(|(_, code)| code).collect();
    let told = |name: &&String| listed.contains(*name) || listed.contains(&format!("{name}_FILE"));
    let silent: Vec<_> = read.iter().filter(|name| !told(name)).collect();
    assert!(silent.is_empty(), "docs/reference/settings.md does not list {silent:?}");
}

#[test]
fn the_variables_of_the_stack_are_those_that_it_reads() {
    let files =
        ["stack.yml", "auth.yml", "secure.yml", "app.yml"].map(|file| Page::read(format!("deploy/swarm/{file}")).text);
    let parts = files.iter().flat_map(|text| text.split("${").skip(1)).map(|rest| rest.split('}').next().unwrap());
    let read: Words = parts.map(|part| part.replace(":-", "=")).collect();
    assert!(read.len() > 8, "{read:?}");
    let page = Page::read("deploy/swarm/README.md");
    let rows = page.prose().into_iter().filter(|(_, line)| line.starts_with("| `") && line.matches('`').count() >= 4);
    let cells = rows.map(|(_, line)| line.split('`').collect::<Vec<_>>());
    let variable = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let listed = cells.filter(|cells| variable(cells[1])).map(|cells| format!("{}={}", cells[1], cells[3])).collect();
    assert_eq!(read, listed, "left: the stack files, right: deploy/swarm/README.md");
}
