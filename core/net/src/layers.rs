//! The layers of one connection, one upon the other.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{Broken, Layer, Sealed};

/// All layers of one connection. Nothing and no more than a pointer where there are none. It may go to another
/// thread with its connection at any time between two calls.
#[derive(Debug, Default)]
pub enum Layers {
    /// The bytes of the socket are those of MQTT.
    #[default]
    Plain,
    /// Some layers.
    Stack(Box<Stack>),
}

/// What is known of the other end once all handshakes are done, and before it has said a word of MQTT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// Where the client connects from, if a load balancer in between said so; else the socket's own peer.
    pub address: Option<SocketAddr>,
    /// The user name that the client's certificate proves.
    pub user_name: Option<Arc<str>>,
    /// The version of TLS, as `TLSv1.3`.
    pub tls: Option<&'static str>,
}

/// The layers of a connection that has some.
#[derive(Debug)]
pub struct Stack {}

impl Layers {
    /// Whether all handshakes are done: until then there is no plaintext in either direction, and the runtime
    /// should bound the time that takes. Plain connections are established at once.
    pub fn is_established(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Who is at the other end, once, when the connection is established; nothing for a plain connection.
    ///
    /// Plaintext that came together with the end of the handshake is held back until this was asked. So after
    /// an `open`, and as long as the introduction was not taken: take it, and if there is one, call `open` again
    /// with no bytes for what was held back.
    pub fn introduction(&mut self) -> Option<Introduction> {
        None
    }

    /// Nothing more will be sent: puts a proper end behind all plaintext that was given to `seal` already (WebSocket Close, TLS
    /// close_notify), which [`Layer::has_own_output`] then tells. A second call does nothing.
    pub fn goodbye(&mut self) {}

    /// How many bytes the layers hold on the heap, roughly.
    pub fn held_bytes(&self) -> usize {
        0
    }
}

impl Layer for Layers {
    #[inline]
    fn open(&mut self, received: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        if !received.is_empty() {
            plain(received);
        }
        Ok(())
    }

    #[inline]
    fn seal<'a>(&'a mut self, plain: &'a [IoSlice<'a>]) -> Sealed<'a> {
        Sealed::Same(plain)
    }

    #[inline]
    fn sent(&mut self, bytes: usize) -> usize {
        bytes
    }

    #[inline]
    fn has_own_output(&self) -> bool {
        false
    }
}
