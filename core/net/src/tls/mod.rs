//! The layer of TLS, at either end: rustls does the protocol, this holds what is not whole yet and what waits to
//! be sent. Bytes are opened in their place; an idle connection holds no buffer.

mod client;
mod identity;
mod pem;
mod reason;
mod server;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, ProtocolVersion, ServerConfig};

use crate::Broken;
use crate::limits::{TLS_INCOMING_BYTES_MAX, TLS_OWN_OUTPUT_BYTES_MAX, TLS_SEAL_BYTES_MAX};
use crate::outgoing::Outgoing;

pub use client::{ClientSettings, Verification, client};
pub(crate) use identity::user_name;
pub use pem::{Input, Problem, TlsError};
pub use server::{ClientAuthorities, ClientCertificates, ServerCertificate, ServerSettings, server};

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246) and newer.
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl TlsVersion {
    fn and_newer(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        const V1_3: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
        match self {
            Self::V1_2 => rustls::ALL_VERSIONS,
            Self::V1_3 => V1_3,
        }
    }
}

enum End {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// One connection's TLS.
pub(crate) struct Tls {
    end: End,
    /// Received and not whole: part of a record, or of a handshake message.
    incoming: Vec<u8>,
    out: Outgoing,
    broken: Option<Broken>,
    /// Nothing can be encrypted any more: close_notify or a fatal alert stands in `out`.
    closed: bool,
}

/// What to do once rustls takes plaintext.
enum Wish<'a> {
    Nothing,
    Encrypt(&'a [u8]),
    CloseNotify,
}

/// How a step of rustls went.
enum Step {
    Again,
    /// It can do no more without further bytes.
    Wait,
    PeerClosed,
    Failed(Broken),
}

impl Tls {
    /// A server's end.
    ///
    /// # Panics
    /// When the configuration has a `max_fragment_size` that TLS does not allow.
    pub(crate) fn server(config: &Arc<ServerConfig>) -> Self {
        let connection = UnbufferedServerConnection::new(Arc::clone(config));
        Self::new(End::Server(connection.expect("a max_fragment_size that TLS allows")))
    }

    /// A client's end, which begins to speak.
    pub(crate) fn client(config: &Arc<ClientConfig>, server: ServerName<'static>) -> Result<Self, Broken> {
        let connection = UnbufferedClientConnection::new(Arc::clone(config), server);
        let mut tls = Self::new(End::Client(connection.map_err(|error| reason::of(&error))?));
        tls.open(&mut [], &mut |_| ())?;
        Ok(tls)
    }

    fn new(end: End) -> Self {
        Self { end, incoming: Vec::new(), out: Outgoing::default(), broken: None, closed: false }
    }

    pub(crate) fn is_established(&self) -> bool {
        !self.common().is_handshaking()
    }

    /// Whether plaintext can be encrypted.
    pub(crate) fn is_open(&self) -> bool {
        self.is_established() && !self.closed
    }

