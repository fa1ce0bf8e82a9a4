//! The users of the set: reads them with what is stored of their passwords, and creates and changes them.
//!
//! **Invariant:** only a mongod that proved that it knows the controller's secret receives a password, and only as the
//! new one of a user. The settings demand a login for that.

use super::scram::{Cost, Keys};
use super::{COMMAND_LIMIT, Error, Mongods};
use crate::model::{DeclaredUser, Role, SeenUser, StoredPassword, UserId};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::{Bson, Document, doc};
use ring::digest::{SHA256, digest};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The field of `customData` that is rsctl's. Everything else there is the operator's.
const OURS: &str = "rsctl";
const MARK: &str = "passwordFromFile";
/// How long the server waits until a majority has a user. It is shorter than the limit of a command.
const MAJORITY_LIMIT_MS: i32 = 3000;

/// A user as the primary stores it.
#[derive(Clone, PartialEq)]
pub struct StoredUser {
    roles: BTreeSet<Role>,
    custom: Document,
    credential: Option<Credential>,
}

/// What is stored of a password for SCRAM-SHA-256. The server chooses another salt whenever a password is set.
#[derive(Clone, PartialEq)]
struct Credential {
    cost: Cost,
    stored: String,
    server: String,
    mark: String,
}

impl StoredUser {
    fn read(user: &Document) -> Result<Self, Error> {
        let unreadable = || Error::Unreadable("usersInfo");
        let role = |role: &Bson| {
            let role = role.as_document()?;
            Some(Role { role: role.get_str("role").ok()?.to_owned(), database: role.get_str("db").ok()?.to_owned() })
        };
        let roles = user.get_array("roles").map_err(|_| unreadable())?.iter().map(role);
        let roles = roles.collect::<Option<_>>().ok_or_else(unreadable)?;
        let custom = user.get_document("customData").cloned().unwrap_or_default();
        let credentials = user.get_document("credentials").map_err(|_| Error::Unreadable("usersInfo.credentials"))?;
        Ok(Self { roles, custom, credential: Credential::read(credentials) })
    }

    /// What changes when somebody sets the password. It is none if there is no password for SCRAM-SHA-256.
    fn mark(&self) -> Option<&str> {
        self.credential.as_ref().map(|credential| credential.mark.as_str())
    }

    /// Compares with the password in the file. It takes milliseconds of processor time, so it must not run on the thread
    /// that serves requests.
    pub fn compare(&self, password: &Secret) -> SeenUser {
        let noted = self.custom.get_document(OURS).and_then(|ours| ours.get_str(MARK)).ok();
        let marked = noted.is_some() && noted == self.mark();
        let same = self.credential.as_ref().is_some_and(|credential| credential.is_of(password));
        let password = match (same, marked) {
            (true, marked) => StoredPassword::AsInFile { marked },
            (false, true) => StoredPassword::FromFileBefore,
            (false, false) => StoredPassword::Foreign,
        };
        SeenUser { roles: self.roles.clone(), password }
    }

    /// The user, with nothing known about its password.
    pub fn unchecked(&self) -> SeenUser {
        SeenUser { roles: self.roles.clone(), password: StoredPassword::Foreign }
    }
}

impl Credential {
    /// None if it is not there or makes no sense.
    fn read(credentials: &Document) -> Option<Self> {
        let scram = credentials.get_document("SCRAM-SHA-256").ok()?;
        let (salt, stored) = (scram.get_str("salt").ok()?, scram.get_str("storedKey").ok()?);
        let server = scram.get_str("serverKey").ok()?;
        let cost = Cost::stored(salt, scram.get_i32("iterationCount").ok()?).ok()?;
        // The salt is random and part of it, so nothing about the password can be found from it.
        let digest = digest(&SHA256, format!("{salt} {stored}").as_bytes());
        let mark = URL_SAFE_NO_PAD.encode(digest.as_ref());
        Some(Self { cost, stored: stored.to_owned(), server: server.to_owned(), mark })
    }

    fn is_of(&self, password: &Secret) -> bool {
        let keys = Keys::derive(password, &self.cost).map(|keys| keys.as_stored());
        keys.is_ok_and(|(stored, server)| stored == self.stored && server == self.server)
    }
}

