//! Every durable change as a value that could be replayed elsewhere: what changes, in which partition, and
//! under which epoch. Carrying it out needs no clock, dice or socket.

use ringmq_proto::session::Change;
use ringmq_wire::message::Message;

use crate::partition::Partition;

/// One durable change.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Where it belongs.
    pub partition: Partition,
    /// What changes.
    pub body: Body<'a>,
}

/// What changes.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A session changed. Refused when the session's epoch is higher than `epoch`.
    Session {
        /// Its ClientID.
        client_id: &'a str,
        /// The epoch the change was made under.
        epoch: u64,
        /// What happened to it.
        change: &'a Change,
    },
    /// A session ended with everything it had.
    SessionEnded {
        /// Its ClientID.
        client_id: &'a str,
        /// The epoch it ended under.
        epoch: u64,
    },
    /// A topic has this retained message from now on, unless it has one with a higher stamp.
    Retained {
        /// The message; its topic is the key.
        message: &'a Message,
    },
    /// A topic has no retained message any more, unless it has one with a higher stamp.
    RetainedCleared {
        /// The topic.
        topic: &'a str,
        /// Stamp of the publish that cleared it.
        stamp: u64,
    },
}
