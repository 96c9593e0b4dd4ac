//! What lies between a socket's bytes and MQTT's bytes: a [`Layer`] takes what was received and hands out
//! plaintext, and turns plaintext into what is to be sent. TLS, WebSocket and PROXY are layers; a [`Door`] says
//! which of them a listener has, and [`Layers`] are one connection's.
//!
//! Nothing here holds a socket, reads a clock or waits: the runtime reads and writes, a layer only converts.
#![forbid(unsafe_code)]

#[cfg(test)]
mod conversation;
mod door;
pub mod faults;
mod layers;
pub mod limits;
mod networks;
mod outgoing;
mod plain;
mod proxy;
mod sealed;
mod stack;
pub mod tls;
mod websocket;

use std::fmt;
use std::io::IoSlice;

pub use rustls;

pub use door::{ClientDoor, Door, DoorOptions, Identity, ProxyOptions, TlsOptions, WebSocketOptions};
pub use layers::{Introduction, Layers};
pub use networks::{InvalidNetwork, Networks};
pub use plain::Plain;
pub use sealed::{Framed, Sealed};
pub use stack::Stack;
pub use websocket::WebSocketRequest;

/// One connection's conversion between the bytes of its socket and those of its protocol, both ways.
///
/// The two directions are independent of each other except that [`Layer::open`] may produce something to
/// send (a handshake), which [`Layer::has_own_output`] then tells.
pub trait Layer {
    /// Converts what the socket gave and hands each piece of plaintext to `plain`, in order; any number of
    /// pieces, none included. What is incomplete is kept inside. The bytes are changed in their place, where
    /// that saves a copy, and mean nothing afterwards.
    ///
    /// # Errors
    /// [`Broken`] when no plaintext will come any more, because the bytes cannot be what the layer expects or
    /// because the other end said goodbye ([`Broken::is_goodbye`]): the connection is to be closed once
    /// [`Layer::seal`] has no more to send. All later calls give an error, too.
    fn open(&mut self, received: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken>;

    /// What to send for this plaintext, of which it may take only a part. What was not sent comes again at
    /// the next call, so the same plaintext must be given until [`Layer::sent`] says that it is done with;
    /// more may have been added behind it.
    fn seal<'a>(&'a mut self, plain: &'a [IoSlice<'a>]) -> Sealed<'a>;

    /// The socket took the first `bytes` bytes of what [`Layer::seal`] gave. Returns how many bytes of
    /// plaintext are done with by that.
    fn sent(&mut self, bytes: usize) -> usize;

    /// Whether [`Layer::seal`] has something to send even without plaintext.
    fn has_own_output(&self) -> bool;
}

/// No plaintext will come any more; says why, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl Broken {
    /// The other end closed its WebSocket or TLS properly.
    pub const GOODBYE: Self = Self("the other end said goodbye");

    /// Whether this is a proper end and no fault.
    pub fn is_goodbye(self) -> bool {
        self == Self::GOODBYE
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}
