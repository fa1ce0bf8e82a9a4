//! MongoDB's messages as bytes: a header of 16 bytes and a body, `OP_MSG` only (MongoDB manual, "Wire Protocol").
//!
//! **Invariant:** this module never holds more of a message than its limit allows. It checks the length that a peer
//! states before it allocates memory for the message.

use bson::{RawDocument, RawDocumentBuf};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const HEADER_BYTES: usize = 16;
/// The shortest valid message: header, flags, the kind byte of its only section, and an empty document.
const FRAME_BYTES_MIN: usize = HEADER_BYTES + FLAG_BYTES + 1 + 5;
const FLAG_BYTES: usize = 4;
const OP_MSG: i32 = 2013;
/// A receiver must know the first 16 flags. `checksumPresent` and `moreToCome` are the only two that exist.
const FLAGS_KNOWN: u32 = 0b11;
const CHECKSUM_PRESENT: u32 = 0b01;
const CHECKSUM_BYTES: usize = 4;
/// How many bytes of a message are passed on at a time. No byte is kept after that.
const CHUNK_BYTES: usize = 16 * 1024;

/// Why a message cannot be read or passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The source connection failed, or it ended in the middle of a message.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The destination connection failed.
    #[error("the message cannot be passed on")]
    Unheard(#[source] io::Error),
    /// The bytes are not the protocol of a mongod.
    #[error("it does not speak MongoDB's protocol")]
    Alien,
    /// The message is longer than its limit. The fields are its length and the limit, in bytes.
    #[error("it sends a message of {0} bytes; rsctl accepts at most {1}")]
    TooLong(usize, usize),
    /// The message does not consist of exactly one document.
    #[error("its message cannot be read")]
    Unreadable,
}

/// One whole message.
#[derive(Clone, Debug)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// A message with a command.
    pub(super) fn command(request: i32, body: &RawDocument) -> Self {
        let length = HEADER_BYTES + FLAG_BYTES + 1 + body.as_bytes().len();
        let mut bytes = Vec::with_capacity(length);
        // Commands built here are short, so the length always fits.
        bytes.extend(i32::try_from(length).unwrap_or(i32::MAX).to_le_bytes());
        bytes.extend([request, 0, OP_MSG].map(i32::to_le_bytes).concat());
        bytes.extend([0; FLAG_BYTES + 1]);
        bytes.extend(body.as_bytes());
        Self(bytes)
    }

    /// Reads one whole message of at most `limit` bytes.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Self, FrameError> {
        let header = header(from).await?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let length = checked_length(&header, limit)?;
        let mut bytes = vec![0; length];
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        from.read_exact(&mut bytes[HEADER_BYTES..]).await?;
        Ok(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn request(&self) -> i32 {
        number(&self.0, 4)
    }

    pub(super) fn answers(&self, request: i32) -> bool {
        number(&self.0, 8) == request
    }

    /// The same message as an answer to the request with this number.
    pub(super) fn answering(mut self, request: i32) -> Self {
        self.0[8..12].copy_from_slice(&request.to_le_bytes());
        self
    }

    /// The document of the message, which must have exactly one.
    pub(super) fn document(&self) -> Result<RawDocumentBuf, FrameError> {
        let (flags, sections) = self.0[HEADER_BYTES..].split_at(FLAG_BYTES);
        let flags = u32::from_le_bytes(flags.try_into().map_err(|_| FrameError::Unreadable)?);
        let trailer = if flags & CHECKSUM_PRESENT == 0 { 0 } else { CHECKSUM_BYTES };
        let end = sections.len().checked_sub(trailer).ok_or(FrameError::Unreadable)?;
        let known = flags & 0xffff & !FLAGS_KNOWN == 0;
        match sections[..end].split_first() {
            Some((0, document)) if known => {
                RawDocumentBuf::from_bytes(document.to_vec()).map_err(|_| FrameError::Unreadable)
            }
            _ => Err(FrameError::Unreadable),
        }
    }
}

/// Passes one message on in chunks. Returns false at the end of the connection.
pub(super) async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    limit: usize,
) -> Result<bool, FrameError> {
    let Some(header) = header(from).await? else { return Ok(false) };
    let length = checked_length(&header, limit)?;
    let mut chunk = Vec::with_capacity(length.min(CHUNK_BYTES));
    chunk.extend(header);
    let mut left = length - HEADER_BYTES;
    while left > 0 {
        let begun = chunk.len();
        let now = left.min(CHUNK_BYTES - begun);
        chunk.resize(begun + now, 0);
        from.read_exact(&mut chunk[begun..]).await?;
        to.write_all(&chunk).await.map_err(FrameError::Unheard)?;
        chunk.clear();
        left -= now;
    }
    to.flush().await.map_err(FrameError::Unheard)?;
    Ok(true)
}

