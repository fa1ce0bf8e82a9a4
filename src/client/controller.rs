//! The HTTP client for a running controller.
//!
//! **Invariant:** every request ends within its time limit. No answer is trusted, because any program may listen at the
//! address.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::HEADER;
use crate::parse::values::ControllerUrl;
use crate::publish::{HistoryStatus, Status};

const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The largest answer in bytes. A status of 50 members with notes has about 20 kB.
const BODY_MAX: usize = 1024 * 1024;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// No connection, or no such name.
    #[error("{0} cannot be reached")]
    Unreachable(ControllerUrl, #[source] io::Error),
    /// No answer within the time limit.
    #[error("{0} does not answer in time")]
    Silent(ControllerUrl),
    /// No admin endpoint takes the request.
    #[error(
        "no admin endpoint at {0}: it listens on loopback in the controller's container, so run this there \
         (docker exec), or on a manager as `deploy/swarm/rsctl STACK COMMAND`"
    )]
    NoEndpoint(ControllerUrl, #[source] io::Error),
    /// The answer is not HTTP.
    #[error("{0} does not speak HTTP")]
    Protocol(ControllerUrl, #[source] hyper::Error),
    /// The answer does not come from an rsctl controller.
    #[error("{0} is not an rsctl controller: {1}")]
    NotAController(ControllerUrl, &'static str),
    /// The controller answers with an error.
    #[error("{0} answers {1}: {2}")]
    Failed(ControllerUrl, u16, String),
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) code: u16,
    tag: Option<String>,
    body: Bytes,
}

impl Answer {
    /// The first line, safe to print on a terminal.
    pub(crate) fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

/// The controller's newest status.
pub(crate) async fn status(url: &ControllerUrl) -> Result<Status, AskError> {
    read(url, "/v1/status", "its answer is not a status").await
}

/// The history that the controller knows.
pub(crate) async fn history(url: &ControllerUrl) -> Result<HistoryStatus, AskError> {
    read(url, "/v1/history", "its answer is not a history").await
}

async fn read<T: DeserializeOwned>(url: &ControllerUrl, path: &str, otherwise: &'static str) -> Result<T, AskError> {
    let answer = get(url, path).await?;
    if answer.code != 200 {
        return Err(AskError::Failed(url.clone(), answer.code, answer.line()));
    }
    // The parser's error is dropped, because it quotes text from an unknown program.
    serde_json::from_slice(&answer.body).map_err(|_| AskError::NotAController(url.clone(), otherwise))
}

/// Gets one page.
pub(crate) async fn get(url: &ControllerUrl, path: &str) -> Result<Answer, AskError> {
    ask(url, Request::get(path), ANSWER_WITHIN).await
}

/// Posts an admin request.
pub(crate) async fn post(url: &ControllerUrl, path: &str) -> Result<Answer, AskError> {
    match ask(url, Request::post(path).header(HEADER, "1"), ANSWER_WITHIN).await {
        Err(AskError::Unreachable(url, error)) => Err(AskError::NoEndpoint(url, error)),
        other => other,
    }
}

/// Waits until the published URI differs from the one with the tag `known`, at most for `wait`. Returns its tag, or
/// `None` if there is no URI. With `only_with_primary` there is no URI while there is no primary.
pub(crate) async fn changed_tag(
    url: &ControllerUrl,
    known: Option<&str>,
    wait: Duration,
    only_with_primary: bool,
) -> Result<Option<String>, AskError> {
    let question = Request::get(format!("/v1/uri?wait={}ms&primary={only_with_primary}", wait.as_millis()));
    let question = known.into_iter().fold(question, |question, tag| question.header(header::IF_NONE_MATCH, tag));
    let answer = ask(url, question, wait + ANSWER_WITHIN).await?;
    match answer.code {
        200 | 304 | 503 => Ok(answer.tag),
        code => Err(AskError::Failed(url.clone(), code, answer.line())),
    }
}

async fn ask(url: &ControllerUrl, question: Builder, within: Duration) -> Result<Answer, AskError> {
    let silent = |_| Err(AskError::Silent(url.clone()));
    timeout(within, exchange(url, question)).await.unwrap_or_else(silent)
}

async fn exchange(url: &ControllerUrl, question: Builder) -> Result<Answer, AskError> {
    let unreachable = |error| AskError::Unreachable(url.clone(), error);
    let protocol = |error| AskError::Protocol(url.clone(), error);
    let connecting = timeout(CONNECT_WITHIN, TcpStream::connect((url.host(), url.port())));
    let stream = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(protocol)?;
    let connection = tokio::spawn(connection);

    let question = match url.token() {
        Some(token) => question.header(header::AUTHORIZATION, format!("Bearer {}", token.expose())),
        None => question,
    };
    let request = question.header(header::HOST, url.authority()).header(header::CONNECTION, "close");
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|_| AskError::NotAController(url.clone(), "its name is not a host name"))?;
    let response = sender.send_request(request).await.map_err(protocol)?;
    let code = response.status().as_u16();
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let body = Limited::new(response.into_body(), BODY_MAX).collect().await.map_err(|error| {
        let too_long = error.is::<LengthLimitError>();
        AskError::NotAController(
            url.clone(),
            if too_long { "its answer does not end" } else { "its answer breaks off" },
        )
    })?;
    connection.abort();
    Ok(Answer { code, tag, body: body.to_bytes() })
}
