//! SCRAM-SHA-256 (RFC 5802, RFC 7677): the client side of a login in which both ends prove themselves.
//!
//! This module does no IO. Every byte from the server is untrusted, and each length and number has a limit.
//!
//! **Invariant:** [`Keys::verify`] succeeds only for a server that knows the secret, or the keys derived from it.

use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use zeroize::Zeroize;

/// The only mechanism that rsctl uses. A peer that asks for a SHA-1 proof can crack it.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";

const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
const NONCE_BYTES: usize = 24;
/// The accepted iteration counts. RFC 7677 asks for at least 4096. MongoDB uses 15,000 and does not allow less than
/// 5,000 (`scramSHA256IterationCount`). The upper limit costs a tenth of a second.
const ITERATIONS: RangeInclusive<u32> = 4096..=200_000;
/// The limit for a salt, in bytes. MongoDB's salts have 28 bytes.
const SALT_BYTES: RangeInclusive<usize> = 8..=128;
/// The length of what the server adds to the client's nonce. MongoDB adds 32 characters.
const SERVER_NONCE_CHARS: RangeInclusive<usize> = 16..=256;
/// No channel binding: `n,,` in base64.
const NO_BINDING: &str = "biws";

/// Why a server's message is rejected. No variant quotes the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    /// The message does not have the form that the RFC describes.
    #[error("its SCRAM message cannot be read")]
    Unreadable,
    /// The server's nonce must be the client's nonce with an addition.
    #[error("its SCRAM nonce is not the nonce of rsctl with a valid addition")]
    Nonce,
    /// The iteration count is out of range. Few iterations do not protect the password, and many use too much processor
    /// time.
    #[error("it asks for {0} SCRAM iterations; rsctl accepts 4096 to 200000")]
    Iterations(u64),
    /// The server's signature is wrong, so the server does not know the secret.
    #[error("its SCRAM signature is wrong")]
    Signature,
    /// SASLprep (RFC 4013) does not allow this password.
    #[error("the password contains characters that SASLprep does not allow")]
    Password,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// The client's first message.
pub(super) struct ClientFirst {
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// The first message for this user, with a random nonce.
    pub(super) fn new(username: &str) -> Result<Self, ScramError> {
        let mut bytes = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| ScramError::Random)?;
        Ok(Self::with_nonce(username, &STANDARD.encode(bytes)))
    }

    pub(super) fn with_nonce(username: &str, nonce: &str) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self { bare: format!("n={username},r={nonce}"), nonce: nonce.to_owned() }
    }

    /// The text to send.
    pub(super) fn message(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// Reads the server's first message.
    pub(super) fn challenge(&self, server_first: &[u8]) -> Result<Challenge, ScramError> {
        let text = std::str::from_utf8(server_first).map_err(|_| ScramError::Unreadable)?;
        let mut parts = text.split(',');
        let mut next = |key| parts.next().and_then(|part| part.strip_prefix(key)).ok_or(ScramError::Unreadable);
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        // The rest of the message would be extensions, and none is supported.
        if parts.next().is_some() {
            return Err(ScramError::Unreadable);
        }
        let added = nonce.strip_prefix(&self.nonce).ok_or(ScramError::Nonce)?;
        if !SERVER_NONCE_CHARS.contains(&added.len()) || !added.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ScramError::Nonce);
        }
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Unreadable)?;
        if !SALT_BYTES.contains(&salt.len()) {
            return Err(ScramError::Unreadable);
        }
        let asked: u64 = iterations.parse().map_err(|_| ScramError::Unreadable)?;
        let iterations = accepted_iterations(asked)?;
        Ok(Challenge { cost: Cost { salt, iterations }, nonce: nonce.to_owned(), message: text.to_owned() })
    }

    /// The client's final message, which holds the proof, and the transcript that the server's signature is checked
    /// against.
    pub(super) fn answer(&self, challenge: &Challenge, keys: &Keys) -> (String, Transcript) {
        let without_proof = format!("c={NO_BINDING},r={}", challenge.nonce);
        let transcript = format!("{},{},{without_proof}", self.bare, challenge.message);
        let stored = digest::digest(&digest::SHA256, &keys.client);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, stored.as_ref()), transcript.as_bytes());
        let proof: Vec<u8> = keys.client.iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        (format!("{without_proof},p={}", STANDARD.encode(proof)), Transcript(transcript))
    }
}

