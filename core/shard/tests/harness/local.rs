//! The sink of an in-process handle as a test has it: a list with room for so many messages.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};

use ringmq_shard::{LocalDelivery, LocalSink};
use ringmq_wire::PacketId;

/// What came out of a handle.
#[derive(Debug, Default)]
pub struct Basket {
    /// Topic, payload, QoS, retain.
    pub messages: Vec<(String, Vec<u8>, u8, bool)>,
    /// How many it takes before it says that it has no room.
    pub room: usize,
    /// Messages taken before some are acknowledged, for one who does.
    pub unacknowledged_max: Option<NonZeroU16>,
    /// By what the messages are acknowledged.
    pub packet_ids: Vec<Option<PacketId>>,
    /// What is acknowledged with the next `Room`.
    pub acknowledged: Vec<PacketId>,
    pub ended: bool,
    pub flushes: u64,
}

/// The shard's side of a basket.
pub struct Sink(pub Arc<Mutex<Basket>>);

impl LocalSink for Sink {
    fn unacknowledged_max(&self) -> Option<NonZeroU16> {
        self.0.lock().expect("no test panicked with it").unacknowledged_max
    }

    fn acknowledged(&mut self, into: &mut Vec<PacketId>) {
        into.append(&mut self.0.lock().expect("no test panicked with it").acknowledged);
    }

    fn push(&mut self, delivery: &LocalDelivery<'_>) -> bool {
        let mut basket = self.0.lock().expect("no test panicked with it");
        if basket.messages.len() >= basket.room {
            return false;
        }
        let row =
            (delivery.topic.to_owned(), delivery.payload.to_vec(), delivery.qos.value(), delivery.retain);
        basket.messages.push(row);
        basket.packet_ids.push(delivery.packet_id);
        true
    }

    fn flush(&mut self) {
        self.0.lock().expect("no test panicked with it").flushes += 1;
    }

    fn end(&mut self) {
        self.0.lock().expect("no test panicked with it").ended = true;
    }
}
