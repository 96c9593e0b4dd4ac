//! Between shards: batches of frames, encoded as bytes. One batch per peer and turn, sooner when it is
//! large. A shard never waits for a peer: what finds no room stays here, bounded, and publishers wait.

pub(crate) mod bytes;
pub(crate) mod frame;
pub(crate) mod inbound;
pub(crate) mod peers;

use ::bytes::Bytes;

use crate::input::ShardId;

/// Frames from one shard to another.
#[derive(Debug, Default)]
pub struct Batch {
    /// The frames.
    pub bytes: Vec<u8>,
    /// Payloads too large to be copied, in the order in which the frames name them.
    pub payloads: Vec<Bytes>,
}

impl Batch {
    /// Leaves it empty but keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.payloads.clear();
    }
}

/// A shard's way to the lanes towards its peers.
pub trait MeshPort {
    /// Puts the batch into the lane to `to`; when this returns, `to` finds it on its next drain. Gives the
    /// batch back when the lane is full.
    ///
    /// # Errors
    /// The batch, when the lane is full.
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch>;
    /// An empty batch: one that came home from `to`, or a new one.
    fn empty(&mut self, to: ShardId) -> Batch;
}
