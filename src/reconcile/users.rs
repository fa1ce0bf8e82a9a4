//! Keeps the declared users, beside the loop: neither waits for the other.
//!
//! **Invariant:** one user's failure holds up no other user, and nothing here holds up a repair of the set.

use crate::model::{DeclaredUser, Observed, SeenUser, UserId, UserTrouble};
use crate::mongo::{Error, Mongods, StoredUser};
use crate::outcome::Chain;
use crate::plan::{Plan, UserPlan, UserStep, plan_user};
use crate::secret::{Secret, SecretError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{debug, info};

/// The time between two looks at the users, in intervals of the loop: 30 s by default. A file that changes is noticed
/// this late. While something is wrong, it is one interval.
const CALM_INTERVALS: u32 = 6;
/// The most looks in a row. A new user needs three: it is created, marked, and found as it should be.
const LOOKS_MAX: usize = 5;

/// What is wrong with the declared users, shared between their keeper and the loop.
#[derive(Debug)]
pub struct UserTroubles {
    troubles: Mutex<Vec<UserTrouble>>,
    wake: Arc<Notify>,
}

impl UserTroubles {
    /// Nothing is known to be wrong. Every change notifies `wake`.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { troubles: Mutex::default(), wake }
    }

    pub(super) fn newest(&self) -> Vec<UserTrouble> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, troubles: Vec<UserTrouble>) {
        let mut known = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != troubles {
            *known = troubles;
            self.wake.notify_one();
        }
    }
}

/// Where users may be changed now: at the primary, unless an operator has paused the controllers.
pub fn place_for_users(observed: &Observed, plan: &Plan) -> Option<SocketAddr> {
    if observed.pause.is_some() { None } else { observed.node(plan.primary.as_ref()?)?.at }
}

/// Gives the set its declared users, until the future is dropped.
pub struct UserKeeper<'k> {
    mongods: &'k Mongods,
    declared: &'k [DeclaredUser],
    troubles: &'k UserTroubles,
    interval: Duration,
    compared: BTreeMap<UserId, Comparison>,
}

/// A comparison that needs no repetition while neither side changes.
struct Comparison {
    password: Secret,
    user: StoredUser,
    seen: SeenUser,
}

impl<'k> UserKeeper<'k> {
    /// A keeper of these users. It knows nothing yet.
    pub fn new(
        mongods: &'k Mongods,
        declared: &'k [DeclaredUser],
        troubles: &'k UserTroubles,
        interval: Duration,
    ) -> Self {
        Self { mongods, declared, troubles, interval, compared: BTreeMap::new() }
    }

    /// Runs for ever. `place` is where users may be changed.
    pub async fn run(mut self, mut place: watch::Receiver<Option<SocketAddr>>) {
        loop {
            let at = *place.borrow_and_update();
            let mut wait = self.interval * CALM_INTERVALS;
            if let Some(at) = at.filter(|_| !self.declared.is_empty()) {
                let troubles = self.keep(at).await;
                if !troubles.is_empty() {
                    wait = self.interval;
                }
                self.troubles.replace(troubles);
            }
            tokio::select! {
                changed = place.changed() => if changed.is_err() { std::future::pending().await },
                () = sleep(wait) => {}
            }
        }
    }

    /// Looks and acts until there is nothing left to do. Returns what is wrong.
    async fn keep(&mut self, at: SocketAddr) -> Vec<UserTrouble> {
        let mut troubles = Vec::new();
        for _ in 0..LOOKS_MAX {
            let ids: Vec<_> = self.declared.iter().map(|user| user.id.clone()).collect();
            let stored = match self.mongods.users(at, &ids).await {
                Ok(stored) => stored,
                Err(error) if error.is_lost_race() => return self.troubles.newest(),
                Err(error) => {
                    let reason = in_words(&error);
                    return ids.into_iter().map(|user| UserTrouble::Refused { user, reason: reason.clone() }).collect();
                }
            };
            troubles.clear();
            let mut acted = false;
            for user in self.declared {
                let (done, wrong) = self.keep_one(at, user, stored.get(&user.id)).await;
                acted |= done;
                troubles.extend(wrong);
            }
            if !acted {
                break;
            }
        }
        troubles
    }

    /// Does at most one command for one user. Returns whether it did one, and what is wrong.
    async fn keep_one(
        &mut self,
        at: SocketAddr,
        declared: &DeclaredUser,
        stored: Option<&StoredUser>,
    ) -> (bool, Vec<UserTrouble>) {
        let (password, seen) = self.compare(declared, stored).await;
        let file = password.as_ref().map(drop).map_err(|error| Chain(error).to_string());
        let UserPlan { next, mut troubles } = plan_user(declared, file, seen.as_ref());
        let (Some(step), Ok(password)) = (next, password) else { return (false, troubles) };
        let user = &declared.id;
        let outcome = match (step, stored) {
            (UserStep::Create, _) => self.mongods.create_user(at, declared, &password).await,
            (UserStep::SetPassword, _) => self.mongods.set_password(at, user, &password).await,
            (UserStep::Mark, Some(stored)) => self.mongods.mark_user(at, user, stored).await,
            (UserStep::Mark, None) => Ok(()),
        };
        match (outcome, step) {
            (Ok(()), UserStep::Create) => info!(%user, "created the user"),
            (Ok(()), UserStep::SetPassword) => info!(%user, "gave the user the new password in its file"),
            (Ok(()), UserStep::Mark) => debug!(%user, "noted that the user's password is the one in its file"),
            // Another controller created it, or another member leads now: the users show it when they are read again.
            (Err(error), _) if error.is_lost_race() || error.is_user_there() => {}
            (Err(error), _) => {
                troubles.push(UserTrouble::Refused { user: user.clone(), reason: in_words(&error) });
                return (false, troubles);
            }
        }
        (true, troubles)
    }

    /// The password in the file, and the user as far as it can be compared with that.
    async fn compare(
        &mut self,
        declared: &DeclaredUser,
        stored: Option<&StoredUser>,
    ) -> (Result<Secret, SecretError>, Option<SeenUser>) {
        let path = declared.password_file.clone();
        let reading = tokio::task::spawn_blocking(move || Secret::password_file(&path)).await;
        let password = reading.unwrap_or_else(|error| Err(SecretError::Unreadable(std::io::Error::other(error))));
        let (Some(stored), Ok(secret)) = (stored, &password) else {
            return (password, stored.map(StoredUser::unchecked));
        };
        let known = self.compared.get(&declared.id);
        if let Some(known) = known.filter(|known| known.password == *secret && known.user == *stored) {
            let seen = known.seen.clone();
            return (password, Some(seen));
        }
        let (user, of_file) = (stored.clone(), secret.clone());
        let seen = tokio::task::spawn_blocking(move || user.compare(&of_file)).await;
        let seen = seen.unwrap_or_else(|_| stored.unchecked());
        let comparison = Comparison { password: secret.clone(), user: stored.clone(), seen: seen.clone() };
        self.compared.insert(declared.id.clone(), comparison);
        (password, Some(seen))
    }
}

/// A server's message can quote the command, and with it the password, so only its name and number are told.
fn in_words(error: &Error) -> String {
    match error {
        Error::Server { code, code_name, .. } => format!("{code_name}, {code}"),
        other => Chain(other).to_string(),
    }
}
