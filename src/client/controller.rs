//! The HTTP client for a running controller.
//!
//! **Invariant:** every request ends within its time limit. No answer is trusted, because any program may listen at the
//! address.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, lookup_host};
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
    #[error("{0} is not an rsctl controller: {1}; check the address")]
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

/// A connection to the first of the name's addresses that accepts one. The name of several controllers still leads to the
/// one whose machine is gone, and nothing answers there.
async fn connect(url: &ControllerUrl) -> io::Result<TcpStream> {
    first_of(lookup_host((url.host(), url.port())).await?).await
}

async fn first_of(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts: FuturesUnordered<_> = addresses.map(TcpStream::connect).collect();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn exchange(url: &ControllerUrl, question: Builder) -> Result<Answer, AskError> {
    let unreachable = |error| AskError::Unreachable(url.clone(), error);
    let protocol = |error| AskError::Protocol(url.clone(), error);
    let connecting = timeout(CONNECT_WITHIN, connect(url));
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    #[tokio::test]
    async fn an_address_that_is_silent_does_not_hold_up_the_next_one() {
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(0).unwrap();
        let (silent_at, mut waiting) = (silent.local_addr().unwrap(), Vec::new());
        // The kernel answers nobody when the queue is full.
        while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(silent_at)).await {
            waiting.push(stream.unwrap());
        }
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live_at = live.local_addr().unwrap();
        let stream = timeout(CONNECT_WITHIN, first_of([silent_at, live_at].into_iter())).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live_at);
        assert!(first_of([].into_iter()).await.is_err());
    }
}
