//! The fuzzer's targets for what a mongod sends, or whoever sits at its address.

use super::configs::Configs;
use super::frame;
use super::login::{Access, Account, Identity, Terms};
use super::peer::{self, GREETING_BYTES_MAX, Peer, Stream};
use super::scram::{ClientFirst, Keys};
use super::{first_write_error, wire};
use crate::model::{Change, DataId, MemberId, Proof, ReplConfig, VERSION_MAX};
use crate::secret::{Keyfile, Secret};
use bson::{Document, RawDocumentBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One document, as extended JSON. It is read as the answer to every question, and as the stored config.
pub(crate) fn document(bytes: &[u8]) {
    let Ok(reply) = serde_json::from_slice::<Document>(bytes) else { return };
    let _ = (wire::hello(&reply).is_ok(), wire::data_id(&reply).is_ok(), wire::lock(&reply).is_ok());
    let _ = (wire::optime(&reply).to_string(), wire::user_data(&reply), wire::feature(&reply), wire::hostname(&reply));
    let _ = (wire::wanted_set(&reply), first_write_error(&reply));
    if let Ok(hello) = wire::hello(&reply) {
        let _ = (wire::names_process(&reply, hello.process), hello.wire.to_string());
        hello
            .hosts
            .iter()
            .chain(&hello.primary)
            .for_each(|host| assert_eq!(host.to_string().parse().as_ref(), Ok(host)));
    }
    if let Ok((_, view)) = wire::status(&reply) {
        assert!(view.peers.len() <= reply.get_array("members").map_or(0, Vec::len));
        let _ = view.knows_commit_point();
    }
    let Ok(raw) = RawDocumentBuf::try_from(&reply) else { return };
    let _ = peer::check_version(&raw).is_ok();
    if let Some((_, message)) = peer::refusal(&raw) {
        assert!(!message.contains(char::is_control) && message.chars().count() <= 160, "{message:?}");
    }
    if let Ok(config) = Configs::default().read(raw) {
        edited(&config);
    }
}

/// Every edit of every member gives a config that can be read, at the next version.
fn edited(config: &ReplConfig) {
    // After the largest version there is none.
    let Ok(next) = config.with(&[]) else { return assert_eq!(config.version(), VERSION_MAX) };
    assert_eq!(next.version(), config.version() + 1);
    let _ = (config.next_id(), config.majority(), config.heartbeat_interval(), config.replica_set_id());
    assert!(!config.is_newer_than(config));
    let data = DataId(bson::Uuid::from_bytes([7; 16]));
    for member in config.members() {
        let id = member.id;
        for change in [
            Change::Remove { id },
            Change::RevokeVote { id },
            Change::RestoreVote { id, data },
            Change::RestoreVoteWithoutPriority { id, data },
            Change::Promote { id },
            Change::Tag { id, data },
            Change::Readdress { id, to: member.host.clone() },
        ] {
            let kept = matches!(change, Change::Remove { .. });
            let next = config.with(std::slice::from_ref(&change));
            let Ok(next) = next else { panic!("{change:?} of {member:?}: {next:?}") };
            assert_eq!(next.member(id).is_none(), kept, "{change:?}");
            let back = ReplConfig::from_stored(next.document().clone());
            assert_eq!(back.map(|back| back.document().clone()).as_ref(), Ok(next.document()));
        }
    }
    assert!(config.with(&[Change::Tag { id: MemberId(-1), data }]).is_err());
}

/// In bytes to a client, this stands for the client's nonce, which is random and as long.
const NONCE: &[u8; 32] = b"NONCE-NONCE-NONCE-NONCE-NONCE-32";

/// The first byte chooses. `0`: what a peer sends, without a login. `1`: the same, with a login. `2`: the two messages
/// of a SCRAM server, in two lines.
pub(crate) fn login(bytes: &[u8]) {
    let Some((kind, said)) = bytes.split_first() else { return };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    match kind {
        b'0' => runtime.block_on(met(said, Access::default())),
        b'1' => {
            let keyfile = Keyfile { first: Secret::new("the secret of the set"), second: Some(Secret::new("another")) };
            let identity = Identity::Account(Account::of_members(keyfile));
            runtime.block_on(met(said, Access { identity, ..Access::default() }));
        }
        _ => scram(said),
    }
}

async fn met(said: &[u8], access: Access) {
    let terms = Terms::new(access);
    let stream: Stream = Box::new(Stranger { said: said.to_vec(), heard: Vec::new(), at: 0 });
    let Ok(mut peer) = Peer::introduced(stream, &terms).await else { return };
    assert!(peer.hello.as_bytes().len() <= GREETING_BYTES_MAX);
    assert!(!terms.access.logs_in() || peer.proof == Proof::None, "a stranger proved a secret");
    let mut passed = Vec::new();
    while frame::pass(&mut peer.stream, &mut passed, 1000).await.is_ok_and(|more| more) {
        assert!(passed.len() <= said.len());
    }
}

fn scram(said: &[u8]) {
    let (first, last) = said.split_at(said.iter().position(|b| *b == b'\n').unwrap_or(said.len()));
    let client = ClientFirst::with_nonce("user", "NONCE-NONCE-NONCE-NONCE-NONCE-32");
    let Ok(challenge) = client.challenge(first) else { return };
    let Ok(keys) = Keys::derive(&Secret::new("pencil"), &challenge.cost) else { return };
    let (_, transcript) = client.answer(&challenge, &keys);
    let _ = keys.verify(&transcript, last.get(1..).unwrap_or_default());
}

/// The other end of a connection. It says what it has to say, and learns only the client's nonce.
struct Stranger {
    said: Vec<u8>,
    heard: Vec<u8>,
    at: usize,
}

impl Stranger {
    fn learn(&mut self) {
        let Some(begin) = self.heard.windows(3).position(|w| w == b",r=") else { return };
        let Some(nonce) = self.heard.get(begin + 3..begin + 3 + NONCE.len()).map(<[u8]>::to_vec) else { return };
        while let Some(at) = self.said.windows(NONCE.len()).position(|w| w == NONCE) {
            self.said[at..at + NONCE.len()].copy_from_slice(&nonce);
        }
    }
}

impl AsyncRead for Stranger {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.learn();
        let next = self.said.len().min(self.at + buffer.remaining());
        buffer.put_slice(&self.said[self.at..next]);
        self.at = next;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stranger {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.heard.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
