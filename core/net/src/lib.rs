//! What lies between a socket's bytes and MQTT's bytes: a [`Layer`] takes what was received and hands out
//! plaintext, and turns plaintext into what is to be sent. TLS, WebSocket and PROXY are layers.
//!
//! Nothing here holds a socket, reads a clock or waits: the runtime reads and writes, a layer only converts.
#![forbid(unsafe_code)]

mod plain;

use std::fmt;
use std::io::IoSlice;

pub use plain::Plain;

/// One connection's conversion between the bytes of its socket and those of its protocol, both ways.
///
/// The two directions are independent of each other except that [`Layer::open`] may produce something to
/// send (a handshake), which [`Layer::has_own_output`] then tells.
pub trait Layer {
    /// Converts what the socket gave and hands each piece of plaintext to `plain`, in order; any number of
    /// pieces, none included. What is incomplete is kept inside.
    ///
    /// # Errors
    /// [`Broken`] when the bytes cannot be what the layer expects: the connection is to be closed once
    /// [`Layer::seal`] has no more to send.
    fn open(&mut self, received: &[u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken>;

    /// What to send for this plaintext, of which it may take only a part. What was not sent comes again at
    /// the next call, so the same plaintext must be given until [`Layer::sent`] says that it is done with.
    fn seal<'a>(&'a mut self, plain: &'a [IoSlice<'a>]) -> Sealed<'a>;

    /// The socket took the first `bytes` bytes of what [`Layer::seal`] gave. Returns how many bytes of
    /// plaintext are done with by that.
    fn sent(&mut self, bytes: usize) -> usize;

    /// Whether [`Layer::seal`] has something to send even without plaintext.
    fn has_own_output(&self) -> bool;
}

/// What is to be written to the socket.
#[derive(Debug)]
pub enum Sealed<'a> {
    /// The plaintext as it is.
    Same(&'a [IoSlice<'a>]),
    /// Bytes of the layer.
    Other(&'a [u8]),
}

/// The received bytes are not what the layer expects; says why, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}
