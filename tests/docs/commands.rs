//! Commands that the pages show: all of them can be read by the program, and those with output give it.

use std::path::Path;
use std::process::Command;

use super::answers::healthy;
use super::harness::Controller;
use super::page::pages;

/// Flags of other programs that pages name.
const FOREIGN: [&str; 13] = [
    "--replSet",
    "--oplogSize",
    "--transitionToAuth",
    "--clusterAuthMode",
    "--tlsAllowConnectionsWithoutCertificates",
    "--tlsCAFile",
    "--tlsCertificateKeyFile",
    "--tlsMode",
    "--lib",
    "--test",
    "--profile",
    "--image",
    "--label-add",
];

/// The words of a command, as a shell splits them, up to the end of that command.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | ';' | '>' | '&') => break,
            (None, ' ') => words.extend(word.take()),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The part of a command that is rsctl's: behind variables, `docker exec CONTAINER`, `deploy/swarm/rsctl` and the
/// like. The first word is not looked at.
fn of_rsctl(words: &[String]) -> Option<&[String]> {
    let (first, from) = match words.first()?.as_str() {
        "docker" if words.get(1).is_some_and(|w| w == "exec") => ("/rsctl", 2),
        "docker" if words.get(1).is_some_and(|w| w == "run") => ("rsctl", 2),
        // The script has the name of the stack before the command.
        script if script.ends_with("/rsctl") && script != "/rsctl" => return words.get(1..),
        _ => ("rsctl", words.iter().take_while(|w| w.contains('=')).count()),
    };
    let direct = from < 2 || words[0] != "docker";
    let at = words.iter().skip(from).position(|word| word == first)? + from;
    (!direct || at == from).then(|| &words[at..])
}

/// What the program's own reader of command lines finds wrong with it.
fn refusal(words: &[String]) -> Option<String> {
    let error = rsctl::cli::command().try_get_matches_from(words).err()?;
    (error.exit_code() != 0).then(|| error.to_string())
}

/// The command lines of a block, those that `\` continues joined.
fn command_lines(language: &str, lines: &[String]) -> Vec<String> {
    let text = lines.join("\n").replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    match language {
        "sh" => lines.map(str::to_owned).collect(),
        "console" => lines.filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect(),
        "yaml" => lines.filter_map(list).collect(),
        _ => Vec::new(),
    }
}

/// `command: [rsctl, exec, …]`, as one line for a shell.
fn list(line: &str) -> Option<String> {
    let (key, list) = line.split_once(": [")?;
    let words = list.strip_suffix(']')?.split(", ");
    ["command", "entrypoint"].contains(&key).then(|| words.collect::<Vec<_>>().join(" "))
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        for block in page.blocks() {
            for line in command_lines(&block.language, &block.lines) {
                let words = shell_words(&line);
                let Some(words) = of_rsctl(&words) else { continue };
                count += 1;
                let at = format!("{}:{}: {line}", page.path.display(), block.line);
                wrong.extend(refusal(words).map(|why| format!("{at}\n{why}")));
            }
        }
    }
    assert!(count > 15, "only {count} commands are found: is this test blind?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_and_flag_in_the_text_exists() {
    let command = rsctl::cli::command();
    let subcommands: Vec<&str> = command.get_subcommands().map(|c| c.get_name()).chain(["help"]).collect();
    let all = command.get_subcommands().chain([&command]);
    let own: Vec<String> =
        all.flat_map(|c| c.get_arguments()).filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
    let known = |flag: &str| own.iter().any(|own| own == flag) || ["--help", "--version"].contains(&flag);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages().iter().filter(|page| !page.path.starts_with("tests")) {
        for (number, code) in page.code_spans() {
            let words: Vec<&str> = code.split_whitespace().take_while(|word| *word != "--").collect();
            let of_rsctl = words.first() == Some(&"rsctl");
            let flag = words.first().is_some_and(|word| word.starts_with("--") && word.len() > 2);
            let flags = words.iter().map(|word| word.split('=').next().unwrap()).filter(|word| word.starts_with("--"));
            let unknown = flags.filter(|flag| !known(flag) && !FOREIGN.contains(flag));
            let no_command = words.get(1).filter(|word| of_rsctl && word.starts_with(|c: char| c.is_ascii_lowercase()));
            let bad = unknown.chain(no_command.filter(|word| !subcommands.contains(word)).copied());
            if of_rsctl || flag {
                count += 1;
                wrong.extend(bad.map(|word| format!("{}:{number}: `{code}`: {word}", page.path.display())));
            }
        }
    }
    assert!(count > 100, "only {count} commands and flags are found: is this test blind?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_console_shows_is_what_comes_out() {
    let controller = Controller::with(healthy().to_string());
    let mut count = 0;
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.language == "console") {
            for (command, shown) in sessions(&block.lines) {
                count += 1;
                assert_eq!(run(&controller, &command), shown, "{}:{}: {command}", page.path.display(), block.line);
            }
        }
    }
    assert!(count > 4, "only {count} commands with output are found: is this test blind?");
}

/// Each command of a block, and what is shown below it.
fn sessions(lines: &[String]) -> Vec<(String, String)> {
    let mut sessions: Vec<(String, String)> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), sessions.last_mut()) {
            (Some(command), _) => sessions.push((command.to_owned(), String::new())),
            (None, Some((_, shown))) => *shown += &format!("{line}\n"),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    sessions
}

/// What a shell prints that has rsctl and a controller of three members.
fn run(controller: &Controller, command: &str) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_rsctl")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.env_clear().env("PATH", path).env("RSCTL_CONTROLLER", controller.url()).args(["-c", command]);
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn commands_are_read_as_a_shell_does() {
    let words = shell_words("A='b c' rsctl exec --set \"D={uri}\" -- sh -c 'echo $D' # why | x");
    assert_eq!(words, ["A=b c", "rsctl", "exec", "--set", "D={uri}", "--", "sh", "-c", "echo $D"]);
    let exec = |line: &str| of_rsctl(&shell_words(line)).map(|words| words.join(" "));
    assert_eq!(exec("docker exec \"$(docker ps -qf name=db_rsctl)\" /rsctl status").unwrap(), "/rsctl status");
    assert_eq!(exec("deploy/swarm/rsctl db plan --output json").unwrap(), "db plan --output json");
    assert_eq!(exec("docker run --rm rsctl plan | cat").unwrap(), "rsctl plan");
    assert_eq!(exec("docker build -t rsctl -f deploy/Dockerfile ."), None);
    assert!(refusal(&shell_words("rsctl stepback")).is_some());
    assert!(refusal(&shell_words("rsctl status --no-such-flag")).is_some());
}
