//! Everything that can happen to a shard. Together with [`crate::Effect`] and the ports it is the whole
//! outside world.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::authz::{Ticket, Verdict};
use crate::local::LocalInput;
use crate::mesh::Batch;

/// One connection of one shard. Slots are reused, generations are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// Index in the shard's table.
    pub slot: u32,
    /// Tells users of the same slot apart.
    pub generation: u32,
}

/// Number of a shard in its broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

impl ShardId {
    /// As an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a handshake below MQTT tells of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduced {
    /// Where it connects from, when that is not the other end of the socket.
    pub address: Option<SocketAddr>,
    /// The user name that it has proved.
    pub user_name: Option<Arc<str>>,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes arrived; the shard copies what it cannot use up at once.
    Bytes {
        /// On which connection.
        conn: ConnId,
        /// What arrived.
        bytes: &'a [u8],
    },
    /// The layers below MQTT have come to know who is at the other end; before any bytes.
    Introduced {
        /// Which connection.
        conn: ConnId,
        /// What they know.
        introduced: Introduced,
    },
    /// The layers below MQTT cannot read what arrived: no more bytes will come, as with [`Input::Ended`].
    Broken {
        /// Which connection.
        conn: ConnId,
        /// What is wrong, for the log.
        reason: &'static str,
    },
    /// The other end closed or the socket failed: no more bytes will come. The shard answers with
    /// [`crate::Effect::Close`] once it has used up what came before.
    Ended {
        /// Which connection.
        conn: ConnId,
    },
    /// All that had arrived on a connection when [`crate::Effect::HearOut`] was carried out has been handed in.
    HeardOut {
        /// Which connection; it may be gone.
        conn: ConnId,
    },
    /// The first `bytes` of [`crate::Shard::output`] were taken by the kernel.
    Wrote {
        /// Which connection.
        conn: ConnId,
        /// How many.
        bytes: usize,
    },
    /// A batch from another shard; the shard leaves it empty, ready to go home.
    Mesh {
        /// Who sent it.
        from: ShardId,
        /// The batch.
        batch: &'a mut Batch,
    },
    /// All lanes have been emptied up to what stood in them after the previous `MeshDrained`.
    MeshDrained,
    /// A decider's late answer.
    Decided {
        /// The question.
        ticket: Ticket,
        /// The answer.
        verdict: Verdict,
    },
    /// Something from an in-process handle.
    Local(LocalInput),
    /// Time has passed; needed at the latest at [`crate::Shard::deadline`].
    Tick,
    /// Stop, first half: accept no new work and publish the wills of clients that are connected.
    StopWork,
    /// Stop, second half, once every shard has done the first and the lanes are empty: say goodbye to the
    /// clients, flush, then [`crate::Effect::Stopped`].
    StopConnections,
}
