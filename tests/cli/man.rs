//! The man pages in `docs/man`, and the completions: made from the description that parses the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::harness::{Folder, rsctl};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man")
}

/// Each page with its file name.
fn pages(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|end| end == "1"));
    pages
        .map(|page| (page.file_name().unwrap().display().to_string(), std::fs::read_to_string(&page).unwrap()))
        .collect()
}

/// The names of the commands, and the long flags of each.
fn commands() -> BTreeMap<String, Vec<String>> {
    let command = rsctl::cli::command();
    let flags = |command: &clap::Command| {
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        shown.filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
    };
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| (command.get_name().to_owned(), flags(command))).collect()
}

/// `UPDATE=1` rewrites the pages.
#[test]
fn the_man_pages_are_those_of_the_command_line() {
    let made = Folder::new("man");
    let made = PathBuf::from(made.path(""));
    clap_mangen::generate_to(rsctl::cli::command().disable_help_subcommand(true), &made).unwrap();
    let made = pages(&made);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        pages(&folder()).keys().for_each(|old| std::fs::remove_file(folder().join(old)).unwrap());
        made.iter().for_each(|(name, page)| std::fs::write(folder().join(name), page).unwrap());
    }
    let kept = pages(&folder());
    assert_eq!(kept.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>(), "UPDATE=1 cargo test --test cli");
    for (name, page) in &made {
        assert!(kept[name] == *page, "docs/man/{name} is not what the program says: UPDATE=1 cargo test --test cli");
    }
    for (command, flags) in commands() {
        let page = &kept[&format!("rsctl-{command}.1")];
        let missing: Vec<_> =
            flags.iter().filter(|flag| !page.contains(&format!("\\-\\-{}", flag.replace('-', "\\-")))).collect();
        assert!(missing.is_empty(), "rsctl-{command}.1 lacks {missing:?}");
    }
}

/// What `man` makes of a page. Both renderers of Linux read them: groff's `man` and mandoc.
#[test]
fn the_man_pages_can_be_read() {
    let has =
        |tool: &str| Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let (man, mandoc) = (has("man"), has("mandoc"));
    if !(man || mandoc) {
        return println!("skipped: the man pages are not rendered: there is neither man nor mandoc");
    }
    for name in pages(&folder()).keys() {
        if man {
            let output = Command::new("man")
                .env("MANWIDTH", "100")
                .args(["--warnings", "-l", name])
                .current_dir(folder())
                .output();
            let output = output.unwrap();
            let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && said.is_empty(), "man -l {name}: {said}");
            assert!(text.contains("SYNOPSIS") && text.contains("OPTIONS"), "{name}:\n{text}");
        }
        if mandoc {
            let output =
                Command::new("mandoc").args(["-Tlint", "-Werror", name]).current_dir(folder()).output().unwrap();
            assert!(output.status.success(), "mandoc: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn the_completions_offer_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = rsctl(&["completions", shell]).run();
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
        let missing: Vec<_> = commands().into_keys().filter(|name| !ended.out.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{shell} lacks {missing:?}");
    }
    let folder = Folder::new("completions");
    let script = folder.path("rsctl");
    std::fs::write(&script, rsctl(&["completions", "bash"]).run().out).unwrap();
    let ask = format!(
        ". {script}; COMP_WORDS=(rsctl sw); COMP_CWORD=1; _rsctl rsctl sw rsctl; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "switchover\n", "{output:?}");
}

/// `scripts/image` with a program that is already built.
#[test]
fn the_folder_of_the_image_has_program_pages_and_completions() {
    let work = Folder::new("image");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir(work.path("scripts")).unwrap();
    std::os::unix::fs::symlink(root.join("docs"), work.path("docs")).unwrap();
    std::fs::copy(root.join("scripts/image"), work.path("scripts/image")).unwrap();
    for (name, says) in [("build", env!("CARGO_BIN_EXE_rsctl")), ("sbom", "{}")] {
        let script = work.path(&format!("scripts/{name}"));
        std::fs::write(&script, format!("#!/bin/sh\necho {says}\n")).unwrap();
        assert!(Command::new("chmod").args(["+x", &script]).status().unwrap().success());
    }
    let made = work.path("made");
    let output = Command::new(work.path("scripts/image")).arg(&made).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let made = Path::new(&made);
    let program = Command::new(made.join("rsctl")).arg("--version").output().unwrap();
    assert!(program.status.success());
    assert_eq!(std::fs::read_to_string(made.join("rsctl.cdx.json")).unwrap(), "{}\n");
    let man = made.join("share/man/man1");
    assert_eq!(pages(&man), pages(&folder()));
    for (shell, file) in [
        ("bash", "bash-completion/completions/rsctl"),
        ("zsh", "zsh/site-functions/_rsctl"),
        ("fish", "fish/vendor_completions.d/rsctl.fish"),
    ] {
        let script = std::fs::read_to_string(made.join("share").join(file)).unwrap();
        assert!(script == rsctl(&["completions", shell]).run().out, "{file}");
    }
}
