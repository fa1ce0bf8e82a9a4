//! `/v1/uri`: the connection string, at once or after its next change.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout_at};

use super::{Parameters, Served, line};
use crate::connection_string::{Format, Inserts};
use crate::parse::span;
use crate::parse::values::switch;
use crate::publish::Status;

/// The longest wait.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(300);

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct UriQuery {
    inserts: Inserts,
    format: Format,
    wait: Duration,
    /// Whether there is no answer without a primary.
    primary: bool,
    /// The tags of the answers that the client has, separated by commas.
    known: Option<String>,
}

pub(super) async fn uri(State(mut served): State<Served>, query: Parameters, headers: HeaderMap) -> Response {
    let query = match UriQuery::read(query, headers.get(header::IF_NONE_MATCH)) {
        Ok(query) => query,
        Err(mistake) => return line(StatusCode::BAD_REQUEST, mistake),
    };
    // If too many clients wait, this one is answered at once, because waiting clients must not use up all connections.
    let permit = served.pollers.clone().try_acquire_owned();
    let wait = if permit.is_ok() { query.wait } else { Duration::ZERO };
    let deadline = Instant::now() + wait;
    loop {
        let answer = query.answer(&served.snapshots.borrow_and_update().status);
        let is_change = answer.as_ref().is_ok_and(|text| !query.knows(&tag(text)));
        if is_change || !matches!(timeout_at(deadline, served.snapshots.changed()).await, Ok(Ok(()))) {
            return query.reply(answer);
        }
    }
}

impl UriQuery {
    pub(super) fn read(query: Parameters, known: Option<&HeaderValue>) -> Result<Self, &'static str> {
        let Query(pairs) = query.map_err(|_| "the part after `?` cannot be read")?;
        let known = known.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (inserts, wait) = (Inserts::default(), Duration::ZERO);
        let mut query = Self { inserts, format: Format::Uri, wait, primary: false, known };
        for (name, value) in &pairs {
            match name.as_str() {
                "database" if value.is_empty() => {}
                "database" => {
                    let database = value.parse().map_err(|_| "database: this is not a name that MongoDB accepts")?;
                    query.inserts.database = Some(database);
                }
                "format" => {
                    let choice = Format::CHOICES.iter().find(|(name, _)| name == value);
                    query.format = choice.ok_or("format: one of uri, hosts, seed-list, env, json")?.1;
                }
                "wait" => {
                    query.wait = span(value).map_err(|_| "wait: a time with its unit, such as 30s")?.min(WAIT_MAX)
                }
                "primary" => query.primary = switch(value).map_err(|_| "primary: true or false")?,
                _ => return Err("the parameters are database, format, primary and wait"),
            }
        }
        Ok(query)
    }

    pub(super) fn answer(&self, status: &Status) -> Result<String, String> {
        if self.primary && status.primary.is_none() {
            return Err("there is no primary".to_owned());
        }
        let endpoint = status.endpoint().map_err(|error| error.to_string())?;
        Ok(endpoint.render(self.format, &self.inserts))
    }

    /// Whether it has a parameter that `/v1/events` has no use for.
    pub(super) fn polls(&self) -> bool {
        self.primary || !self.wait.is_zero()
    }

    /// Whether the client already has the answer with this tag.
    pub(super) fn knows(&self, tag: &str) -> bool {
        let known = self.known.iter().flat_map(|list| list.split(','));
        known.map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
    }

    fn reply(&self, answer: Result<String, String>) -> Response {
        let text = match answer {
            Ok(text) => text,
            Err(why) => return line(StatusCode::SERVICE_UNAVAILABLE, &why),
        };
        let tag = tag(&text);
        let kind = match self.format {
            Format::Json => "application/json",
            Format::Uri | Format::Hosts | Format::SeedList | Format::Env => "text/plain; charset=utf-8",
        };
        let headers = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache"), (header::CONTENT_TYPE, kind)];
        if self.knows(&tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, text).into_response()
    }
}

/// The tag of an answer. Controllers of the same build give equal answers equal tags. With another build a client only
/// repeats its request once.
pub(super) fn tag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}
