//! The login that a peer must pass before anything else that it says counts.
//!
//! **Invariant:** no peer receives a secret. rsctl sends only a proof, by SCRAM-SHA-256.

use super::peer::{Talk, refusal, tame};
use super::scram::{ClientFirst, Cost, Keys, MECHANISM, ScramError};
use super::tls::Tls;
use crate::model::ProbeError;
use crate::secret::{Keyfile, Secret};
use bson::spec::BinarySubtype;
use bson::{Binary, Document, RawDocumentBuf, doc};
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

/// How rsctl talks to every mongod.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// What rsctl logs in with.
    pub identity: Identity,
    /// The TLS settings, if TLS is configured.
    pub tls: Option<Tls>,
}

impl Access {
    /// Whether a login is configured.
    pub fn logs_in(&self) -> bool {
        !matches!(self.identity, Identity::None)
    }
}

/// What rsctl logs in with.
#[derive(Clone, Debug, Default)]
pub enum Identity {
    /// It does not log in.
    #[default]
    None,
    /// An account.
    Account(Account),
    /// The certificate of the TLS settings.
    Certificate,
}

/// The account that rsctl logs in with.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name of the user.
    pub username: String,
    /// The database that defines the user.
    pub source: String,
    /// The password or key that both ends know.
    pub password: Secret,
    /// The second key of a keyfile, while the keys are changed. A server that refuses the first one is asked with this.
    pub second: Option<Secret>,
}

impl Account {
    /// The account that the members themselves use. It is valid in every state, also before the first initiate.
    pub fn of_members(keyfile: Keyfile) -> Self {
        let Keyfile { first, second } = keyfile;
        Self { username: "__system".to_owned(), source: "local".to_owned(), password: first, second }
    }

    /// The command that starts a login.
    pub(super) fn start(&self, first: &ClientFirst) -> Document {
        doc! {
            "saslStart": 1, "mechanism": MECHANISM, "payload": payload(first.message()),
            "options": { "skipEmptyExchange": true },
        }
    }
}

/// Logs in with the certificate that TLS has shown. The peer has proved itself by its own certificate, from the same
/// authorities and for its address, before this.
pub(super) async fn log_in_by_certificate<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<S>,
) -> Result<(), ProbeError> {
    let login = doc! { "authenticate": 1, "mechanism": "MONGODB-X509" };
    accepted(talk.ask("$external", login).await?.document()?).map(drop)
}

/// The maximum number of derived keys to keep. Each server has its own salt while it lives, and a set has at most 50
/// members.
const KEYS_MAX: usize = 128;
/// The maximum number of derivations at the same time. Each takes a blocking thread.
const DERIVATIONS_MAX: usize = 2;

/// The settings for all connections, with the keys that were derived for them.
pub(super) struct Terms {
    pub(super) access: Access,
    keys: Mutex<Vec<(Cost, Keys)>>,
    derivations: Semaphore,
}

impl Terms {
    pub(super) fn new(access: Access) -> Self {
        Self { access, keys: Mutex::default(), derivations: Semaphore::new(DERIVATIONS_MAX) }
    }

    /// Logs in. Both ends prove that they know the secret. `begun` is the server's first answer, if the login started
    /// with `hello`.
    pub(super) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        talk: &mut Talk<S>,
        account: &Account,
        first: &ClientFirst,
        begun: Option<RawDocumentBuf>,
    ) -> Result<(), ProbeError> {
        let refused = match self.log_in_with(&account.password, talk, account, first, begun).await {
            Err(refused @ ProbeError::Login(_)) => refused,
            outcome => return outcome,
        };
        let Some(second) = &account.second else { return Err(refused) };
        self.log_in_with(second, talk, account, &ClientFirst::new(&account.username)?, None).await
    }

    async fn log_in_with<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        password: &Secret,
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
            None => self.derive(password, challenge.cost.clone()).await?,
        };
        let (answer, transcript) = first.answer(&challenge, &keys);
        let conversation = begun.get_i32("conversationId").map_err(|_| ScramError::Unreadable)?;
        let go_on = doc! { "saslContinue": 1, "conversationId": conversation, "payload": payload(answer) };
        let end = accepted(talk.ask(&account.source, go_on).await?.document()?)?;
        keys.verify(&transcript, said(&end)?)?;
        if !end.get_bool("done").unwrap_or(false) {
            return Err(ScramError::Unreadable.into());
        }
        // Only keys that a server has proved are kept. So the salts of an unproven peer cannot displace them.
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

    async fn derive(&self, password: &Secret, cost: Cost) -> Result<Keys, ProbeError> {
        let broken = |reason: &str| ProbeError::Broken(reason.to_owned());
        let _permit = self.derivations.acquire().await.map_err(|_| broken("the derivation of keys is closed"))?;
        let password = password.clone();
        let deriving = tokio::task::spawn_blocking(move || Keys::derive(&password, &cost));
        Ok(deriving.await.map_err(|_| broken("the derivation of a key panicked"))??)
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

/// The answer, or the server's refusal as an error.
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
