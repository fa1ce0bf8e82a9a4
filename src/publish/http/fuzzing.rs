//! The fuzzer's target for requests over HTTP.

use super::admin::admin_router;
use super::connection::converse;
use super::{LISTENERS_MAX, POLLERS_MAX, Served, router};
use crate::admin::{AdminEndpoint, HEADER, NotRemovable};
use crate::model::{AddressKind, RecoveryRequest, RequestState, SwitchoverId, SwitchoverState};
use crate::publish::{Snapshot, Status};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

const STATUS: &str = include_str!("../../../tests/fuzz/status.json");

/// The bytes of one connection. The first one chooses: `0` is the endpoint for everybody, `1` the one for admins.
pub(crate) fn requests(bytes: &[u8]) {
    let Some((kind, sent)) = bytes.split_first() else { return };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let answers = runtime.block_on(conversation(*kind == b'1', sent));
    assert!(answers.is_empty() || answers.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&answers));
}

/// What the server answers.
async fn conversation(is_admin: bool, sent: &[u8]) -> Vec<u8> {
    let Ok(status) = serde_json::from_str::<Status>(STATUS) else { panic!("tests/fuzz/status.json is no status") };
    // The feed is dropped, so nobody waits for a change.
    let (_, snapshots) = watch::channel(Arc::new(Snapshot::new(status)));
    let served = Served::new(snapshots, Duration::from_secs(15), POLLERS_MAX, LISTENERS_MAX);
    let orders = Arc::new(Orders::default());
    let pages = if is_admin { admin_router(served, orders.clone()) } else { router(served) };
    let answers = Arc::default();
    let client = Client { sent: sent.to_vec(), at: 0, answers: Arc::clone(&answers) };
    // Without more bytes, the server waits for the next request, until it gives up.
    let silence = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { biased; () = converse(client, pages) => {}, () = silence => {} }
    if orders.0.load(Ordering::Relaxed) > 0 {
        let text = String::from_utf8_lossy(sent).to_lowercase();
        assert!(text.contains("post ") && text.contains(HEADER), "an order that a web page could give");
    }
    std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The other end of a connection. It says what it has to say, and hears the answers.
struct Client {
    sent: Vec<u8>,
    at: usize,
    answers: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let next = self.sent.len().min(self.at + buffer.remaining());
        if next == self.at {
            return Poll::Pending;
        }
        buffer.put_slice(&self.sent[self.at..next]);
        self.at = next;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Counts the orders of an admin.
#[derive(Default)]
struct Orders(AtomicUsize);

impl AdminEndpoint for Orders {
    fn pause(&self, _: Duration, _: &str) {}

    fn resume(&self) {}

    fn remove(&self, _: &str) -> Result<(), NotRemovable> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn readdress(&self, _: AddressKind) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn switch_over(&self, _: &str, _: Option<&str>, _: bool) -> Option<SwitchoverId> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn switchover_state(&self, _: SwitchoverId) -> Option<SwitchoverState> {
        None
    }

    fn recover(&self, _: RecoveryRequest) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn request_state(&self, _: &RecoveryRequest) -> Option<RequestState> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_requests_of_the_corpus_are_answered() {
        for (file, expected) in [("page", "200 OK"), ("recover", "202 Accepted"), ("web-page", "403 Forbidden")] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/http").join(file);
            let bytes = std::fs::read(path).unwrap();
            let answer = String::from_utf8(conversation(bytes[0] == b'1', &bytes[1..]).await).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{file}: {answer}");
        }
    }
}
