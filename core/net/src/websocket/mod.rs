//! MQTT in WebSocket messages (RFC 6455, MQTT 5.0 section 6), at either end: first a request and answer of HTTP,
//! then frames. What is in binary messages is one stream; where messages and frames begin and end means nothing.

mod frames;
mod handshake;
mod mask;
mod request;
mod response;
mod sending;

#[cfg(test)]
mod tests;

use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::limits::WEBSOCKET_HEAD_BYTES_MAX;
use crate::{Broken, Sealed, WebSocketOptions};

use frames::{Frames, Heard};
use handshake::Head;
use mask::Masks;
use sending::Sending;

/// What a client asks a server for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketRequest {
    /// The server's name, with its port where that is not the usual one.
    pub host: String,
    /// The path, with its query.
    pub path: String,
}

impl WebSocketRequest {
    /// Whether it can be sent: neither the host nor the path is empty or has spaces or control characters in
    /// it, and the path begins with a slash.
    pub fn is_valid(&self) -> bool {
        let is_clean = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_clean(&self.host) && is_clean(&self.path) && self.path.starts_with('/')
    }
}

/// One connection's WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    state: State,
    frames: Frames,
    sending: Sending,
    broken: Option<Broken>,
}

#[derive(Debug)]
enum State {
    /// A server waits for the request.
    Requested(Box<Head>, Arc<WebSocketOptions>),
    /// A client waits for the answer to its request with this key.
    Requesting(Box<Head>, String),
    Open,
}

impl WebSocket {
    /// A server's end.
    pub(crate) fn server(options: &Arc<WebSocketOptions>) -> Self {
        Self {
            state: State::Requested(Box::default(), Arc::clone(options)),
            frames: Frames::new(true),
            sending: Sending::new(None),
            broken: None,
        }
    }

    /// A client's end, which begins to speak; `random` are bytes that nobody can guess.
    pub(crate) fn client(request: &WebSocketRequest, random: [u8; 32]) -> Self {
        let (key, masks) = Masks::split(random);
        let mut sending = Sending::new(Some(masks));
        sending.say(request::write(request, &key).as_bytes());
        Self {
            state: State::Requesting(Box::default(), key),
            frames: Frames::new(false),
            sending,
            broken: None,
        }
    }

    /// Whether request and answer are over.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// See [`crate::Layer::open`]. `address` is where the client connects from as far as is known; what a proxy
    /// says of it replaces it.
    pub(crate) fn open(
        &mut self,
        mut received: &mut [u8],
        address: &mut Option<SocketAddr>,
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if !self.is_open() {
            match self.handshake(received, address) {
                Ok(Some(used)) => received = &mut received[used..],
                Ok(None) => return Ok(()),
                Err(broken) => return Err(self.end(broken)),
            }
        }
        let sending = &mut self.sending;
        let read = self.frames.read(received, &mut |heard| match heard {
            Heard::Data(bytes) => plain(bytes),
            Heard::Ping(bytes) => sending.pong(bytes),
        });
        match read {
            Ok(()) => Ok(()),
            Err(end) => {
                self.sending.close(end.code);
                Err(self.end(end.broken))
            }
        }
    }

    fn end(&mut self, broken: Broken) -> Broken {
        self.broken = Some(broken);
        broken
    }

    /// Returns how many bytes the head of request or answer took, once it is whole and good.
    fn handshake(
        &mut self,
        received: &[u8],
        address: &mut Option<SocketAddr>,
    ) -> Result<Option<usize>, Broken> {
        let (State::Requested(head, _) | State::Requesting(head, _)) = &mut self.state else {
            return Ok(Some(0));
        };
        let used = head.take(received);
        match &self.state {
            State::Requested(head, options) => {
                let answered = match used {
                    Some(_) => request::accept(head.bytes(), options, *address),
                    None => request::check_beginning(head.bytes()).map(|()| None),
                };
                match answered {
                    Ok(None) => return Ok(None),
                    Ok(Some(accepted)) => {
                        *address = accepted.address.or(*address);
                        self.sending.say(accepted.response.as_bytes());
                    }
                    Err(refusal) => {
                        self.sending.say(refusal.response().as_bytes());
                        self.sending.end();
                        return Err(Broken(refusal.why));
                    }
                }
            }
            State::Requesting(head, key) if used.is_some() => response::check(head.bytes(), key)?,
            State::Requesting(head, _) if head.bytes().len() >= WEBSOCKET_HEAD_BYTES_MAX => {
                return Err(response::TOO_LONG);
            }
            _ => return Ok(None),
        }
        self.state = State::Open;
        Ok(used)
    }

    /// See [`crate::Layer::seal`].
    pub(crate) fn seal<'a>(&'a mut self, plain: &'a [IoSlice<'a>]) -> Sealed<'a> {
        let is_open = self.is_open();
        self.sending.seal(if is_open { plain } else { &[] })
    }

    /// See [`crate::Layer::sent`].
    pub(crate) fn sent(&mut self, bytes: usize) -> usize {
        self.sending.sent(bytes)
    }

    /// See [`crate::Layer::has_own_output`].
    pub(crate) fn has_own_output(&self) -> bool {
        self.sending.has_own_output()
    }

    /// Puts a Close frame behind everything.
    pub(crate) fn goodbye(&mut self) {
        if self.is_open() {
            self.sending.close(frames::NORMAL);
        }
    }

    /// How many bytes are held on the heap.
    pub(crate) fn held_bytes(&self) -> usize {
        let head = match &self.state {
            State::Requested(head, _) | State::Requesting(head, _) => size_of::<Head>() + head.held_bytes(),
            State::Open => 0,
        };
        head + self.frames.held_bytes() + self.sending.held_bytes()
    }
}
