//! Everything a shard wants done. Effects are per connection and turn, never per message.

use crate::authz::PeerAddress;
use crate::input::{ConnId, ShardId};
use crate::local::{LocalOutcome, LocalTicket};

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Per packet.
    Debug,
    /// Per connection.
    Info,
    /// A client or peer did something wrong, or something was dropped.
    Warning,
    /// The broker itself has a problem.
    Error,
}

/// A connection on its way to the shard of its session, without its socket.
#[derive(Debug)]
pub struct Parcel {
    /// Everything the client sent so far, CONNECT first; nothing of it has been answered.
    pub bytes: Vec<u8>,
    /// Where it comes from.
    pub peer: PeerAddress,
    /// When its CONNECT was complete, in the order of all shards.
    pub connect_stamp: u64,
}

/// One thing to do.
#[derive(Debug)]
pub enum Effect {
    /// [`crate::Shard::output`] of this connection has something to send.
    Write(ConnId),
    /// Close the socket and forget the connection; the shard already has.
    Close(ConnId),
    /// Read no more from this connection for now.
    Pause(ConnId),
    /// Read again.
    Resume(ConnId),
    /// Read what has arrived on this connection, as far as it is read at all, then say
    /// [`crate::Input::HeardOut`], always and at once: another connection waits to take its session over.
    HearOut(ConnId),
    /// Hand the socket to another shard, which calls [`crate::Shard::adopt`]; this shard has forgotten it.
    Move {
        /// Which connection.
        conn: ConnId,
        /// Where to.
        to: ShardId,
        /// What goes along.
        parcel: Box<Parcel>,
    },
    /// The answer to a request of an in-process handle.
    LocalDone {
        /// The request.
        ticket: LocalTicket,
        /// What came of it.
        outcome: LocalOutcome,
    },
    /// A line for the log.
    Log(LogLevel, String),
    /// The first half of a stop is done: the wills are on their way.
    WorkStopped,
    /// The stop is complete.
    Stopped,
}
