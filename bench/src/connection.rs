//! One connection: its socket, the layers between socket and MQTT if there are any, the incomplete packet that arrived
//! and the bytes that are to leave. It knows nothing about what the packets mean.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::mem;
use std::net::TcpStream;

use ringmq_net::{Layer as _, Layers, Sealed};

/// A connection in non-blocking mode.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    layers: Layers,
    /// What the layers made of the last read; it stays empty where there are none.
    opened: Vec<u8>,
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
    pub(crate) fn new(
        stream: TcpStream,
        layers: Layers,
        name: String,
        tail: Vec<u8>,
    ) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            layers,
            opened: Vec::new(),
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

    /// Reads once; what came for MQTT is at the front of `buffer`.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        // Layers may give more than was read just now, by what they held of an incomplete record or frame.
        let plain = matches!(self.layers, Layers::Plain);
        let room = if plain { buffer.len() } else { buffer.len() / 2 };
        match self.read_socket(&mut buffer[..room])? {
            Read::Bytes(bytes) if !plain => self.open(buffer, bytes),
            read => Ok(read),
        }
    }

    fn open(&mut self, buffer: &mut [u8], bytes: usize) -> io::Result<Read> {
        let (layers, opened) = (&mut self.layers, &mut self.opened);
        opened.clear();
        let result = layers.open(&mut buffer[..bytes], &mut |piece| opened.extend_from_slice(piece));
        if layers.has_own_output() {
            self.flush()?;
        }
        let bytes = self.opened.len();
        match result {
            Err(broken) if bytes == 0 && broken.is_goodbye() => return Ok(Read::End),
            Err(broken) if bytes == 0 => return Err(io::Error::other(broken)),
            // The next read has the same end.
            _ => {}
        }
        let room =
            buffer.get_mut(..bytes).ok_or_else(|| io::Error::other("the broker's records are too long"))?;
        room.copy_from_slice(&self.opened);
        Ok(if bytes == 0 { Read::Nothing } else { Read::Bytes(bytes) })
    }

    fn read_socket(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
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
        while self.sent < self.out.len() || self.layers.has_own_output() {
            let plain = [IoSlice::new(&self.out[self.sent..])];
            let written = match self.layers.seal(&plain) {
                Sealed::Same(_) => self.stream.write(&plain[0]),
                sealed => {
                    let pieces: Vec<_> = sealed.pieces().map(IoSlice::new).collect();
                    self.stream.write_vectored(&pieces)
                }
            };
            match written {
                Ok(bytes) => self.sent += self.layers.sent(bytes),
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
