//! `rsctl secrets`: the files, what is kept, and what is refused. `tests/mongod/secure.rs` shows that mongod takes them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::answers::healthy;
use super::harness::{Controller, Ended, Folder, rsctl};

const NODES: [&str; 5] = ["secrets", "--nodes", "node1,node2", "--app", "chat"];
const FILES: [&str; 8] = [
    "ca.key",
    "mongo-ca",
    "mongo-keyfile",
    "mongo-password-chat",
    "mongo-password-monitoring",
    "mongo-password-root",
    "mongo-rsctl",
    "mongo-server",
];

fn make(out: &str, more: &[&str]) -> Ended {
    rsctl(&[&NODES, &["--out", out][..], more].concat()).run()
}

/// The name and the text of each file.
fn held(out: &str) -> Vec<(String, String)> {
    let files = fs::read_dir(out).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())).collect();
    files.sort();
    files
}

fn is_refused(out: &str, more: &[&str], expected: &str) {
    let before = held(out);
    let ended = make(out, more);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended:?}");
    assert!(ended.err.contains(expected), "{expected}: {ended:?}");
    assert_eq!(held(out), before, "nothing is written");
}

#[test]
fn the_files_are_for_their_owner_only_and_nothing_of_them_is_printed() {
    let folder = Folder::new("secrets-new");
    let out = folder.path("it's new");
    let ended = make(&out, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let names = held(&out).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names, FILES);
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&out), 0o700);
    for (name, text) in held(&out) {
        assert_eq!(mode(&format!("{out}/{name}")), 0o600, "{name}");
        for line in text.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!ended.out.contains(line) && !ended.err.contains(line), "{name} is printed");
        }
    }
    let quoted = out.replace('\'', r"'\''");
    let commands = ["ca", "server", "rsctl", "keyfile", "password-root", "password-monitoring", "password-chat"]
        .map(|name| format!("docker secret create mongo-{name} '{quoted}/mongo-{name}'\n"));
    assert_eq!(ended.out, commands.concat(), "the key of the authority is not for the Swarm");
    for expected in [
        "note: mongo-server is for mongo-node1, mongo-node2, mongo, tasks.mongo, localhost, 127.0.0.1\n",
        "note: mongo-ca is valid until 20",
        "note: mongo-server is valid until 20",
        "note: keep ca.key away from the nodes",
    ] {
        assert!(ended.err.contains(expected), "{expected}: {}", ended.err);
    }
}

#[test]
fn what_exists_is_kept_and_what_is_missing_is_made() {
    let folder = Folder::new("secrets-kept");
    let out = folder.path("secrets");
    let first = make(&out, &[]);
    let before = held(&out);
    let again = make(&out, &["--app", "orion"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(again.out.strip_prefix(&first.out).unwrap().matches("mongo-password-orion").count(), 2);
    let after = held(&out);
    assert!(before.iter().all(|file| after.contains(file)), "a file is changed");
    assert_eq!(after.len(), before.len() + 1);

    // A node more: the old certificate is not for it, and a new one is of the same authority.
    let wider = ["--nodes", "node3", "--name", "db.example"];
    is_refused(
        &out,
        &wider,
        "mongo-server is kept, but it cannot be used; rsctl makes another one if you move it away",
    );
    is_refused(&out, &wider, ": is not valid for mongo-node3\n");
    fs::remove_file(format!("{out}/mongo-server")).unwrap();
    let ended = make(&out, &wider);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.err.contains("mongo-node2, mongo-node3, mongo, tasks.mongo, localhost, 127.0.0.1, db.example\n"));

    // The key of the authority may be elsewhere, as long as nothing is to be signed.
    fs::rename(format!("{out}/ca.key"), folder.path("elsewhere")).unwrap();
    assert_eq!(make(&out, &[]).code, 0);
    fs::remove_file(format!("{out}/mongo-rsctl")).unwrap();
    is_refused(&out, &[], "needs both ca.key and mongo-ca to sign");
}

#[test]
fn what_cannot_be_used_is_named_and_nothing_is_written() {
    let folder = Folder::new("secrets-bad");
    let (out, other) = (folder.path("secrets"), folder.path("other"));
    assert_eq!((make(&out, &[]).code, make(&other, &[]).code), (0, 0));
    fs::remove_file(format!("{out}/mongo-password-chat")).unwrap();
    for (name, text, expected) in [
        ("mongo-keyfile", Some("short".to_owned()), "secrets/mongo-keyfile is kept, but it cannot be used"),
        ("mongo-password-root", Some("\n".to_owned()), "secrets/mongo-password-root is kept, but it cannot be used"),
        ("mongo-rsctl", Some("no PEM".to_owned()), "holds no certificate in PEM"),
        ("mongo-server", Some(fs::read_to_string(format!("{other}/mongo-server")).unwrap()), "is not accepted: "),
        ("ca.key", Some(fs::read_to_string(format!("{other}/ca.key")).unwrap()), "is not the key of this authority"),
        ("mongo-ca", None, "needs both ca.key and mongo-ca to sign"),
    ] {
        let path = format!("{out}/{name}");
        let good = fs::read_to_string(&path).unwrap();
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        is_refused(&out, &[], expected);
        fs::write(&path, good).unwrap();
    }
    fs::set_permissions(&out, fs::Permissions::from_mode(0o750)).unwrap();
    is_refused(&out, &[], "other users can read ");
    let ended = make(&folder.path("no/such"), &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("cannot write ") && ended.err.contains("No such file"), "{}", ended.err);
}

/// The command of the application in `docs/guides/secure.md`, with another program.
#[test]
fn the_application_of_the_guide_gets_its_uri() {
    let folder = Folder::new("secrets-guide");
    let out = folder.path("secrets");
    assert_eq!(make(&out, &[]).code, 0);
    let guide = include_str!("../../docs/guides/secure.md");
    let words = guide.split("    command:\n").nth(1).unwrap().lines().map_while(|line| line.strip_prefix("      - "));
    let words: Vec<_> = words.map(|word| word.replace("/run/secrets", &out)).collect();
    let (program, own) = (words.len() - 2, words[1..].iter().map(String::as_str));
    assert_eq!(words[program..], ["npm", "start"], "which stands for any program");
    let own: Vec<_> = own.take(program - 1).chain(["printenv", "DATABASE_URL"]).collect();
    let ended = rsctl(&own).asking(&Controller::with(healthy().to_string())).run();
    let password = fs::read_to_string(format!("{out}/mongo-password-chat")).unwrap();
    let hosts = "mongo-node1:27017,mongo-node2:27017,mongo-node3:27017";
    let options = format!("replicaSet=rs&authSource=admin&tls=true&tlsCAFile={out}/mongo-ca");
    assert_eq!(ended.out, format!("mongodb://chat:{password}@{hosts}/chat?{options}\n"), "{ended:?}");
}