/// The server's first message, after its checks.
pub(super) struct Challenge {
    /// The parameters for the key derivation.
    pub(super) cost: Cost,
    nonce: String,
    message: String,
}

/// The parameters for the key derivation. A server does not change them while it lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost {
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl Cost {
    /// The parameters that a server stores with a user.
    pub(super) fn stored(salt: &str, iterations: i32) -> Result<Self, ScramError> {
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Unreadable)?;
        if !SALT_BYTES.contains(&salt.len()) {
            return Err(ScramError::Unreadable);
        }
        let asked = u64::try_from(iterations).map_err(|_| ScramError::Unreadable)?;
        Ok(Self { salt, iterations: accepted_iterations(asked)? })
    }
}

fn accepted_iterations(asked: u64) -> Result<NonZeroU32, ScramError> {
    let accepted = u32::try_from(asked).ok().filter(|i| ITERATIONS.contains(i)).and_then(NonZeroU32::new);
    accepted.ok_or(ScramError::Iterations(asked))
}

/// The messages of both ends, which the signatures cover.
pub(super) struct Transcript(String);

/// The keys that are derived from the password. A drop overwrites them.
#[derive(Clone)]
pub(super) struct Keys {
    client: [u8; KEY_BYTES],
    server: [u8; KEY_BYTES],
}

