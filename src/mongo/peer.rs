//! One connection to a mongod, from the first byte to the proof that the peer knows the secret.
//!
//! **Invariant:** for a peer that was asked for a proof and gave none, this module returns only that it is an arbiter,
//! or the reason why rsctl rejects it.

use super::error::SHUTTING_DOWN;
use super::frame::{Frame, FrameError};
use super::login::{Identity, Terms, log_in_by_certificate};
use super::scram::ClientFirst;
use crate::model::{ProbeError, Proof, WireVersion};
use bson::{Document, RawDocument, RawDocumentBuf, doc, rawdoc};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The limit for messages before the proof, in bytes. A `hello` of 50 members with tags has about 8 kB, so an unproven
/// peer gets little more room than that.
pub(super) const GREETING_BYTES_MAX: usize = 64 * 1024;
/// The limit for text that comes from an unproven peer, in characters.
const TEXT_MAX: usize = 160;

/// A connection, with or without TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}
pub(super) type Stream = Box<dyn Duplex>;

/// A mongod at the other end of a connection.
pub(super) struct Peer {
    pub(super) stream: Stream,
    /// Its answer to `hello` on this connection.
    pub(super) hello: Frame,
    /// Whether it proved itself. An arbiter may give no proof, because it may have no users.
    pub(super) proof: Proof,
}

/// Opens a TCP connection, or returns why that is not possible.
pub(super) async fn dial(at: SocketAddr) -> Result<TcpStream, ProbeError> {
    let stream = TcpStream::connect(at).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeError::Refused,
        io::ErrorKind::ConnectionReset => ProbeError::Closed,
        io::ErrorKind::TimedOut => ProbeError::Timeout,
        kind => ProbeError::Unreachable(kind.to_string()),
    })?;
    // A caller waits for every message, so none is delayed. If the system cannot do this, messages are only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// What the failure of an open connection shows about the other end.
pub(super) fn lost(error: &io::Error) -> ProbeError {
    match error.kind() {
        io::ErrorKind::TimedOut => ProbeError::Timeout,
        // rustls reports in this way what it does not accept.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            ProbeError::Tls(tame(&super::tls::explain(error).unwrap_or_else(|| error.to_string())))
        }
        _ => ProbeError::Closed,
    }
}

impl From<FrameError> for ProbeError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) | FrameError::Unheard(error) => lost(&error),
            other => Self::NotMongod(other.to_string()),
        }
    }
}

