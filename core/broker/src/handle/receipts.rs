//! Acknowledgements of what a subscription has taken, on their way back to its shard.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ringmq_shard::{LocalId, LocalInput, ShardId};
use ringmq_wire::PacketId;

use super::answers::lock;
use super::entrance::Entrance;

/// The acknowledgements of one subscription, shared by its messages. Bounded by the messages that may be unacknowledged.
pub(super) struct Receipts {
    entrance: Arc<Entrance>,
    shard: ShardId,
    local: LocalId,
    unacknowledged_max: NonZeroU16,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    acknowledged: Vec<PacketId>,
    /// The shard was told and has not asked since.
    told: bool,
}

impl Receipts {
    /// Those of a subscription that takes so many messages before it acknowledges some.
    pub fn new(
        entrance: &Arc<Entrance>,
        shard: ShardId,
        local: LocalId,
        unacknowledged_max: NonZeroU16,
    ) -> Self {
        let entrance = Arc::clone(entrance);
        Self { entrance, shard, local, unacknowledged_max, state: Mutex::default() }
    }
    /// How many messages may be unacknowledged.
    pub fn unacknowledged_max(&self) -> NonZeroU16 {
        self.unacknowledged_max
    }
    /// The shard asks what was acknowledged.
    pub fn take(&self, into: &mut Vec<PacketId>) {
        let mut state = lock(&self.state);
        state.told = false;
        into.append(&mut state.acknowledged);
    }

    fn add(&self, packet_id: PacketId) {
        let mut state = lock(&self.state);
        state.acknowledged.push(packet_id);
        if !std::mem::replace(&mut state.told, true) {
            drop(state);
            self.entrance.push_reserved(self.shard, LocalInput::Room { local: self.local });
        }
    }
}

/// What acknowledges one message, once, whatever copies there are of it.
pub(super) struct Receipt {
    receipts: Arc<Receipts>,
    packet_id: PacketId,
    given: AtomicBool,
}

impl Receipt {
    /// For a message that was taken.
    pub fn new(receipts: &Arc<Receipts>, packet_id: PacketId) -> Arc<Self> {
        Arc::new(Self { receipts: Arc::clone(receipts), packet_id, given: AtomicBool::new(false) })
    }
    /// Acknowledges it. Whether that was not done yet.
    pub fn give(&self) -> bool {
        let first = !self.given.swap(true, Ordering::Relaxed);
        if first {
            self.receipts.add(self.packet_id);
        }
        first
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Receipt").field(&self.packet_id).finish()
    }
}
