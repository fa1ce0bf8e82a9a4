//! Links between pages lead to files and headings that exist.

use std::path::{Component, Path, PathBuf};

use super::page::{Page, pages, root, split_code};

/// The targets of the links in a page, each with the number of its line.
pub(crate) fn links(page: &Page) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in page.prose() {
        let (prose, _) = split_code(line);
        for part in prose.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            found.push((number, target.to_owned()));
        }
    }
    found
}

/// The path from the root that a target stands for, seen from a page.
pub(crate) fn resolve(page: &Path, target: &str) -> PathBuf {
    let mut path = page.parent().unwrap().to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{target} in {} leaves the repository", page.display()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        for (number, target) in links(&page).into_iter().filter(|(_, target)| !target.contains("://")) {
            count += 1;
            let (file, heading) = target.split_once('#').map_or((target.as_str(), None), |(f, h)| (f, Some(h)));
            let path = if file.is_empty() { page.path.clone() } else { resolve(&page.path, file) };
            let at = format!("{}:{number}: {target}", page.path.display());
            if !root().join(&path).exists() {
                wrong.push(format!("{at}: no such file"));
            } else if heading.is_some_and(|heading| !Page::read(&path).anchors().iter().any(|a| a == heading)) {
                wrong.push(format!("{at}: no such heading"));
            }
        }
    }
    assert!(count > 100, "only {count} links are found: is this test blind?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