    /// The version, once established.
    pub(crate) fn version(&self) -> Option<&'static str> {
        match self.common().protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            _ => None,
        }
    }

    #[cfg(test)]
    fn kind(&self) -> Option<rustls::HandshakeKind> {
        self.common().handshake_kind()
    }

    /// The other end's own certificate, once established.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.common().peer_certificates()?.first()
    }

    /// See [`crate::Layer::open`].
    pub(crate) fn open(
        &mut self,
        mut received: &mut [u8],
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if self.closed {
            return Ok(());
        }
        while !self.incoming.is_empty() && !received.is_empty() {
            let (piece, rest) = received.split_at_mut(missing(&self.incoming).min(received.len()));
            received = rest;
            self.incoming.extend_from_slice(piece);
            self.open_incoming(plain)?;
        }
        // What rustls has not discarded, it must see again in its place.
        if self.incoming.is_empty() {
            let used = self.process(received, plain, Wish::Nothing)?;
            self.incoming.extend_from_slice(&received[used..]);
        }
        if self.incoming.len() > TLS_INCOMING_BYTES_MAX {
            return Err(self.fail(Broken("TLS: a handshake message that is too long")));
        }
        Ok(())
    }

    /// See [`crate::Layer::seal`].
    pub(crate) fn seal<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]>) -> &[u8] {
        if self.has_room() {
            self.encrypt(pieces);
        }
        self.out.waiting()
    }

    /// See [`crate::Layer::sent`].
    pub(crate) fn sent(&mut self, bytes: usize) -> usize {
        self.out.take_sent(bytes)
    }

    /// Whether there is something to send without plaintext.
    pub(crate) fn has_own_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether [`Self::seal`] takes plaintext that it was not given yet.
    pub(crate) fn has_room(&self) -> bool {
        !self.out.has_plain() && self.is_open()
    }

    /// Puts close_notify behind everything: nothing will be encrypted any more, and what arrives is thrown away.
    pub(crate) fn close(&mut self) {
        if self.is_open() {
            self.wish(Wish::CloseNotify);
        }
        self.incoming = Vec::new();
        self.closed = true;
    }

    /// How many bytes are held on the heap: those of the buffers, and roughly those of rustls.
    pub(crate) fn held_bytes(&self) -> usize {
        // Counted: what an established TLS 1.3 server without client certificate has from the allocator besides.
        const RUSTLS_BYTES: usize = 2 * 1024;
        size_of::<Self>() + self.incoming.capacity() + self.out.held_bytes() + RUSTLS_BYTES
    }

    fn common(&self) -> &CommonState {
        match &self.end {
            End::Server(connection) => connection,
            End::Client(connection) => connection,
        }
    }

    fn encrypt<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]>) {
        let mut pieces = pieces.peekable();
        let Some(first) = pieces.next() else { return };
        if pieces.peek().is_none() {
            return self.encrypt_one(&first[..first.len().min(TLS_SEAL_BYTES_MAX)]);
        }
        let mut together = first[..first.len().min(TLS_SEAL_BYTES_MAX)].to_vec();
        for piece in pieces {
            let room = TLS_SEAL_BYTES_MAX - together.len();
            together.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() >= room {
                break;
            }
        }
        self.encrypt_one(&together);
    }

    fn encrypt_one(&mut self, plain: &[u8]) {
        if self.wish(Wish::Encrypt(plain)) {
            self.out.note_plain(plain.len());
        }
    }

    /// Whether the wish came true.
    fn wish(&mut self, wish: Wish<'_>) -> bool {
        let mut incoming = std::mem::take(&mut self.incoming);
        // Everything that arrived was handed out already.
        let used = self.process(&mut incoming, &mut |_| debug_assert!(false), wish);
        if let Ok(used) = used {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        used.is_ok()
    }

    fn open_incoming(&mut self, plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let used = self.process(&mut incoming, plain, Wish::Nothing)?;
        if used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        Ok(())
    }

    /// Lets rustls do what it can with these bytes; returns how many of them are done with.
    fn process(
        &mut self,
        bytes: &mut [u8],
        plain: &mut dyn FnMut(&[u8]),
        mut wish: Wish<'_>,
    ) -> Result<usize, Broken> {
        let mut used = 0;
        loop {
            let (left, out) = (&mut bytes[used..], &mut self.out);
            let (discard, step) = match &mut self.end {
                End::Server(connection) => step(connection.process_tls_records(left), out, plain, &mut wish),
                End::Client(connection) => step(connection.process_tls_records(left), out, plain, &mut wish),
            };
            used += discard;
            match step {
                Step::Again if self.out.waiting().len() > TLS_OWN_OUTPUT_BYTES_MAX => {
                    return Err(self.fail(Broken("TLS: the other end asks and does not read")));
                }
                Step::Again => (),
                Step::Wait => return Ok(used),
                Step::PeerClosed => {
                    self.broken = Some(Broken::GOODBYE);
                    return Err(Broken::GOODBYE);
                }
                Step::Failed(broken) => {
                    self.take_alert();
                    return Err(self.fail(broken));
                }
            }
        }
    }

    /// After an error: what rustls has to say about it to the other end. No more than that: it must not look at
    /// received bytes again.
    fn take_alert(&mut self) {
        while self.common().wants_write() {
            let (out, plain, wish) = (&mut self.out, &mut |_: &[u8]| (), &mut Wish::Nothing);
            let (_, step) = match &mut self.end {
                End::Server(connection) => step(connection.process_tls_records(&mut []), out, plain, wish),
                End::Client(connection) => step(connection.process_tls_records(&mut []), out, plain, wish),
            };
            if !matches!(step, Step::Again) {
                return;
            }
        }
    }

    fn fail(&mut self, broken: Broken) -> Broken {
        self.incoming = Vec::new();
        self.closed = true;
        self.broken = Some(broken);
        broken
    }
}

