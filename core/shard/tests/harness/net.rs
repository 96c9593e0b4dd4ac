//! A socket pair that a test can see into: what the client wrote and the broker has not read, what the broker
//! wrote and the client has not read, and at which shard the broker's end lives.

use std::collections::VecDeque;

use ringmq_shard::ConnId;
use ringmq_wire::Version;

/// One connection of the whole test, wherever it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetId(pub usize);

/// Where the broker's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a shard.
    Shard(usize, ConnId),
    /// On its way to another shard.
    Moving,
    /// Closed by the broker.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub struct Net {
    pub version: Version,
    pub place: Place,
    /// Written by the client, not yet read by the broker.
    pub to_broker: VecDeque<u8>,
    /// The broker asked not to read.
    pub paused: bool,
    /// The client has closed its end: nothing more comes, nothing more is taken.
    pub client_gone: bool,
    /// The broker was told that the client is gone.
    pub ended_told: bool,
    /// Written by the broker and arrived at the client, not yet decoded.
    pub received: Vec<u8>,
    /// The broker said that there is something to write.
    pub writable: bool,
    /// The client reads nothing for now.
    pub stalled: bool,
    /// It was read since its shard's last turn ended.
    pub read_this_turn: bool,
    /// How often it was moved.
    pub moves: u32,
}

impl Net {
    pub fn new(version: Version, place: Place) -> Self {
        Self {
            version,
            place,
            to_broker: VecDeque::new(),
            paused: false,
            client_gone: false,
            ended_told: false,
            received: Vec::new(),
            writable: false,
            stalled: false,
            read_this_turn: false,
            moves: 0,
        }
    }

    /// Whether the broker has closed it.
    pub fn closed(&self) -> bool {
        self.place == Place::Closed
    }
}
