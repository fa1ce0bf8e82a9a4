//! The bearer token, if the operator demands one.
//!
//! **Invariant:** with a token, a path that is not listed here as open has no answer without it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::hmac::{self, HMAC_SHA256, Key, Tag};
use ring::rand::SystemRandom;

use super::{line, roles};
use crate::secret::{Secret, SecretError};

/// What a load balancer and a health check ask. These answers name no address, unless the question does.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Accepts requests with the token. It keeps no copy of the token, and a comparison takes the same time for each guess.
#[derive(Clone)]
pub struct Guard(Arc<(Key, Tag)>);

impl Guard {
    /// A guard that asks for this token.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn new(token: &Secret) -> Result<Self, SecretError> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new()).map_err(|_| SecretError::Random)?;
        let tag = hmac::sign(&key, token.expose().as_bytes());
        Ok(Self(Arc::new((key, tag))))
    }

    fn accepts(&self, request: &Request) -> bool {
        let (key, tag) = &*self.0;
        let given = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let token = given.and_then(|value| {
            let (scheme, token) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
        });
        token.is_some_and(|token| hmac::verify(key, token, tag.as_ref()).is_ok())
    }
}

/// Refuses a request without the token, if there is a guard.
pub(super) async fn demand(State(guard): State<Option<Guard>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = OPEN.contains(&path) || roles::is_role(path);
    match guard {
        Some(guard) if !open && !guard.accepts(&request) => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"rsctl\"")];
            let text = "this needs the token of --token-file, as `Authorization: Bearer TOKEN`";
            (challenge, line(StatusCode::UNAUTHORIZED, text)).into_response()
        }
        _ => next.run(request).await,
    }
}
