//! The declaration of the set's users: `NAME[@DATABASE] [ROLE[@DATABASE]]... [file=PATH]`.

use super::Wanted;
use crate::model::{ADMIN, DeclaredUser, Role, UserId};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

/// The largest number of users. Each costs a derivation of a key when its password is checked.
const USERS_MAX: usize = 100;
/// The files of passwords where nothing else is said. `rsctl secrets` gives the Swarm's secrets these names.
const PASSWORD_FILE: &str = "/run/secrets/mongo-password-";

const FORM: Wanted = Wanted(
    "one user a line, or separated by `;`: NAME[@DATABASE] [ROLE[@DATABASE] ...] [file=PATH], as in `root root; chat; \
     monitoring clusterMonitor read@local`",
);
const NAME: Wanted = Wanted(
    "names of letters, digits, `-`, `_` and `.`, each with at most one `@DATABASE`, and no user of the database local",
);
const FILE: Wanted = Wanted("one absolute path after file=");
const TWICE: Wanted = Wanted("each user once");
const MANY: Wanted = Wanted("at most 100 users");

/// The users that the set must have, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(pub Vec<DeclaredUser>);

impl FromStr for Users {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let entries = lines.flat_map(|line| line.split(';')).map(str::trim).filter(|entry| !entry.is_empty());
        let mut users: Vec<DeclaredUser> = Vec::new();
        for user in entries.map(user) {
            let user = user?;
            if users.iter().any(|known| known.id == user.id) {
                return Err(TWICE);
            }
            users.push(user);
        }
        match users.len() {
            0 => Err(FORM),
            1..=USERS_MAX => Ok(Self(users)),
            _ => Err(MANY),
        }
    }
}

fn user(entry: &str) -> Result<DeclaredUser, Wanted> {
    let mut words = entry.split_whitespace();
    let (name, database) = at_database(words.next().ok_or(FORM)?)?;
    if database == "local" {
        return Err(NAME);
    }
    let (mut roles, mut file) = (BTreeSet::new(), None);
    for word in words {
        match word.split_once('=') {
            Some(("file", path)) if path.starts_with('/') && file.is_none() => file = Some(PathBuf::from(path)),
            Some(("file", _)) => return Err(FILE),
            Some(_) => return Err(FORM),
            None => {
                let (role, database) = at_database(word)?;
                roles.insert(Role { role, database });
            }
        }
    }
    if roles.is_empty() {
        // What an application needs: its own database, and no other one.
        roles.insert(Role { role: "readWrite".to_owned(), database: name.clone() });
    }
    let password_file = file.unwrap_or_else(|| format!("{PASSWORD_FILE}{name}").into());
    Ok(DeclaredUser { id: UserId { name, database }, roles, password_file })
}

fn at_database(word: &str) -> Result<(String, String), Wanted> {
    let (name, database) = word.split_once('@').unwrap_or((word, ADMIN));
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = |text: &str| (1..=63).contains(&text.len()) && text.chars().all(allowed);
    // MongoDB allows no dot in the name of a database.
    if is_name(name) && is_name(database) && !database.contains('.') {
        Ok((name.to_owned(), database.to_owned()))
    } else {
        Err(NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let Users(users) = text.parse().unwrap();
        let roles = |user: &DeclaredUser| user.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        users.iter().map(|u| format!("{} [{}] {}", u.id, roles(u), u.password_file.display())).collect()
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let expected = [
            "root [root@admin] /run/secrets/mongo-password-root",
            "chat [readWrite@chat] /run/secrets/mongo-password-chat",
            "monitoring [clusterMonitor@admin read@local] /run/secrets/mongo-password-monitoring",
            "shop@eu [read@eu readWrite@shop] /pw",
        ];
        let one_line = "root root; chat;monitoring clusterMonitor read@local ; shop@eu readWrite@shop read@eu file=/pw";
        let lines = "# people\nroot root\n\nchat # its own database\nmonitoring read@local clusterMonitor\n\
                     shop@eu file=/pw readWrite@shop read@eu\n";
        assert_eq!(told(one_line), expected);
        assert_eq!(told(lines), expected);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["", ";", "# only a remark", "a;a", "a; a@admin", "chat role=read", "chat read@a@b", "chat@local"] {
            assert!(text.parse::<Users>().is_err(), "{text:?}");
        }
        for text in
            ["chat file=", "chat file=pw", "chat file=/a file=/b", "ch$t", "chat rëad", "chat read@a.b", "@admin"]
        {
            assert!(text.parse::<Users>().is_err(), "{text:?}");
        }
        let many = |count: usize| (0..count).map(|n| format!("u{n};")).collect::<String>().parse::<Users>();
        assert!(many(100).is_ok());
        assert_eq!(many(101), Err(MANY));
    }
}
