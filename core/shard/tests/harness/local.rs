//! The sink of an in-process handle as a test has it: a list with room for so many messages.

use std::sync::{Arc, Mutex};

use ringmq_shard::{LocalDelivery, LocalSink};

/// What came out of a handle.
#[derive(Debug, Default)]
pub struct Basket {
    /// Topic, payload, QoS, retain.
    pub messages: Vec<(String, Vec<u8>, u8, bool)>,
    /// How many it takes before it says that it has no room.
    pub room: usize,
    pub ended: bool,
    pub flushes: u64,
}

/// The shard's side of a basket.
pub struct Sink(pub Arc<Mutex<Basket>>);

impl LocalSink for Sink {
    fn push(&mut self, delivery: &LocalDelivery<'_>) -> bool {
        let mut basket = self.0.lock().expect("no test panicked with it");
        if basket.messages.len() >= basket.room {
            return false;
        }
        let message = delivery.message;
        let row =
            (message.topic().to_owned(), message.payload().to_vec(), delivery.qos.value(), delivery.retain);
        basket.messages.push(row);
        true
    }

    fn flush(&mut self) {
        self.0.lock().expect("no test panicked with it").flushes += 1;
    }

    fn end(&mut self) {
        self.0.lock().expect("no test panicked with it").ended = true;
    }
}
