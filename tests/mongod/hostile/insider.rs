//! A neighbour that knows the key. It passes everything on to a real mongod, also the login, and changes the answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mongodb::bson::Document;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::fake::message;
use crate::cluster::PORT;
use crate::support::mongods::free_ip;

/// Changes the answer to a command.
pub type Change = Arc<dyn Fn(&str, &Document, &mut Document) + Send + Sync>;

/// The flag of a request whose sender accepts several answers. Without it there is one answer to each request.
const EXHAUST_ALLOWED: u8 = 1;
/// Where the flag is: the third byte of the flags, after the header.
const EXHAUST_BYTE: usize = 16 + 2;

/// A running insider. It ends when dropped.
pub struct Insider {
    pub ip: Ipv4Addr,
    changed: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Insider {
    pub async fn start(behind: SocketAddr, change: Change) -> Self {
        let ip = free_ip(PORT);
        let listener = TcpListener::bind((ip, PORT)).await.unwrap();
        let changed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&changed);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(relay(stream, behind, Arc::clone(&change), Arc::clone(&count)));
            }
        });
        Self { ip, changed, serving }
    }

    pub fn host(&self) -> String {
        SocketAddr::from((self.ip, PORT)).to_string()
    }

    /// How many answers it has changed.
    pub fn changed(&self) -> usize {
        self.changed.load(Ordering::Relaxed)
    }
}

impl Drop for Insider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn relay(mut client: TcpStream, behind: SocketAddr, change: Change, changed: Arc<AtomicUsize>) -> Option<()> {
    let mut server = TcpStream::connect(behind).await.ok()?;
    loop {
        let mut request = whole_message(&mut client).await?;
        *request.get_mut(EXHAUST_BYTE)? &= !EXHAUST_ALLOWED;
        let command = Document::from_reader(request.get(21..)?).ok()?;
        server.write_all(&request).await.ok()?;
        let reply = whole_message(&mut server).await?;
        let mut document = Document::from_reader(reply.get(21..)?).ok()?;
        let before = document.clone();
        change(command.keys().next()?, &command, &mut document);
        changed.fetch_add(usize::from(document != before), Ordering::Relaxed);
        let answers = i32::from_le_bytes(reply[8..12].try_into().ok()?);
        client.write_all(&message(answers, &document)).await.ok()?;
    }
}

async fn whole_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 16];
    stream.read_exact(&mut bytes).await.ok()?;
    let length = i32::from_le_bytes(bytes[..4].try_into().ok()?);
    bytes.resize(usize::try_from(length).ok()?, 0);
    stream.read_exact(&mut bytes[16..]).await.ok()?;
    Some(bytes)
}