/// Reads a header. Returns none if the connection ends before a message starts.
async fn header(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<[u8; HEADER_BYTES]>, FrameError> {
    let mut header = [0; HEADER_BYTES];
    let begun = from.read(&mut header).await?;
    if begun == 0 {
        return Ok(None);
    }
    from.read_exact(&mut header[begun..]).await?;
    Ok(Some(header))
}

fn checked_length(header: &[u8; HEADER_BYTES], limit: usize) -> Result<usize, FrameError> {
    if number(header, 12) != OP_MSG {
        return Err(FrameError::Alien);
    }
    let length = usize::try_from(number(header, 0)).map_err(|_| FrameError::Alien)?;
    match length {
        0..FRAME_BYTES_MIN => Err(FrameError::Alien),
        _ if length > limit => Err(FrameError::TooLong(length, limit)),
        _ => Ok(length),
    }
}

fn number(bytes: &[u8], at: usize) -> i32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, i32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;
    use proptest::prelude::*;

    const LIMIT: usize = 1000;

    async fn read(mut bytes: &[u8]) -> Result<Frame, FrameError> {
        Frame::read(&mut bytes, LIMIT).await
    }

    fn header_of(length: i32, code: i32) -> Vec<u8> {
        [length, 7, 9, code].map(i32::to_le_bytes).concat()
    }

    #[tokio::test]
    async fn a_command_is_read_back_as_it_was_written() {
        let body = rawdoc! { "hello": 1, "$db": "admin" };
        let frame = Frame::command(42, &body);
        let back = read(frame.as_bytes()).await.unwrap();
        assert_eq!((back.request(), back.document().unwrap()), (42, body));
        assert!(back.answering(7).answers(7));
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_refused_before_memory_is_taken() {
        for length in [i32::MIN, -1, 0, 15, 16, 25] {
            assert!(matches!(read(&header_of(length, OP_MSG)).await, Err(FrameError::Alien)), "{length}");
        }
        for length in [1001, 48_000_000, i32::MAX] {
            assert!(matches!(read(&header_of(length, OP_MSG)).await, Err(FrameError::TooLong(..))), "{length}");
        }
        for code in [0, 1, 2004, 2012, -1] {
            assert!(matches!(read(&header_of(100, code)).await, Err(FrameError::Alien)), "{code}");
        }
        assert!(matches!(read(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, Err(FrameError::Alien)));
    }

    #[tokio::test]
    async fn flags_that_must_be_known_are_and_a_checksum_is_left_out() {
        let body = rawdoc! { "ok": 1 };
        let mut bytes = Frame::command(1, &body).0;
        bytes.extend([1, 2, 3, 4]);
        let length = i32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        assert!(Frame(bytes.clone()).document().is_err(), "four bytes too many");
        bytes[HEADER_BYTES] = 1;
        assert_eq!(Frame(bytes.clone()).document().unwrap(), body);
        bytes[HEADER_BYTES] = 0b101;
        assert!(Frame(bytes).document().is_err(), "an unknown flag");
    }

    #[tokio::test]
    async fn what_is_passed_on_arrives_whole_and_the_end_is_told_from_a_break() {
        let body = rawdoc! { "text": "x".repeat(100_000) };
        let frame = Frame::command(1, &body);
        let twice = [frame.as_bytes(), frame.as_bytes()].concat();
        let (mut from, mut to) = (twice.as_slice(), Vec::new());
        while pass(&mut from, &mut to, 200_000).await.unwrap() {}
        assert_eq!(to, twice);
        let mut broken = &twice[..frame.as_bytes().len() + 50];
        assert!(pass(&mut broken, &mut Vec::new(), 200_000).await.unwrap());
        assert!(matches!(pass(&mut broken, &mut Vec::new(), 200_000).await, Err(FrameError::Io(_))));
        assert!(matches!(pass(&mut twice.as_slice(), &mut Vec::new(), 1000).await, Err(FrameError::TooLong(..))));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(length in -10..2000_i32, code in prop_oneof![Just(OP_MSG), any::<i32>()],
            body in proptest::collection::vec(any::<u8>(), 0..1200)) {
            let bytes = [header_of(length, code), body].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let frame = runtime.block_on(read(&bytes));
            if let Ok(frame) = frame {
                prop_assert!(frame.as_bytes().len() <= LIMIT);
                let _ = frame.document().map(|d| d.iter().count());
            }
            let mut to = Vec::new();
            let _ = runtime.block_on(pass(&mut bytes.as_slice(), &mut to, LIMIT));
            prop_assert!(to.len() <= LIMIT);
        }
    }
}
