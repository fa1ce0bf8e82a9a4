//! A scripted mongod that does not know the key. Each case defines its answers to commands.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::cluster::PORT;
use crate::support::mongods::free_ip;

/// The answer to a command.
pub enum Answer {
    /// One message with this document.
    Say(Document),
    /// These bytes, valid or not.
    Bytes(Vec<u8>),
    /// One message of this many bytes.
    Flood(usize),
    /// The first bytes of a valid message, and then the end of the connection.
    BreakOff(Document, usize),
    /// The first bytes of a valid message, and then nothing.
    Stall(Document, usize),
    /// A valid message, one byte at a time.
    Drip(Document),
    /// The end of the connection at once.
    Close,
}

/// Answers a command by its name.
pub type Script = Arc<dyn Fn(&str, &Document) -> Answer + Send + Sync>;

#[derive(Default)]
struct Notes {
    asked: AtomicUsize,
    mechanisms: Mutex<BTreeSet<String>>,
}

/// A running fake. It ends when dropped.
pub struct Fake {
    pub ip: Ipv4Addr,
    notes: Arc<Notes>,
    serving: JoinHandle<()>,
}

impl Fake {
    pub async fn start(script: Script) -> Self {
        Self::start_at(free_ip(PORT), script).await
    }

    pub async fn start_at(ip: Ipv4Addr, script: Script) -> Self {
        let listener = TcpListener::bind((ip, PORT)).await.unwrap();
        let notes = Arc::new(Notes::default());
        let kept = Arc::clone(&notes);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&kept)));
            }
        });
        Self { ip, notes, serving }
    }

    pub fn host(&self) -> String {
        SocketAddr::from((self.ip, PORT)).to_string()
    }

    /// The number of commands so far.
    pub fn asked(&self) -> usize {
        self.notes.asked.load(Ordering::Relaxed)
    }

    /// The login mechanisms that clients tried.
    pub fn mechanisms(&self) -> BTreeSet<String> {
        self.notes.mechanisms.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Script, notes: Arc<Notes>) -> Option<()> {
    loop {
        let mut header = [0; 16];
        stream.read_exact(&mut header).await.ok()?;
        let word = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let mut body = vec![0; usize::try_from(word(0)).ok()?.checked_sub(16)?];
        stream.read_exact(&mut body).await.ok()?;
        let command = Document::from_reader(body.get(5..)?).ok()?;
        let name = command.keys().next()?.clone();
        notes.asked.fetch_add(1, Ordering::Relaxed);
        let logins = [Some(&command), command.get_document("speculativeAuthenticate").ok()];
        for login in logins.into_iter().flatten() {
            notes.mechanisms.lock().unwrap().extend(login.get_str("mechanism").ok().map(str::to_owned));
        }
        match script(&name, &command) {
            Answer::Say(document) => stream.write_all(&message(word(4), &document)).await.ok()?,
            Answer::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
            Answer::Flood(bytes) => flood(&mut stream, word(4), bytes).await?,
            Answer::BreakOff(document, bytes) => {
                stream.write_all(&message(word(4), &document)[..bytes]).await.ok()?;
                return None;
            }
            Answer::Stall(document, bytes) => {
                stream.write_all(&message(word(4), &document)[..bytes]).await.ok()?;
                // Waits until the client closes the connection.
                let _ = stream.read_exact(&mut header).await;
                return None;
            }
            Answer::Drip(document) => {
                for byte in message(word(4), &document) {
                    stream.write_all(&[byte]).await.ok()?;
                    sleep(Duration::from_millis(20)).await;
                }
            }
            Answer::Close => return None,
        }
    }
}

/// `OP_MSG` with one document.
pub fn message(answers: i32, document: &Document) -> Vec<u8> {
    let body = document.to_vec().unwrap();
    let length = i32::try_from(16 + 5 + body.len()).unwrap();
    let header = [length, 1, answers, 2013].map(i32::to_le_bytes).concat();
    [header, vec![0; 5], body].concat()
}

/// Sends a valid message of this many bytes, with one long text.
async fn flood(stream: &mut TcpStream, answers: i32, bytes: usize) -> Option<()> {
    let empty = message(answers, &doc! { "ok": 1, "text": "" });
    let added = i32::try_from(bytes - empty.len()).unwrap();
    let mut head = empty[..empty.len() - 2].to_vec();
    let grow = |head: &mut Vec<u8>, at: usize| {
        let old = i32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        head[at..at + 4].copy_from_slice(&(old + added).to_le_bytes());
    };
    let text_length = head.len() - 4;
    for at in [0, 21, text_length] {
        grow(&mut head, at);
    }
    stream.write_all(&head).await.ok()?;
    let chunk = vec![b'x'; 1 << 20];
    let mut left = usize::try_from(added).unwrap();
    while left > 0 {
        let now = left.min(chunk.len());
        stream.write_all(&chunk[..now]).await.ok()?;
        left -= now;
    }
    stream.write_all(&[0, 0]).await.ok()
}
