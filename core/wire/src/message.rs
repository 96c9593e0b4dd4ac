//! The owned message that a broker queues, keeps and shares.
//!
//! Made once from a PUBLISH and never changed. Topic, properties and a small payload lie in one block of
//! memory; a large payload is shared with whoever else holds it. It keeps only what is forwarded: what belongs
//! to one hop (alias, identifiers, the expiry as it was sent) is left out and added again for each delivery.

use alloc::vec::Vec;

use bytes::Bytes;

pub use crate::delivery::{Delivery, encode_publish, encoded_publish_bytes};
use crate::ledger::Entered;
pub use crate::ledger::Ledger;
use crate::{FIELD_BYTES_MAX, Properties, Property, Qos, text};

/// The largest payload, in bytes, that lies in the message's own block. Up to here copying beats sharing even
/// when many connections send the same message.
pub const INLINE_PAYLOAD_BYTES_MAX: usize = 2048;

/// Blocks that are used again come in multiples of so many bytes: few enough sizes that one is soon found, and
/// little enough lost in each.
pub const BLOCK_STEP_BYTES: usize = 64;

/// What a message costs beyond topic, properties and payload: itself, two counters for sharing it, what an
/// allocator adds to two blocks, and what its block may be too long: a step, and the eight bytes of an alias and
/// an expiry.
pub const MESSAGE_OVERHEAD_BYTES: usize =
    size_of::<Message>() + 2 * size_of::<usize>() + 32 + BLOCK_STEP_BYTES + 8;

/// A payload on its way into a message.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// Bytes to be copied.
    Copy(&'a [u8]),
    /// Bytes that are kept as they are when they are large, and copied when they are small.
    Owned(Bytes),
}

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct MessageParts<'a> {
    /// The topic name, at most 65,535 bytes, already judged.
    pub topic: &'a str,
    /// The quality it was published with.
    pub qos: Qos,
    /// The retain flag it was published with.
    pub retain: bool,
    /// The properties it was published with; only the forwarded ones are kept.
    pub properties: Properties<'a>,
    /// What it says.
    pub payload: Payload<'a>,
    /// When it is no longer to be delivered: wall clock, in milliseconds.
    pub expires_at: Option<u64>,
    /// Identity of the publishing session, by which its own messages are told; 0 for none.
    pub publisher: u64,
    /// Which of two messages of a topic is later.
    pub stamp: u64,
}

/// A published message.
#[derive(Clone)]
pub struct Message {
    /// Topic, then properties, then the payload when it is inline.
    block: Vec<u8>,
    /// The payload when it is not inline.
    large: Option<Bytes>,
    expires_at: Option<u64>,
    publisher: u64,
    stamp: u64,
    properties_bytes: u32,
    topic_bytes: u16,
    qos: Qos,
    retain: bool,
    entered: Entered,
}

impl Message {
    /// Makes a message, in a block of its own that is hardly longer than it has to be.
    ///
    /// # Panics
    /// When the topic is longer than 65,535 bytes or the properties longer than 268,435,455, which no decoded
    /// packet can have.
    pub fn new(parts: MessageParts<'_>) -> Message {
        let block = Vec::with_capacity(Message::block_bytes(&parts));
        Message::in_block(parts, block)
    }

    /// Makes a message in a block, whose contents go.
    ///
    /// # Panics
    /// As [`Message::new`].
    pub fn in_block(parts: MessageParts<'_>, mut block: Vec<u8>) -> Message {
        assert!(parts.topic.len() <= FIELD_BYTES_MAX, "a topic is at most 65,535 bytes");
        let topic = parts.topic.as_bytes();
        block.clear();
        block.extend_from_slice(topic);
        put_forwarded(parts.properties, &mut block);
        let properties_bytes = block.len() - topic.len();
        let large = match parts.payload {
            Payload::Copy(payload) => put_payload(payload, &mut block),
            Payload::Owned(payload) if payload.len() <= INLINE_PAYLOAD_BYTES_MAX => {
                put_payload(&payload, &mut block)
            }
            Payload::Owned(payload) => Some(payload),
        };
        Message {
            block,
            large,
            expires_at: parts.expires_at,
            publisher: parts.publisher,
            stamp: parts.stamp,
            properties_bytes: u32::try_from(properties_bytes)
                .expect("properties are at most 268,435,455 bytes"),
            topic_bytes: topic.len() as u16,
            qos: parts.qos,
            retain: parts.retain,
            entered: Entered::default(),
        }
    }