/// How many bytes the first record lacks; any number when it is there and something else is missing.
fn missing(incoming: &[u8]) -> usize {
    const HEAD_BYTES: usize = 5;
    let Some(head) = incoming.first_chunk::<HEAD_BYTES>() else {
        return HEAD_BYTES - incoming.len();
    };
    let record = HEAD_BYTES + usize::from(u16::from_be_bytes([head[3], head[4]]));
    match record.saturating_sub(incoming.len()) {
        0 => usize::MAX,
        missing => missing,
    }
}

/// One step of rustls, carried out. Returns how many of the received bytes are done with.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    out: &mut Outgoing,
    plain: &mut dyn FnMut(&[u8]),
    wish: &mut Wish<'_>,
) -> (usize, Step) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    if !record.payload.is_empty() {
                        plain(record.payload);
                    }
                }
                Some(Err(error)) => break Step::Failed(reason::of(&error)),
                None => break Step::Again,
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let written = append(out.bytes(), 0, |room| match data.encode(room) {
                Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
                Err(EncodeError::AlreadyEncoded) => Err(None),
                Ok(written) => Ok(written),
            });
            if written { Step::Again } else { Step::Failed(reason::CANNOT_SEND) }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Step::Again
        }
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            let estimate = match wish {
                Wish::Nothing => return (discard, Step::Wait),
                Wish::Encrypt(bytes) => bytes.len() + RECORD_OVERHEAD * bytes.len().div_ceil(RECORD_BYTES),
                Wish::CloseNotify => RECORD_OVERHEAD,
            };
            let written = append(out.bytes(), estimate, |room| {
                let written = match wish {
                    Wish::Encrypt(bytes) => traffic.encrypt(bytes, room),
                    _ => traffic.queue_close_notify(room),
                };
                written.map_err(|error| match error {
                    EncryptError::InsufficientSize(size) => Some(size.required_size),
                    EncryptError::EncryptExhausted => None,
                })
            });
            *wish = Wish::Nothing;
            if written { Step::Again } else { Step::Failed(reason::CANNOT_SEND) }
        }
        Ok(ConnectionState::PeerClosed) => Step::PeerClosed,
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Step::Wait,
        // Early data is not offered.
        Ok(_) => Step::Failed(reason::UNEXPECTED),
        Err(error) => Step::Failed(reason::of(&error)),
    };
    (discard, step)
}

/// Plaintext in a record, and what a record has besides: head, nonce, type and tag, at most (RFC 5246, RFC 8446).
const RECORD_BYTES: usize = 16 * 1024;
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;

/// Lets `write` fill room behind `bytes`, first of `estimate` bytes and then of what it says it needs.
fn append(
    bytes: &mut Vec<u8>,
    estimate: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> bool {
    let start = bytes.len();
    bytes.resize(start + estimate, 0);
    let mut written = write(&mut bytes[start..]);
    if let Err(Some(required)) = written {
        bytes.resize(start + required, 0);
        written = write(&mut bytes[start..]);
    }
    bytes.truncate(start + written.unwrap_or(0));
    written.is_ok()
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No keys.
        f.debug_struct("Tls")
            .field("broken", &self.broken)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
