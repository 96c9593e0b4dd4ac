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
    /// The session has ended.
    ended: bool,
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

    /// Nothing can be acknowledged any more: what was not is another's, or nobody's.
    pub fn end(&self) {
        lock(&self.state).ended = true;
    }

    fn add(&self, packet_id: PacketId) -> bool {
        let mut state = lock(&self.state);
        if state.ended {
            return false;
        }
        state.acknowledged.push(packet_id);
        if !std::mem::replace(&mut state.told, true) {
            drop(state);
            self.entrance.push_reserved(self.shard, LocalInput::Room { local: self.local });
        }
        true
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
    /// Acknowledges it. Whether that was not done yet, and the session still goes on.
    pub fn give(&self) -> bool {
        !self.given.swap(true, Ordering::Relaxed) && self.receipts.add(self.packet_id)
    }
    /// Whether it is one of these.
    pub fn is_of(&self, receipts: &Arc<Receipts>) -> bool {
        Arc::ptr_eq(&self.receipts, receipts)
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Receipt").field(&self.packet_id).finish()
    }
}