/// One line of at most [`TEXT_MAX`] characters, made from text that comes from an unproven peer.
pub(super) fn tame(text: &str) -> String {
    text.chars().take(TEXT_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl Peer {
    /// Does TLS if it is configured, then `hello` and the login. The caller sets the time limit.
    pub(super) async fn meet(tcp: TcpStream, at: SocketAddr, terms: &Terms) -> Result<Self, ProbeError> {
        let met = async {
            let stream: Stream = match &terms.access.tls {
                Some(tls) => Box::new(tls.connect(tcp, at).await?),
                None => Box::new(tcp),
            };
            Self::introduced(stream, terms).await
        };
        // The peer accepted the connection, so a process listens there. A mongod that has ended accepts none.
        met.await.map_err(|error| if error == ProbeError::Closed { ProbeError::Dropped } else { error })
    }

    /// The same on an open connection, after TLS.
    pub(super) async fn introduced(stream: Stream, terms: &Terms) -> Result<Self, ProbeError> {
        Talk { stream, requests: 0 }.introduce(terms).await
    }
}

/// Sends only `hello`, on a connection to a peer that gave no proof.
pub(super) async fn greet(stream: &mut Stream) -> Result<RawDocumentBuf, ProbeError> {
    let mut talk = Talk { stream, requests: 0 };
    Ok(talk.ask("admin", doc! { "hello": 1 }).await?.document()?)
}

/// Commands and answers before the driver takes over.
pub(super) struct Talk<S> {
    stream: S,
    requests: i32,
}

impl Talk<Stream> {
    async fn introduce(mut self, terms: &Terms) -> Result<Peer, ProbeError> {
        let identity = &terms.access.identity;
        let login = match identity {
            Identity::Account(account) => Some(ClientFirst::new(&account.username).map(|first| (account, first))),
            Identity::None | Identity::Certificate => None,
        };
        let login = login.transpose().map_err(|e| ProbeError::Broken(e.to_string()))?;
        // Every version knows this command name. `helloOk` says that the client also knows the new name, as drivers do.
        let mut question = doc! { "isMaster": 1, "helloOk": true, "client": {
            "application": { "name": "rsctl" },
            "driver": { "name": "rsctl", "version": env!("CARGO_PKG_VERSION") },
            "os": { "type": "Linux" },
        } };
        if let Some((account, first)) = &login {
            let mut start = account.start(first);
            start.insert("db", &account.source);
            question.insert("speculativeAuthenticate", start);
        }
        let hello = self.ask("admin", question).await?;
        let reply = hello.document()?;
        let refusal = refusal(&reply);
        let leaving = matches!(refusal, Some((SHUTTING_DOWN, _)));
        match refusal {
            // The shutdown counts only if a peer reports it that knows the secret. So the login comes first.
            Some((SHUTTING_DOWN, _)) if terms.access.logs_in() => {}
            Some((SHUTTING_DOWN, _)) => return Err(ProbeError::ShuttingDown),
            Some((code, message)) => return Err(ProbeError::Server { command: "hello", code, message }),
            None => check_version(&reply)?,
        }
        let outcome = match login {
            Some((account, first)) => {
                let begun = reply.get_document("speculativeAuthenticate").ok().map(RawDocument::to_owned);
                terms.log_in(&mut self, account, &first, begun).await
            }
            None if matches!(identity, Identity::Certificate) => log_in_by_certificate(&mut self).await,
            None => return Ok(Peer { stream: self.stream, hello, proof: Proof::NotAsked }),
        };
        match outcome {
            Ok(()) if leaving => Err(ProbeError::ShuttingDown),
            Ok(()) => Ok(Peer { stream: self.stream, hello, proof: Proof::Secret }),
            Err(ProbeError::Login(_)) if reply.get_bool("arbiterOnly").unwrap_or(false) => {
                Ok(Peer { stream: self.stream, hello, proof: Proof::None })
            }
            Err(error) => Err(error),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// Sends one command and reads one answer.
    pub(super) async fn ask(&mut self, database: &str, mut command: Document) -> Result<Frame, ProbeError> {
        command.insert("$db", database);
        let body = RawDocumentBuf::try_from(&command).unwrap_or_else(|_| rawdoc! {});
        self.requests += 1;
        let question = Frame::command(self.requests, &body);
        let sent = async {
            self.stream.write_all(question.as_bytes()).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| lost(&error))?;
        let answer = Frame::read(&mut self.stream, GREETING_BYTES_MAX).await?;
        if answer.answers(self.requests) { Ok(answer) } else { Err(FrameError::Alien.into()) }
    }
}

/// The code and the message, if the answer is an error.
pub(super) fn refusal(reply: &RawDocument) -> Option<(i32, String)> {
    let ok = match reply.get("ok") {
        Ok(Some(bson::RawBsonRef::Double(ok))) => ok == 1.0,
        Ok(Some(bson::RawBsonRef::Int32(ok))) => ok == 1,
        Ok(Some(bson::RawBsonRef::Int64(ok))) => ok == 1,
        Ok(Some(bson::RawBsonRef::Boolean(ok))) => ok,
        _ => false,
    };
    let message = || tame(reply.get_str("errmsg").unwrap_or("it gives no reason"));
    (!ok).then(|| (reply.get_i32("code").unwrap_or_default(), message()))
}

/// Rejects a server that is too old, before the login.
pub(super) fn check_version(reply: &RawDocument) -> Result<(), ProbeError> {
    let wire = reply.get_i32("maxWireVersion").map_err(|_| FrameError::Unreadable)?;
    if WireVersion(wire) < WireVersion::OLDEST { Err(ProbeError::TooOld(WireVersion(wire))) } else { Ok(()) }
}
