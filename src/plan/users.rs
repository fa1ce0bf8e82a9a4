//! What the controller does with one declared user: at most one command, and never over what an operator changed.

use crate::model::{DeclaredUser, SeenUser, StoredPassword, UserTrouble};

/// One command for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStep {
    /// Create the user with the declared roles and the password in the file.
    Create,
    /// Give the user the password in the file.
    SetPassword,
    /// Note on the user that its password is the one in the file.
    Mark,
}

/// What to do with a user, and what an operator should know of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPlan {
    /// The next command.
    pub next: Option<UserStep>,
    /// What is not as declared and stays so.
    pub troubles: Vec<UserTrouble>,
}

/// Decides what to do with a declared user. `file` says what is wrong with the file of its password. `seen` is none if
/// the set has no such user.
///
/// The roles only matter when the user is created. The password is changed only if it is still the one that rsctl noted,
/// so a password that an operator set stays.
pub fn plan_user(declared: &DeclaredUser, file: Result<(), String>, seen: Option<&SeenUser>) -> UserPlan {
    let user = || declared.id.clone();
    let path = || declared.password_file.clone();
    let mut plan = UserPlan::default();
    if let Some(seen) = seen
        && seen.roles != declared.roles
    {
        let (found, declared) = (seen.roles.clone(), declared.roles.clone());
        plan.troubles.push(UserTrouble::OtherRoles { user: user(), found, declared });
    }
    match (file, seen.map(|seen| seen.password)) {
        (Err(reason), _) => plan.troubles.push(UserTrouble::PasswordFile { user: user(), path: path(), reason }),
        (Ok(()), None) => plan.next = Some(UserStep::Create),
        (Ok(()), Some(StoredPassword::AsInFile { marked: true })) => {}
        (Ok(()), Some(StoredPassword::AsInFile { marked: false })) => plan.next = Some(UserStep::Mark),
        (Ok(()), Some(StoredPassword::FromFileBefore)) => plan.next = Some(UserStep::SetPassword),
        (Ok(()), Some(StoredPassword::Foreign)) => {
            plan.troubles.push(UserTrouble::OtherPassword { user: user(), path: path() });
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, UserId};
    use StoredPassword::{AsInFile, Foreign, FromFileBefore};

    fn role(text: &str) -> Role {
        let (role, database) = text.split_once('@').unwrap();
        Role { role: role.to_owned(), database: database.to_owned() }
    }

    fn chat() -> DeclaredUser {
        let id = UserId { name: "chat".to_owned(), database: "admin".to_owned() };
        DeclaredUser { id, roles: [role("readWrite@chat")].into(), password_file: "/run/secrets/chat".into() }
    }

    fn seen(roles: &[&str], password: StoredPassword) -> SeenUser {
        SeenUser { roles: roles.iter().map(|text| role(text)).collect(), password }
    }

    fn decided(file: Result<(), &str>, seen: Option<&SeenUser>) -> (Option<UserStep>, Vec<String>) {
        let UserPlan { next, troubles } = plan_user(&chat(), file.map_err(str::to_owned), seen);
        (next, troubles.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_password_has_its_step() {
        for (password, next) in [
            (AsInFile { marked: true }, None),
            (AsInFile { marked: false }, Some(UserStep::Mark)),
            (FromFileBefore, Some(UserStep::SetPassword)),
        ] {
            assert_eq!(decided(Ok(()), Some(&seen(&["readWrite@chat"], password))), (next, Vec::new()), "{password:?}");
        }
        assert_eq!(decided(Ok(()), None), (Some(UserStep::Create), Vec::new()));
    }

    #[test]
    fn a_password_that_somebody_else_set_stays() {
        let (next, troubles) = decided(Ok(()), Some(&seen(&["readWrite@chat"], Foreign)));
        assert_eq!((next, troubles.len()), (None, 1));
        assert!(troubles[0].contains("/run/secrets/chat"), "{troubles:?}");
    }

    #[test]
    fn other_roles_stay_and_the_password_is_changed_all_the_same() {
        for roles in [&["readWrite@chat", "read@other"][..], &["read@chat"], &[]] {
            let (next, troubles) = decided(Ok(()), Some(&seen(roles, FromFileBefore)));
            assert_eq!((next, troubles.len()), (Some(UserStep::SetPassword), 1), "{roles:?}");
        }
    }

    #[test]
    fn without_a_usable_file_nothing_is_done() {
        let passwords = [AsInFile { marked: false }, FromFileBefore, Foreign];
        let there = passwords.map(|password| Some(seen(&["readWrite@chat"], password)));
        for seen in there.iter().map(Option::as_ref).chain([None]) {
            let (next, troubles) = decided(Err("is empty"), seen);
            assert_eq!((next, troubles.len()), (None, 1), "{seen:?}");
            assert!(troubles[0].contains("is empty: /run/secrets/chat"), "{troubles:?}");
        }
    }
}
