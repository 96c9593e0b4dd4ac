//! One connection: its socket, the incomplete packet that arrived and the bytes that are to leave. It knows
//! nothing about what the packets mean.

use std::io::{self, Read as _, Write as _};
use std::mem;
use std::net::TcpStream;

/// A connection in non-blocking mode.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// Who this is, for messages.
    pub(crate) name: String,
    /// The incomplete packet at the end of what was read.
    tail: Vec<u8>,
    out: Vec<u8>,
    /// How much of `out` has left.
    sent: usize,
    /// Whether it stands in the list of connections to be flushed.
    pub(crate) dirty: bool,
    /// Whether the poller watches for room to write.
    pub(crate) watched_for_room: bool,
    /// Whether the publisher stopped because too much is to leave, not because its window is full.
    pub(crate) starved: bool,
}

/// What one read brought.
pub(crate) enum Read {
    Nothing,
    End,
    Bytes(usize),
}

impl Connection {
    /// Takes a socket over. `tail` is what was read behind the handshake.
    pub(crate) fn new(stream: TcpStream, name: String, tail: Vec<u8>) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            name,
            tail,
            out: Vec::new(),
            sent: 0,
            dirty: false,
            watched_for_room: false,
            starved: false,
        })
    }

    /// Bytes that are to leave.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Where packets are appended.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Reads once.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        match self.stream.read(buffer) {
            Ok(0) => Ok(Read::End),
            Ok(bytes) => Ok(Read::Bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Read::Nothing),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Read::End),
            Err(error) => Err(error),
        }
    }

    /// Takes the incomplete packet out, to be completed and put back by [`Connection::keep`].
    pub(crate) fn take_tail(&mut self) -> Vec<u8> {
        mem::take(&mut self.tail)
    }

    /// Keeps what is left of a tail and its memory.
    pub(crate) fn keep(&mut self, tail: Vec<u8>) {
        self.tail = tail;
    }

    /// Writes what is to leave, as far as there is room. Whether all has left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }
}
