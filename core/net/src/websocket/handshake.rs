//! What the request and the answer of a WebSocket have in common: a head of HTTP that is collected until it is
//! whole, and the key that proves that the server understood.

use data_encoding::BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::limits::WEBSOCKET_HEAD_BYTES_MAX;

const END: &[u8; 4] = b"\r\n\r\n";

/// A head of HTTP, as far as it has arrived.
#[derive(Debug, Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
}

impl Head {
    /// Takes what belongs to the head and fits. Returns how many bytes that are, once the head is whole.
    pub(crate) fn take(&mut self, received: &[u8]) -> Option<usize> {
        let before = self.bytes.len();
        let room = WEBSOCKET_HEAD_BYTES_MAX - before;
        self.bytes.extend_from_slice(&received[..received.len().min(room)]);
        let search = before.saturating_sub(END.len() - 1);
        let end = self.bytes[search..].windows(END.len()).position(|window| window == END)?;
        self.bytes.truncate(search + end + END.len());
        Some(self.bytes.len() - before)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2).
pub(crate) fn accept_key(key: &str) -> String {
    let text = [key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

/// All values of a header, in order, without spaces around; the sign for unknown characters for one that is no text,
/// so that it is there and is none that is known.
pub(crate) fn values<'h>(
    headers: &'h [httparse::Header<'_>],
    name: &'static str,
) -> impl Iterator<Item = &'h str> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| std::str::from_utf8(header.value).map_or("\u{fffd}", str::trim))
}

/// The parts between commas of all values of a header, none of them empty.
pub(crate) fn tokens<'h>(
    headers: &'h [httparse::Header<'_>],
    name: &'static str,
) -> impl Iterator<Item = &'h str> {
    values(headers, name).flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Whether one of the parts is this word, in whatever letters.
pub(crate) fn has_token(headers: &[httparse::Header<'_>], name: &'static str, word: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(word))
}
