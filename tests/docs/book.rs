//! The shape of the documentation: nothing too long, nothing empty, and a book that can be built.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::links::{links, resolve};
use super::page::{Page, docs, pages, root};

const README_LINES_MAX: usize = 120;
const PAGE_LINES_MIN: usize = 5;

#[test]
fn the_readme_is_one_screen_and_a_half() {
    let lines = Page::read("README.md").text.lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines, at most {README_LINES_MAX} are allowed");
}

#[test]
fn no_page_is_empty() {
    let filled = |page: &Page| page.text.lines().filter(|line| !line.trim().is_empty()).count();
    let short: Vec<_> =
        pages().into_iter().filter(|page| filled(page) < PAGE_LINES_MIN).map(|page| page.path).collect();
    assert!(short.is_empty(), "pages with fewer than {PAGE_LINES_MIN} lines: {short:?}");
}

#[test]
fn every_page_begins_with_one_title() {
    for page in docs() {
        assert!(page.text.starts_with("# "), "{} begins with its title", page.path.display());
        let titles = page.prose().into_iter().filter(|(_, line)| line.starts_with("# ")).count();
        let summary = page.path.ends_with("SUMMARY.md"); // mdbook's parts are titles
        assert!(titles == 1 || summary, "{} has {titles} titles", page.path.display());
    }
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = Page::read("docs/SUMMARY.md");
    let listed: Vec<PathBuf> = links(&summary).iter().map(|(_, target)| resolve(&summary.path, target)).collect();
    let once: BTreeSet<PathBuf> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), once.len(), "a page is listed twice");
    let all = docs().into_iter().map(|page| page.path).filter(|path| path != Path::new("docs/SUMMARY.md")).collect();
    assert_eq!(once, all, "left: docs/SUMMARY.md, right: docs");
}

#[test]
fn the_book_can_be_built() {
    let folder = std::env::temp_dir().join(format!("rsctl-book-{}", std::process::id()));
    let mut mdbook = Command::new("mdbook");
    let built = mdbook.args(["build", "docs", "--dest-dir"]).arg(&folder).current_dir(root()).output();
    let output = match built {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: mdbook build docs: {error} (cargo install --locked mdbook)");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let chapters = docs().iter().filter(|page| folder_has(&folder, &page.path)).count();
    let _ = std::fs::remove_dir_all(&folder);
    assert!(output.status.success() && !said.contains("ERROR") && !said.contains("WARN"), "{said}");
    assert_eq!(chapters, docs().len() - 1, "a page is missing in the book");
}

fn folder_has(folder: &Path, page: &Path) -> bool {
    folder.join(page.strip_prefix("docs").unwrap()).with_extension("html").exists()
}
