//! Memory of messages that are over, for messages to come: a publish takes none from the allocator once as
//! many messages as a shard has under way at a time have come home. Nobody who keeps a message knows of this;
//! a message that does not come home is freed like anything else.

use std::rc::Rc;

use ringmq_wire::message::{BLOCK_STEP_BYTES, Ledger, MESSAGE_OVERHEAD_BYTES, Message, MessageParts};

/// Longest block that comes home: a topic, some properties and the largest payload that lies in a block.
const BLOCK_BYTES_MAX: usize = 4096;
const STEPS: usize = BLOCK_BYTES_MAX / BLOCK_STEP_BYTES;

/// Memory kept for messages to come, in bytes. A turn has at most some thousand small messages under way that
/// were not written at once; more than that is a burst, and its memory goes back to the allocator.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// Messages that nobody else has, by the length of their block.
pub struct MessagePool {
    spare: Vec<Vec<Rc<Message>>>,
    bytes: usize,
    ledger: Ledger,
}

impl MessagePool {
    /// Without memory.
    pub fn new() -> Self {
        Self { spare: (0..=STEPS).map(|_| Vec::new()).collect(), bytes: 0, ledger: Ledger::default() }
    }

    /// What all messages take that are still there, those for messages to come included.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A message that counts in the ledger.
    pub fn entered(&self, mut message: Message) -> Rc<Message> {
        message.enter(&self.ledger);
        Rc::new(message)
    }

    /// A message in memory that was used before, as far as there is some. One that may be kept for long is made
    /// to measure.
    pub fn message(&mut self, parts: MessageParts<'_>) -> Rc<Message> {
        if parts.retain {
            return self.entered(Message::new(parts));
        }
        let step = Message::block_bytes(&parts).div_ceil(BLOCK_STEP_BYTES);
        let Some(spare) = self.spare.get_mut(step) else { return self.entered(Message::new(parts)) };
        if let Some(mut message) = spare.pop() {
            self.bytes -= step * BLOCK_STEP_BYTES + MESSAGE_OVERHEAD_BYTES;
            if let Some(own) = Rc::get_mut(&mut message) {
                own.renew(parts);
                return message;
            }
        }
        let block = Vec::with_capacity(step * BLOCK_STEP_BYTES);
        self.entered(Message::in_block(parts, block))
    }

    /// A reference to a message is not needed any more; the last one brings its memory home.
    pub fn take_back(&mut self, message: Rc<Message>) {
        if Rc::strong_count(&message) > 1 || !message.is_inline() {
            return;
        }
        let block_bytes = message.block_bytes_max();
        let bytes = block_bytes + MESSAGE_OVERHEAD_BYTES;
        if !block_bytes.is_multiple_of(BLOCK_STEP_BYTES) || self.bytes + bytes > SPARE_BYTES_MAX {
            return;
        }
        if let Some(spare) = self.spare.get_mut(block_bytes / BLOCK_STEP_BYTES) {
            self.bytes += bytes;
            spare.push(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_wire::message::Payload;
    use ringmq_wire::{Properties, Qos};

    fn parts<'a>(topic: &'a str, payload: &'a [u8]) -> MessageParts<'a> {
        MessageParts {
            topic,
            qos: Qos::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
            payload: Payload::Copy(payload),
            expires_at: None,
            publisher: 0,
            stamp: 0,
        }
    }

    #[test]
    fn what_comes_home_is_used_again_and_says_the_new() {
        let mut pool = MessagePool::new();
        let first = pool.message(parts("a/b", b"one"));
        let (memory, kept) = (Rc::as_ptr(&first), Rc::clone(&first));
        pool.take_back(first);
        let second = pool.message(parts("c", b"two"));
        assert_ne!(Rc::as_ptr(&second), memory, "somebody else has it");
        pool.take_back(kept);
        let third = pool.message(parts("d/e", b"three"));
        assert_eq!(Rc::as_ptr(&third), memory);
        assert_eq!((third.topic(), third.payload()), ("d/e", &b"three"[..]));
        assert_eq!((second.topic(), second.payload()), ("c", &b"two"[..]));
        let longer = pool.message(parts("d/e", &[7; 100]));
        assert_eq!(longer.payload(), [7; 100]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut pool = MessagePool::new();
        for length in [0, 10, 1000, 2048, 2049, 5000] {
            let many: Vec<_> = (0..3000).map(|_| pool.message(parts("topic", &vec![0; length]))).collect();
            many.into_iter().for_each(|message| pool.take_back(message));
            let kept = pool.spare.iter().flatten();
            let bytes: usize = kept.map(|m| m.block_bytes_max() + MESSAGE_OVERHEAD_BYTES).sum();
            assert_eq!(bytes, pool.bytes);
            assert!(bytes <= SPARE_BYTES_MAX);
        }
    }
}
