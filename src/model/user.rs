//! The users of the set that the controller keeps, as an operator declares them, and what is wrong with them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// The database that defines a user or a role if nothing else is said.
pub const ADMIN: &str = "admin";

/// A user's name, with the database that defines the user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId {
    /// The name.
    pub name: String,
    /// The authentication database.
    pub database: String,
}

/// A role in a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    /// The name of the role.
    pub role: String,
    /// The database that the role is for, or that defines it.
    pub database: String,
}

/// A user that the set must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredUser {
    /// The user.
    pub id: UserId,
    /// The roles of the user when it is created.
    pub roles: BTreeSet<Role>,
    /// The file that holds the password and nothing else.
    pub password_file: PathBuf,
}

/// A user that the set has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenUser {
    /// The roles that the user was granted.
    pub roles: BTreeSet<Role>,
    /// What its password is.
    pub password: StoredPassword,
}

/// The password of a user, as far as it can be known without the password itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredPassword {
    /// It is the one in the file. `marked` says whether rsctl has noted that.
    AsInFile {
        /// The note is there.
        marked: bool,
    },
    /// It is not the one in the file, and it is the one that rsctl set or found in the file before.
    FromFileBefore,
    /// It is not the one in the file, and somebody else set it.
    Foreign,
}

/// What keeps a declared user from being as it is declared. Nothing about a password is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserTrouble {
    /// The file with the password cannot be used.
    PasswordFile {
        /// The user.
        user: UserId,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The user has other roles than it is declared with.
    OtherRoles {
        /// The user.
        user: UserId,
        /// The roles that it has.
        found: BTreeSet<Role>,
        /// The roles that it is declared with.
        declared: BTreeSet<Role>,
    },
    /// The user has a password that is neither in the file nor was set by rsctl.
    OtherPassword {
        /// The user.
        user: UserId,
        /// The file.
        path: PathBuf,
    },
    /// The primary does not do what the user needs.
    Refused {
        /// The user.
        user: UserId,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, database } = self;
        if database == ADMIN { f.write_str(name) } else { write!(f, "{name}@{database}") }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.role, self.database)
    }
}

impl fmt::Display for UserTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PasswordFile { user, path, reason } => write!(
                f,
                "the user {user} is left as it is, because the file with its password {reason}: {}",
                path.display()
            ),
            Self::OtherRoles { user, found, declared } => write!(
                f,
                "the user {user} has other roles ({}) than it is declared with ({}), and rsctl leaves them as they are: \
                 change the declaration, or the roles with db.updateUser()",
                list(found),
                list(declared)
            ),
            Self::OtherPassword { user, path } => write!(
                f,
                "the user {user} has a password that is not the one in {} and that rsctl did not set, and rsctl leaves it \
                 as it is: put it into that file, or change it with db.changeUserPassword()",
                path.display()
            ),
            Self::Refused { user, reason } => {
                write!(f, "the user {user} cannot be made or changed ({reason}); rsctl tries again")
            }
        }
    }
}

fn list(roles: &BTreeSet<Role>) -> String {
    if roles.is_empty() {
        return "none".to_owned();
    }
    roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