impl Keys {
    /// Derives the keys. It takes milliseconds of processor time, so it must not run on the thread that serves
    /// requests.
    pub(super) fn derive(password: &Secret, cost: &Cost) -> Result<Self, ScramError> {
        let prepared = stringprep::saslprep(password.expose()).map_err(|_| ScramError::Password)?;
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, cost.iterations, &cost.salt, prepared.as_bytes(), &mut salted);
        let by = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        salted.zeroize();
        let mut keys = Self { client: [0; KEY_BYTES], server: [0; KEY_BYTES] };
        keys.client.copy_from_slice(hmac::sign(&by, b"Client Key").as_ref());
        keys.server.copy_from_slice(hmac::sign(&by, b"Server Key").as_ref());
        Ok(keys)
    }

    /// The two keys that a server stores with a user, in base64: StoredKey and ServerKey.
    pub(super) fn as_stored(&self) -> (String, String) {
        let stored = digest::digest(&digest::SHA256, &self.client);
        (STANDARD.encode(stored), STANDARD.encode(self.server))
    }

    /// Checks that the server's last message proves that the server knows the secret.
    pub(super) fn verify(&self, transcript: &Transcript, server_final: &[u8]) -> Result<(), ScramError> {
        let text = std::str::from_utf8(server_final).map_err(|_| ScramError::Unreadable)?;
        let signature = text.strip_prefix("v=").ok_or(ScramError::Unreadable)?;
        let signature = STANDARD.decode(signature).map_err(|_| ScramError::Unreadable)?;
        let by = hmac::Key::new(hmac::HMAC_SHA256, &self.server);
        hmac::verify(&by, transcript.0.as_bytes(), &signature).map_err(|_| ScramError::Signature)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.client.zeroize();
        self.server.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The example of RFC 7677, section 3.
    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn first() -> ClientFirst {
        ClientFirst::with_nonce("user", CLIENT_NONCE)
    }

    fn refused(server_first: &str) -> ScramError {
        first().challenge(server_first.as_bytes()).err().unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_is_followed_to_the_letter() {
        assert_eq!(first().message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = first().challenge(SERVER_FIRST.as_bytes()).unwrap();
        let keys = Keys::derive(&Secret::new("pencil"), &challenge.cost).unwrap();
        let (message, transcript) = first().answer(&challenge, &keys);
        assert_eq!(message, CLIENT_FINAL);
        assert_eq!(keys.verify(&transcript, SERVER_FINAL), Ok(()));
    }

    #[test]
    fn a_server_that_does_not_know_the_secret_is_found_out() {
        let challenge = first().challenge(SERVER_FIRST.as_bytes()).unwrap();
        let keys = Keys::derive(&Secret::new("pencil"), &challenge.cost).unwrap();
        let others = Keys::derive(&Secret::new("crayon"), &challenge.cost).unwrap();
        let (_, transcript) = first().answer(&challenge, &keys);
        assert_eq!(others.verify(&transcript, SERVER_FINAL), Err(ScramError::Signature));
        assert_eq!(keys.verify(&transcript, b"v="), Err(ScramError::Signature));
        for garbage in ["", "v=6rri", "e=other-error", "v=%%%%", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="] {
            assert!(keys.verify(&transcript, garbage.as_bytes()).is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_nonce_that_is_not_ours_with_an_addition_is_refused() {
        let added = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        for nonce in
            ["", "r", "rOpr", CLIENT_NONCE, "rOprNGfwEbeRWgbNEkqO%hvYD", &format!("xOprNGfwEbeRWgbNEkqO{added}")]
        {
            assert_eq!(refused(&SERVER_FIRST.replace(&format!("{CLIENT_NONCE}{added}"), nonce)), ScramError::Nonce);
        }
        assert_eq!(refused(&SERVER_FIRST.replace(added, &"a".repeat(300))), ScramError::Nonce);
        assert_eq!(refused(&SERVER_FIRST.replace(added, "a\u{1}cdefghijklmnopqrst")), ScramError::Nonce);
    }

    #[test]
    fn iterations_have_a_bound_on_both_sides() {
        for count in [0_u64, 1, 4095, 200_001, 4_294_967_295, 4_294_967_296 + 15_000, u64::MAX] {
            assert_eq!(refused(&SERVER_FIRST.replace("4096", &count.to_string())), ScramError::Iterations(count));
        }
        for text in ["-1", "", "1e4", "99999999999999999999999"] {
            assert_eq!(refused(&SERVER_FIRST.replace("4096", text)), ScramError::Unreadable);
        }
        for count in ["4096", "15000", "200000"] {
            assert!(first().challenge(SERVER_FIRST.replace("4096", count).as_bytes()).is_ok());
        }
    }

    #[test]
    fn salts_extensions_and_orders_of_other_kinds_are_refused() {
        let salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
        for other in ["", "AA==", "%", &STANDARD.encode([0; 200])] {
            assert_eq!(refused(&SERVER_FIRST.replace(salt, other)), ScramError::Unreadable);
        }
        for text in [&format!("m=x,{SERVER_FIRST}"), &format!("{SERVER_FIRST},x=y"), "s=,r=,i=", "e=unknown-user"] {
            assert_eq!(refused(text), ScramError::Unreadable);
        }
    }

    #[test]
    fn names_with_signs_of_their_own_are_escaped_and_nonces_are_never_the_same() {
        assert!(ClientFirst::with_nonce("a=b,c", "n").message().contains("n=a=3Db=2Cc,"));
        assert_ne!(ClientFirst::new("u").unwrap().message(), ClientFirst::new("u").unwrap().message());
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_sends_is_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = first().challenge(&bytes);
        }

        #[test]
        fn nothing_that_looks_right_is_too_much(nonce in ".{0,60}", salt in ".{0,60}", count in ".{0,12}") {
            let _ = first().challenge(format!("r={CLIENT_NONCE}{nonce},s={salt},i={count}").as_bytes());
        }
    }
}
