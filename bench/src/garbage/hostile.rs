//! Hostile connections: each writes a few pieces, split anywhere, reads what comes without looking at it, and is
//! replaced when the broker closes it or it has said enough.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ringmq_wire::Version;

use super::damage::{self, KINDS};
use super::packets;
use super::random::Random;

/// Pieces that one connection sends at most.
const PIECES_MAX: usize = 60;
/// Pieces that one connection sends in its turn now and then. Most turns are one piece: the broker has looked at
/// it, and perhaps closed, before the connection's next turn, so that few pieces go to one that is closed.
const TURN_PIECES_MAX: usize = 6;
/// Pieces behind one that may announce a length of any size: the broker takes them for its body.
const SWALLOWED_MAX: usize = 3;
/// How long a broker may leave what was written unread before the connection is given up. It may do so for good
/// reasons: a parked connection is not read.
const UNREAD_MAX: Duration = Duration::from_millis(50);
/// How long the system may have no port for a new connection.
const NO_PORT_MAX: Duration = Duration::from_secs(60);

/// What was sent, and what the broker did.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) connections: u64,
    /// Connections that the broker ended.
    pub(super) closed_by_broker: u64,
    /// Connections given up because the broker did not read.
    pub(super) unread: u64,
    pub(super) kinds: [u64; KINDS.len()],
}

/// All hostile connections.
pub(super) struct Crowd {
    broker: SocketAddr,
    places: Vec<Option<Hostile>>,
    random: Random,
    tally: Tally,
}

struct Hostile {
    stream: TcpStream,
    version: Version,
    /// Pieces that it will still send.
    left: usize,
}

enum Wrote {
    All,
    Closed,
    Unread,
}

impl Crowd {
    pub(super) fn new(broker: SocketAddr, connections: usize, random: Random) -> Self {
        let places = (0..connections.max(1)).map(|_| None).collect();
        Self { broker, places, random, tally: Tally::default() }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// One connection has its turn.
    pub(super) fn attack(&mut self) -> io::Result<()> {
        let place = self.random.below(self.places.len());
        let mut hostile = match self.places[place].take() {
            Some(hostile) => hostile,
            None => self.open()?,
        };
        let pieces = if self.random.chance(90) { 1 } else { self.random.below(TURN_PIECES_MAX) + 1 };
        if !self.drain(&mut hostile) {
            self.tally.closed_by_broker += 1;
            return Ok(());
        }
        for _ in 0..pieces {
            if hostile.left == 0 {
                return Ok(());
            }
            hostile.left -= 1;
            let (kind, bytes) = damage::piece(&mut self.random, hostile.version);
            if matches!(KINDS[kind], "length" | "noise") {
                hostile.left = hostile.left.min(SWALLOWED_MAX);
            }
            let wrote = self.write(&mut hostile, &bytes);
            self.tally.packets += 1;
            self.tally.kinds[kind] += 1;
            match wrote {
                Wrote::All => {}
                Wrote::Closed => {
                    self.tally.closed_by_broker += 1;
                    return Ok(());
                }
                Wrote::Unread => {
                    self.tally.unread += 1;
                    return Ok(());
                }
            }
        }
        self.places[place] = Some(hostile);
        Ok(())
    }

    /// Connects; three of four times a right CONNECT comes first.
    fn open(&mut self) -> io::Result<Hostile> {
        let stream = connect(self.broker)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        self.tally.connections += 1;
        let version = self.random.pick(&packets::VERSIONS);
        let left = self.random.below(PIECES_MAX) + 1;
        let mut hostile = Hostile { stream, version, left };
        if self.random.chance(75) {
            let hello = packets::connect(&mut self.random, version);
            // Its first piece tells whether that arrived.
            self.write(&mut hostile, &hello);
            self.tally.packets += 1;
            self.tally.kinds[0] += 1;
        }
        Ok(hostile)
    }

    /// Writes in one to three parts.
    fn write(&mut self, hostile: &mut Hostile, bytes: &[u8]) -> Wrote {
        let mut rest = bytes;
        for _ in 0..self.random.below(3) {
            let (part, behind) = rest.split_at(self.random.below(rest.len() + 1));
            match self.write_part(hostile, part) {
                Wrote::All => rest = behind,
                other => return other,
            }
        }
        self.write_part(hostile, rest)
    }

    fn write_part(&mut self, hostile: &mut Hostile, mut part: &[u8]) -> Wrote {
        let started = Instant::now();
        while !part.is_empty() {
            match hostile.stream.write(part) {
                Ok(bytes) => {
                    self.tally.bytes += bytes as u64;
                    part = &part[bytes..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.drain(hostile) {
                        return Wrote::Closed;
                    }
                    if started.elapsed() > UNREAD_MAX {
                        return Wrote::Unread;
                    }
                    std::thread::yield_now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Wrote::Closed,
            }
        }
        Wrote::All
    }

    /// Takes what the broker has to say; false when it has closed.
    fn drain(&mut self, hostile: &mut Hostile) -> bool {
        let mut buffer = [0; 16 << 10];
        loop {
            match hostile.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(bytes) => self.tally.received_bytes += bytes as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

/// Ports of connections that have just ended are not free at once; that is this machine's limit, not the broker's.
fn connect(broker: SocketAddr) -> io::Result<TcpStream> {
    let started = Instant::now();
    loop {
        match TcpStream::connect(broker) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrNotAvailable && started.elapsed() < NO_PORT_MAX =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}
