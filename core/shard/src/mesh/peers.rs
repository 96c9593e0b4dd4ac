//! The way out to the other shards: one open batch per peer, and what waits because a lane is full.

use std::collections::VecDeque;

use super::frame::Frame;
use super::{Batch, MeshPort};
use crate::input::ShardId;

#[derive(Default)]
struct Peer {
    open: Batch,
    /// Bytes of payloads that travel beside the open batch's own.
    open_beside: usize,
    /// Closed batches that found no slot, oldest first.
    waiting: VecDeque<Batch>,
    waiting_bytes: usize,
}

/// All peers of a shard.
pub struct Peers {
    port: Box<dyn MeshPort>,
    peers: Vec<Peer>,
    batch_bytes: usize,
    spill_bytes_max: usize,
    /// Bytes that wait, over all peers: nothing waits, and so nothing is congested, while it is zero.
    waiting_bytes: usize,
}

impl Peers {
    /// A way out to `shards` shards.
    pub fn new(port: Box<dyn MeshPort>, shards: usize, batch_bytes: usize, spill_bytes_max: usize) -> Self {
        let peers = (0..shards).map(|_| Peer::default()).collect();
        Self { port, peers, batch_bytes, spill_bytes_max, waiting_bytes: 0 }
    }

    /// Appends a frame to the peer's batch; it leaves at the end of the turn or when the batch is large.
    pub fn send(&mut self, to: ShardId, frame: &Frame<'_>) {
        let peer = &mut self.peers[to.index()];
        if peer.open.bytes.capacity() == 0 {
            peer.open = self.port.empty(to);
        }
        let beside = peer.open.payloads.len();
        frame.put(&mut peer.open);
        peer.open_beside += payload_bytes(&peer.open.payloads[beside..]);
        if peer.open.bytes.len() + peer.open_beside >= self.batch_bytes {
            self.flush_peer(to);
        }
    }

    /// Puts a frame into the lane now, behind everything sent before; false, with nothing sent, when the
    /// lane has no room.
    pub fn send_now(&mut self, to: ShardId, frame: &Frame<'_>) -> bool {
        if !self.flush_peer(to) {
            return false;
        }
        let mut batch = self.port.empty(to);
        frame.put(&mut batch);
        match self.port.push(to, batch) {
            Ok(()) => true,
            Err(mut batch) => {
                batch.clear();
                self.peers[to.index()].open = batch;
                false
            }
        }
    }

    /// Pushes what can be pushed to this peer; true when nothing is left here.
    fn flush_peer(&mut self, to: ShardId) -> bool {
        let peer = &mut self.peers[to.index()];
        if !peer.open.bytes.is_empty() {
            let batch = std::mem::take(&mut peer.open);
            peer.open_beside = 0;
            peer.waiting_bytes += batch_bytes(&batch);
            self.waiting_bytes += batch_bytes(&batch);
            peer.waiting.push_back(batch);
        }
        while let Some(batch) = peer.waiting.pop_front() {
            let bytes = batch_bytes(&batch);
            if let Err(batch) = self.port.push(to, batch) {
                peer.waiting.push_front(batch);
                return false;
            }
            peer.waiting_bytes -= bytes;
            self.waiting_bytes -= bytes;
        }
        true
    }

    /// Pushes what can be pushed to all peers.
    pub fn flush(&mut self) {
        for to in 0..self.peers.len() {
            self.flush_peer(ShardId(to as u16));
        }
    }

    /// Whether more waits for this peer than may.
    pub fn is_congested(&self, to: ShardId) -> bool {
        self.peers[to.index()].waiting_bytes > self.spill_bytes_max
    }

    /// Whether more waits for any peer than may.
    pub fn any_congested(&self) -> bool {
        self.waiting_bytes > self.spill_bytes_max
            && self.peers.iter().any(|p| p.waiting_bytes > self.spill_bytes_max)
    }

    /// Bytes that wait for room in a lane.
    pub const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether anything waits for room.
    pub fn is_waiting(&self) -> bool {
        self.peers.iter().any(|p| !p.waiting.is_empty() || !p.open.bytes.is_empty())
    }
}

fn batch_bytes(batch: &Batch) -> usize {
    batch.bytes.len() + payload_bytes(&batch.payloads)
}

fn payload_bytes(payloads: &[::bytes::Bytes]) -> usize {
    payloads.iter().map(::bytes::Bytes::len).sum()
}
