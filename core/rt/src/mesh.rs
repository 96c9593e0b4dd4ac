//! The lanes between the shards, as the shard sees them, and what the turn has to know about them: whom to
//! ring, and whose full lane has room again.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use ringmq_shard::limits::MESH_LANE_SLOTS;
use ringmq_shard::{Batch, MeshPort, ShardId};
use ringmq_sync::{CoreMask, LaneReceiver, LaneSender, lane};

/// A shard's ends of the lanes that leave it; `None` where it would lead to itself.
pub(crate) type LanesOut = Vec<Option<LaneSender<Batch>>>;
/// A shard's ends of the lanes that lead to it.
pub(crate) type LanesIn = Vec<Option<LaneReceiver<Batch>>>;

/// The lanes of a broker: for each shard those that leave it and those that lead to it.
pub(crate) fn lanes(shards: usize) -> Vec<(LanesOut, LanesIn)> {
    let mut ends: Vec<(LanesOut, LanesIn)> = (0..shards).map(|_| (Vec::new(), Vec::new())).collect();
    for from in 0..shards {
        for to in 0..shards {
            let pair = (from != to).then(|| lane(MESH_LANE_SLOTS)).unzip();
            ends[from].0.push(pair.0);
            ends[to].1.push(pair.1);
        }
    }
    ends
}

/// Which lanes were found full and whose sender waits for room.
///
/// The sender raises the flag and tries once more; the receiver takes something out and looks at the flag.
/// With a SeqCst fence on both sides one of them sees the other, so no sender sleeps beside an empty lane.
pub(crate) struct Stuck {
    shards: usize,
    flags: Box<[AtomicBool]>,
}

impl Stuck {
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards, flags: (0..shards * shards).map(|_| AtomicBool::new(false)).collect() }
    }

    fn flag(&self, from: ShardId, to: ShardId) -> &AtomicBool {
        &self.flags[from.index() * self.shards + to.index()]
    }

    /// Something was taken out of the lane: whether its sender waits for that and is to be rung.
    pub(crate) fn release(&self, from: ShardId, to: ShardId) -> bool {
        fence(Ordering::SeqCst);
        let flag = self.flag(from, to);
        flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::AcqRel)
    }
}

/// What port and turn tell each other; both live on the same thread.
#[derive(Default)]
pub(crate) struct PortState {
    /// Peers that were sent something since they were last rung.
    posted: Cell<CoreMask>,
    /// Peers whose lane was full.
    waiting: Cell<CoreMask>,
}

impl PortState {
    /// A peer was sent something and is to be rung.
    pub(crate) fn note_posted(&self, to: ShardId) {
        insert(&self.posted, to);
    }

    /// Takes the peers that were sent something.
    pub(crate) fn take_posted(&self) -> CoreMask {
        self.posted.take()
    }

    /// Whether a lane that was full has room again.
    pub(crate) fn has_room_again(&self, stuck: &Stuck, id: ShardId) -> bool {
        let waiting = self.waiting.get();
        waiting.iter().any(|to| !stuck.flag(id, shard(to)).load(Ordering::Acquire))
    }

    /// Forgets which lanes were full, before the shard tries again.
    pub(crate) fn forget_waiting(&self) {
        self.waiting.take();
    }
}

/// A shard's way to its peers.
pub(crate) struct Port {
    pub(crate) id: ShardId,
    pub(crate) lanes: LanesOut,
    pub(crate) stuck: Arc<Stuck>,
    pub(crate) state: Rc<PortState>,
}

impl MeshPort for Port {
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        let Some(lane) = self.lanes.get_mut(to.index()).and_then(Option::as_mut) else {
            return Err(batch);
        };
        let pushed = lane.push(batch).or_else(|batch| {
            self.stuck.flag(self.id, to).store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            lane.push(batch)
        });
        insert(if pushed.is_ok() { &self.state.posted } else { &self.state.waiting }, to);
        pushed
    }

    fn empty(&mut self, to: ShardId) -> Batch {
        let lane = self.lanes.get_mut(to.index()).and_then(Option::as_mut);
        lane.and_then(LaneSender::take_home).unwrap_or_default()
    }
}

fn insert(mask: &Cell<CoreMask>, peer: ShardId) {
    let mut with = mask.get();
    with.insert(peer.index());
    mask.set(with);
}

/// The number of a shard from its index, which is at most 255.
pub(crate) fn shard(index: usize) -> ShardId {
    ShardId(index as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_lane_tells_its_sender_when_there_is_room_again() {
        let mut ends = lanes(2);
        let (lanes_out, lanes_in) = (ends.remove(0).0, ends.remove(0).1);
        let (stuck, state) = (Arc::new(Stuck::new(2)), Rc::<PortState>::default());
        let (me, peer) = (shard(0), shard(1));
        let mut port = Port { id: me, lanes: lanes_out, stuck: Arc::clone(&stuck), state: Rc::clone(&state) };
        let mut inbox = lanes_in.into_iter().next().flatten().unwrap();

        assert!(port.push(me, Batch::default()).is_err(), "no lane leads to itself");
        for _ in 0..MESH_LANE_SLOTS {
            let mut batch = port.empty(peer);
            batch.bytes.push(1);
            port.push(peer, batch).unwrap();
        }
        assert!(!state.has_room_again(&stuck, me));
        assert_eq!(port.push(peer, Batch { bytes: vec![2], payloads: Vec::new() }).unwrap_err().bytes, [2]);
        assert!(!state.has_room_again(&stuck, me));
        assert_eq!(state.take_posted().iter().collect::<Vec<_>>(), [1]);
        assert!(state.take_posted().is_empty());

        let mut batch = inbox.pop().unwrap();
        batch.clear();
        inbox.give_home(batch);
        assert!(stuck.release(me, peer) && !stuck.release(me, peer));
        assert!(state.has_room_again(&stuck, me));
        state.forget_waiting();
        assert!(!state.has_room_again(&stuck, me));
        assert!(port.empty(peer).bytes.capacity() > 0, "the emptied batch came home");
        port.push(peer, Batch::default()).unwrap();
    }
}