impl Mongods {
    /// The users of these that exist.
    ///
    /// # Errors
    /// The mongod does not answer, or rsctl may not see users.
    pub async fn users(&self, at: SocketAddr, wanted: &[UserId]) -> Result<BTreeMap<UserId, StoredUser>, Error> {
        let ids: Vec<_> = wanted.iter().map(|id| doc! { "user": &id.name, "db": &id.database }).collect();
        let reply =
            self.command(at, "admin", doc! { "usersInfo": ids, "showCredentials": true }, COMMAND_LIMIT).await?;
        let users = reply.get_array("users").map_err(|_| Error::Unreadable("usersInfo"))?;
        let read = |user: &Bson| {
            let user = user.as_document().ok_or(Error::Unreadable("usersInfo"))?;
            let text = |key| user.get_str(key).map(str::to_owned).map_err(|_| Error::Unreadable("usersInfo"));
            Ok((UserId { name: text("user")?, database: text("db")? }, StoredUser::read(user)?))
        };
        users.iter().map(read).collect()
    }

    /// Creates a user, for every mechanism that the server offers by itself: SCRAM-SHA-1 and SCRAM-SHA-256.
    ///
    /// # Errors
    /// The server refuses, for example because the user exists. After a timeout the outcome is unknown.
    pub async fn create_user(&self, at: SocketAddr, user: &DeclaredUser, password: &Secret) -> Result<(), Error> {
        let roles: Vec<_> = user.roles.iter().map(|r| doc! { "role": &r.role, "db": &r.database }).collect();
        self.change_user(at, "createUser", &user.id, doc! { "pwd": password.expose(), "roles": roles }).await
    }

    /// Sets the password of a user.
    ///
    /// # Errors
    /// The server refuses. After a timeout the outcome is unknown.
    pub async fn set_password(&self, at: SocketAddr, id: &UserId, password: &Secret) -> Result<(), Error> {
        self.change_user(at, "updateUser", id, doc! { "pwd": password.expose() }).await
    }

    /// Notes on a user that its stored password is the one in the file. The rest of its `customData` stays.
    ///
    /// # Errors
    /// The server refuses. After a timeout the outcome is unknown.
    pub async fn mark_user(&self, at: SocketAddr, id: &UserId, user: &StoredUser) -> Result<(), Error> {
        let mut custom = user.custom.clone();
        let mut ours = custom.get_document(OURS).cloned().unwrap_or_default();
        ours.insert(MARK, user.mark());
        custom.insert(OURS, ours);
        self.change_user(at, "updateUser", id, doc! { "customData": custom }).await
    }

    async fn change_user(
        &self,
        at: SocketAddr,
        command: &'static str,
        id: &UserId,
        change: Document,
    ) -> Result<(), Error> {
        let mut whole = doc! { command: &id.name };
        whole.extend(change);
        whole.insert("writeConcern", doc! { "w": "majority", "wtimeout": MAJORITY_LIMIT_MS });
        self.command(at, &id.database, whole, COMMAND_LIMIT).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3, as a server stores it.
    fn pencil(custom: Document) -> StoredUser {
        let scram = doc! {
            "iterationCount": 4096, "salt": "W22ZaJ0SNY7soEsUEjb6gQ==",
            "storedKey": "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
            "serverKey": "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        };
        let roles = [doc! { "role": "readWrite", "db": "chat" }];
        StoredUser::read(&doc! { "roles": roles, "customData": custom, "credentials": { "SCRAM-SHA-256": scram } })
            .unwrap()
    }

    fn password(user: &StoredUser, text: &str) -> StoredPassword {
        user.compare(&Secret::new(text)).password
    }

    #[test]
    fn the_stored_password_is_recognised_without_a_login() {
        let unmarked = pencil(doc! { "team": "blue" });
        assert_eq!(password(&unmarked, "pencil"), StoredPassword::AsInFile { marked: false });
        assert_eq!(password(&unmarked, "crayon"), StoredPassword::Foreign);
        let mark = unmarked.mark().unwrap();
        let marked = pencil(doc! { "rsctl": { "passwordFromFile": mark } });
        assert_eq!(password(&marked, "pencil"), StoredPassword::AsInFile { marked: true });
        assert_eq!(password(&marked, "crayon"), StoredPassword::FromFileBefore);
        let other = pencil(doc! { "rsctl": { "passwordFromFile": "of an older password" } });
        assert_eq!(password(&other, "crayon"), StoredPassword::Foreign);
    }

    #[test]
    fn a_user_without_this_mechanism_is_somebody_else_s() {
        for credentials in [doc! {}, doc! { "SCRAM-SHA-256": {} }, doc! { "SCRAM-SHA-1": { "salt": "" } }] {
            let custom = doc! { "rsctl": {} };
            let user = doc! { "roles": [], "customData": custom, "credentials": credentials };
            assert_eq!(password(&StoredUser::read(&user).unwrap(), "pencil"), StoredPassword::Foreign);
        }
        assert!(StoredUser::read(&doc! { "roles": [] }).is_err(), "a server that hides credentials is not believed");
    }
}