    /// Counts in this ledger until its last holder lets it go.
    pub fn enter(&mut self, ledger: &Ledger) {
        let bytes = self.bytes();
        self.entered.enter(ledger, bytes);
    }

    /// Becomes another message in the same block, which grows if it is too short.
    ///
    /// # Panics
    /// As [`Message::new`].
    pub fn renew(&mut self, parts: MessageParts<'_>) {
        let block = core::mem::take(&mut self.block);
        let entered = core::mem::take(&mut self.entered);
        *self = Message::in_block(parts, block);
        self.entered = entered;
        self.entered.change(self.bytes());
    }

    /// The bytes of a block that holds these parts, all but a large payload. Properties that are not forwarded
    /// are counted, as looking for them costs more than they take.
    pub fn block_bytes(parts: &MessageParts<'_>) -> usize {
        let payload = match &parts.payload {
            Payload::Copy(payload) => payload.len(),
            Payload::Owned(payload) => payload.len(),
        };
        let inline = if payload <= INLINE_PAYLOAD_BYTES_MAX { payload } else { 0 };
        parts.topic.len() + parts.properties.raw().len() + inline
    }

    /// The bytes that the block of this message can hold.
    pub fn block_bytes_max(&self) -> usize {
        self.block.capacity()
    }

    /// The topic name.
    pub fn topic(&self) -> &str {
        text::judged(self.topic_raw())
    }

    /// The bytes of the topic name.
    pub fn topic_raw(&self) -> &[u8] {
        &self.block[..usize::from(self.topic_bytes)]
    }

    /// The forwarded properties: payload format, content type, response topic, correlation data and user
    /// properties, in the publisher's order.
    pub fn properties(&self) -> Properties<'_> {
        Properties::judged(&self.block[usize::from(self.topic_bytes)..self.head_bytes()])
    }

    /// What it says.
    pub fn payload(&self) -> &[u8] {
        match &self.large {
            None => &self.block[self.head_bytes()..],
            Some(large) => large,
        }
    }

    /// What it says, to be kept. It is copied only when it is inline.
    pub fn payload_bytes(&self) -> Bytes {
        self.large.clone().unwrap_or_else(|| Bytes::copy_from_slice(self.payload()))
    }

    /// What it says, to be kept, unless it lies in the message's own block.
    pub const fn large_payload(&self) -> Option<&Bytes> {
        self.large.as_ref()
    }

    /// Whether the payload lies in the message's own block.
    pub fn is_inline(&self) -> bool {
        self.large.is_none()
    }

    /// The quality it was published with.
    pub const fn qos(&self) -> Qos {
        self.qos
    }

    /// The retain flag it was published with.
    pub const fn retain(&self) -> bool {
        self.retain
    }

    /// When it is no longer to be delivered: wall clock, in milliseconds.
    pub const fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// Identity of the publishing session; 0 for none.
    pub const fn publisher(&self) -> u64 {
        self.publisher
    }

    /// Which of two messages of a topic is later.
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// What it takes of a memory budget, in bytes.
    pub fn bytes(&self) -> usize {
        self.block.len() + self.large.as_ref().map_or(0, Bytes::len) + MESSAGE_OVERHEAD_BYTES
    }

    fn head_bytes(&self) -> usize {
        usize::from(self.topic_bytes) + self.properties_bytes as usize
    }
}

impl core::fmt::Debug for Message {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Message")
            .field("topic", &self.topic())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties())
            .field("payload_bytes", &self.payload().len())
            .field("expires_at", &self.expires_at)
            .field("publisher", &self.publisher)
            .field("stamp", &self.stamp)
            .finish()
    }
}

/// What goes on to subscribers unaltered [MQTT-3.3.2-4] [MQTT-3.3.2-15 to -17] [MQTT-3.3.2-20].
const fn is_forwarded(property: Property) -> bool {
    matches!(
        property,
        Property::PayloadFormatIndicator
            | Property::ContentType
            | Property::ResponseTopic
            | Property::CorrelationData
            | Property::UserProperty
    )
}

/// Puts a payload into the block, or beside it when it is large.
fn put_payload(payload: &[u8], block: &mut Vec<u8>) -> Option<Bytes> {
    if payload.len() > INLINE_PAYLOAD_BYTES_MAX {
        return Some(Bytes::copy_from_slice(payload));
    }
    block.extend_from_slice(payload);
    None
}

fn put_forwarded(properties: Properties<'_>, out: &mut Vec<u8>) {
    for (property, entry) in properties.entries() {
        if is_forwarded(property) {
            out.extend_from_slice(entry);
        }
    }
}
