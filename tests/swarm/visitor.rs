//! A user of an application in the overlay network. It posts one document after the other, each to the next task in DNS.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::support::writer::Sink;

/// The limit of a connection attempt: the address of a task that has ended does not answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// The limit of a request. Many applications and databases share two processors here.
const PACE: Duration = Duration::from_millis(40);

/// Posts `{"id": N}`.
pub(super) struct Visitor {
    /// The service's name and port.
    pub(super) address: String,
    pub(super) path: String,
    pub(super) first: i64,
}

impl Sink for Visitor {
    async fn write(&self, id: i64) -> Result<(), String> {
        let reply = self.post(id).await.map_err(|error| format!("{}: {error}", self.address))?;
        match reply.split(' ').nth(1) {
            Some("201") => Ok(()),
            _ => Err(format!("{}: {}", self.address, reply.replace("\r\n", " "))),
        }
    }

    fn pace(&self) -> Duration {
        PACE
    }

    fn first(&self) -> i64 {
        self.first
    }
}

impl Visitor {
    /// Posts a document and returns the answer. Each request asks DNS again, because tasks change, and uses the next task.
    async fn post(&self, id: i64) -> std::io::Result<String> {
        let Self { address, path, .. } = self;
        let mut tasks: Vec<_> = lookup_host(address).await?.collect();
        tasks.sort();
        let nth = usize::try_from(id).unwrap_or(0) % tasks.len().max(1);
        let task = tasks.get(nth).ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = timeout(CONNECT_LIMIT, TcpStream::connect(task)).await??;
        let body = format!("{{\"id\": {id}}}");
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}");
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        Ok(reply)
    }
}
