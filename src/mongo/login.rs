//! The login that a peer has to pass before anything else it says counts.
//!
//! **Invariant:** a secret goes to nobody: what is sent is a proof, by SCRAM-SHA-256 alone.

use super::peer::{Talk, refusal, tame};
use super::scram::{ClientFirst, Cost, Keys, MECHANISM, ScramError};
use super::tls::Tls;
use crate::model::ProbeError;
use crate::secret::Secret;
use bson::spec::BinarySubtype;
use bson::{Binary, Document, RawDocumentBuf, doc};
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

/// How to speak to every mongod.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who we are.
    pub account: Option<Account>,
    /// TLS, if it is wanted.
    pub tls: Option<Tls>,
}

/// Who rsctl is to the mongods.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub username: String,
    /// The database that knows the user.
    pub source: String,
    /// What both ends know.
    pub password: Secret,
}

impl Account {
    /// The identity of the members themselves: valid in every state, before the first initiate too.
    pub fn of_members(key: Secret) -> Self {
        Self { username: "__system".to_owned(), source: "local".to_owned(), password: key }
    }

    /// The command that begins a login.
    pub(super) fn start(&self, first: &ClientFirst) -> Document {
        doc! {
            "saslStart": 1, "mechanism": MECHANISM, "payload": payload(first.message()),
            "options": { "skipEmptyExchange": true },
        }
    }
}

/// Keys of so many servers are kept: each has a salt of its own for as long as it lives, and a set has 50 members.
const KEYS_MAX: usize = 128;
/// So many keys are derived at once, each on a thread that nobody waits for.
const DERIVATIONS_MAX: usize = 2;

/// On what terms a peer is met, and what was derived for that.
pub(super) struct Terms {
    pub(super) access: Access,
    keys: Mutex<Vec<(Cost, Keys)>>,
    derivations: Semaphore,
}

impl Terms {
    pub(super) fn new(access: Access) -> Self {
        Self { access, keys: Mutex::default(), derivations: Semaphore::new(DERIVATIONS_MAX) }
    }

    /// Both ends prove that they know the secret. `begun` is the server's answer, where the login began with `hello`.
    pub(super) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        talk: &mut Talk<S>,
        account: &Account,
        first: &ClientFirst,
        begun: Option<RawDocumentBuf>,
    ) -> Result<(), ProbeError> {
        let begun = match begun {
            Some(begun) => begun,
            None => accepted(talk.ask(&account.source, account.start(first)).await?.document()?)?,
        };
        let challenge = first.challenge(said(&begun)?)?;
        let known = self.known(&challenge.cost);
        let is_new = known.is_none();
        let keys = match known {
            Some(keys) => keys,
            None => self.derive(account, challenge.cost.clone()).await?,
        };
        let (answer, transcript) = first.answer(&challenge, &keys);
        let conversation = begun.get_i32("conversationId").map_err(|_| ScramError::Unreadable)?;
        let go_on = doc! { "saslContinue": 1, "conversationId": conversation, "payload": payload(answer) };
        let end = accepted(talk.ask(&account.source, go_on).await?.document()?)?;
        keys.verify(&transcript, said(&end)?)?;
        if !end.get_bool("done").unwrap_or(false) {
            return Err(ScramError::Unreadable.into());
        }
        // Only what a server proved is kept, so a stranger's salts push nobody's out.
        if is_new {
            self.remember(challenge.cost, keys);
        }
        Ok(())
    }

    fn known(&self, cost: &Cost) -> Option<Keys> {
        let kept = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == cost).map(|(_, keys)| keys.clone())
    }

    fn remember(&self, cost: Cost, keys: Keys) {
        let mut kept = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != cost);
        if kept.len() == KEYS_MAX {
            kept.remove(0);
        }
        kept.push((cost, keys));
    }

    async fn derive(&self, account: &Account, cost: Cost) -> Result<Keys, ProbeError> {
        let broken = |reason: &str| ProbeError::Broken(reason.to_owned());
        let _permit = self.derivations.acquire().await.map_err(|_| broken("no keys are derived any more"))?;
        let password = account.password.clone();
        let deriving = tokio::task::spawn_blocking(move || Keys::derive(&password, &cost));
        Ok(deriving.await.map_err(|_| broken("the derivation of a key ended early"))??)
    }
}

impl From<ScramError> for ProbeError {
    fn from(error: ScramError) -> Self {
        match error {
            ScramError::Random | ScramError::Password => Self::Broken(error.to_string()),
            _ => Self::Unproven(error.to_string()),
        }
    }
}

/// The answer, unless the server refuses.
fn accepted(reply: RawDocumentBuf) -> Result<RawDocumentBuf, ProbeError> {
    match refusal(&reply) {
        None => Ok(reply),
        Some((_, message)) => Err(ProbeError::Login(tame(&message))),
    }
}

fn payload(text: String) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: text.into_bytes() }
}

fn said(reply: &RawDocumentBuf) -> Result<&[u8], ScramError> {
    reply.get_binary("payload").map(|payload| payload.bytes).map_err(|_| ScramError::Unreadable)
}
